//! Opening an order: the row first, then the provider's checkout under a key made of it.

use super::super::money::CreditPack;
use super::super::port::{Checkout, PaymentProvider, ProviderFault, SessionView};
use super::apply::clip;
use entity::order::{ActiveModel, Column, Entity, Model, Status};
use entity::{Database, MemberId, OrderId, Scoped, TenantId, Timestamp, crash};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, Set};
use std::time::Duration;

/// Unpaid orders a tenant may have at the same time.
const UNPAID_MAX: u64 = 20;
/// After this long an order without a session is given up, and unpaid ones no longer count.
pub(super) const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// A member wants to buy a pack.
#[derive(Clone, Debug)]
pub struct OpenOrder {
    /// Made by the caller, so that a form sent twice is one order.
    pub id: OrderId,
    /// Whose wallet gets the credits.
    pub tenant: TenantId,
    /// Who buys.
    pub member: MemberId,
    /// What.
    pub pack: CreditPack,
    /// Where the buyer comes back to after paying.
    pub success_url: String,
    /// Where the buyer comes back to without paying.
    pub cancel_url: String,
    /// Filled in for the buyer at the provider.
    pub email: Option<String>,
}

/// Why an order has no checkout.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Too many unpaid orders at once; pay or let them lapse.
    #[error("there are {UNPAID_MAX} unpaid orders already")]
    TooMany,
    /// The id belongs to another order.
    #[error("this order exists already and is not open")]
    Taken,
    /// The provider says no, or cannot be reached; in the latter case the same order may be opened again.
    #[error(transparent)]
    Provider(#[from] ProviderFault),
    /// The database failed.
    #[error("the order was not stored: {0}")]
    Store(#[from] DbErr),
}

/// Writes the order, then opens its checkout, and returns it with the address where the buyer pays.
///
/// Asked again with the same id it returns the same order and the same checkout.
#[tracing::instrument(name = "order.open", skip_all, fields(order.id = %order.id, tenant.id = %order.tenant))]
pub async fn open(
    db: &Database,
    provider: &dyn PaymentProvider,
    order: OpenOrder,
    now: Timestamp,
) -> Result<Model, OpenError> {
    let row = place(db, provider, &order, now).await?;
    if row.status == Status::SessionOpen {
        return Ok(row);
    }
    if row.status != Status::Created {
        return Err(OpenError::Taken);
    }
    let checkout = Checkout {
        order: order.id,
        product: order.pack.name().to_owned(),
        price: order.pack.price(),
        success_url: order.success_url,
        cancel_url: order.cancel_url,
        email: order.email,
    };
    crash::point("order placed");
    match provider.open_session(&checkout).await {
        Ok(view) => attach(db, row, view, now).await,
        Err(fault) => {
            if let ProviderFault::Refused(reason) = &fault {
                give_up(db, &row, Status::Failed, reason.clone(), now).await?;
            }
            Err(fault.into())
        }
    }
}

async fn place(
    db: &Database,
    provider: &dyn PaymentProvider,
    order: &OpenOrder,
    now: Timestamp,
) -> Result<Model, OpenError> {
    let product =
        serde_json::to_string(&order.pack).map_err(|fault| DbErr::Custom(fault.to_string()))?;
    let price = order.pack.price();
    let (id, tenant) = (order.id, order.tenant);
    let row = ActiveModel {
        id: Set(id),
        tenant_id: Set(tenant),
        member_id: Set(order.member),
        status: Set(Status::Created),
        product: Set(product.clone()),
        credits: Set(order.pack.credits()),
        bonus: Set(order.pack.bonus()),
        amount_minor: Set(price.minor()),
        tax_minor: Set(0),
        currency: Set(price.currency()),
        provider: Set(provider.name().to_owned()),
        provider_session: Set(None),
        provider_payment: Set(None),
        checkout_url: Set(None),
        livemode: Set(provider.livemode()),
        review_reason: Set(None),
        grant_id: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
        credited_at: Set(None),
        legacy_ref: Set(None),
    };
    db.write(move |tx| {
        Box::pin(async move {
            let unpaid = Entity::of(tenant)
                .filter(Column::Status.is_in([Status::Created, Status::SessionOpen]))
                .filter(Column::CreatedAt.gt(now.minus(ABANDONED_AFTER)))
                .filter(Column::Id.ne(id))
                .count(tx)
                .await?;
            if unpaid >= UNPAID_MAX {
                return Err(OpenError::TooMany);
            }
            let once = OnConflict::column(Column::Id).do_nothing().to_owned();
            Entity::insert(row)
                .on_conflict(once)
                .exec_without_returning(tx)
                .await?;
            let stored = Entity::of(tenant).filter(Column::Id.eq(id)).one(tx).await?;
            stored
                .filter(|stored| stored.product == product)
                .ok_or(OpenError::Taken)
        })
    })
    .await
}

async fn attach(
    db: &Database,
    row: Model,
    view: SessionView,
    now: Timestamp,
) -> Result<Model, OpenError> {
    let Some(url) = view.url else {
        return Err(ProviderFault::Unavailable("the session has no address".to_owned()).into());
    };
    db.write(move |tx| {
        Box::pin(async move {
            Entity::of_change(row.tenant_id)
                .col_expr(Column::Status, Expr::value(Status::SessionOpen))
                .col_expr(Column::ProviderSession, Expr::value(view.id))
                .col_expr(Column::CheckoutUrl, Expr::value(url))
                .col_expr(Column::UpdatedAt, Expr::value(now))
                .filter(Column::Id.eq(row.id))
                .filter(Column::Status.eq(Status::Created))
                .exec(tx)
                .await?;
            // Where a second request was first, this is its session: the provider gives both the same.
            let stored = Entity::of(row.tenant_id)
                .filter(Column::Id.eq(row.id))
                .one(tx)
                .await?;
            stored.ok_or(OpenError::Taken)
        })
    })
    .await
}

/// Ends an order that never got a checkout.
pub(super) async fn give_up(
    db: &Database,
    row: &Model,
    to: Status,
    reason: String,
    now: Timestamp,
) -> Result<(), DbErr> {
    let (tenant, id) = (row.tenant_id, row.id);
    db.write(move |tx| {
        Box::pin(async move {
            Entity::of_change(tenant)
                .col_expr(Column::Status, Expr::value(to))
                .col_expr(Column::ReviewReason, Expr::value(clip(&reason)))
                .col_expr(Column::UpdatedAt, Expr::value(now))
                .filter(Column::Id.eq(id))
                .filter(Column::Status.eq(Status::Created))
                .exec(tx)
                .await?;
            Ok(())
        })
    })
    .await
}
