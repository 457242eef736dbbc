//! Reserving credits: what a call is expected to cost, or as much of it as is there.

use super::{
    Allocation, Caller, HoldOrder, HoldRefusal, Offer, OpenHold, Wallet,
    draw::{Draw, Purse},
    wallet::{Counter, broken},
};
use crate::{
    plan::{Admitted, Counted, Request, Reserve, Ruling, Standing, Usage},
    rating::MAX_TOKENS,
};
use entity::{
    Credits, DbErr, GrantId, RuleId, SubscriptionId, Timestamp, hold, hold_window, key,
    quota_counter::{self, Metric},
    wallet,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A call that asks for credits, with what the transaction read about it.
struct Asked<'a> {
    order: &'a HoldOrder,
    caller: &'a Caller,
    offer: &'a Offer,
}

/// Whether a plan brings credits of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pays {
    Yes,
    No,
}

impl Wallet {
    /// Holds the order's amount, or what there is down to its least, and answers how much; or refuses and changes
    /// nothing. Asked again with the same order, it answers as it did.
    ///
    /// # Errors
    /// [`HoldRefusal`]; `Store` means that the rows contradict each other and nothing may be written.
    pub fn hold(
        &mut self,
        order: &HoldOrder,
        caller: &Caller,
        offer: &Offer,
    ) -> Result<Credits, HoldRefusal> {
        if let Some(open) = self.holds.get(&order.id) {
            let held = open.row.amount;
            let same =
                open.row.tenant_id == order.tenant && (order.least..=order.amount).contains(&held);
            return if same {
                Ok(held)
            } else {
                Err(HoldRefusal::IdInUse)
            };
        }
        if self.ended.contains_key(&order.id) {
            return Err(HoldRefusal::IdInUse);
        }
        let mut row = self.open_row(order)?;
        caller.admit(order)?;
        offer.admit()?;
        self.admit()?;
        self.admit_running(order)?;
        let shares = self.shares(order, caller, offer)?;
        let asked = Asked {
            order,
            caller,
            offer,
        };
        let governing = self.ruling(&asked, Pays::No, order.least);
        if let Some(refused) = governing.cause() {
            return Err(refused.into());
        }
        let widest = governing.widest();
        let most = widest.map_or(order.amount, |yes| yes.admission.room.min(order.amount));
        let most = shares
            .iter()
            .fold(most, |most, share| most.min(share.room()));
        let line_share = self.line_share(caller, order.now);
        // An allowance that covers a part of the call may pay that part.
        let paying = self.ruling(&asked, Pays::Yes, order.amount.min(Credits::from_nanos(1)));
        let purse = Purse {
            number: 1,
            model: &offer.name,
            now: order.now,
            plans: paying
                .admitted
                .iter()
                .map(|yes| (yes.subscription, yes.admission.room))
                .collect(),
            own: caller.pay_order != key::PayOrder::PlanOnly,
            line: self.line_room(caller, line_share.as_ref()),
        };
        let draw = self.draw(most, purse);
        if draw.total < order.least {
            return Err(self.shortage(&asked, draw.total));
        }
        let held = draw.total;
        row.amount = held;
        let mut windows = self.windows_of(&draw, widest, &paying);
        windows.extend(shares.iter().map(|share| share.reserve(held)));
        if draw.line.is_positive() {
            windows.extend(line_share.iter().map(|share| share.reserve(draw.line)));
        }
        self.open(row, draw, windows)?;
        Ok(held)
    }

    fn admit(&self) -> Result<(), HoldRefusal> {
        match self.row.status {
            wallet::Status::Active => {}
            wallet::Status::Frozen | wallet::Status::Closed => {
                return Err(HoldRefusal::WalletFrozen);
            }
        }
        if self.row.debt > self.row.credit_line {
            return Err(HoldRefusal::InDebt {
                debt: self.row.debt,
            });
        }
        match self.row.max_open_holds {
            Some(limit) if self.row.open_holds >= limit => Err(HoldRefusal::ConcurrencyLimit {
                limit: u32::try_from(limit).unwrap_or(0),
            }),
            _ => Ok(()),
        }
    }

