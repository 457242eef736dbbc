//! A database in a few maps: what was committed, and the constraints a schema has.

use crate::model::{Rows, View, view};
use billing_core::{
    admission::{Allocation, Ask, Batch, Caller, Changes, Legs, Memory, Offer, Subscribed, Wallet},
    cap::Cap,
};
use entity::{
    Credits, GrantId, HoldId, KeyId, LedgerTransactionId, ModelId, RuleId, TenantId, Timestamp,
    audit_trail::ActorKind,
    grant, hold, hold_allocation, hold_window,
    ledger_entry::{self, Account},
    ledger_transaction::{self, Kind},
    quota_counter, usage, usage_allocation, usage_window, wallet,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What is known of a tenant beside its wallet.
pub struct Known {
    pub key: KeyId,
    pub caller: Caller,
    pub caps: Vec<Cap>,
    /// Until when each is there.
    pub plans: Vec<(Subscribed, Timestamp)>,
}

/// What was committed.
#[derive(Default)]
pub struct Store {
    pub known: BTreeMap<TenantId, Known>,
    pub offers: BTreeMap<ModelId, Offer>,
    pub wallets: BTreeMap<TenantId, wallet::Model>,
    pub lots: BTreeMap<GrantId, grant::Model>,
    pub holds: BTreeMap<HoldId, hold::Model>,
    pub allocations: BTreeMap<(HoldId, i64), hold_allocation::Model>,
    pub windows: BTreeMap<(HoldId, RuleId, Uuid, Timestamp), hold_window::Model>,
    pub counters: BTreeMap<(RuleId, Uuid, Timestamp), quota_counter::Model>,
    pub transactions: BTreeMap<LedgerTransactionId, ledger_transaction::Model>,
    pub business_keys: BTreeSet<(TenantId, String)>,
    pub entries: Vec<ledger_entry::Model>,
    pub usages: BTreeMap<HoldId, usage::Model>,
    pub usage_allocations: BTreeMap<(HoldId, i64), usage_allocation::Model>,
    pub usage_windows: Vec<usage_window::Model>,
}

impl Store {
    /// Reads for a batch what a lane reads, which remembers what it wrote itself.
    pub fn load(&self, asks: &[Ask], memory: &mut Memory, now: Timestamp) -> Batch {
        let mut batch = Batch {
            offers: self.offers.clone().into_iter().collect(),
            ..Batch::default()
        };
        for tenant in asks.iter().filter_map(Ask::tenant).collect::<BTreeSet<_>>() {
            let known = &self.known[&tenant];
            batch.callers.insert(known.key, known.caller);
            let wallet = self.wallet(tenant, asks, memory, now);
            batch.wallets.insert(tenant, wallet);
        }
        batch
    }

    fn wallet(
        &self,
        tenant: TenantId,
        asks: &[Ask],
        memory: &mut Memory,
        now: Timestamp,
    ) -> Wallet {
        let known = &self.known[&tenant];
        let own = |lot: &&grant::Model| lot.tenant_id == tenant && lot.remaining.is_positive();
        let lots = self.lots.values().filter(own).cloned();
        let read = Wallet::of(self.wallets[&tenant].clone(), lots);
        let mut wallet = match memory.recall(read.row()) {
            Some(kept) => {
                assert_eq!(kept.lots(), read.lots(), "lots are remembered as they are");
                kept
            }
            None => read,
        };
        let named = asks.iter().filter(|ask| ask.tenant() == Some(tenant));
        for id in named.filter_map(call_of).collect::<BTreeSet<_>>() {
            if let Some(kept) = wallet.open_hold(id) {
                let parts = self.allocations.range((id, 0)..=(id, i64::MAX));
                let stored: Vec<_> = parts
                    .map(|(_, part)| (part.grant_id, part.amount))
                    .collect();
                let parts = kept.allocations.iter();
                let known: Vec<_> = parts.map(|part| (part.grant, part.amount)).collect();
                assert_eq!(known, stored, "what backs a hold is remembered as it is");
                assert_eq!(
                    Some(&kept.row),
                    self.holds.get(&id),
                    "a hold is remembered as it is"
                );
            } else if let Some(row) = self.holds.get(&id) {
                let parts = self.allocations.range((id, 0)..=(id, i64::MAX));
                let parts = parts.map(|(_, part)| Allocation {
                    grant: part.grant_id,
                    amount: part.amount,
                    draw: part.draw,
                });
                let windows = self.windows.values().filter(|window| window.hold_id == id);
                wallet.add_hold(row.clone(), parts.collect(), windows.cloned().collect());
            } else if let Some(row) = self.usages.get(&id) {
                wallet.add_ended(row.clone());
            }
        }
        for (plan, until) in &known.plans {
            if now < *until {
                wallet.add_plan(plan.clone());
            }
        }
        for cap in &known.caps {
            wallet.add_cap(cap.clone());
        }
        for counter in self.counters.values().filter(|row| row.tenant_id == tenant) {
            wallet.add_counter(counter.clone());
        }
        wallet
    }

    /// Writes all of it, or says which constraint forbids it and writes nothing.
    pub fn commit(&mut self, changes: Changes) -> Result<(), String> {
        self.check(&changes)?;
        for id in changes.ended_holds {
            self.holds.remove(&id);
            self.allocations.retain(|(hold, _), _| *hold != id);
        }
        for id in changes.ended_windows {
            self.windows.retain(|(hold, ..), _| *hold != id);
        }
        for row in changes.wallets {
            self.wallets.insert(row.tenant_id, row);
        }
        for row in changes.lots {
            self.lots.insert(row.id, row);
        }
        for row in changes.new_holds.into_iter().chain(changes.holds) {
            self.holds.insert(row.id, row);
        }
        for row in changes.hold_allocations {
            self.allocations.insert((row.hold_id, row.n), row);
        }
        for row in changes.hold_windows {
            let key = (row.hold_id, row.rule_id, row.subject_id, row.window_start);
            self.windows.insert(key, row);
        }
        for row in changes.counters {
            let key = (row.rule_id, row.subject_id, row.window_start);
            self.counters.insert(key, row);
        }
        for row in changes.transactions {
            self.business_keys
                .insert((row.tenant_id, row.business_key.clone()));
            self.transactions.insert(row.id, row);
        }
        self.entries.extend(changes.entries);
        for row in changes.usages {
            self.usages.insert(row.id, row);
        }
        for row in changes.usage_allocations {
            self.usage_allocations.insert((row.usage_id, row.n), row);
        }
        self.usage_windows.extend(changes.usage_windows);
        Ok(())
    }

    fn check(&self, changes: &Changes) -> Result<(), String> {
        let no = |what: &str, row: &dyn std::fmt::Debug| Err(format!("{what}: {row:?}"));
        for row in &changes.wallets {
            let good = [row.posted, row.held, row.debt, row.debt_held]
                .iter()
                .all(|sum| !sum.is_negative());
            if !good || row.held > row.posted || row.open_holds < 0 {
                return no("wallet", row);
            }
            if row.seq <= self.wallets[&row.tenant_id].seq {
                return no("a sequence that does not move", row);
            }
        }
        for row in &changes.lots {
            let good =
                !row.held.is_negative() && row.held <= row.remaining && row.remaining <= row.amount;
            if !good || !self.lots.contains_key(&row.id) {
                return no("grant", row);
            }
        }
        for row in &changes.new_holds {
            if self.holds.contains_key(&row.id) || self.usages.contains_key(&row.id) {
                return no("a hold that is there", row);
            }
        }
        for row in &changes.holds {
            if !self.holds.contains_key(&row.id) {
                return no("a hold that is not there", row);
            }
        }
        for id in &changes.ended_holds {
            if !self.holds.contains_key(id) {
                return no("the end of a hold that is not there", id);
            }
        }
        for row in &changes.usages {
            if self.usages.contains_key(&row.id) {
                return no("usage that is there", row);
            }
        }
        for row in &changes.transactions {
            let key = (row.tenant_id, row.business_key.clone());
            if self.business_keys.contains(&key) {
                return no("a business key that is there", row);
            }
        }
        Ok(())
    }

    /// Books credits that come in, once for each key; a debt is repaid first. `false` where it was booked before.
    pub fn grant(&mut self, mut lot: grant::Model, key: &str, now: Timestamp) -> bool {
        let tenant = lot.tenant_id;
        if self.business_keys.contains(&(tenant, key.to_owned())) {
            return false;
        }
        let wallet = self.wallets.get_mut(&tenant).expect("a wallet");
        let repaid = wallet.debt.min(lot.amount);
        let less = |a: Credits, b: Credits| Credits::from_nanos(a.nanos() - b.nanos());
        lot.remaining = less(lot.amount, repaid);
        if lot.remaining.is_zero() {
            lot.status = grant::Status::Exhausted;
        }
        wallet.debt = less(wallet.debt, repaid);
        wallet.posted = Credits::from_nanos(wallet.posted.nanos() + lot.remaining.nanos());
        wallet.seq += 1;
        let transaction = transaction(tenant, Kind::Grant, key.to_owned(), now);
        let mut legs = Legs::of(transaction.id, wallet);
        legs.credit_lot(lot.id, lot.amount).expect("in range");
        if repaid.is_positive() {
            legs.debit_lot(lot.id, repaid).expect("in range");
            legs.repay(repaid).expect("in range");
        }
        self.lots.insert(lot.id, lot);
        self.book(transaction, legs, Account::IssuedPaid);
        true
    }

    /// Books what leaves some lots, into an account.
    pub fn take(
        &mut self,
        tenant: TenantId,
        parts: &[(GrantId, i64)],
        (kind, into, key): (Kind, Account, String),
        now: Timestamp,
    ) {
        let wallet = self.wallets.get_mut(&tenant).expect("a wallet");
        wallet.seq += 1;
        let transaction = transaction(tenant, kind, key, now);
        let mut legs = Legs::of(transaction.id, wallet);
        for (id, part) in parts {
            let lot = self.lots.get_mut(id).expect("a lot");
            lot.remaining = Credits::from_nanos(lot.remaining.nanos() - part);
            wallet.posted = Credits::from_nanos(wallet.posted.nanos() - part);
            if kind == Kind::Expire {
                lot.status = grant::Status::Expired;
            } else if lot.remaining.is_zero() {
                lot.status = grant::Status::Exhausted;
            }
            legs.debit_lot(*id, Credits::from_nanos(*part))
                .expect("in range");
        }
        self.book(transaction, legs, into);
    }

    fn book(&mut self, row: ledger_transaction::Model, legs: Legs, into: Account) {
        self.business_keys
            .insert((row.tenant_id, row.business_key.clone()));
        self.entries
            .extend(legs.balanced_by(into).expect("in range"));
        self.transactions.insert(row.id, row);
    }

    /// How the tenant's wallet looks.
    pub fn view(&self, tenant: TenantId) -> View {
        let open = |id: HoldId| {
            self.holds
                .get(&id)
                .is_some_and(|hold| hold.tenant_id == tenant)
        };
        let ended = |id: HoldId| {
            self.usages
                .get(&id)
                .is_some_and(|call| call.tenant_id == tenant)
        };
        view(Rows {
            wallet: &self.wallets[&tenant],
            lots: self
                .lots
                .values()
                .filter(|lot| lot.tenant_id == tenant)
                .cloned()
                .collect(),
            holds: self
                .holds
                .values()
                .filter(|hold| hold.tenant_id == tenant)
                .cloned()
                .collect(),
            allocations: self
                .allocations
                .values()
                .filter(|part| open(part.hold_id))
                .cloned()
                .collect(),
            usages: self
                .usages
                .values()
                .filter(|call| call.tenant_id == tenant)
                .cloned()
                .collect(),
            usage_allocations: self
                .usage_allocations
                .values()
                .filter(|part| ended(part.usage_id))
                .cloned()
                .collect(),
            counters: self
                .counters
                .values()
                .filter(|row| row.tenant_id == tenant)
                .cloned()
                .collect(),
        })
    }
}

fn call_of(ask: &Ask) -> Option<HoldId> {
    match ask {
        Ask::Hold(order) => Some(order.id),
        Ask::End { id, .. } | Ask::Extend { id, .. } | Ask::Note { id, .. } => Some(*id),
        Ask::Touch { .. } | Ask::Reject(_) | Ask::Attempt(_) => None,
    }
}

fn transaction(
    tenant_id: TenantId,
    kind: Kind,
    business_key: String,
    now: Timestamp,
) -> ledger_transaction::Model {
    ledger_transaction::Model {
        id: LedgerTransactionId::fresh(),
        tenant_id,
        kind,
        business_key,
        effective_at: now,
        posted_at: now,
        actor_kind: ActorKind::System,
        actor_id: None,
        reason: None,
        reverses: None,
        detail: None,
    }
}
