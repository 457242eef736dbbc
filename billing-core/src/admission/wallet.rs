//! One wallet's rows in memory, and what of them has to be written.

use super::{Lot, Settled, Subscribed};
use crate::cap::Cap;
use entity::DbErr;
use entity::{
    Credits, GrantId, HoldId, LedgerTransactionId, RuleId, Timestamp, audit_trail::ActorKind,
    grant, hold, hold_allocation, hold_window, ledger_entry, ledger_transaction, quota_counter,
    usage, usage_allocation, usage_window, wallet,
};
use std::{
    collections::{BTreeMap, HashMap},
    mem,
};
use uuid::Uuid;

/// A wallet, its lots, the open holds that are spoken of, and the windows of the tenant's plans.
#[derive(Clone, Debug)]
pub struct Wallet {
    pub(super) row: wallet::Model,
    pub(super) lots: Vec<Lot>,
    pub(super) holds: HashMap<HoldId, OpenHold>,
    pub(super) ended: HashMap<HoldId, usage::Model>,
    pub(super) plans: Vec<Subscribed>,
    pub(super) counters: BTreeMap<CounterKey, Counter>,
    pub(super) caps: Vec<Cap>,
    /// Calls that run now, of members and keys that have a limit on them.
    pub(super) running: BTreeMap<Uuid, i64>,
    pub(super) changed: bool,
    pub(super) removed: Vec<HoldId>,
    pub(super) removed_windows: Vec<HoldId>,
    pub(super) usages: Vec<usage::Model>,
    pub(super) usage_allocations: Vec<usage_allocation::Model>,
    pub(super) usage_windows: Vec<usage_window::Model>,
    pub(super) posting: Option<Posting>,
}

/// The rule that counts, whom it counts, and from when.
pub(super) type CounterKey = (RuleId, Uuid, Timestamp);

/// A window's counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counter {
    pub(super) row: quota_counter::Model,
    pub(super) changed: bool,
}

/// An open hold with what backs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenHold {
    /// The row as it stands now.
    pub row: hold::Model,
    /// The lots that back it, in the order drawn.
    pub allocations: Vec<Allocation>,
    /// What it reserves in which window.
    pub windows: Vec<hold_window::Model>,
    pub(super) stored: bool,
    pub(super) changed: bool,
}

/// A part of a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Which lot.
    pub grant: GrantId,
    /// How much of it.
    pub amount: Credits,
    /// Which drawing it belongs to, from 1: the hold, each growth of it, what it ran over.
    pub draw: i64,
}

/// The one ledger transaction of a wallet in a batch: what left each lot, and what became debt.
#[derive(Clone, Debug)]
pub(super) struct Posting {
    pub(super) id: LedgerTransactionId,
    pub(super) first: HoldId,
    pub(super) from_lots: BTreeMap<GrantId, Credits>,
    pub(super) into_debt: Credits,
}

/// Rows to write: to insert or replace, to insert, and to remove.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Replace.
    pub wallets: Vec<wallet::Model>,
    /// Replace.
    pub lots: Vec<grant::Model>,
    /// Insert.
    pub new_holds: Vec<hold::Model>,
    /// Replace.
    pub holds: Vec<hold::Model>,
    /// Insert or replace.
    pub hold_allocations: Vec<hold_allocation::Model>,
    /// Insert or replace.
    pub hold_windows: Vec<hold_window::Model>,
    /// Remove, with their allocations and windows; each must be there.
    pub ended_holds: Vec<HoldId>,
    /// Those of them that reserved something in a window.
    pub ended_windows: Vec<HoldId>,
    /// Insert or replace.
    pub counters: Vec<quota_counter::Model>,
    /// Insert.
    pub transactions: Vec<ledger_transaction::Model>,
    /// Insert.
    pub entries: Vec<ledger_entry::Model>,
    /// Insert.
    pub usages: Vec<usage::Model>,
    /// Insert.
    pub usage_allocations: Vec<usage_allocation::Model>,
    /// Insert.
    pub usage_windows: Vec<usage_window::Model>,
}

impl Wallet {
    /// A wallet from its locked row and its lots with something left.
    pub fn of(row: wallet::Model, lots: impl IntoIterator<Item = grant::Model>) -> Self {
        let mut lots: Vec<Lot> = lots.into_iter().map(Lot::of).collect();
        lots.sort_by_cached_key(|lot| {
            // Borrowing keys would tie the order to the lots it sorts.
            lot.order()
        });
        Self {
            row,
            lots,
            holds: HashMap::new(),
            ended: HashMap::new(),
            plans: Vec::new(),
            counters: BTreeMap::new(),
            caps: Vec::new(),
            running: BTreeMap::new(),
            changed: false,
            removed: Vec::new(),
            removed_windows: Vec::new(),
            usages: Vec::new(),
            usage_allocations: Vec::new(),
            usage_windows: Vec::new(),
            posting: None,
        }
    }

