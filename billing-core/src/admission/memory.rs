//! Wallets as a lane left them, so that it need not read again what it wrote itself.
//!
//! Whoever changes anything of a wallet (its lots, its open holds, what they reserve) does it under the lock of the
//! wallet's row and moves that row's `seq`. So a row that is as this lane left it says that everything beneath it is, and
//! any other row says nothing: then all is read. What a lane keeps is never trusted without the locked row.

use super::Wallet;
use entity::{TenantId, wallet};
use std::collections::HashMap;

/// Wallets that are kept; past it the memory starts anew.
const WALLETS_MAX: usize = 8_192;
/// Open holds that are kept with them; past it the memory starts anew.
const HOLDS_MAX: usize = 32_768;

/// What a lane knows of wallets, from its own committed batches.
#[derive(Debug, Default)]
pub struct Memory {
    wallets: HashMap<TenantId, Wallet>,
    holds: usize,
}

impl Memory {
    /// Takes out the wallet of this locked row, if it is as it was left. One that is not is forgotten.
    pub fn recall(&mut self, row: &wallet::Model) -> Option<Wallet> {
        let kept = self.wallets.remove(&row.tenant_id)?;
        self.holds = self.holds.saturating_sub(kept.holds.len());
        (kept.row == *row).then_some(kept)
    }

    /// Keeps wallets as a batch left them. Only for a batch whose commit is known to have succeeded, and whose changes
    /// were taken out before.
    pub fn keep(&mut self, wallets: impl IntoIterator<Item = Wallet>) {
        for mut wallet in wallets {
            wallet.forget_what_others_change();
            let (tenant, holds) = (wallet.row.tenant_id, wallet.holds.len());
            if self.wallets.len() >= WALLETS_MAX || self.holds.saturating_add(holds) > HOLDS_MAX {
                self.wallets.clear();
                self.holds = 0;
            }
            self.holds = self.holds.saturating_add(holds);
            if let Some(before) = self.wallets.insert(tenant, wallet) {
                self.holds = self.holds.saturating_sub(before.holds.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::{Credits, Timestamp, WalletId};

    fn row(seq: i64) -> wallet::Model {
        wallet::Model {
            id: WalletId::fresh(),
            tenant_id: TenantId::fresh(),
            posted: Credits::ZERO,
            held: Credits::ZERO,
            debt: Credits::ZERO,
            debt_held: Credits::ZERO,
            open_holds: 0,
            credit_line: Credits::ZERO,
            max_open_holds: None,
            status: wallet::Status::Active,
            seq,
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn a_wallet_is_remembered_only_while_its_row_is_as_it_was_left() {
        let mut memory = Memory::default();
        let left = row(1);
        let moved = wallet::Model {
            seq: 2,
            ..left.clone()
        };

        memory.keep([Wallet::of(left.clone(), [])]);
        let same = memory.recall(&left);
        memory.keep(same.clone());
        let other = memory.recall(&moved);
        let late = memory.recall(&left);

        assert_eq!(same.map(|wallet| wallet.row), Some(left));
        assert!(other.is_none(), "somebody else changed it");
        assert!(late.is_none(), "what was changed is forgotten");
    }

    #[test]
    fn wallets_are_remembered_beside_each_other() {
        let mut memory = Memory::default();
        let (one, other) = (row(1), row(1));

        memory.keep([Wallet::of(one.clone(), [])]);
        memory.keep([Wallet::of(other.clone(), [])]);

        assert!(memory.recall(&one).is_some());
        assert!(memory.recall(&other).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let mut memory = Memory::default();

        for _ in 0..=WALLETS_MAX {
            memory.keep([Wallet::of(row(1), [])]);
        }

        assert!(memory.wallets.len() <= WALLETS_MAX);
    }
}
