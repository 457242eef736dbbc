//! Reserving credits: for the whole call or not at all, and more of them while it runs.

use super::{
    Allocation, Caller, ExtendRefusal, HoldOrder, HoldRefusal, Lot, Offer, OpenHold, Wallet,
    wallet::{Counter, broken},
};
use crate::{
    plan::{Admission, Counted, Request, Reserve, Ruling, Span, Standing, Usage},
    rating::MAX_TOKENS,
};
use entity::{
    Credits, GrantId, RuleId, SubscriptionId, Timestamp, hold, hold_window, key,
    quota_counter::{self, Metric},
    wallet,
};
use sea_orm::DbErr;
use std::collections::{BTreeMap, BTreeSet};

/// What backs a hold: parts of lots in the order of drawing, then the credit line.
struct Draw {
    lots: Vec<Allocation>,
    line: Credits,
}

/// Which credits may back a call.
struct Purse<'a> {
    model: &'a str,
    now: Timestamp,
    /// Subscriptions whose lots may be drawn.
    plans: BTreeSet<SubscriptionId>,
    /// Whether lots of no subscription, and the credit line, may.
    own: bool,
}

impl Purse<'_> {
    fn opens(&self, lot: &Lot) -> bool {
        let allowed = match lot.row.subscription_id {
            Some(subscription) => self.plans.contains(&subscription),
            None => self.own,
        };
        allowed && lot.is_eligible(self.model, self.now)
    }
}