    /// Adds a stored open hold, so that it can be ended or grown.
    pub fn add_hold(
        &mut self,
        row: hold::Model,
        allocations: Vec<Allocation>,
        windows: Vec<hold_window::Model>,
    ) {
        let open = OpenHold {
            row,
            allocations,
            windows,
            stored: true,
            changed: false,
        };
        self.holds.insert(open.row.id, open);
    }

    /// Adds a call that ended before, so that ending it again gets the same answer.
    pub fn add_ended(&mut self, row: usage::Model) {
        self.ended.insert(row.id, row);
    }

    /// Adds a plan of the tenant; first the one that pays first.
    pub fn add_plan(&mut self, plan: Subscribed) {
        self.plans.push(plan);
    }

    /// Adds a stored window counter.
    pub fn add_counter(&mut self, row: quota_counter::Model) {
        let key = (row.rule_id, row.subject_id, row.window_start);
        self.counters.insert(
            key,
            Counter {
                row,
                changed: false,
            },
        );
    }

    /// The wallet's row as it stands now.
    pub fn row(&self) -> &wallet::Model {
        &self.row
    }

    /// The lots with something left when they were loaded, in the order of drawing.
    pub fn lots(&self) -> &[Lot] {
        &self.lots
    }

    /// The tenant's plans.
    pub fn plans(&self) -> &[Subscribed] {
        &self.plans
    }

    /// An open hold that was loaded or made.
    pub fn open_hold(&self, id: HoldId) -> Option<&OpenHold> {
        self.holds.get(&id)
    }

    /// What the open holds that were loaded or made reserve in windows.
    pub fn open_windows(&self) -> impl Iterator<Item = &hold_window::Model> {
        self.holds.values().flat_map(|hold| &hold.windows)
    }

    /// How a call ended that was loaded or ended here.
    pub fn ended(&self, id: HoldId) -> Option<Settled> {
        self.ended.get(&id).map(Settled::from)
    }

    /// What has to be written. Everything is as of `now`; the wallet's `seq` moves by one. What is left is the wallet as it
    /// stands once they are written.
    ///
    /// # Errors
    /// When the rows contradict each other, naming one; the wallet is then of no use.
    pub fn take_changes(&mut self, now: Timestamp) -> Result<Changes, DbErr> {
        let mut changes = Changes::default();
        if mem::take(&mut self.changed) {
            self.row.seq = self
                .row
                .seq
                .checked_add(1)
                .ok_or_else(|| broken("wallet.seq", self.row.id))?;
            self.row.updated_at = now;
            changes.wallets.push(self.row.clone());
        }
        if let Some(posting) = self.posting.take() {
            let (transaction, entries) = posting.into_rows(&self.row, now)?;
            changes.transactions.push(transaction);
            changes.entries = entries;
        }
        for hold in self.holds.values_mut().filter(|hold| hold.changed) {
            hold.take_changes(&mut changes)?;
        }
        changes
            .lots
            .extend(self.lots.iter_mut().filter_map(Lot::take_changed));
        for counter in self.counters.values_mut() {
            if mem::take(&mut counter.changed) {
                changes.counters.push(counter.row.clone());
            }
        }
        changes.ended_holds = mem::take(&mut self.removed);
        changes.ended_windows = mem::take(&mut self.removed_windows);
        changes.usages = mem::take(&mut self.usages);
        changes.usage_allocations = mem::take(&mut self.usage_allocations);
        changes.usage_windows = mem::take(&mut self.usage_windows);
        Ok(changes)
    }

    /// Leaves the row, its lots with something left and its open holds: what only moves together with the row.
    pub(super) fn forget_what_others_change(&mut self) {
        self.lots.retain(|lot| lot.row.remaining.is_positive());
        self.ended.clear();
        self.plans.clear();
        self.counters.clear();
        self.caps.clear();
        self.running.clear();
    }

    pub(super) fn lot_mut(&mut self, grant: GrantId) -> Result<&mut Lot, DbErr> {
        self.lots
            .iter_mut()
            .find(|lot| lot.row.id == grant)
            .ok_or_else(|| broken("hold_allocation.grant_id", grant))
    }
}

impl OpenHold {
    /// The number of the next drawing.
    pub(super) fn next_draw(&self) -> i64 {
        let last = self.allocations.iter().map(|part| part.draw).max();
        last.unwrap_or(0).saturating_add(1)
    }

    fn take_changes(&mut self, changes: &mut Changes) -> Result<(), DbErr> {
        let id = self.row.id;
        for (n, allocation) in self.allocations.iter().enumerate() {
            changes.hold_allocations.push(hold_allocation::Model {
                hold_id: id,
                n: i64::try_from(n).map_err(|_| broken("hold_allocation.n", id))?,
                grant_id: allocation.grant,
                amount: allocation.amount,
                draw: allocation.draw,
            });
        }
        changes.hold_windows.extend(self.windows.iter().cloned());
        let rows = if self.stored {
            &mut changes.holds
        } else {
            &mut changes.new_holds
        };
        rows.push(self.row.clone());
        self.stored = true;
        self.changed = false;
        Ok(())
    }
}

