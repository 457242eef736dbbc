//! Reads what a batch needs, in few statements: wallets first and under their locks, in the order of their
//! tenants.

use super::{
    beside::{Found, Subscription, Wishes},
    known::{Known, PlanCache},
};
use crate::{
    admission::{Allocation, Ask, Batch, Ending, Subscribed, Wallet},
    bulk,
    cap::{Cap, Limit},
    ledger::open_in,
};
use entity::{
    Credits, GrantId, HoldId, Platform, RuleId, Scoped, TenantId, Timestamp, WalletId, cap::Bearer,
    grant, hold, hold_allocation, hold_window, quota_counter, tenant, usage, wallet,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, PaginatorTrait, QueryFilter, QuerySelect,
    QueryTrait,
    sea_query::{Alias, Expr, Order, UnionType},
};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Whose wallets a batch locks, and which calls should be there.
#[derive(Default)]
struct Wanted {
    tenants: BTreeSet<TenantId>,
    openers: BTreeSet<TenantId>,
    /// Calls that end, grow or are noted.
    calls: BTreeSet<(TenantId, HoldId)>,
}

impl Wanted {
    fn by(asks: &[Ask]) -> Self {
        let mut wanted = Self::default();
        for ask in asks {
            wanted.tenants.extend(ask.tenant());
            match ask {
                Ask::Hold(order) => {
                    wanted.openers.insert(order.tenant);
                }
                Ask::Extend { tenant, id, .. }
                | Ask::End { tenant, id, .. }
                | Ask::Note { tenant, id, .. } => {
                    wanted.calls.insert((*tenant, *id));
                }
                Ask::Touch { .. } | Ask::Reject(_) | Ask::Attempt(_) => {}
            }
        }
        wanted
    }
}

/// Reads and locks, but for what is remembered of a wallet whose row is as this lane left it. A hold that is asked for
/// is looked for too: the ask may have been carried out before.
pub(super) async fn load(
    tx: &impl ConnectionTrait,
    asks: &[Ask],
    known: &Known,
    now: Timestamp,
) -> Result<Batch, DbErr> {
    let wanted = Wanted::by(asks);
    let mut batch = Batch {
        wallets: wallets(tx, &wanted, known, now).await?,
        ..Batch::default()
    };
    let first = wishes(asks, &batch.wallets);
    let mut beside = first.read(tx, now).await?;
    let sought = sought(&wanted, &batch.wallets, &beside);
    if !sought.is_empty() {
        let open = holds(tx, &mut batch.wallets, &sought).await?;
        let gone = sought.difference(&open).copied().collect();
        ended(tx, &mut batch.wallets, gone).await?;
        // A hold that was not remembered may say more of what is to be read.
        let more = wishes(asks, &batch.wallets).beyond(&first);
        beside.extend(more.read(tx, now).await?);
    }
    let (mut plans, mut limits) = (Vec::new(), Vec::new());
    for found in beside {
        match found {
            Found::Caller(key, caller) => drop(batch.callers.insert(key, caller)),
            Found::Offer(model, offer) => drop(batch.offers.insert(model, offer)),
            Found::Plan(subscription) => plans.push(subscription),
            Found::Cap(tenant, cap) => limits.push((tenant, cap)),
            Found::Call(_) => {}
        }
    }
    add_plans(tx, &mut batch.wallets, plans, &known.plans).await?;
    add_caps(tx, &mut batch.wallets, limits).await?;
    counters(tx, &mut batch.wallets, now).await?;
    Ok(batch)
}

/// What is to be read beside the wallets, as far as they say.
fn wishes(asks: &[Ask], wallets: &HashMap<TenantId, Wallet>) -> Wishes {
    let mut wishes = Wishes::default();
    for ask in asks {
        let open = |tenant, id| Some(&wallets.get(tenant)?.open_hold(id)?.row);
        let payer = match ask {
            Ask::Hold(order) => {
                wishes.models.insert(order.model);
                if open(&order.tenant, order.id).is_none() {
                    wishes.fresh.insert(order.id);
                }
                Some((order.tenant, order.member, order.key))
            }
            Ask::Extend {
                tenant, id, model, ..
            } => {
                wishes.models.insert(*model);
                open(tenant, *id).map(|row| (*tenant, row.member_id, row.key_id))
            }
            Ask::End { tenant, id, ending } => {
                let over_run = open(tenant, *id).filter(|row| may_run_over(row, ending));
                wishes.models.extend(over_run.map(|row| row.model_id));
                None
            }
            Ask::Note { .. } | Ask::Touch { .. } | Ask::Reject(_) | Ask::Attempt(_) => None,
        };
        let Some((tenant, member, key)) = payer else {
            continue;
        };
        let wallet = wallets.get(&tenant).map(|wallet| wallet.row().id.uuid());
        wishes.keys.insert(key);
        wishes.planned.insert(tenant);
        wishes.subjects.extend(
            [tenant.uuid(), member.uuid(), key.uuid()]
                .into_iter()
                .chain(wallet),
        );
    }
    wishes
}

