//! Reads what a batch needs, in few statements: wallets first and under their locks, in the order of their
//! tenants.

use crate::{
    admission::{Allocation, Ask, Batch, Caller, Ending, Offer, Subscribed, Wallet},
    bulk,
    cap::{Cap, Limit},
    ledger::open_in,
    plan::Plan,
};
use chrono_tz::Tz;
use entity::{
    Credits, GrantId, HoldId, KeyId, MemberId, ModelId, PlanVersionId, Platform, RuleId, Scoped,
    TenantId, Timestamp, WalletId, cap, grant, hold, hold_allocation, hold_window, key, member,
    model, person, plan, plan_version, quota_counter, subscription, tenant, usage, wallet,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, JoinType,
    PaginatorTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Alias, Expr, Order, UnionType},
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};
use uuid::Uuid;

/// Plan versions that were read before; they never change.
#[derive(Clone, Debug, Default)]
pub(super) struct PlanCache(Arc<Mutex<HashMap<PlanVersionId, CachedPlan>>>);

#[derive(Clone, Debug)]
struct CachedPlan {
    name: String,
    rules: Arc<Plan>,
    pays: bool,
}

/// Which rows a batch speaks of.
#[derive(Default)]
struct Wanted {
    tenants: BTreeSet<TenantId>,
    openers: BTreeSet<TenantId>,
    keys: BTreeSet<KeyId>,
    models: BTreeSet<ModelId>,
    holds: BTreeSet<HoldId>,
    planned: BTreeSet<TenantId>,
}

impl Wanted {
    fn by(asks: &[Ask]) -> Self {
        let mut wanted = Self::default();
        for ask in asks {
            wanted.tenants.extend(ask.tenant());
            match ask {
                Ask::Hold(order) => {
                    wanted.openers.insert(order.tenant);
                    wanted.planned.insert(order.tenant);
                    wanted.keys.insert(order.key);
                    wanted.models.insert(order.model);
                    wanted.holds.insert(order.id);
                }
                Ask::Extend {
                    tenant, id, model, ..
                } => {
                    wanted.planned.insert(*tenant);
                    wanted.models.insert(*model);
                    wanted.holds.insert(*id);
                }
                Ask::End { id, .. } | Ask::Note { id, .. } => {
                    wanted.holds.insert(*id);
                }
                Ask::Touch { .. } | Ask::Reject(_) | Ask::Attempt(_) => {}
            }
        }
        wanted
    }
}

/// Reads and locks. A hold that is asked for is looked for too: the ask may have been carried out before.
pub(super) async fn load(
    tx: &impl ConnectionTrait,
    asks: &[Ask],
    plans: &PlanCache,
    now: Timestamp,
) -> Result<Batch, DbErr> {
    let mut wanted = Wanted::by(asks);
    let mut wallets = wallets(tx, &wanted, now).await?;
    let open = holds(tx, &mut wallets, &wanted).await?;
    wanted.keys.extend(growing_keys(asks, &wallets));
    let gone = wanted.holds.difference(&open).copied().collect();
    ended(tx, &mut wallets, gone).await?;
    subscriptions(tx, &mut wallets, &wanted, plans, now).await?;
    let payers = payers(asks, &wallets);
    caps(tx, &mut wallets, &payers).await?;
    counters(tx, &mut wallets, now).await?;
    wanted.models.extend(overrun_models(asks, &wallets));
    Ok(Batch {
        callers: callers(tx, &wanted).await?,
        offers: offers(tx, &wanted).await?,
        wallets,
    })
}

