//! `GET /v1/usage`, `GET /user/balance` and `GET /api/user/self`: what is left for this key, as programs that switch between providers poll
//! it. Only reads, and a limit of its own per key.
//!
//! Whose role may not see the wallet, or the plans behind it, sees what the key itself may still spend.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use billing::{
    cap::{self, Limit, Whose},
    ledger,
    plan::{Pattern, Quantity},
    subscription::{self, WindowStand},
};
use entity::{Credits, Scoped, Timestamp, grant};
use identity::key::CallerRow;
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    caller::Denied,
    error::{Code, Refusal},
    gateway::Gateway,
    reply::Visit,
    stray::shape_of,
};

/// A credit is worth a dollar of list price, and the programs that ask know currencies only.
const UNIT: &str = "USD";

/// An exact decimal number; nothing where it is not known or not to be seen.
type Amount = Option<Box<RawValue>>;

#[derive(Debug, Serialize)]
struct Usage {
    object: &'static str,
    #[serde(rename = "isValid")]
    is_valid: bool,
    #[serde(rename = "planName")]
    plan_name: Option<String>,
    remaining: Amount,
    unit: &'static str,
    wallet: Option<Wallet>,
    plans: Vec<Plan>,
    limits: Vec<Own>,
    #[serde(skip)]
    left: Option<Credits>,
}

/// What the general template of a switcher reads.
#[derive(Debug, Serialize)]
struct Brief {
    is_active: bool,
    balance: Amount,
    unit: &'static str,
}

#[derive(Debug, Serialize)]
struct Wallet {
    available: Amount,
    held: Amount,
    debt: Amount,
}

#[derive(Debug, Serialize)]
struct Plan {
    name: String,
    title: String,
    period_end: String,
    windows: Vec<Stand>,
}

#[derive(Debug, Serialize)]
struct Stand {
    name: String,
    window: String,
    unit: &'static str,
    limit: Amount,
    used: Amount,
    resets_at: String,
}

/// A limit of the key itself.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Own {
    Quota {
        models: Vec<String>,
        #[serde(flatten)]
        window: Stand,
    },
    CallsAtOnce {
        limit: u32,
    },
    RequestsAMinute {
        limit: u64,
    },
    TokensAMinute {
        limit: u64,
    },
}

/// All that is known.
pub(crate) async fn usage(gateway: Data<Gateway>, request: HttpRequest) -> HttpResponse {
    let visit = Visit::new(&request, shape_of(&request, None), None);
    match look(&gateway, &request).await {
        Ok((_, usage)) => visit.answer(200).json(usage),
        Err(denied) => deny(&gateway, &visit, &denied),
    }
}

/// What a switcher's template for another gateway reads. It counts in units of its own, whole ones.
#[derive(Debug, Serialize)]
struct Account {
    success: bool,
    message: &'static str,
    data: Standing,
}

#[derive(Debug, Serialize)]
struct Standing {
    id: i64,
    username: String,
    display_name: String,
    group: String,
    /// Nothing where it is not to be seen.
    quota: Option<i64>,
    used_quota: i64,
    request_count: i64,
}

/// Units of that template that make a dollar.
const UNITS: i64 = 500_000;

/// The account as that template asks for it: what is left of the credits that may still be spent, and what is spent.
pub(crate) async fn account(gateway: Data<Gateway>, request: HttpRequest) -> HttpResponse {
    let visit = Visit::new(&request, shape_of(&request, None), None);
    match stand(&gateway, &request).await {
        Ok(data) => visit.answer(200).json(Account {
            success: true,
            message: "",
            data,
        }),
        Err(denied) => deny(&gateway, &visit, &denied),
    }
}

async fn stand(gateway: &Gateway, request: &HttpRequest) -> Result<Standing, Denied> {
    let (caller, usage) = look(gateway, request).await?;
    let snapshot = gateway.inner.catalog.current().await;
    let group = snapshot
        .ok()
        .and_then(|snapshot| Some(snapshot.group(caller.key.group_id)?.title.clone()));
    let used = spent(gateway, &caller).await.unwrap_or(Credits::ZERO);
    Ok(Standing {
        id: 1,
        username: caller.key.name.clone(),
        display_name: caller.key.name.clone(),
        group: group.unwrap_or_default(),
        quota: usage.left.map(units),
        used_quota: units(used),
        request_count: 0,
    })
}

/// What was drawn from the grants that may still be spent.
async fn spent(gateway: &Gateway, caller: &CallerRow) -> Result<Credits, DbErr> {
    if !caller.may_see_wallet() {
        return Ok(Credits::ZERO);
    }
    let grants = grant::Entity::of(caller.key.tenant_id)
        .filter(grant::Column::Status.eq(grant::Status::Active))
        .all(gateway.inner.db.read())
        .await?;
    Ok(grants.iter().fold(Credits::ZERO, |sum, grant| {
        let drawn = grant.amount.checked_sub(grant.remaining);
        drawn
            .and_then(|drawn| sum.checked_add(drawn))
            .unwrap_or(sum)
    }))
}