impl Posting {
    pub(super) fn starting_with(first: HoldId) -> Self {
        Self {
            id: LedgerTransactionId::fresh(),
            first,
            from_lots: BTreeMap::new(),
            into_debt: Credits::ZERO,
        }
    }

    /// W(g) -, D -, USED + (ledger.md 6.4). The key is the first call's: a call ends once, so this is booked once.
    fn into_rows(
        self,
        wallet: &wallet::Model,
        now: Timestamp,
    ) -> Result<(ledger_transaction::Model, Vec<ledger_entry::Model>), DbErr> {
        let transaction = ledger_transaction::Model {
            id: self.id,
            tenant_id: wallet.tenant_id,
            kind: ledger_transaction::Kind::Settle,
            business_key: format!("settle:{}", self.first),
            effective_at: now,
            posted_at: now,
            actor_kind: ActorKind::System,
            actor_id: None,
            reason: None,
            reverses: None,
            detail: None,
        };
        let mut legs = Legs::of(self.id, wallet);
        for (grant, amount) in self.from_lots {
            legs.debit_lot(grant, amount)?;
        }
        if self.into_debt.is_positive() {
            legs.owe(self.into_debt)?;
        }
        Ok((transaction, legs.balanced_by(ledger_entry::Account::Used)?))
    }
}

/// The legs of one ledger transaction on one wallet, in credits.
#[derive(Clone, Debug)]
pub struct Legs {
    transaction: LedgerTransactionId,
    wallet: wallet::Model,
    sum: i64,
    rows: Vec<ledger_entry::Model>,
}

/// The asset of every leg in credits.
pub const CREDITS: &str = "CR";

impl Legs {
    pub fn of(transaction: LedgerTransactionId, wallet: &wallet::Model) -> Self {
        Self {
            transaction,
            wallet: wallet.clone(),
            sum: 0,
            rows: Vec::new(),
        }
    }

    pub fn credit_lot(&mut self, grant: GrantId, amount: Credits) -> Result<(), DbErr> {
        self.push(ledger_entry::Account::Wallet, Some(grant), amount.nanos())
    }

    pub fn debit_lot(&mut self, grant: GrantId, amount: Credits) -> Result<(), DbErr> {
        let amount = amount.nanos().saturating_neg();
        self.push(ledger_entry::Account::Wallet, Some(grant), amount)
    }

    /// More is owed.
    pub fn owe(&mut self, amount: Credits) -> Result<(), DbErr> {
        self.push(
            ledger_entry::Account::Debt,
            None,
            amount.nanos().saturating_neg(),
        )
    }

    /// Less is owed.
    pub fn repay(&mut self, amount: Credits) -> Result<(), DbErr> {
        self.push(ledger_entry::Account::Debt, None, amount.nanos())
    }

    /// The rows, the last of which is the opposite leg that makes them sum to zero.
    pub fn balanced_by(
        mut self,
        account: ledger_entry::Account,
    ) -> Result<Vec<ledger_entry::Model>, DbErr> {
        if self.sum != 0 {
            self.push(account, None, self.sum.saturating_neg())?;
        }
        Ok(self.rows)
    }

    fn push(
        &mut self,
        account: ledger_entry::Account,
        grant_id: Option<GrantId>,
        amount: i64,
    ) -> Result<(), DbErr> {
        let out_of_range = || broken("ledger_entry.amount", self.transaction);
        let own = matches!(
            account,
            ledger_entry::Account::Wallet | ledger_entry::Account::Debt
        );
        self.sum = self.sum.checked_add(amount).ok_or_else(out_of_range)?;
        let n = i64::try_from(self.rows.len()).map_err(|_| out_of_range())?;
        self.rows.push(ledger_entry::Model {
            transaction_id: self.transaction,
            n,
            account,
            asset: CREDITS.to_owned(),
            wallet_id: own.then_some(self.wallet.id),
            grant_id,
            amount,
            wallet_seq: own.then_some(self.wallet.seq),
        });
        Ok(())
    }
}

impl Changes {
    /// Adds another wallet's rows.
    pub fn append(&mut self, mut other: Self) {
        self.wallets.append(&mut other.wallets);
        self.lots.append(&mut other.lots);
        self.new_holds.append(&mut other.new_holds);
        self.holds.append(&mut other.holds);
        self.hold_allocations.append(&mut other.hold_allocations);
        self.hold_windows.append(&mut other.hold_windows);
        self.ended_holds.append(&mut other.ended_holds);
        self.ended_windows.append(&mut other.ended_windows);
        self.counters.append(&mut other.counters);
        self.transactions.append(&mut other.transactions);
        self.entries.append(&mut other.entries);
        self.usages.append(&mut other.usages);
        self.usage_allocations.append(&mut other.usage_allocations);
        self.usage_windows.append(&mut other.usage_windows);
    }
}

/// Two rows contradict each other: the fault names the table, the column and the row. Whoever gets it writes
/// nothing.
pub fn broken(column: &str, row: impl std::fmt::Display) -> DbErr {
    DbErr::Custom(format!("inconsistent: {column} of {row}"))
}