/// Whether the model's name matters: it decides which lots pay beyond what was held.
fn may_run_over(open: &hold::Model, ending: &Ending) -> bool {
    let charge = match ending {
        Ending::Settle(settlement) => settlement.charge,
        Ending::Expire { .. } => open.checkpoint_charge,
        Ending::Void { .. } => return false,
    };
    charge > open.amount || open.debt_amount.is_positive()
}

/// The calls to be looked for: those that should be open and are not remembered so, and those that should be fresh and
/// are there all the same, for they were asked for before.
fn sought(
    wanted: &Wanted,
    wallets: &HashMap<TenantId, Wallet>,
    beside: &[Found],
) -> BTreeSet<HoldId> {
    let is_open = |(tenant, id): &&(TenantId, HoldId)| {
        let wallet = wallets.get(tenant);
        wallet.is_some_and(|wallet| wallet.open_hold(*id).is_some())
    };
    let calls = wanted.calls.iter().filter(|call| !is_open(call));
    let there = beside.iter().filter_map(|found| match found {
        Found::Call(id) => Some(*id),
        Found::Caller(..) | Found::Offer(..) | Found::Cap(..) | Found::Plan(_) => None,
    });
    calls.map(|(_, id)| *id).chain(there).collect()
}

/// Wallets are opened before any is locked, so that two batches that open and lock cannot wait for each other.
async fn wallets(
    tx: &impl ConnectionTrait,
    wanted: &Wanted,
    known: &Known,
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
    let (mut wallets, rows) = known.recall(rows);
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
    for row in rows {
        let lots = lots.remove(&row.id).unwrap_or_default();
        wallets.insert(row.tenant_id, Wallet::of(row, lots));
    }
    Ok(wallets)
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
    sought: &BTreeSet<HoldId>,
) -> Result<BTreeSet<HoldId>, DbErr> {
    let mut allocations: HashMap<HoldId, Vec<hold_allocation::Model>> = HashMap::new();
    let mut windows: HashMap<HoldId, Vec<hold_window::Model>> = HashMap::new();
    let mut rows = Vec::new();
    for list in bulk::lists(sought.iter().copied()) {
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
async fn add_plans(
    tx: &impl ConnectionTrait,
    wallets: &mut HashMap<TenantId, Wallet>,
    found: Vec<Subscription>,
    plans: &PlanCache,
) -> Result<(), DbErr> {
    let mut stacked = Vec::with_capacity(found.len());
    for row in found {
        let plan = plans.read(tx, row.version).await?;
        stacked.push((plan.rules.priority(), row, plan));
    }
    stacked.sort_by_key(|(place, row, _)| (*place, row.period_end, row.id));
    for (_, row, plan) in stacked {
        if let Some(wallet) = wallets.get_mut(&row.tenant) {
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

/// Adds the limits of tenants, members, keys and credit lines, and counts the running calls of whom a limit asks that.
async fn add_caps(
    tx: &impl ConnectionTrait,
    wallets: &mut HashMap<TenantId, Wallet>,
    found: Vec<(TenantId, Cap)>,
) -> Result<(), DbErr> {
    let mut running: BTreeSet<(WalletId, Uuid)> = BTreeSet::new();
    for (tenant, cap) in found {
        let Some(wallet) = wallets.get_mut(&tenant) else {
            continue;
        };
        let counts = matches!(cap.bearer, Bearer::Member | Bearer::Key);
        if counts && matches!(cap.limit, Limit::OpenCalls(_)) {
            running.insert((wallet.row().id, cap.subject));
        }
        wallet.add_cap(cap);
    }
    if running.is_empty() {
        return Ok(());
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
