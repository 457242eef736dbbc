//! One grant in memory, when it may be drawn, and which is drawn first.

use crate::plan::Pattern;
use entity::{Credits, Timestamp, grant};
use serde::{Deserialize, Serialize};

/// A grant's row with its scope read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// The row as it stands now.
    pub row: grant::Model,
    scope: Scope,
    changed: bool,
}

/// What a grant may be spent on, as stored in `grant.scope`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Model names, with `*`; empty is every model.
    #[serde(default)]
    pub models: Vec<String>,
}

impl Scope {
    /// Reads the stored text; `None` is everything.
    ///
    /// # Errors
    /// When the text is no scope; then the lot admits nothing.
    pub fn parse(text: Option<&str>) -> Result<Self, serde_json::Error> {
        text.map_or_else(|| Ok(Self::default()), serde_json::from_str)
    }

    /// Whether a model of this name may be paid.
    pub fn admits(&self, model: &str) -> bool {
        let fits = |text: &String| Pattern::parse(text).is_ok_and(|pattern| pattern.matches(model));
        self.models.is_empty() || self.models.iter().any(fits)
    }

    /// Fewer patterns are narrower; everything is widest.
    fn breadth(&self) -> usize {
        match self.models.len() {
            0 => usize::MAX,
            patterns => patterns,
        }
    }
}

impl Lot {
    /// A lot from its row. A scope that does not read admits no model at all, so that a damaged row is never
    /// spent on the wrong thing.
    pub fn of(row: grant::Model) -> Self {
        let scope = Scope::parse(row.scope.as_deref()).unwrap_or_else(|_| Scope {
            models: vec![String::new()],
        });
        Self {
            row,
            scope,
            changed: false,
        }
    }

    /// Whether the row has to be written.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// The row, if it has to be written; it is written from then on.
    pub(super) fn take_changed(&mut self) -> Option<grant::Model> {
        std::mem::take(&mut self.changed).then(|| self.row.clone())
    }

    /// What neither is spent nor held.
    pub fn free(&self) -> Credits {
        self.row
            .remaining
            .checked_sub(self.row.held)
            .unwrap_or(Credits::ZERO)
    }

    /// Whether it may be drawn for a model at a moment (ledger.md 6.3): active, in its time, in its scope.
    pub fn is_eligible(&self, model: &str, now: Timestamp) -> bool {
        self.is_current(now) && self.free().is_positive() && self.scope.admits(model)
    }