    /// What the tenant's plans of one kind say to a call that can do with `least`: those that pay, as far as the key
    /// asks them, or those that govern without paying.
    fn ruling(&self, asked: &Asked<'_>, pays: Pays, least: Credits) -> Ruling {
        let Asked {
            order,
            caller,
            offer,
        } = asked;
        if pays == Pays::Yes && caller.pay_order == key::PayOrder::WalletOnly {
            return Ruling::default();
        }
        let request = Request {
            model: &offer.name,
            group: order.group,
            amount: order.amount,
            least,
        };
        let standings: Vec<Standing> = self
            .plans
            .iter()
            .filter(|plan| plan.pays == (pays == Pays::Yes))
            .map(|plan| Standing {
                subscription: plan.id,
                name: plan.name.clone(),
                plan: plan.rules.clone(),
                usage: Usage {
                    zone: caller.zone,
                    open_calls: u32::try_from(self.row.open_holds).unwrap_or(u32::MAX),
                    windows: self.counted(plan, order.now),
                },
            })
            .collect();
        Ruling::of(&standings, &request, order.now)
    }

    /// The latest counted window of each quota that began by `now`.
    fn counted(&self, plan: &super::Subscribed, now: Timestamp) -> BTreeMap<RuleId, Counted> {
        plan.rules
            .quotas()
            .iter()
            .filter_map(|quota| Some((quota.rule, self.latest(quota.rule, plan.id.uuid(), now)?)))
            .collect()
    }

    /// Why the credits do not suffice: a plan's no where its allowance would have paid or there is nothing
    /// else, otherwise the shortage itself.
    fn shortage(&self, asked: &Asked<'_>, available: Credits) -> HoldRefusal {
        let needed = asked.order.least;
        let paying = self.ruling(asked, Pays::Yes, needed);
        match paying.cause() {
            Some(refused) if self.has_allowance(needed, available) => refused.into(),
            _ => HoldRefusal::InsufficientCredits {
                needed,
                available,
                held: self
                    .row
                    .held
                    .checked_add(self.row.debt_held)
                    .unwrap_or(self.row.held),
            },
        }
    }

    fn has_allowance(&self, needed: Credits, available: Credits) -> bool {
        let shut = self
            .lots
            .iter()
            .filter(|lot| lot.row.subscription_id.is_some())
            .try_fold(Credits::ZERO, |sum, lot| sum.checked_add(lot.free()))
            .unwrap_or(Credits::MAX);
        available.is_zero() || available.checked_add(shut).is_none_or(|all| all >= needed)
    }

    /// What the hold takes of the windows of the plans that serve it: of a plan that pays, what its lots give;
    /// of one that governs, the whole.
    fn windows_of(
        &self,
        draw: &Draw,
        governing: Option<&Admitted>,
        paying: &Ruling,
    ) -> Vec<(Uuid, Reserve)> {
        let whole = governing
            .into_iter()
            .flat_map(|yes| reserves(yes, draw.total));
        let parts = paying.admitted.iter().flat_map(|yes| {
            let given = self.given_by(&draw.lots, yes.subscription);
            reserves(yes, given).filter(move |_| given.is_positive())
        });
        whole.chain(parts).collect()
    }

    /// How much of some allocations a subscription's lots give.
    pub(super) fn given_by(&self, parts: &[Allocation], subscription: SubscriptionId) -> Credits {
        let own = |grant: GrantId| {
            self.lots
                .iter()
                .any(|lot| lot.row.id == grant && lot.row.subscription_id == Some(subscription))
        };
        parts
            .iter()
            .filter(|part| own(part.grant))
            .try_fold(Credits::ZERO, |sum, part| sum.checked_add(part.amount))
            .unwrap_or(Credits::MAX)
    }

    /// The subscriptions whose lots back a hold: an over-run and an extension may draw on them too.
    pub(super) fn backing_plans(&self, open: &OpenHold) -> BTreeMap<SubscriptionId, Credits> {
        open.allocations
            .iter()
            .filter_map(|part| self.lots.iter().find(|lot| lot.row.id == part.grant))
            .filter_map(|lot| Some((lot.row.subscription_id?, Credits::MAX)))
            .collect()
    }

