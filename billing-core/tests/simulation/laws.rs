//! The laws of the audit over the store, in sums by hand.

use crate::store::Store;
use entity::{HoldId, LedgerTransactionId, ledger_entry::Account};
use std::collections::BTreeMap;

/// Fails at the first law that is broken.
pub fn hold(store: &Store) {
    let mut by_transaction: BTreeMap<LedgerTransactionId, i64> = BTreeMap::new();
    let (mut by_lot, mut by_wallet, mut owed) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for entry in &store.entries {
        *by_transaction.entry(entry.transaction_id).or_default() += entry.amount;
        match entry.account {
            Account::Wallet => {
                *by_lot.entry(entry.grant_id.expect("a lot")).or_insert(0) += entry.amount;
                *by_wallet.entry(entry.wallet_id).or_insert(0) += entry.amount;
            }
            Account::Debt => *owed.entry(entry.wallet_id).or_insert(0) -= entry.amount,
            _ => {}
        }
    }
    assert!(
        by_transaction.values().all(|sum| *sum == 0),
        "I1: a transaction sums to zero"
    );
    assert_eq!(
        by_transaction.len(),
        store.transactions.len(),
        "I1: each has entries"
    );
    assert_eq!(
        store.business_keys.len(),
        store.transactions.len(),
        "I9: a key is booked once"
    );
    for lot in store.lots.values() {
        let entries = by_lot.get(&lot.id).copied().unwrap_or(0);
        assert_eq!(lot.remaining.nanos(), entries, "I3: {lot:?}");
        let held: i64 = store
            .allocations
            .values()
            .filter(|part| part.grant_id == lot.id)
            .map(|part| part.amount.nanos())
            .sum();
        assert_eq!(lot.held.nanos(), held, "I4: {lot:?}");
    }
    for (tenant, wallet) in &store.wallets {
        let id = Some(wallet.id);
        assert_eq!(
            wallet.posted.nanos(),
            by_wallet.get(&id).copied().unwrap_or(0),
            "I3: {wallet:?}"
        );
        assert_eq!(
            wallet.debt.nanos(),
            owed.get(&id).copied().unwrap_or(0),
            "I3: {wallet:?}"
        );
        let open: Vec<_> = store
            .holds
            .values()
            .filter(|hold| hold.tenant_id == *tenant)
            .collect();
        let line: i64 = open.iter().map(|hold| hold.debt_amount.nanos()).sum();
        assert_eq!(
            usize::try_from(wallet.open_holds),
            Ok(open.len()),
            "I4: {wallet:?}"
        );
        assert_eq!(wallet.debt_held.nanos(), line, "I4: {wallet:?}");
    }
    for id in store.holds.keys() {
        assert!(
            !store.usages.contains_key(id),
            "I6: {id:?} is open and has ended"
        );
    }
    calls(store);
    windows(store);
}

fn calls(store: &Store) {
    let mut charged: BTreeMap<LedgerTransactionId, i64> = BTreeMap::new();
    let mut paid: BTreeMap<HoldId, i64> = BTreeMap::new();
    for part in store.usage_allocations.values() {
        *paid.entry(part.usage_id).or_default() += part.amount.nanos();
        let call = &store.usages[&part.usage_id];
        if let Some(lot) = part.grant_id.map(|id| &store.lots[&id]) {
            let in_time = lot.effective_at <= call.ended_at
                && lot.expires_at.is_none_or(|end| end > call.started_at);
            assert!(
                in_time && lot.wallet_id == call.wallet_id,
                "I13: {call:?} from {lot:?}"
            );
        }
    }
    for call in store.usages.values() {
        assert_eq!(
            paid.get(&call.id).copied().unwrap_or(0),
            call.charge.nanos(),
            "I8: {call:?}"
        );
        if let Some(id) = call.transaction_id {
            *charged.entry(id).or_default() += call.charge.nanos();
        }
        assert_eq!(
            call.transaction_id.is_some(),
            call.charge.is_positive(),
            "I7: {call:?}"
        );
    }
    for (id, charge) in charged {
        let left: i64 = store
            .entries
            .iter()
            .filter(|entry| entry.transaction_id == id)
            .filter(|entry| matches!(entry.account, Account::Wallet | Account::Debt))
            .map(|entry| entry.amount)
            .sum();
        assert_eq!(-left, charge, "I7: {id:?}");
    }
}

fn windows(store: &Store) {
    for window in store.windows.values() {
        assert!(
            store.holds.contains_key(&window.hold_id),
            "I15: {window:?} of no hold"
        );
    }
    for ((rule, subject, start), counter) in &store.counters {
        let reserved: i64 = store
            .windows
            .values()
            .filter(|row| {
                (row.rule_id, row.subject_id, row.window_start) == (*rule, *subject, *start)
            })
            .map(|row| row.reserved)
            .sum();
        let used: i64 = store
            .usage_windows
            .iter()
            .filter(|row| {
                (row.rule_id, row.subject_id, row.window_start) == (*rule, *subject, *start)
            })
            .map(|row| row.amount)
            .sum();
        assert_eq!(
            (counter.reserved, counter.used),
            (reserved, used),
            "I15: {counter:?}"
        );
    }
}
