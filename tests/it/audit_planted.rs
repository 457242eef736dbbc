//! Every law of the audit notices the row that breaks it: one is broken at a time, proved broken, and mended.

use crate::support::books::{Books, START};
use billing::{
    admission::VoidReason,
    audit,
    ledger::{self, CallRefund},
};
use entity::{Actor, Credits, HoldId, MemberId, OrderId, RuleId, TenantId, order, quota_counter};
use sea_orm::{ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, IntoActiveModel};
use uuid::Uuid;

/// Tables that refuse changes by trigger; who breaks a law has got past them.
const APPEND_ONLY: &[&str] = &[
    "ledger_transaction",
    "ledger_entry",
    "usage",
    "usage_allocation",
    "usage_window",
    "usage_adjustment",
];

/// Changes behind the laws' back.
async fn run(books: &Books, statements: Vec<String>) {
    let done: Result<(), DbErr> = books
        .db
        .write(move |tx| {
            Box::pin(async move {
                for statement in &statements {
                    tx.execute_unprepared(statement).await?;
                }
                Ok(())
            })
        })
        .await;
    done.expect("the change is made");
}

/// Takes away what keeps hands off the books.
async fn disarm(books: &Books) {
    let statements = APPEND_ONLY
        .iter()
        .flat_map(|table| match books.db.backend() {
            DbBackend::Sqlite => vec![
                format!(r#"DROP TRIGGER IF EXISTS "{table}_no_update""#),
                format!(r#"DROP TRIGGER IF EXISTS "{table}_no_delete""#),
            ],
            _ => vec![format!(r#"ALTER TABLE "{table}" DISABLE TRIGGER USER"#)],
        });
    run(books, statements.collect()).await;
}

async fn broken(books: &Books) -> Vec<&'static str> {
    let report = audit::prove(&books.db, books.now())
        .await
        .expect("an audit");
    report.broken().map(|proof| proof.law).collect()
}

/// How this database writes an id.
fn literal(books: &Books, id: Uuid) -> String {
    match books.db.backend() {
        DbBackend::Sqlite => format!("x'{}'", id.simple()),
        _ => format!("'{id}'"),
    }
}

#[tokio::test]
async fn a_row_that_breaks_a_law_is_named() {
    let (books, payer) = Books::with_payer(1_000_000).await;
    let settled = books.order(&payer, 1_000);
    let call = literal(&books, settled.id.uuid());
    let hold = books.lanes.hold(settled).await.expect("held");
    hold.settle(books.settlement(700)).await.expect("settled");
    let order = books.order(&payer, 500);
    let open = literal(&books, order.id.uuid());
    let running = books.lanes.hold(order).await.expect("held");
    disarm(&books).await;
    assert_eq!(broken(&books).await, Vec::<&str>::new());

    let rows = [
        (
            "INSERT INTO ledger_entry (transaction_id, n, account, asset, amount) SELECT id, 99, 'used', 'CR', 5 FROM ledger_transaction LIMIT 1",
            "DELETE FROM ledger_entry WHERE n = 99",
            vec!["I1", "I2"],
        ),
        (
            "UPDATE wallet SET posted = posted + 1",
            "UPDATE wallet SET posted = posted - 1",
            vec!["I3"],
        ),
        (
            r#"UPDATE "grant" SET remaining = remaining - 1"#,
            r#"UPDATE "grant" SET remaining = remaining + 1"#,
            vec!["I3"],
        ),
        (
            "UPDATE wallet SET open_holds = open_holds + 1",
            "UPDATE wallet SET open_holds = open_holds - 1",
            vec!["I4"],
        ),
        (
            "UPDATE hold SET amount = amount + 1",
            "UPDATE hold SET amount = amount - 1",
            vec!["I4"],
        ),
        (
            r#"UPDATE "usage" SET charge = charge + 1"#,
            r#"UPDATE "usage" SET charge = charge - 1"#,
            vec!["I7", "I8"],
        ),
        (
            "UPDATE usage_allocation SET amount = amount + 1",
            "UPDATE usage_allocation SET amount = amount - 1",
            vec!["I8"],
        ),
        (
            r#"UPDATE "grant" SET effective_at = effective_at + 1000000000"#,
            r#"UPDATE "grant" SET effective_at = effective_at - 1000000000"#,
            vec!["I13"],
        ),
        (
            "UPDATE ledger_entry SET wallet_seq = wallet_seq - 1000 WHERE amount < 0 AND account = 'wallet'",
            "UPDATE ledger_entry SET wallet_seq = wallet_seq + 1000 WHERE amount < 0 AND account = 'wallet'",
            vec!["I20"],
        ),
    ];
    for (plant, mend, laws) in rows {
        run(&books, vec![plant.to_owned()]).await;
        assert_eq!(broken(&books).await, laws, "{plant}");
        run(&books, vec![mend.to_owned()]).await;
    }
    for (plant, mend, laws) in [
        (
            format!(r#"UPDATE "usage" SET id = {open} WHERE id = {call}"#),
            format!(r#"UPDATE "usage" SET id = {call} WHERE id = {open}"#),
            vec!["I6", "I8", "I13"],
        ),
        (
            format!(r#"UPDATE "usage" SET price_version_id = id WHERE id = {call}"#),
            r#"UPDATE "usage" SET price_version_id = (SELECT id FROM price_version)"#.to_owned(),
            vec!["I18"],
        ),
    ] {
        run(&books, vec![plant.clone()]).await;
        let found = broken(&books).await;
        let all = laws.iter().filter(|law| found.contains(law)).count();
        assert!(
            all > 0 && found.iter().all(|law| laws.contains(law)),
            "{plant}: {found:?}"
        );
        assert_eq!(found.first(), laws.first(), "{plant}");
        run(&books, vec![mend]).await;
    }

    running
        .void(VoidReason::UpstreamError)
        .await
        .expect("voided");
    books.close().await;
}

#[tokio::test]
async fn a_refund_that_does_not_add_up_is_named() {
    let (books, payer) = Books::with_payer(1_000_000).await;
    let order = books.order(&payer, 1_000);
    let call = order.id;
    let hold = books.lanes.hold(order).await.expect("held");
    hold.settle(books.settlement(700)).await.expect("settled");
    let refund = CallRefund {
        tenant: payer.tenant,
        call,
        amount: Some(Credits::from_nanos(200)),
        once: "1".to_owned(),
        actor: Actor::System,
        reason: "an outage".to_owned(),
    };
    ledger::refund_call(&books.db, refund, books.now())
        .await
        .expect("given back");
    disarm(&books).await;
    assert_eq!(broken(&books).await, Vec::<&str>::new());

    for (plant, mend) in [
        (
            "UPDATE usage_adjustment SET amount = amount + 1",
            "UPDATE usage_adjustment SET amount = amount - 1",
        ),
        (
            "UPDATE usage_adjustment SET amount = amount + 1000",
            "UPDATE usage_adjustment SET amount = amount - 1000",
        ),
        (
            "UPDATE ledger_transaction SET kind = 'adjust' WHERE kind = 'correct'",
            "UPDATE ledger_transaction SET kind = 'correct' WHERE kind = 'adjust'",
        ),
    ] {
        run(&books, vec![plant.to_owned()]).await;
        assert_eq!(broken(&books).await, ["I21"], "{plant}");
        run(&books, vec![mend.to_owned()]).await;
    }
    books.close().await;
}

#[tokio::test]
async fn an_order_or_a_window_that_does_not_add_up_is_named() {
    let (books, payer) = Books::with_payer(1_000_000).await;
    let order = credited_for_nothing(payer.tenant, payer.member);
    let counter = quota_counter::Model {
        rule_id: RuleId::fresh(),
        subject_id: HoldId::fresh().uuid(),
        window_start: START,
        tenant_id: payer.tenant,
        window_end: START,
        metric: quota_counter::Metric::Credits,
        used: 5,
        reserved: 0,
    };
    let planted: Result<(), DbErr> = books
        .db
        .write(|tx| {
            Box::pin(async move {
                order.into_active_model().reset_all().insert(tx).await?;
                counter.into_active_model().reset_all().insert(tx).await?;
                Ok(())
            })
        })
        .await;
    planted.expect("the rows are planted");

    assert_eq!(broken(&books).await, ["I10", "I15", "I16"]);

    let mend = [r#"DELETE FROM "order""#, "DELETE FROM quota_counter"];
    run(&books, mend.map(str::to_owned).to_vec()).await;
    books.close().await;
}

fn credited_for_nothing(tenant_id: TenantId, member_id: MemberId) -> order::Model {
    order::Model {
        id: OrderId::fresh(),
        tenant_id,
        member_id,
        status: order::Status::Credited,
        product: "{}".to_owned(),
        credits: Credits::from_nanos(1_000),
        bonus: Credits::ZERO,
        amount_minor: 100,
        tax_minor: 0,
        currency: "usd".to_owned(),
        provider: "stripe".to_owned(),
        provider_session: None,
        provider_payment: None,
        checkout_url: None,
        livemode: false,
        review_reason: None,
        grant_id: None,
        created_at: START,
        updated_at: START,
        credited_at: Some(START),
        legacy_ref: None,
    }
}

/// Two lots of which a call draws the one after the other.
#[tokio::test]
async fn a_drawing_out_of_order_or_more_taken_back_than_given_is_named() {
    let books = Books::open().await;
    let payer = books.payer().await;
    let mut first = books.grant_order(&payer, 300, "test:first");
    first.priority = Some(1);
    books.grant_by(first).await;
    books.grant(&payer, 1_000).await;
    let order = books.order(&payer, 700);
    let call = literal(&books, order.id.uuid());
    let hold = books.lanes.hold(order).await.expect("held");
    hold.settle(books.settlement(700)).await.expect("settled");
    let open = books.order(&payer, 100);
    let running = books.lanes.hold(open).await.expect("held");
    disarm(&books).await;
    assert_eq!(broken(&books).await, Vec::<&str>::new());

    for (plant, mend, law) in [
        (
            r#"UPDATE "grant" SET priority = 99 WHERE priority = 1"#.to_owned(),
            r#"UPDATE "grant" SET priority = 1 WHERE priority = 99"#.to_owned(),
            "I14",
        ),
        (
            r#"UPDATE "grant" SET priority = 50, cost_minor = 5 WHERE priority = 1"#.to_owned(),
            r#"UPDATE "grant" SET priority = 1, cost_minor = 0 WHERE cost_minor = 5"#.to_owned(),
            "I14",
        ),
        (
            format!("UPDATE usage_allocation SET draw = 1 - draw WHERE usage_id = {call}"),
            format!("UPDATE usage_allocation SET draw = 1 - draw WHERE usage_id = {call}"),
            "",
        ),
        (
            "UPDATE ledger_transaction SET kind = 'refund' WHERE kind = 'grant'".to_owned(),
            "UPDATE ledger_transaction SET kind = 'grant' WHERE kind = 'refund'".to_owned(),
            "I11",
        ),
    ] {
        run(&books, vec![plant.clone()]).await;
        let found = broken(&books).await;
        let wanted: Vec<&str> = [law].into_iter().filter(|law| !law.is_empty()).collect();
        assert_eq!(found, wanted, "{plant}");
        run(&books, vec![mend]).await;
    }

    running
        .void(VoidReason::UpstreamError)
        .await
        .expect("voided");
    books.close().await;
}
