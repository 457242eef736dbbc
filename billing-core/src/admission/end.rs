//! Ending a hold: settled, voided or expired, once. Whoever comes second gets the first one's answer.

use super::{
    Allocation, EndRefusal, Lot, OpenHold, Settled, Settlement, VoidReason, Wallet,
    wallet::{Posting, broken},
};
use crate::rating::Tokens;
use entity::DbErr;
use entity::{
    Credits, HoldId, SubscriptionId, Timestamp, hold, quota_counter, usage, usage_allocation,
    usage_window,
};

/// What a call's lots and debt paid, in the order drawn.
struct Paid {
    lots: Vec<Allocation>,
    debt: Credits,
}

impl Wallet {
    /// Charges a call and ends its hold. Up to what was held, the hold's own lots pay in the order recorded and
    /// the rest of them is free again; beyond it, eligible lots pay, and what they cannot becomes debt.
    ///
    /// `model` is the name that scopes of lots speak of; it matters only beyond what was held.
    ///
    /// # Errors
    /// [`EndRefusal`]; `Store` means that the rows contradict each other and nothing may be written.
    pub fn settle(
        &mut self,
        id: HoldId,
        settlement: &Settlement,
        model: &str,
    ) -> Result<Settled, EndRefusal> {
        if let Some(stored) = self.ended.get(&id) {
            return Ok(stored.into());
        }
        check(settlement)?;
        self.end(id, usage::Outcome::Settled, settlement, model)
    }

    /// Ends a hold without a charge.
    ///
    /// # Errors
    /// As [`Wallet::settle`].
    pub fn void(
        &mut self,
        id: HoldId,
        reason: VoidReason,
        now: Timestamp,
    ) -> Result<Settled, EndRefusal> {
        if let Some(stored) = self.ended.get(&id) {
            return Ok(stored.into());
        }
        let nothing = uncharged(reason, now);
        self.end(id, usage::Outcome::Voided, &nothing, "")
    }

    /// Ends a hold whose time ran out: with its last checkpoint if it was sent to an upstream, else without a
    /// charge. A hold that still has time stays, and the answer is `None`.
    ///
    /// # Errors
    /// As [`Wallet::settle`].
    pub fn expire(
        &mut self,
        id: HoldId,
        model: &str,
        now: Timestamp,
    ) -> Result<Option<Settled>, EndRefusal> {
        if let Some(stored) = self.ended.get(&id) {
            return Ok(Some(stored.into()));
        }
        let open = self.holds.get(&id).ok_or(EndRefusal::Unknown)?;
        if open.row.expires_at > now {
            return Ok(None);
        }
        let last = checkpoint_of(&open.row, now);
        self.end(id, usage::Outcome::Expired, &last, model)
            .map(Some)
    }

    fn end(
        &mut self,
        id: HoldId,
        outcome: usage::Outcome,
        settlement: &Settlement,
        model: &str,
    ) -> Result<Settled, EndRefusal> {
        let open = self.holds.remove(&id).ok_or(EndRefusal::Unknown)?;
        // A clock that jumped back ends no call before it began, nor before the lots that pay for it.
        let settlement = &Settlement {
            ended_at: settlement.ended_at.max(self.began(&open)),
            ..settlement.clone()
        };
        let paid = self.pay(&open, settlement, model)?;
        self.release_windows(&open, outcome, settlement.charge, &paid)?;
        let transaction_id = if settlement.charge.is_zero() {
            None
        } else {
            Some(self.post(id, &paid)?)
        };
        self.row.open_holds = self
            .row
            .open_holds
            .checked_sub(1)
            .filter(|open| *open >= 0)
            .ok_or_else(|| broken("wallet.open_holds", self.row.id))?;
        self.count_running([open.row.member_id.uuid(), open.row.key_id.uuid()], -1);
        self.changed = true;
        if open.stored {
            self.removed.push(id);
            if !open.windows.is_empty() {
                self.removed_windows.push(id);
            }
        }
        self.record_allocations(id, &paid)?;
        let mut row = usage_row(open.row, outcome, settlement)?;
        row.transaction_id = transaction_id;
        let settled = Settled::from(&row);
        self.usages.push(row.clone());
        self.ended.insert(id, row);
        Ok(settled)
    }

    /// When a call began, or the last of the lots that back it.
    fn began(&self, open: &OpenHold) -> Timestamp {
        let backs = |lot: &&Lot| {
            let parts = &mut open.allocations.iter();
            parts.any(|part| part.grant == lot.row.id)
        };
        let lots = self.lots.iter().filter(backs);
        lots.map(|lot| lot.row.effective_at)
            .fold(open.row.created_at, Ord::max)
    }

