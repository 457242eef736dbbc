//! Which lots, and how much of the credit line, pay for a call.

use super::{Allocation, Caller, Lot, Wallet, share::Share, wallet::broken};
use entity::{Credits, DbErr, SubscriptionId, Timestamp, key};
use std::collections::BTreeMap;

/// What backs a hold: parts of lots in the order of drawing, then the credit line.
pub(super) struct Draw {
    pub(super) lots: Vec<Allocation>,
    pub(super) line: Credits,
    pub(super) total: Credits,
}

/// Which credits may back a call.
pub(super) struct Purse<'a> {
    /// The number of this drawing of the call's.
    pub(super) number: i64,
    pub(super) model: &'a str,
    pub(super) now: Timestamp,
    /// Subscriptions whose lots may be drawn, and how far their windows let them.
    pub(super) plans: BTreeMap<SubscriptionId, Credits>,
    /// Whether lots of no subscription may.
    pub(super) own: bool,
    /// How far the credit line may.
    pub(super) line: Credits,
}

impl Purse<'_> {
    fn opens(&self, lot: &Lot) -> bool {
        let allowed = match lot.row.subscription_id {
            Some(subscription) => self.plans.contains_key(&subscription),
            None => self.own,
        };
        allowed && lot.is_eligible(self.model, self.now)
    }

    /// Takes from a lot what it has free and its plan's windows have room for, at most `wanted`.
    fn take(&mut self, lot: &Lot, wanted: Credits) -> Credits {
        let part = lot.free().min(wanted);
        let room = lot
            .row
            .subscription_id
            .and_then(|id| self.plans.get_mut(&id));
        let Some(room) = room else {
            return part;
        };
        let part = part.min(*room);
        *room = room.checked_sub(part).unwrap_or(Credits::ZERO);
        part
    }
}

impl Wallet {
    /// Draws eligible lots in their order, then the credit line: `amount`, or as much as there is.
    pub(super) fn draw(&self, amount: Credits, mut purse: Purse<'_>) -> Draw {
        let mut lots = Vec::new();
        let mut left = amount;
        for lot in &self.lots {
            if left.is_zero() {
                break;
            }
            if !purse.opens(lot) {
                continue;
            }
            let part = purse.take(lot, left);
            if part.is_positive() {
                left = left.checked_sub(part).unwrap_or(Credits::ZERO);
                lots.push(Allocation {
                    grant: lot.row.id,
                    amount: part,
                    draw: purse.number,
                });
            }
        }
        let line = left.min(purse.line);
        let missing = left.checked_sub(line).unwrap_or(Credits::ZERO);
        Draw {
            lots,
            line,
            total: amount.checked_sub(missing).unwrap_or(Credits::ZERO),
        }
    }

    /// How far holds of a key may go beyond the credits that are there.
    pub(super) fn line_room(&self, caller: &Caller, share: Option<&Share>) -> Credits {
        if caller.pay_order == key::PayOrder::PlanOnly {
            return Credits::ZERO;
        }
        let monthly = share.map_or(Credits::MAX, Share::room);
        self.row
            .credit_line
            .checked_sub(self.row.debt)
            .and_then(|room| room.checked_sub(self.row.debt_held))
            .unwrap_or(Credits::ZERO)
            .clamp(Credits::ZERO, monthly)
    }

    /// Spends eligible credits that no hold reserves, for an over-run; answers what it spent of which lot.
    pub(super) fn spend_free(
        &mut self,
        amount: Credits,
        model: &str,
        now: Timestamp,
        plans: BTreeMap<SubscriptionId, Credits>,
        number: i64,
    ) -> Result<Vec<Allocation>, DbErr> {
        let purse = Purse {
            number,
            model,
            now,
            plans,
            own: true,
            line: Credits::ZERO,
        };
        let mut parts = Vec::new();
        let mut left = amount;
        for lot in self.lots.iter_mut().filter(|lot| purse.opens(lot)) {
            let part = lot.free().min(left);
            if !part.is_positive() {
                break;
            }
            let grant = lot.row.id;
            lot.spend(part)
                .ok_or_else(|| broken("grant.remaining", grant))?;
            left = left.checked_sub(part).unwrap_or(Credits::ZERO);
            parts.push(Allocation {
                grant,
                amount: part,
                draw: number,
            });
        }
        Ok(parts)
    }
}