/// Wallets are opened before any is locked, so that two batches that open and lock cannot wait for each other.
async fn wallets(
    tx: &impl ConnectionTrait,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<HashMap<TenantId, Wallet>, DbErr> {
    let mut rows = Vec::new();
    for list in bulk::lists(wanted.tenants.iter().copied()) {
        rows.extend(wallet::lock(tx, list).await?);
    }
    let there: BTreeSet<TenantId> = rows.iter().map(|row| row.tenant_id).collect();
    let missing: Vec<TenantId> = wanted.openers.difference(&there).copied().collect();
    if !missing.is_empty() {
        let known = known_tenants(tx, missing).await?;
        open_in(tx, known.iter().copied(), now).await?;
        for list in bulk::lists(known) {
            rows.extend(wallet::lock(tx, list).await?);
        }
    }
    let mut lots: HashMap<_, Vec<grant::Model>> = HashMap::new();
    for list in bulk::lists(rows.iter().map(|row| row.id)) {
        let found = grant::Entity::across_tenants()
            .filter(grant::Column::WalletId.is_in(list))
            .filter(grant::Column::Remaining.gt(0))
            .all(tx)
            .await?;
        for row in found {
            lots.entry(row.wallet_id).or_default().push(row);
        }
    }
    Ok(rows
        .into_iter()
        .map(|row| {
            let lots = lots.remove(&row.id).unwrap_or_default();
            (row.tenant_id, Wallet::of(row, lots))
        })
        .collect())
}

/// A tenant that does not exist gets no wallet; its hold is then refused.
async fn known_tenants(
    tx: &impl ConnectionTrait,
    tenants: Vec<TenantId>,
) -> Result<Vec<TenantId>, DbErr> {
    let mut known = Vec::with_capacity(tenants.len());
    for list in bulk::lists(tenants) {
        let rows = tenant::Entity::every()
            .filter(tenant::Column::Id.is_in(list))
            .all(tx)
            .await?;
        known.extend(rows.into_iter().map(|row| row.id));
    }
    known.sort_unstable();
    Ok(known)
}

/// Adds the open holds that are spoken of to their wallets, and answers which they are.
async fn holds(
    tx: &impl ConnectionTrait,
    wallets: &mut HashMap<TenantId, Wallet>,
    wanted: &Wanted,
) -> Result<BTreeSet<HoldId>, DbErr> {
    let mut allocations: HashMap<HoldId, Vec<hold_allocation::Model>> = HashMap::new();
    let mut windows: HashMap<HoldId, Vec<hold_window::Model>> = HashMap::new();
    let mut rows = Vec::new();
    for list in bulk::lists(wanted.holds.iter().copied()) {
        let found = hold::Entity::across_tenants()
            .filter(hold::Column::Id.is_in(list.clone()))
            .all(tx)
            .await?;
        if found.is_empty() {
            continue;
        }
        rows.extend(found);
        for part in backing(tx, list).await? {
            match part {
                Backing::Lot(part) => allocations.entry(part.hold_id).or_default().push(part),
                Backing::Window(part) => windows.entry(part.hold_id).or_default().push(part),
            }
        }
    }
    let open = rows.iter().map(|row| row.id).collect();
    for row in rows {
        let Some(wallet) = wallets.get_mut(&row.tenant_id) else {
            continue;
        };
        let parts = allocations.remove(&row.id).unwrap_or_default();
        let parts = parts.into_iter().map(|part| Allocation {
            grant: part.grant_id,
            amount: part.amount,
            draw: part.draw,
        });
        let windows = windows.remove(&row.id).unwrap_or_default();
        wallet.add_hold(row, parts.collect(), windows);
    }
    Ok(open)
}

/// What stands behind an open hold.
enum Backing {
    Lot(hold_allocation::Model),
    Window(hold_window::Model),
}

/// The lots of holds in the order drawn, and their windows, in one statement: a batch waits for each it makes.
async fn backing(tx: &impl ConnectionTrait, holds: Vec<HoldId>) -> Result<Vec<Backing>, DbErr> {
    let (lot, window) = (0_i64, 1_i64);
    let mut windows = hold_window::Entity::every()
        .select_only()
        .column(hold_window::Column::HoldId)
        .column(hold_window::Column::RuleId)
        .column(hold_window::Column::SubjectId)
        .column(hold_window::Column::WindowStart)
        .column(hold_window::Column::Reserved)
        .expr_as(Expr::value(0_i64), "draw")
        .expr_as(Expr::value(window), "what")
        .filter(hold_window::Column::HoldId.is_in(holds.clone()));
    let mut both = hold_allocation::Entity::every()
        .select_only()
        .column(hold_allocation::Column::HoldId)
        .column_as(hold_allocation::Column::GrantId, "rule_id")
        .column_as(hold_allocation::Column::HoldId, "subject_id")
        .column_as(hold_allocation::Column::N, "window_start")
        .column_as(hold_allocation::Column::Amount, "reserved")
        .column(hold_allocation::Column::Draw)
        .expr_as(Expr::value(lot), "what")
        .filter(hold_allocation::Column::HoldId.is_in(holds));
    QueryTrait::query(&mut both)
        .union(UnionType::All, QueryTrait::query(&mut windows).take())
        .order_by(Alias::new("window_start"), Order::Asc);
    let rows: Vec<(HoldId, Uuid, Uuid, i64, i64, i64, i64)> = both.into_tuple().all(tx).await?;
    Ok(rows
        .into_iter()
        .map(|(hold_id, first, second, n, amount, draw, what)| {
            if what == lot {
                Backing::Lot(hold_allocation::Model {
                    hold_id,
                    n,
                    grant_id: GrantId::from_uuid(first),
                    amount: Credits::from_nanos(amount),
                    draw,
                })
            } else {
                Backing::Window(hold_window::Model {
                    hold_id,
                    rule_id: RuleId::from_uuid(first),
                    subject_id: second,
                    window_start: Timestamp::from_micros(n),
                    reserved: amount,
                })
            }
        })
        .collect())
}

/// Calls that are spoken of and not open have ended before, or never were.
async fn ended(
    tx: &impl ConnectionTrait,
    wallets: &mut HashMap<TenantId, Wallet>,
    gone: Vec<HoldId>,
) -> Result<(), DbErr> {
    for list in bulk::lists(gone) {
        let rows = usage::Entity::across_tenants()
            .filter(usage::Column::Id.is_in(list))
            .all(tx)
            .await?;
        for row in rows {
            if let Some(wallet) = wallets.get_mut(&row.tenant_id) {
                wallet.add_ended(row);
            }
        }
    }
    Ok(())
}

/// The plans that tenants have now, by their place in the stack, then by the end of the period.
async fn subscriptions(
    tx: &impl ConnectionTrait,
    wallets: &mut HashMap<TenantId, Wallet>,
    wanted: &Wanted,
    plans: &PlanCache,
    now: Timestamp,
) -> Result<(), DbErr> {
    let mut rows = Vec::new();
    for list in bulk::lists(wanted.planned.iter().copied()) {
        let found = subscription::Entity::across_tenants()
            .filter(subscription::Column::TenantId.is_in(list))
            .filter(subscription::Column::Status.is_in([
                subscription::Status::Active,
                subscription::Status::PastDue,
                subscription::Status::Canceling,
            ]))
            .filter(subscription::Column::PeriodStart.lte(now))
            .filter(subscription::Column::PeriodEnd.gt(now))
            .all(tx)
            .await?;
        rows.extend(found);
    }
    let mut stacked = Vec::with_capacity(rows.len());
    for row in rows {
        let plan = plans.read(tx, row.plan_version_id).await?;
        stacked.push((plan.rules.priority(), row, plan));
    }
    stacked.sort_by_key(|(place, row, _)| (*place, row.period_end, row.id));
    for (_, row, plan) in stacked {
        if let Some(wallet) = wallets.get_mut(&row.tenant_id) {
            wallet.add_plan(Subscribed {
                id: row.id,
                name: plan.name,
                rules: plan.rules,
                pays: plan.pays,
            });
        }
    }
    Ok(())
}

impl PlanCache {
    async fn read(
        &self,
        tx: &impl ConnectionTrait,
        version: PlanVersionId,
    ) -> Result<CachedPlan, DbErr> {
        let known = self.lock().get(&version).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let lost = || DbErr::RecordNotFound(format!("plan_version {version}"));
        let row = plan_version::Entity::every()
            .filter(plan_version::Column::Id.eq(version))
            .one(tx)
            .await?
            .ok_or_else(lost)?;
        let plan = plan::Entity::every()
            .filter(plan::Column::Id.eq(row.plan_id))
            .one(tx)
            .await?
            .ok_or_else(lost)?;
        let rules = Plan::from_json(&row.document).map_err(|fault| {
            DbErr::Custom(format!(
                "inconsistent: plan_version.document of {version}: {fault}"
            ))
        })?;
        let read = CachedPlan {
            name: plan.title,
            rules: Arc::new(rules),
            pays: row.allowance.is_positive(),
        };
        self.lock().insert(version, read.clone());
        Ok(read)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PlanVersionId, CachedPlan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counters of the windows that may matter: those that running holds reserve in, and of each plan's quotas
/// those recent enough to be the latest one counted.
async fn counters(
    tx: &impl ConnectionTrait,
    wallets: &mut HashMap<TenantId, Wallet>,
    now: Timestamp,
) -> Result<(), DbErr> {
    let mut subjects = BTreeSet::new();
    let mut since = now;
    for wallet in wallets.values() {
        for plan in wallet.plans() {
            for quota in plan.rules.quotas() {
                subjects.insert(plan.id.uuid());
                since = since.min(now.minus(quota.window.longest()));
            }
        }
        for cap in wallet.caps() {
            if let Limit::Quota { window, .. } = &cap.limit {
                subjects.insert(cap.subject);
                since = since.min(now.minus(window.longest()));
            }
        }
        for window in wallet.open_windows() {
            subjects.insert(window.subject_id);
            since = since.min(window.window_start);
        }
    }
    for list in bulk::lists(subjects) {
        let rows = quota_counter::Entity::across_tenants()
            .filter(quota_counter::Column::SubjectId.is_in(list))
            .filter(quota_counter::Column::WindowEnd.gt(since))
            .all(tx)
            .await?;
        for row in rows {
            if let Some(wallet) = wallets.get_mut(&row.tenant_id) {
                wallet.add_counter(row);
            }
        }
    }
    Ok(())
}

/// The tenant, member and key of every hold that is asked for or grows.
fn payers(asks: &[Ask], wallets: &HashMap<TenantId, Wallet>) -> Vec<(TenantId, MemberId, KeyId)> {
    asks.iter()
        .filter_map(|ask| match ask {
            Ask::Hold(order) => Some((order.tenant, order.member, order.key)),
            Ask::Extend { tenant, id, .. } => {
                let open = &wallets.get(tenant)?.open_hold(*id)?.row;
                Some((*tenant, open.member_id, open.key_id))
            }
            Ask::End { .. }
            | Ask::Note { .. }
            | Ask::Touch { .. }
            | Ask::Reject(_)
            | Ask::Attempt(_) => None,
        })
        .collect()
}

/// Adds the limits of those tenants, members, keys and credit lines, and counts the running calls of whom a limit
/// asks that.
async fn caps(
    tx: &impl ConnectionTrait,
    wallets: &mut HashMap<TenantId, Wallet>,
    payers: &[(TenantId, MemberId, KeyId)],
) -> Result<(), DbErr> {
    let subjects = payers.iter().flat_map(|(tenant, member, key)| {
        let wallet = wallets.get(tenant).map(|wallet| wallet.row().id.uuid());
        [tenant.uuid(), member.uuid(), key.uuid()]
            .into_iter()
            .chain(wallet)
    });
    let mut running: BTreeSet<(WalletId, Uuid)> = BTreeSet::new();
    let mut found = Vec::new();
    for list in bulk::lists(subjects) {
        let rows = cap::Entity::across_tenants()
            .filter(cap::Column::SubjectId.is_in(list))
            .all(tx)
            .await?;
        found.extend(rows);
    }
    for row in found {
        let Some(wallet) = wallets.get_mut(&row.tenant_id) else {
            continue;
        };
        let counts = matches!(row.bearer, cap::Bearer::Member | cap::Bearer::Key);
        if row.meter == cap::Meter::OpenCalls && counts {
            running.insert((wallet.row().id, row.subject_id));
        }
        wallet.add_cap(Cap::of(&row)?);
    }
    for wallet in wallets.values_mut() {
        let (id, tenant) = (wallet.row().id, wallet.row().tenant_id);
        for (_, subject) in running.iter().filter(|(whose, _)| *whose == id) {
            let calls = hold::Entity::of(tenant)
                .filter(
                    Condition::any()
                        .add(hold::Column::MemberId.eq(*subject))
                        .add(hold::Column::KeyId.eq(*subject)),
                )
                .filter(hold::Column::WalletId.eq(id))
                .count(tx)
                .await?;
            wallet.set_running(*subject, i64::try_from(calls).unwrap_or(i64::MAX));
        }
    }
    Ok(())
}

/// The keys whose pay order says which credits a growing hold may take.
fn growing_keys(asks: &[Ask], wallets: &HashMap<TenantId, Wallet>) -> Vec<KeyId> {
    asks.iter()
        .filter_map(|ask| match ask {
            Ask::Extend { tenant, id, .. } => Some(wallets.get(tenant)?.open_hold(*id)?.row.key_id),
            Ask::Hold(_)
            | Ask::End { .. }
            | Ask::Note { .. }
            | Ask::Touch { .. }
            | Ask::Reject(_)
            | Ask::Attempt(_) => None,
        })
        .collect()
}

/// The models whose names decide which lots pay beyond what was held.
fn overrun_models(asks: &[Ask], wallets: &HashMap<TenantId, Wallet>) -> Vec<ModelId> {
    asks.iter()
        .filter_map(|ask| {
            let Ask::End { tenant, id, ending } = ask else {
                return None;
            };
            let open = &wallets.get(tenant)?.open_hold(*id)?.row;
            let charge = match ending {
                Ending::Settle(settlement) => settlement.charge,
                Ending::Expire { .. } => open.checkpoint_charge,
                Ending::Void { .. } => return None,
            };
            (charge > open.amount || open.debt_amount.is_positive()).then_some(open.model_id)
        })
        .collect()
}

#[derive(FromQueryResult)]
struct CallerRow {
    id: KeyId,
    tenant_id: TenantId,
    member_id: MemberId,
    key_status: key::Status,
    expires_at: Option<Timestamp>,
    pay_order: key::PayOrder,
    member_status: member::Status,
    person_status: person::Status,
    tenant_status: tenant::Status,
    time_zone: String,
}

async fn callers(
    tx: &impl ConnectionTrait,
    wanted: &Wanted,
) -> Result<HashMap<KeyId, Caller>, DbErr> {
    let mut callers = HashMap::new();
    for list in bulk::lists(wanted.keys.iter().copied()) {
        let rows = key::Entity::across_tenants()
            .select_only()
            .column(key::Column::Id)
            .column(key::Column::TenantId)
            .column(key::Column::MemberId)
            .column_as(key::Column::Status, "key_status")
            .column(key::Column::ExpiresAt)
            .column(key::Column::PayOrder)
            .column_as(member::Column::Status, "member_status")
            .column_as(person::Column::Status, "person_status")
            .column_as(tenant::Column::Status, "tenant_status")
            .column(tenant::Column::TimeZone)
            .join(
                JoinType::InnerJoin,
                key::Entity::belongs_to(member::Entity)
                    .from(key::Column::MemberId)
                    .to(member::Column::Id)
                    .into(),
            )
            .join(
                JoinType::InnerJoin,
                member::Entity::belongs_to(person::Entity)
                    .from(member::Column::PersonId)
                    .to(person::Column::Id)
                    .into(),
            )
            .join(
                JoinType::InnerJoin,
                key::Entity::belongs_to(tenant::Entity)
                    .from(key::Column::TenantId)
                    .to(tenant::Column::Id)
                    .into(),
            )
            .filter(key::Column::Id.is_in(list))
            .into_model::<CallerRow>()
            .all(tx)
            .await?;
        callers.extend(rows.into_iter().map(|row| (row.id, Caller::from(row))));
    }
    Ok(callers)
}

impl From<CallerRow> for Caller {
    fn from(row: CallerRow) -> Self {
        Self {
            tenant: row.tenant_id,
            member: row.member_id,
            key_status: row.key_status,
            key_expires_at: row.expires_at,
            pay_order: row.pay_order,
            member_status: row.member_status,
            person_status: row.person_status,
            tenant_status: row.tenant_status,
            zone: row.time_zone.parse().unwrap_or(Tz::UTC),
        }
    }
}

async fn offers(
    tx: &impl ConnectionTrait,
    wanted: &Wanted,
) -> Result<HashMap<ModelId, Offer>, DbErr> {
    let mut offers = HashMap::new();
    for list in bulk::lists(wanted.models.iter().copied()) {
        let rows: Vec<(ModelId, String, model::Status)> = model::Entity::every()
            .select_only()
            .columns([
                model::Column::Id,
                model::Column::Name,
                model::Column::Status,
            ])
            .filter(model::Column::Id.is_in(list))
            .into_tuple()
            .all(tx)
            .await?;
        offers.extend(
            rows.into_iter()
                .map(|(id, name, status)| (id, Offer { name, status })),
        );
    }
    Ok(offers)
}