    /// Releases everything the hold reserved and spends the charge: first from its own lots, then, with those
    /// deltas applied, from eligible ones, then as debt.
    fn pay(
        &mut self,
        open: &OpenHold,
        settlement: &Settlement,
        model: &str,
    ) -> Result<Paid, DbErr> {
        let mut left = settlement.charge;
        let mut lots = Vec::with_capacity(open.allocations.len());
        let mut released = Credits::ZERO;
        for part in &open.allocations {
            let spent = part.amount.min(left);
            let lot = self.lot_mut(part.grant)?;
            lot.release(part.amount)
                .and_then(|()| lot.spend(spent))
                .ok_or_else(|| broken("grant.held", part.grant))?;
            left = minus(left, spent, "usage.charge", open.row.id)?;
            released = plus(released, part.amount, "hold_allocation.amount", open.row.id)?;
            if spent.is_positive() {
                lots.push(Allocation {
                    amount: spent,
                    ..*part
                });
            }
        }
        if left.is_positive() {
            let plans = self.backing_plans(open);
            let number = open.next_draw();
            for part in self.spend_free(left, model, settlement.ended_at, plans, number)? {
                left = minus(left, part.amount, "usage.charge", open.row.id)?;
                lots.push(part);
            }
        }
        let spent = minus(settlement.charge, left, "usage.charge", open.row.id)?;
        let wallet = self.row.id;
        self.row.held = minus(self.row.held, released, "wallet.held", wallet)?;
        self.row.posted = minus(self.row.posted, spent, "wallet.posted", wallet)?;
        self.row.debt_held = minus(
            self.row.debt_held,
            open.row.debt_amount,
            "wallet.debt_held",
            wallet,
        )?;
        self.row.debt = plus(self.row.debt, left, "wallet.debt", wallet)?;
        Ok(Paid { lots, debt: left })
    }

    /// Moves what the hold reserved in its windows to what the call used there.
    fn release_windows(
        &mut self,
        open: &OpenHold,
        outcome: usage::Outcome,
        charge: Credits,
        paid: &Paid,
    ) -> Result<(), DbErr> {
        for window in &open.windows {
            let subscription = SubscriptionId::from_uuid(window.subject_id);
            let backed = self.given_by(&open.allocations, subscription).is_positive();
            let of_line = window.subject_id == self.row.id.uuid();
            let credits = if of_line {
                paid.debt
            } else if backed {
                self.given_by(&paid.lots, subscription)
            } else {
                charge
            };
            let key = (window.rule_id, window.subject_id, window.window_start);
            let fault = || broken("quota_counter.reserved", window.rule_id);
            let counter = self.counters.get_mut(&key).ok_or_else(fault)?;
            let used = match counter.row.metric {
                quota_counter::Metric::Credits => credits.nanos(),
                quota_counter::Metric::Requests => {
                    let served = outcome == usage::Outcome::Settled || charge.is_positive();
                    i64::from(served)
                }
            };
            let reserved = counter.row.reserved.checked_sub(window.reserved);
            counter.row.reserved = reserved.filter(|left| *left >= 0).ok_or_else(fault)?;
            counter.row.used = counter.row.used.checked_add(used).ok_or_else(fault)?;
            counter.changed = true;
            if used > 0 {
                self.usage_windows.push(usage_window::Model {
                    usage_id: open.row.id,
                    rule_id: window.rule_id,
                    subject_id: window.subject_id,
                    window_start: window.window_start,
                    amount: used,
                });
            }
        }
        Ok(())
    }

    /// Adds what was paid to the wallet's one transaction of this batch, and answers which that is.
    fn post(&mut self, id: HoldId, paid: &Paid) -> Result<entity::LedgerTransactionId, DbErr> {
        let posting = self
            .posting
            .get_or_insert_with(|| Posting::starting_with(id));
        for part in &paid.lots {
            let sum = posting.from_lots.entry(part.grant).or_insert(Credits::ZERO);
            *sum = plus(*sum, part.amount, "ledger_entry.amount", part.grant)?;
        }
        posting.into_debt = plus(posting.into_debt, paid.debt, "ledger_entry.amount", id)?;
        Ok(posting.id)
    }

