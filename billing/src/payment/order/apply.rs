//! Moving an order to where its session is: the state machine, and the credits at its end.

use super::super::port::{PaymentState, SessionState, SessionView};
use crate::ledger::{self, Cost, GrantError, GrantOrder};
use entity::order::{Column, Entity, Model, Status};
use entity::{Actor, Credits, GrantId, OrderId, Scoped, Timestamp, Tx, grant, outbox};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QuerySelect};

/// Longest reason kept, in characters.
const REASON_MAX: usize = 500;

/// What a verified event adds to what the session itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Nothing.
    None,
    /// A delayed payment of a completed session did not come and will not. The session still says `unpaid`.
    PaymentFailed,
}

/// What an order becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Stay,
    Move(Status),
    Credit,
    Review(String),
}

/// Why an order could not follow its session.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The wallet does not take the credits.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The database failed, or another transaction moved the order first; try again.
    #[error("the order was not moved: {0}")]
    Store(#[from] DbErr),
}

/// Moves the order of a session to where the session says it is. `None` where no order of ours has this session.
///
/// Any number of calls in any order come to the same end: the credits are there once, or never.
pub(in crate::payment) async fn apply_in(
    tx: &Tx,
    provider: &'static str,
    view: &SessionView,
    hint: Hint,
    now: Timestamp,
) -> Result<Option<Status>, ApplyError> {
    let Some(order) = of_session(tx, provider, view).await? else {
        return Ok(None);
    };
    let step = decide(&order, view, hint);
    let Some(to) = step.status(order.status) else {
        return Ok(Some(order.status));
    };
    let granted = if to == Status::Credited {
        Some(credit(tx, &order, provider, now).await?)
    } else {
        None
    };
    let mut change = Entity::of_change(order.tenant_id)
        .col_expr(Column::Status, Expr::value(to))
        .col_expr(Column::ProviderSession, Expr::value(view.id.as_str()))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(order.id))
        .filter(Column::Status.eq(order.status));
    if let Some(payment) = &view.payment_id {
        change = change.col_expr(Column::ProviderPayment, Expr::value(payment.as_str()));
    }
    if let Some(grant) = granted {
        change = change
            .col_expr(Column::GrantId, Expr::value(grant))
            .col_expr(Column::TaxMinor, Expr::value(view.tax_minor))
            .col_expr(Column::CreditedAt, Expr::value(now));
    }
    if let Step::Review(reason) = &step {
        tracing::warn!(order.id = %order.id, %reason, "an order does not match its session and waits for an operator");
        change = change.col_expr(Column::ReviewReason, Expr::value(clip(reason)));
    }
    if change.exec(tx).await?.rows_affected != 1 {
        return Err(DbErr::RecordNotUpdated.into());
    }
    tracing::info!(order.id = %order.id, order.status = ?to, "an order moved");
    Ok(Some(to))
}

/// The order, locked until the commit. By its session; or by the id it carries, where we died before we stored the
/// session. A session that carries the id of an order with another session is not that order's.
async fn of_session(tx: &Tx, provider: &str, view: &SessionView) -> Result<Option<Model>, DbErr> {
    let known = Entity::across_tenants()
        .filter(Column::Provider.eq(provider))
        .filter(Column::ProviderSession.eq(view.id.as_str()))
        .lock_exclusive()
        .one(tx)
        .await?;
    if known.is_some() {
        return Ok(known);
    }
    let Some(id) = view
        .reference
        .as_deref()
        .and_then(|text| text.parse::<OrderId>().ok())
    else {
        return Ok(None);
    };
    Entity::across_tenants()
        .filter(Column::Id.eq(id))
        .filter(Column::Provider.eq(provider))
        .filter(Column::ProviderSession.is_null())
        .lock_exclusive()
        .one(tx)
        .await
}