fn units(credits: Credits) -> i64 {
    let units = i128::from(credits.nanos()) * i128::from(UNITS) / 1_000_000_000;
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// The one number.
pub(crate) async fn balance(gateway: Data<Gateway>, request: HttpRequest) -> HttpResponse {
    let visit = Visit::new(&request, shape_of(&request, None), None);
    match look(&gateway, &request).await {
        Ok((_, usage)) => visit.answer(200).json(Brief {
            is_active: usage.is_valid,
            balance: usage.remaining,
            unit: usage.unit,
        }),
        Err(denied) => deny(&gateway, &visit, &denied),
    }
}

async fn look(gateway: &Gateway, request: &HttpRequest) -> Result<(Arc<CallerRow>, Usage), Denied> {
    let inner = &gateway.inner;
    let now = inner.clock.now();
    let caller = inner.callers.find(request.headers(), now).await?;
    let denied = |refusal| Denied {
        refusal,
        caller: Some(Arc::clone(&caller)),
    };
    inner
        .questions
        .question(caller.key.id, now)
        .map_err(denied)?;
    let usage = read(gateway, &caller, now).await.map_err(|error| {
        tracing::error!(%error, "what is left for a key cannot be read");
        let refusal = Refusal::new(
            Code::Overloaded,
            "The account could not be read just now. Try again in a moment.",
        );
        denied(refusal.after(std::time::Duration::from_secs(5)))
    })?;
    Ok((caller, usage))
}

async fn read(gateway: &Gateway, caller: &CallerRow, now: Timestamp) -> Result<Usage, DbErr> {
    let db = &gateway.inner.db;
    let tenant = caller.key.tenant_id;
    let own = cap::stands(db, tenant, Whose::Key(caller.key.id), now).await?;
    let of_key = own
        .iter()
        .filter_map(|(_, stand)| left(stand.as_ref()?))
        .min();

    let mut wallet = None;
    let mut plans = Vec::new();
    let mut remaining = of_key;
    if caller.may_see_wallet() {
        let balance = ledger::balance(db, tenant, now).await?;
        remaining = Some(of_key.map_or(balance.available, |left| left.min(balance.available)));
        wallet = Some(Wallet {
            available: amount(balance.available),
            held: amount(balance.held),
            debt: amount(balance.debt),
        });
        for current in subscription::current(db, tenant, now).await? {
            let windows = subscription::windows(db, &current, now).await?;
            plans.push(Plan {
                name: current.plan.name,
                title: current.plan.title,
                period_end: moment(current.subscription.period_end),
                windows: windows.iter().map(Stand::of).collect(),
            });
        }
    }
    Ok(Usage {
        object: "usage",
        is_valid: true,
        plan_name: plans.first().map(|plan| plan.title.clone()),
        remaining: remaining.and_then(amount),
        left: remaining,
        unit: UNIT,
        wallet,
        plans,
        limits: own.iter().filter_map(Own::of).collect(),
    })
}

fn deny(gateway: &Gateway, visit: &Visit, denied: &Denied) -> HttpResponse {
    if let Some(caller) = &denied.caller {
        visit.keep(gateway, caller, None, &denied.refusal);
    }
    visit.refuse(gateway, &denied.refusal)
}

impl Own {
    fn of((limit, stand): &(Limit, Option<WindowStand>)) -> Option<Self> {
        Some(match limit {
            Limit::Quota { models, .. } => Self::Quota {
                models: models
                    .iter()
                    .map(Pattern::as_str)
                    .map(str::to_owned)
                    .collect(),
                window: Stand::of(stand.as_ref()?),
            },
            Limit::OpenCalls(limit) => Self::CallsAtOnce { limit: *limit },
            Limit::RequestsPerMinute(limit) => Self::RequestsAMinute { limit: *limit },
            Limit::TokensPerMinute(limit) => Self::TokensAMinute { limit: *limit },
        })
    }
}

impl Stand {
    fn of(stand: &WindowStand) -> Self {
        Self {
            name: stand.name.clone(),
            window: stand.window.to_string(),
            unit: match stand.limit {
                Quantity::Credits(_) => "credits",
                Quantity::Requests(_) => "requests",
            },
            limit: quantity(stand.limit),
            used: quantity(stand.used),
            resets_at: moment(stand.resets_at),
        }
    }
}

/// Credits that a window of credits still lets through.
fn left(stand: &WindowStand) -> Option<Credits> {
    let (Quantity::Credits(limit), Quantity::Credits(used)) = (stand.limit, stand.used) else {
        return None;
    };
    Some(
        limit
            .checked_sub(used)
            .unwrap_or(Credits::ZERO)
            .max(Credits::ZERO),
    )
}

fn quantity(quantity: Quantity) -> Amount {
    match quantity {
        Quantity::Credits(credits) => amount(credits),
        Quantity::Requests(requests) => RawValue::from_string(requests.to_string()).ok(),
    }
}

fn amount(credits: Credits) -> Amount {
    RawValue::from_string(credits.to_string()).ok()
}

fn moment(at: Timestamp) -> String {
    at.to_datetime()
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
