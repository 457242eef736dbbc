//! More credits for a call that runs, and what it has cost so far.

use super::{
    Caller, ExtendRefusal, Growth, OpenHold, Wallet,
    draw::{Draw, Purse},
    wallet::{Counter, broken},
};
use crate::cap::Limit;
use entity::{
    Credits, DbErr, SubscriptionId, Timestamp, hold_window, key, quota_counter::Metric, wallet,
};
use std::collections::BTreeMap;

/// How far an open hold may grow.
struct Room {
    most: Credits,
    line: Credits,
    /// Of the plans whose lots back it.
    plans: BTreeMap<SubscriptionId, Credits>,
    /// When the last of the windows that bind is whole again.
    binding: Option<Timestamp>,
}

impl Wallet {
    /// Adds credits to an open hold, as many as wished or as there are down to the least, keeps it alive, and
    /// answers how many; or refuses and changes nothing.
    ///
    /// # Errors
    /// [`ExtendRefusal`]; `Store` as with [`Wallet::hold`].
    pub fn extend(
        &mut self,
        id: entity::HoldId,
        growth: &Growth,
        model: &str,
        caller: &Caller,
    ) -> Result<Credits, ExtendRefusal> {
        let Growth { extra, least, .. } = *growth;
        if !least.is_positive() || least > extra || extra > Credits::MAX {
            return Err(ExtendRefusal::OutOfRange);
        }
        let open = self.holds.get(&id).ok_or(ExtendRefusal::Ended)?;
        if self.row.status != wallet::Status::Active {
            return Err(ExtendRefusal::WalletFrozen);
        }
        let line_share = self.line_share(caller, growth.now);
        let room = self.room_to_grow(open, least)?;
        let purse = Purse {
            number: open.next_draw(),
            model,
            now: growth.now,
            plans: room.plans,
            own: caller.pay_order != key::PayOrder::PlanOnly,
            line: self.line_room(caller, line_share.as_ref()).min(room.line),
        };
        let draw = self.draw(extra.min(room.most), purse);
        let more = draw.total;
        if more < least {
            return Err(match room.binding {
                Some(resets_at) => ExtendRefusal::QuotaExhausted { resets_at },
                None => ExtendRefusal::InsufficientCredits {
                    needed: least,
                    available: more,
                },
            });
        }
        let amount = open.row.amount.checked_add(more);
        let amount = amount.ok_or(ExtendRefusal::OutOfRange)?;
        let mut windows = open.windows.clone();
        self.grow_windows(&mut windows, &draw)?;
        let counted = |subject| windows.iter().any(|window| window.subject_id == subject);
        if let Some(share) =
            line_share.filter(|share| draw.line.is_positive() && !counted(share.subject))
        {
            windows.push(self.count(id, share.reserve(draw.line))?);
        }
        self.take(&draw)?;
        let open = self
            .holds
            .get_mut(&id)
            .ok_or_else(|| broken("hold.id", id))?;
        let line = open.row.debt_amount.checked_add(draw.line);
        open.row.debt_amount = line.ok_or_else(|| broken("hold.debt_amount", id))?;
        open.row.amount = amount;
        open.row.expires_at = open.row.expires_at.max(growth.expires_at);
        open.allocations.extend(draw.lots);
        open.windows = windows;
        open.changed = true;
        Ok(more)
    }

    /// Notes what a running call has cost so far, and keeps its hold alive. A hold that has ended does not
    /// listen; a note never takes back an earlier one.
    pub fn checkpoint(&mut self, id: entity::HoldId, note: Note) {
        let Some(open) = self.holds.get_mut(&id) else {
            return;
        };
        let row = &mut open.row;
        row.dispatched_at = row.dispatched_at.or(Some(note.dispatched_at));
        if note.charge >= row.checkpoint_charge {
            row.checkpoint_charge = note.charge;
            row.checkpoint_output = i64::try_from(note.output).unwrap_or(i64::MAX);
            row.checkpoint_at = Some(note.now);
        }
        row.expires_at = row.expires_at.max(note.expires_at);
        open.changed = true;
        // The row of the wallet says whether anything beneath it moved.
        self.changed = true;
    }