impl Wallet {
    /// Holds the order's whole amount, or refuses and changes nothing. Asked again with the same order, it
    /// answers as it did.
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
            let same = open.row.tenant_id == order.tenant && open.row.amount == order.amount;
            return if same {
                Ok(order.amount)
            } else {
                Err(HoldRefusal::IdInUse)
            };
        }
        if self.ended.contains_key(&order.id) {
            return Err(HoldRefusal::IdInUse);
        }
        let row = self.open_row(order)?;
        caller.admit(order)?;
        offer.admit()?;
        self.admit()?;
        let governing = self.ruling(order, caller, offer, false);
        if let Some(refused) = governing.cause() {
            return Err(refused.into());
        }
        let paying = match caller.pay_order {
            key::PayOrder::WalletOnly => Ruling::default(),
            key::PayOrder::PlanOnly | key::PayOrder::PlanThenWallet => {
                self.ruling(order, caller, offer, true)
            }
        };
        let purse = Purse {
            model: &offer.name,
            now: order.now,
            plans: paying.admitted.iter().map(|yes| yes.subscription).collect(),
            own: caller.pay_order != key::PayOrder::PlanOnly,
        };
        let draw = self
            .draw(order.amount, &purse)
            .map_err(|available| self.shortage(order.amount, available, &paying))?;
        let windows = self.windows_of(&draw, &governing, &paying);
        self.open(row, draw, windows)?;
        Ok(order.amount)
    }

    /// Adds credits to an open hold and keeps it alive until `expires_at`; refuses and changes nothing where
    /// they are not there.
    ///
    /// # Errors
    /// [`ExtendRefusal`]; `Store` as with [`Wallet::hold`].
    pub fn extend(
        &mut self,
        id: entity::HoldId,
        extra: Credits,
        model: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), ExtendRefusal> {
        if !extra.is_positive() || extra > Credits::MAX {
            return Err(ExtendRefusal::OutOfRange);
        }
        let open = self.holds.get(&id).ok_or(ExtendRefusal::Ended)?;
        if self.row.status != wallet::Status::Active {
            return Err(ExtendRefusal::WalletFrozen);
        }
        let amount = open
            .row
            .amount
            .checked_add(extra)
            .ok_or(ExtendRefusal::OutOfRange)?;
        let purse = Purse {
            model,
            now,
            plans: self.backing_plans(open),
            own: true,
        };
        let draw =
            self.draw(extra, &purse)
                .map_err(|available| ExtendRefusal::InsufficientCredits {
                    needed: extra,
                    available,
                })?;
        let mut windows = open.windows.clone();
        self.grow_windows(&mut windows, &draw, extra)?;
        self.take(&draw)?;
        let open = self
            .holds
            .get_mut(&id)
            .ok_or_else(|| broken("hold.id", id))?;
        let line = open.row.debt_amount.checked_add(draw.line);
        open.row.debt_amount = line.ok_or_else(|| broken("hold.debt_amount", id))?;
        open.row.amount = amount;
        open.row.expires_at = open.row.expires_at.max(expires_at);
        open.allocations.extend(draw.lots);
        open.windows = windows;
        open.changed = true;
        Ok(())
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

    /// What the tenant's plans of one kind say: those that pay, or those that govern without paying.
    fn ruling(&self, order: &HoldOrder, caller: &Caller, offer: &Offer, pays: bool) -> Ruling {
        let request = Request {
            model: &offer.name,
            group: order.group,
            amount: order.amount,
        };
        let standings: Vec<Standing> = self
            .plans
            .iter()
            .filter(|plan| plan.pays == pays)
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
        let latest = |rule: RuleId| {
            let from = (rule, plan.id.uuid(), Timestamp::from_micros(i64::MIN));
            let to = (rule, plan.id.uuid(), now);
            self.counters.range(from..=to).next_back()
        };
        plan.rules
            .quotas()
            .iter()
            .filter_map(|quota| {
                let (_, counter) = latest(quota.rule)?;
                let counted = Counted {
                    span: Span {
                        starts_at: counter.row.window_start,
                        ends_at: counter.row.window_end,
                    },
                    used: counter.row.used,
                    reserved: counter.row.reserved,
                };
                Some((quota.rule, counted))
            })
            .collect()
    }

    /// Draws eligible lots in their order, then the credit line; all of it, or how much there is.
    fn draw(&self, amount: Credits, purse: &Purse<'_>) -> Result<Draw, Credits> {
        let mut lots = Vec::new();
        let mut left = amount;
        for lot in self.lots.iter().filter(|lot| purse.opens(lot)) {
            if left.is_zero() {
                break;
            }
            let part = lot.free().min(left);
            lots.push(Allocation {
                grant: lot.row.id,
                amount: part,
            });
            left = left.checked_sub(part).unwrap_or(Credits::ZERO);
        }
        let room = if purse.own {
            self.line_room()
        } else {
            Credits::ZERO
        };
        if left > room {
            let found = amount
                .checked_sub(left)
                .and_then(|lots| lots.checked_add(room));
            return Err(found.unwrap_or(Credits::ZERO));
        }
        Ok(Draw { lots, line: left })
    }

    fn line_room(&self) -> Credits {
        self.row
            .credit_line
            .checked_sub(self.row.debt)
            .and_then(|room| room.checked_sub(self.row.debt_held))
            .unwrap_or(Credits::ZERO)
            .max(Credits::ZERO)
    }

    /// Why the credits do not suffice: a plan's no where its allowance would have paid or there is nothing
    /// else, otherwise the shortage itself.
    fn shortage(&self, needed: Credits, available: Credits, paying: &Ruling) -> HoldRefusal {
        match paying.cause() {
            Some(refused) if self.has_allowance(needed, available) => refused.into(),
            _ => HoldRefusal::InsufficientCredits { needed, available },
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
        governing: &Ruling,
        paying: &Ruling,
    ) -> Vec<(SubscriptionId, Reserve)> {
        let whole = governing
            .admitted
            .first()
            .into_iter()
            .flat_map(|yes| reserves(yes.subscription, &yes.admission));
        let parts = paying.admitted.iter().flat_map(|yes| {
            let given = self.given_by(&draw.lots, yes.subscription);
            reserves(yes.subscription, &yes.admission)
                .filter(move |_| given.is_positive())
                .map(move |(subscription, reserve)| {
                    let units = match reserve.metric {
                        Metric::Credits => given.nanos(),
                        Metric::Requests => reserve.units,
                    };
                    (subscription, Reserve { units, ..reserve })
                })
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
    pub(super) fn backing_plans(&self, open: &OpenHold) -> BTreeSet<SubscriptionId> {
        open.allocations
            .iter()
            .filter_map(|part| self.lots.iter().find(|lot| lot.row.id == part.grant))
            .filter_map(|lot| lot.row.subscription_id)
            .collect()
    }

    fn open(
        &mut self,
        mut row: hold::Model,
        draw: Draw,
        reserves: Vec<(SubscriptionId, Reserve)>,
    ) -> Result<(), HoldRefusal> {
        let id = row.id;
        row.debt_amount = draw.line;
        self.take(&draw)?;
        let mut windows = Vec::with_capacity(reserves.len());
        for (subscription, reserve) in reserves {
            let window = hold_window::Model {
                hold_id: id,
                rule_id: reserve.rule,
                subject_id: subscription.uuid(),
                window_start: reserve.span.starts_at,
                reserved: reserve.units,
            };
            self.count(&window, &reserve)?;
            windows.push(window);
        }
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
    fn take(&mut self, draw: &Draw) -> Result<(), DbErr> {
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

    fn count(&mut self, window: &hold_window::Model, reserve: &Reserve) -> Result<(), DbErr> {
        let key = (window.rule_id, window.subject_id, window.window_start);
        let counter = self.counters.entry(key).or_insert_with(|| Counter {
            row: quota_counter::Model {
                rule_id: window.rule_id,
                subject_id: window.subject_id,
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
        Ok(())
    }

    /// Adds an extension to the windows that count credits, where they have room.
    fn grow_windows(
        &mut self,
        windows: &mut [hold_window::Model],
        draw: &Draw,
        extra: Credits,
    ) -> Result<(), ExtendRefusal> {
        let mut grown = Vec::with_capacity(windows.len());
        for (place, window) in windows.iter().enumerate() {
            let subscription = SubscriptionId::from_uuid(window.subject_id);
            let plan = self.plans.iter().find(|plan| plan.id == subscription);
            let units = match plan {
                Some(plan) if plan.pays => self.given_by(&draw.lots, subscription),
                Some(_) | None => extra,
            };
            let key = (window.rule_id, window.subject_id, window.window_start);
            let Some(counter) = self.counters.get(&key) else {
                return Err(broken("quota_counter.rule_id", window.rule_id).into());
            };
            if counter.row.metric != Metric::Credits {
                continue;
            }
            let reserved = counter.row.reserved.checked_add(units.nanos());
            let reserved =
                reserved.ok_or_else(|| broken("quota_counter.reserved", window.rule_id))?;
            let limit = plan.and_then(|plan| {
                let quotas = plan.rules.quotas().iter();
                let mut own = quotas.filter(|quota| quota.rule == window.rule_id);
                own.next().map(|quota| quota.limit.units())
            });
            let total = reserved.saturating_add(counter.row.used);
            if limit.is_some_and(|limit| total > limit) {
                return Err(ExtendRefusal::QuotaExhausted {
                    resets_at: counter.row.window_end,
                });
            }
            grown.push((place, key, reserved, units.nanos()));
        }
        for (place, key, reserved, units) in grown {
            if let (Some(window), Some(counter)) =
                (windows.get_mut(place), self.counters.get_mut(&key))
            {
                window.reserved = window.reserved.saturating_add(units);
                counter.row.reserved = reserved;
                counter.changed = true;
            }
        }
        Ok(())
    }

    fn open_row(&self, order: &HoldOrder) -> Result<hold::Model, HoldRefusal> {
        let in_range = !order.amount.is_negative()
            && order.amount <= Credits::MAX
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
            expected_output: None,
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

    /// Spends eligible credits that no hold reserves, for an over-run; answers what it spent of which lot.
    pub(super) fn spend_free(
        &mut self,
        amount: Credits,
        model: &str,
        now: Timestamp,
        plans: BTreeSet<SubscriptionId>,
    ) -> Result<Vec<Allocation>, DbErr> {
        let purse = Purse {
            model,
            now,
            plans,
            own: true,
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
            });
        }
        Ok(parts)
    }
}

fn reserves(
    subscription: SubscriptionId,
    admission: &Admission,
) -> impl Iterator<Item = (SubscriptionId, Reserve)> + '_ {
    admission
        .reserves
        .iter()
        .map(move |reserve| (subscription, reserve.clone()))
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