impl Step {
    /// The state to move to, if it is another one.
    fn status(&self, from: Status) -> Option<Status> {
        let to = match self {
            Self::Stay => return None,
            Self::Move(to) => *to,
            Self::Credit => Status::Credited,
            Self::Review(_) => Status::Review,
        };
        (to != from).then_some(to)
    }
}

/// Where an order goes, given how its session stands. Pure.
fn decide(order: &Model, view: &SessionView, hint: Hint) -> Step {
    match order.status {
        Status::Credited
        | Status::PartiallyRefunded
        | Status::Refunded
        | Status::Disputed
        | Status::ChargedBack
        | Status::Review => return Step::Stay,
        // Closed by an operator; one that was given up never had a session.
        Status::Canceled if order.provider_session.is_some() => return Step::Stay,
        Status::Created
        | Status::SessionOpen
        | Status::AwaitingFunds
        | Status::Expired
        | Status::Canceled
        | Status::Failed => {}
    }
    if let Some(reason) = mismatch(order, view) {
        return Step::Review(reason);
    }
    match (view.payment, view.state) {
        (PaymentState::Paid, SessionState::Complete) => Step::Credit,
        (PaymentState::NotRequired, SessionState::Complete) => {
            Step::Review("the provider took no payment for it".to_owned())
        }
        (PaymentState::Unpaid, state) => unpaid(order.status, state, hint),
        _ => Step::Stay,
    }
}

fn unpaid(from: Status, state: SessionState, hint: Hint) -> Step {
    match (from, state) {
        (Status::Created, SessionState::Open) => Step::Move(Status::SessionOpen),
        (Status::Created | Status::SessionOpen, SessionState::Expired) => {
            Step::Move(Status::Expired)
        }
        (Status::Created | Status::SessionOpen | Status::AwaitingFunds, SessionState::Complete) => {
            match hint {
                Hint::PaymentFailed => Step::Move(Status::Failed),
                Hint::None => Step::Move(Status::AwaitingFunds),
            }
        }
        _ => Step::Stay,
    }
}

/// The first thing in which a session differs from what was ordered.
fn mismatch(order: &Model, view: &SessionView) -> Option<String> {
    if view.reference.as_deref() != Some(order.id.to_string().as_str()) {
        return Some("the session names another order".to_owned());
    }
    if view.livemode != order.livemode {
        return Some("the session is in another mode (live or test) than the order".to_owned());
    }
    if view.currency.as_deref() != Some(order.currency.as_str()) {
        let currency = view.currency.as_deref().unwrap_or("none");
        return Some(format!(
            "the session is in {currency}, the order in {}",
            order.currency
        ));
    }
    let untaxed = view
        .total_minor
        .and_then(|total| total.checked_sub(view.tax_minor));
    if untaxed != Some(order.amount_minor) || view.tax_minor < 0 {
        let amount = untaxed.map_or_else(|| "nothing".to_owned(), |amount| amount.to_string());
        return Some(format!(
            "the session asks for {amount}, the order for {}",
            order.amount_minor
        ));
    }
    None
}

/// Credits once: the business keys are made of the order.
async fn credit(
    tx: &Tx,
    order: &Model,
    provider: &'static str,
    now: Timestamp,
) -> Result<GrantId, ApplyError> {
    let lot = |source, amount, key: String| GrantOrder {
        order: Some(order.id),
        ..GrantOrder::new(
            order.tenant_id,
            source,
            amount,
            key,
            Actor::Provider(provider),
            now,
        )
    };
    let cost = Cost {
        minor: order.amount_minor,
        currency: order.currency.clone(),
    };
    let bought = GrantOrder {
        cost: Some(cost),
        ..lot(
            grant::Source::Paid,
            order.credits,
            format!("purchase:{}", order.id),
        )
    };
    let granted = ledger::grant_in(tx, bought, now).await?;
    if order.bonus > Credits::ZERO {
        let given = lot(
            grant::Source::Promo,
            order.bonus,
            format!("purchase:{}:bonus", order.id),
        );
        ledger::grant_in(tx, given, now).await?;
    }
    outbox::put(
        tx,
        "mail.receipt",
        &serde_json::json!({ "order": order.id }),
        now,
    )
    .await?;
    Ok(granted.grant)
}

