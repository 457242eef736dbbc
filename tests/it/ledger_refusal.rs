//! Promises about who holds nothing: banned, blocked, frozen, past a date, or one too many.

use crate::support::books::{Books, nanos};
use billing::{
    admission::HoldRefusal,
    ledger::{self, Limits},
};
use entity::{Actor, Credits, Platform, Scoped, key, member, model, tenant, usage, wallet};
use sea_orm::{ColumnTrait, QueryFilter};

#[tokio::test]
async fn a_ban_a_block_and_a_freeze_bind_at_the_very_next_hold() {
    let (books, payer) = Books::with_payer(100).await;
    let (tenant, member, key, model) = (payer.tenant, payer.member, payer.key, books.model);
    let order = || books.order(&payer, 1);

    books
        .db
        .write(move |tx| {
            Box::pin(async move {
                key::Entity::of_change(tenant)
                    .col_expr(key::Column::Status, "disabled".into())
                    .filter(key::Column::Id.eq(key))
                    .exec(tx)
                    .await
            })
        })
        .await
        .expect("disabled");
    assert!(matches!(
        books.lanes.hold(order()).await,
        Err(HoldRefusal::KeyDisabled)
    ));
    books
        .db
        .write(move |tx| {
            Box::pin(async move {
                key::Entity::of_change(tenant)
                    .col_expr(key::Column::Status, "active".into())
                    .filter(key::Column::Id.eq(key))
                    .exec(tx)
                    .await?;
                model::Entity::change()
                    .col_expr(model::Column::Status, "blocked".into())
                    .filter(model::Column::Id.eq(model))
                    .exec(tx)
                    .await
            })
        })
        .await
        .expect("blocked");
    assert!(matches!(
        books.lanes.hold(order()).await,
        Err(HoldRefusal::ModelBlocked)
    ));
    books
        .db
        .write(move |tx| {
            Box::pin(async move {
                member::Entity::of_change(tenant)
                    .col_expr(member::Column::Status, "banned".into())
                    .filter(member::Column::Id.eq(member))
                    .exec(tx)
                    .await
            })
        })
        .await
        .expect("banned");
    assert!(matches!(
        books.lanes.hold(order()).await,
        Err(HoldRefusal::MemberBanned)
    ));
    books
        .db
        .write(move |tx| {
            Box::pin(async move {
                tenant::Entity::change()
                    .col_expr(tenant::Column::Status, "suspended".into())
                    .filter(tenant::Column::Id.eq(tenant))
                    .exec(tx)
                    .await
            })
        })
        .await
        .expect("suspended");
    assert!(matches!(
        books.lanes.hold(order()).await,
        Err(HoldRefusal::TenantSuspended)
    ));

    assert_eq!(books.balance(&payer).await.held, Credits::ZERO);
    books.close().await;
}

#[tokio::test]
async fn a_frozen_wallet_holds_nothing_but_still_settles() {
    let (books, payer) = Books::with_payer(100).await;
    let running = books
        .lanes
        .hold(books.order(&payer, 30))
        .await
        .expect("held");

    ledger::set_status(
        &books.db,
        payer.tenant,
        wallet::Status::Frozen,
        Actor::System,
        "dispute".to_owned(),
        books.now(),
    )
    .await
    .expect("frozen");

    let refused = books.lanes.hold(books.order(&payer, 1)).await;
    assert!(
        matches!(refused, Err(HoldRefusal::WalletFrozen)),
        "{refused:?}"
    );
    running.settle(books.settlement(30)).await.expect("settled");
    assert_eq!(books.balance(&payer).await.posted, nanos(70));
    books.close().await;
}

#[tokio::test]
async fn a_key_past_its_date_or_of_another_member_holds_nothing() {
    let (books, payer) = Books::with_payer(100).await;
    let stranger = books.payer().await;
    let (tenant, key) = (payer.tenant, payer.key);
    let end = books.now().micros();
    books
        .db
        .write(move |tx| {
            Box::pin(async move {
                key::Entity::of_change(tenant)
                    .col_expr(key::Column::ExpiresAt, end.into())
                    .filter(key::Column::Id.eq(key))
                    .exec(tx)
                    .await
            })
        })
        .await
        .expect("expires");

    let expired = books.lanes.hold(books.order(&payer, 1)).await;
    let mut order = books.order(&payer, 1);
    order.key = stranger.key;
    let foreign = books.lanes.hold(order).await;

    assert!(
        matches!(expired, Err(HoldRefusal::KeyExpired)),
        "{expired:?}"
    );
    assert!(
        matches!(foreign, Err(HoldRefusal::KeyRevoked)),
        "{foreign:?}"
    );
    books.close().await;
}

#[tokio::test]
async fn no_more_calls_run_than_the_wallet_allows() {
    let (books, payer) = Books::with_payer(100).await;
    let limits = Limits {
        credit_line: Credits::ZERO,
        credit_line_monthly: None,
        max_open_holds: Some(2),
        own: Vec::new(),
    };
    ledger::set_limits(
        &books.db,
        payer.tenant,
        limits,
        Actor::System,
        "trial".to_owned(),
        books.now(),
    )
    .await
    .expect("limited");

    let first = books
        .lanes
        .hold(books.order(&payer, 1))
        .await
        .expect("held");
    let second = books
        .lanes
        .hold(books.order(&payer, 1))
        .await
        .expect("held");
    let third = books.lanes.hold(books.order(&payer, 1)).await;
    assert!(
        matches!(third, Err(HoldRefusal::ConcurrencyLimit { limit: 2 })),
        "{third:?}"
    );
    first
        .void(usage::Finish::UpstreamError)
        .await
        .expect("voided");
    let fourth = books
        .lanes
        .hold(books.order(&payer, 1))
        .await
        .expect("held");

    drop((second, fourth));
    books.close().await;
}