    fn open(
        &mut self,
        mut row: hold::Model,
        draw: Draw,
        reserves: Vec<(Uuid, Reserve)>,
    ) -> Result<(), HoldRefusal> {
        let id = row.id;
        row.debt_amount = draw.line;
        self.take(&draw)?;
        let mut windows = Vec::with_capacity(reserves.len());
        for reserve in reserves {
            windows.push(self.count(id, reserve)?);
        }
        self.count_running([row.member_id.uuid(), row.key_id.uuid()], 1);
        self.row.open_holds = self
            .row
            .open_holds
            .checked_add(1)
            .ok_or_else(|| broken("wallet.open_holds", self.row.id))?;
        self.changed = true;
        let open = OpenHold {
            row,
            allocations: draw.lots,
            windows,
            stored: false,
            changed: true,
        };
        self.holds.insert(id, open);
        Ok(())
    }

    /// Moves the drawn credits from free to held.
    pub(super) fn take(&mut self, draw: &Draw) -> Result<(), DbErr> {
        let mut held = self.row.held;
        for part in &draw.lots {
            self.lot_mut(part.grant)?
                .hold(part.amount)
                .ok_or_else(|| broken("grant.held", part.grant))?;
            held = held
                .checked_add(part.amount)
                .ok_or_else(|| broken("wallet.held", self.row.id))?;
        }
        let debt_held = self.row.debt_held.checked_add(draw.line);
        self.row.debt_held = debt_held.ok_or_else(|| broken("wallet.debt_held", self.row.id))?;
        self.row.held = held;
        self.changed = true;
        Ok(())
    }

    /// Adds to a window's counter, and answers what to remember on the hold.
    pub(super) fn count(
        &mut self,
        hold_id: entity::HoldId,
        (subject_id, reserve): (Uuid, Reserve),
    ) -> Result<hold_window::Model, DbErr> {
        let window = hold_window::Model {
            hold_id,
            rule_id: reserve.rule,
            subject_id,
            window_start: reserve.span.starts_at,
            reserved: reserve.units,
        };
        let key = (window.rule_id, window.subject_id, window.window_start);
        let counter = self.counters.entry(key).or_insert_with(|| Counter {
            row: quota_counter::Model {
                rule_id: window.rule_id,
                subject_id,
                window_start: window.window_start,
                tenant_id: self.row.tenant_id,
                window_end: reserve.span.ends_at,
                metric: reserve.metric,
                used: 0,
                reserved: 0,
            },
            changed: true,
        });
        let reserved = counter.row.reserved.checked_add(reserve.units);
        counter.row.reserved =
            reserved.ok_or_else(|| broken("quota_counter.reserved", window.rule_id))?;
        counter.changed = true;
        Ok(window)
    }

    fn open_row(&self, order: &HoldOrder) -> Result<hold::Model, HoldRefusal> {
        let in_range = !order.least.is_negative()
            && order.least <= order.amount
            && order.amount <= Credits::MAX
            && order
                .expected_output
                .is_none_or(|expected| expected <= MAX_TOKENS)
            && order.multiplier_ppm >= 0
            && order.input_tokens <= MAX_TOKENS
            && order.output_cap <= MAX_TOKENS;
        if !in_range {
            return Err(HoldRefusal::OutOfRange);
        }
        let tokens = |count: u64| i64::try_from(count).map_err(|_| HoldRefusal::OutOfRange);
        Ok(hold::Model {
            id: order.id,
            tenant_id: order.tenant,
            wallet_id: self.row.id,
            member_id: order.member,
            key_id: order.key,
            group_id: order.group,
            model_id: order.model,
            price_version_id: order.price_version,
            multiplier_ppm: order.multiplier_ppm,
            channel_id: order.channel,
            amount: order.amount,
            debt_amount: Credits::ZERO,
            input_tokens: tokens(order.input_tokens)?,
            output_cap: tokens(order.output_cap)?,
            expected_output: order.expected_output.map(tokens).transpose()?,
            protocol: order.protocol,
            client_kind: order.client_kind.clone(),
            streamed: order.streamed,
            dispatched_at: None,
            checkpoint_charge: Credits::ZERO,
            checkpoint_output: 0,
            checkpoint_at: None,
            created_at: order.now,
            expires_at: order.now.plus(order.ttl),
        })
    }
}

/// What a call that holds `held` of a plan's leave takes of its windows.
fn reserves(yes: &Admitted, held: Credits) -> impl Iterator<Item = (Uuid, Reserve)> + '_ {
    yes.admission.reserves.iter().map(move |reserve| {
        let units = match reserve.metric {
            Metric::Credits => held.nanos(),
            Metric::Requests => reserve.units,
        };
        (
            yes.subscription.uuid(),
            Reserve {
                units,
                ..reserve.clone()
            },
        )
    })
}