    /// Whether it is active and in its time.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.row.status == grant::Status::Active
            && self.row.effective_at <= now
            && self.row.expires_at.is_none_or(|end| now < end)
    }

    /// The place in the total order of drawing: priority, sooner expiry (none last), narrower scope, what cost
    /// nothing before what was paid for, earlier effect, id.
    pub fn order(&self) -> impl Ord + use<> {
        (
            self.row.priority,
            self.row.expires_at.map_or(i64::MAX, Timestamp::micros),
            self.scope.breadth(),
            self.row.cost_minor > 0,
            self.row.effective_at,
            self.row.id,
        )
    }

    /// Reserves; `None` when there is not so much.
    pub(super) fn hold(&mut self, amount: Credits) -> Option<()> {
        let held = self.row.held.checked_add(amount)?;
        (held <= self.row.remaining).then_some(())?;
        self.row.held = held;
        self.changed = true;
        Some(())
    }

    /// Gives back a reservation; `None` when it was never made.
    pub(super) fn release(&mut self, amount: Credits) -> Option<()> {
        let held = self.row.held.checked_sub(amount)?;
        (!held.is_negative()).then_some(())?;
        self.row.held = held;
        self.changed = true;
        Some(())
    }

    /// Spends what is not held; `None` when there is not so much. An active lot with nothing left is exhausted.
    pub fn spend(&mut self, amount: Credits) -> Option<()> {
        let remaining = self.row.remaining.checked_sub(amount)?;
        (remaining >= self.row.held).then_some(())?;
        self.row.remaining = remaining;
        if remaining.is_zero() && self.row.status == grant::Status::Active {
            self.row.status = grant::Status::Exhausted;
        }
        self.changed = true;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::{GrantId, TenantId, WalletId};

    fn lot(
        priority: i64,
        expires_at: Option<i64>,
        models: &[&str],
        cost_minor: i64,
        effective_at: i64,
    ) -> Lot {
        let scope = Scope {
            models: models.iter().map(|&model| model.to_owned()).collect(),
        };
        let ten = Credits::from_nanos(10);
        Lot::of(grant::Model {
            id: GrantId::fresh(),
            tenant_id: TenantId::fresh(),
            wallet_id: WalletId::fresh(),
            source: grant::Source::Paid,
            amount: ten,
            remaining: ten,
            held: Credits::ZERO,
            priority,
            effective_at: Timestamp::from_micros(effective_at),
            expires_at: expires_at.map(Timestamp::from_micros),
            scope: Some(serde_json::to_string(&scope).expect("a scope")),
            cost_minor,
            cost_currency: None,
            status: grant::Status::Active,
            subscription_id: None,
            order_id: None,
            code_id: None,
            parent_grant_id: None,
            created_at: Timestamp::from_micros(0),
            legacy_ref: None,
        })
    }

    #[test]
    fn lots_are_drawn_in_the_documented_order() {
        let in_order = [
            lot(10, None, &[], 5, 9),
            lot(20, Some(50), &[], 5, 9),
            lot(20, Some(60), &["gpt-*"], 5, 9),
            lot(20, Some(60), &["gpt-*", "o*"], 5, 9),
            lot(20, Some(60), &[], 0, 9),
            lot(20, Some(60), &[], 5, 1),
            lot(20, Some(60), &[], 5, 2),
            lot(20, Some(60), &[], 5, 2),
            lot(20, None, &["gpt-*"], 0, 0),
        ];

        for pair in in_order.windows(2) {
            let [first, second] = pair else { continue };
            assert!(
                first.order() < second.order(),
                "{first:?} before {second:?}"
            );
        }
    }

    #[test]
    fn a_lot_is_drawn_in_its_time_its_scope_and_its_state_only() {
        let at = Timestamp::from_micros;
        let mut scoped = lot(50, Some(20), &["gpt-*"], 0, 10);

        assert!(scoped.is_eligible("gpt-5", at(10)));
        assert!(!scoped.is_eligible("gpt-5", at(9)), "not yet");
        assert!(!scoped.is_eligible("gpt-5", at(20)), "no more");
        assert!(!scoped.is_eligible("claude", at(10)), "another model");
        scoped.row.status = grant::Status::Frozen;
        assert!(!scoped.is_eligible("gpt-5", at(10)), "frozen");
    }

    #[test]
    fn a_scope_that_does_not_read_admits_nothing() {
        let mut damaged = lot(50, None, &[], 0, 0).row;
        damaged.scope = Some("{oops".to_owned());

        assert!(!Lot::of(damaged).is_eligible("gpt-5", Timestamp::from_micros(1)));
    }

    #[test]
    fn nothing_is_spent_or_held_twice() {
        let mut ten = lot(50, None, &[], 0, 0);
        let nanos = Credits::from_nanos;

        assert_eq!(ten.hold(nanos(7)), Some(()));
        assert_eq!(ten.hold(nanos(4)), None);
        assert_eq!(ten.spend(nanos(4)), None);
        assert_eq!(ten.spend(nanos(3)), Some(()));
        assert_eq!(ten.release(nanos(8)), None);
        assert_eq!(ten.release(nanos(7)), Some(()));
        assert_eq!(ten.spend(nanos(7)), Some(()));
        assert_eq!(ten.row.status, grant::Status::Exhausted);
    }
}