    /// How far the windows that a hold counts in let it grow: those of a plan that pays bind what its lots give,
    /// those of one that governs bind everything.
    fn room_to_grow(&self, open: &OpenHold, least: Credits) -> Result<Room, DbErr> {
        let mut room = Room {
            most: Credits::MAX,
            line: Credits::MAX,
            plans: self.backing_plans(open),
            binding: None,
        };
        for window in &open.windows {
            let counter = self.counter_of(window)?;
            if counter.row.metric != Metric::Credits {
                continue;
            }
            let Some(limit) = self.limit_of(window) else {
                continue;
            };
            let subscription = SubscriptionId::from_uuid(window.subject_id);
            let pays = self
                .plans
                .iter()
                .any(|plan| plan.id == subscription && plan.pays);
            let taken = counter.row.used.saturating_add(counter.row.reserved);
            let left = Credits::from_nanos(limit.saturating_sub(taken).max(0));
            let bound = if pays {
                room.plans.entry(subscription).or_insert(Credits::MAX)
            } else if window.subject_id == self.row.id.uuid() {
                &mut room.line
            } else {
                &mut room.most
            };
            *bound = left.min(*bound);
            if left < least {
                room.binding = room.binding.max(Some(counter.row.window_end));
            }
        }
        Ok(room)
    }

    /// How much a window lets through, where its plan or limit is still in force.
    fn limit_of(&self, window: &hold_window::Model) -> Option<i64> {
        let of_cap = self.caps.iter().find(|cap| cap.id == window.rule_id);
        if let Some(Limit::Quota { most, .. }) = of_cap.map(|cap| &cap.limit) {
            return Some(most.units());
        }
        let subscription = SubscriptionId::from_uuid(window.subject_id);
        let plan = self.plans.iter().find(|plan| plan.id == subscription)?;
        let mut quotas = plan.rules.quotas().iter();
        let quota = quotas.find(|quota| quota.rule == window.rule_id)?;
        Some(quota.limit.units())
    }

    fn counter_of(&self, window: &hold_window::Model) -> Result<&Counter, DbErr> {
        let key = (window.rule_id, window.subject_id, window.window_start);
        self.counters
            .get(&key)
            .ok_or_else(|| broken("quota_counter.rule_id", window.rule_id))
    }

    /// Adds an extension to the windows that count credits.
    fn grow_windows(
        &mut self,
        windows: &mut [hold_window::Model],
        draw: &Draw,
    ) -> Result<(), DbErr> {
        let mut grown = Vec::with_capacity(windows.len());
        for (place, window) in windows.iter().enumerate() {
            let counter = self.counter_of(window)?;
            if counter.row.metric != Metric::Credits {
                continue;
            }
            let subscription = SubscriptionId::from_uuid(window.subject_id);
            let plan = self.plans.iter().find(|plan| plan.id == subscription);
            let units = match plan {
                Some(plan) if plan.pays => self.given_by(&draw.lots, subscription),
                None if window.subject_id == self.row.id.uuid() => draw.line,
                Some(_) | None => draw.total,
            };
            let fault = || broken("quota_counter.reserved", window.rule_id);
            let counted = counter.row.reserved.checked_add(units.nanos());
            let reserved = window.reserved.checked_add(units.nanos());
            grown.push((
                place,
                reserved.ok_or_else(fault)?,
                counted.ok_or_else(fault)?,
            ));
        }
        for (place, reserved, counted) in grown {
            let Some(window) = windows.get_mut(place) else {
                continue;
            };
            window.reserved = reserved;
            let key = (window.rule_id, window.subject_id, window.window_start);
            if let Some(counter) = self.counters.get_mut(&key) {
                counter.row.reserved = counted;
                counter.changed = true;
            }
        }
        Ok(())
    }
}

/// What a running call has cost so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// When it left for the upstream.
    pub dispatched_at: Timestamp,
    /// What it would cost if it ended now.
    pub charge: Credits,
    /// Output tokens counted so far.
    pub output: u64,
    /// When that was counted.
    pub now: Timestamp,
    /// Until when the hold then lives without another sign.
    pub expires_at: Timestamp,
}