pub(super) fn clip(reason: &str) -> String {
    reason.chars().take(REASON_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::{MemberId, TenantId};

    const ID: &str = "01a0f7a0-0000-7000-8000-000000000001";

    fn order(status: Status) -> Model {
        Model {
            id: ID.parse().expect("an id"),
            tenant_id: TenantId::fresh(),
            member_id: MemberId::fresh(),
            status,
            product: String::new(),
            credits: Credits::from_nanos(1),
            bonus: Credits::ZERO,
            amount_minor: 1_000,
            tax_minor: 0,
            currency: "usd".to_owned(),
            provider: "stripe".to_owned(),
            provider_session: Some("cs_1".to_owned()),
            provider_payment: None,
            checkout_url: None,
            livemode: false,
            review_reason: None,
            grant_id: None,
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
            credited_at: None,
            legacy_ref: None,
        }
    }

    fn view(state: SessionState, payment: PaymentState) -> SessionView {
        SessionView {
            id: "cs_1".to_owned(),
            reference: Some(ID.to_owned()),
            state,
            payment,
            total_minor: Some(1_000),
            tax_minor: 0,
            currency: Some("usd".to_owned()),
            livemode: false,
            payment_id: None,
            url: None,
        }
    }

    #[test]
    fn an_order_follows_its_session_along_these_edges_only() {
        use PaymentState::{Paid, Unpaid};
        use SessionState::{Complete, Expired, Open};
        use Status::{AwaitingFunds, Canceled, Created, Failed, SessionOpen};
        let waits = Step::Move(AwaitingFunds);
        let table = [
            (Created, Open, Unpaid, Step::Move(SessionOpen)),
            (Created, Complete, Unpaid, waits.clone()),
            (SessionOpen, Open, Unpaid, Step::Stay),
            (SessionOpen, Complete, Unpaid, waits.clone()),
            (SessionOpen, Expired, Unpaid, Step::Move(Status::Expired)),
            (SessionOpen, Complete, Paid, Step::Credit),
            (SessionOpen, Open, Paid, Step::Stay),
            (SessionOpen, SessionState::Unknown, Unpaid, Step::Stay),
            (SessionOpen, Complete, PaymentState::Unknown, Step::Stay),
            (AwaitingFunds, Complete, Unpaid, waits),
            (AwaitingFunds, Expired, Unpaid, Step::Stay),
            (AwaitingFunds, Complete, Paid, Step::Credit),
            (Failed, Complete, Unpaid, Step::Stay),
            (Failed, Complete, Paid, Step::Credit),
            (Canceled, Complete, Paid, Step::Stay),
            (Status::Expired, Complete, Paid, Step::Credit),
            (Status::Expired, Open, Unpaid, Step::Stay),
        ];

        for (from, state, payment, step) in table {
            let decided = decide(&order(from), &view(state, payment), Hint::None);
            assert_eq!(decided, step, "{from:?} {state:?} {payment:?}");
        }
    }

    #[test]
    fn an_order_that_was_credited_or_waits_for_an_operator_never_moves_by_itself() {
        let ended = [
            Status::Credited,
            Status::PartiallyRefunded,
            Status::Refunded,
            Status::Disputed,
            Status::ChargedBack,
            Status::Review,
        ];

        for from in ended {
            for payment in [PaymentState::Paid, PaymentState::Unpaid] {
                for hint in [Hint::None, Hint::PaymentFailed] {
                    let decided =
                        decide(&order(from), &view(SessionState::Complete, payment), hint);
                    assert_eq!(decided, Step::Stay, "{from:?}");
                }
            }
        }
    }
}