    fn record_allocations(&mut self, id: HoldId, paid: &Paid) -> Result<(), DbErr> {
        let lots = paid.lots.iter();
        let lots = lots.map(|part| (Some(part.grant), part.amount, part.draw));
        let last = paid.lots.last().map_or(1, |part| part.draw);
        let debt = paid.debt.is_positive().then_some((None, paid.debt, last));
        for (n, (grant_id, amount, draw)) in lots.chain(debt).enumerate() {
            self.usage_allocations.push(usage_allocation::Model {
                usage_id: id,
                n: i64::try_from(n).map_err(|_| broken("usage_allocation.n", id))?,
                grant_id,
                amount,
                draw,
            });
        }
        Ok(())
    }
}

fn plus(
    a: Credits,
    b: Credits,
    column: &str,
    row: impl std::fmt::Display,
) -> Result<Credits, DbErr> {
    a.checked_add(b)
        .filter(|sum| *sum <= Credits::MAX)
        .ok_or_else(|| broken(column, row))
}

/// The difference, which is never below zero where the rows agree with each other.
fn minus(
    a: Credits,
    b: Credits,
    column: &str,
    row: impl std::fmt::Display,
) -> Result<Credits, DbErr> {
    a.checked_sub(b)
        .filter(|rest| !rest.is_negative())
        .ok_or_else(|| broken(column, row))
}

fn check(settlement: &Settlement) -> Result<(), EndRefusal> {
    let in_range = !settlement.charge.is_negative()
        && settlement.charge <= MAX_CHARGE
        && settlement.tokens.is_plausible();
    if in_range {
        Ok(())
    } else {
        Err(EndRefusal::OutOfRange)
    }
}

/// A charge past a million credits for one call is a fault of the caller, not a bill.
const MAX_CHARGE: Credits = Credits::from_nanos(1_000_000_000_000_000);

fn uncharged(finish: usage::Finish, now: Timestamp) -> Settlement {
    Settlement {
        tokens: Tokens::default(),
        charge: Credits::ZERO,
        quality: usage::Quality::None,
        finish,
        channel: None,
        provider_cost: None,
        first_byte_at: None,
        ended_at: now,
    }
}

/// The settlement of a call that nobody settled: what its last checkpoint says, if it ever left for an upstream.
pub(super) fn checkpoint_of(row: &hold::Model, now: Timestamp) -> Settlement {
    let lost = uncharged(usage::Finish::Lost, now);
    if row.dispatched_at.is_none() {
        return lost;
    }
    Settlement {
        tokens: Tokens {
            input: u64::try_from(row.input_tokens).unwrap_or(0),
            output: u64::try_from(row.checkpoint_output).unwrap_or(0),
            ..Tokens::default()
        },
        charge: row.checkpoint_charge,
        quality: usage::Quality::Checkpoint,
        channel: row.channel_id,
        ..lost
    }
}

fn usage_row(
    hold: hold::Model,
    outcome: usage::Outcome,
    settlement: &Settlement,
) -> Result<usage::Model, DbErr> {
    let id = hold.id;
    let count = |tokens: u64| i64::try_from(tokens).map_err(|_| broken("usage.output_tokens", id));
    let tokens = &settlement.tokens;
    Ok(usage::Model {
        id,
        tenant_id: hold.tenant_id,
        wallet_id: hold.wallet_id,
        member_id: hold.member_id,
        key_id: hold.key_id,
        group_id: hold.group_id,
        model_id: hold.model_id,
        channel_id: settlement.channel.or(hold.channel_id),
        price_version_id: hold.price_version_id,
        multiplier_ppm: hold.multiplier_ppm,
        transaction_id: None,
        outcome,
        quality: settlement.quality,
        finish: settlement.finish,
        protocol: hold.protocol,
        client_kind: hold.client_kind,
        streamed: hold.streamed,
        input_tokens: count(tokens.input)?,
        cache_read_tokens: count(tokens.cache_read)?,
        cache_write_short_tokens: count(tokens.cache_write_short)?,
        cache_write_long_tokens: count(tokens.cache_write_long)?,
        output_tokens: count(tokens.output)?,
        reasoning_tokens: count(tokens.reasoning)?,
        input_audio_tokens: count(tokens.input_audio)?,
        input_image_tokens: count(tokens.input_image)?,
        output_audio_tokens: count(tokens.output_audio)?,
        output_image_tokens: count(tokens.output_image)?,
        web_searches: count(tokens.web_searches)?,
        file_searches: count(tokens.file_searches)?,
        charge: settlement.charge,
        provider_cost: settlement.provider_cost,
        hold_amount: hold.amount,
        started_at: hold.created_at,
        first_byte_at: settlement.first_byte_at,
        ended_at: settlement.ended_at,
    })
}
