//! The model of what is given beside credits themselves: subscriptions and codes.

use crate::model::{Lot, Moment, Purse, State};

pub const DAY: Moment = 24 * 3_600_000_000;
/// What every tenant begins with.
pub const FIRST: i64 = 120;
/// What a day of the plan brings.
pub const ALLOWANCE: i64 = 60;
/// Uses of each code, and what it gives: credits for ever, credits for a day, or a day of the plan.
pub const USES: [usize; 4] = [2, 1, 2, 2];
pub const GIVES: [Gives; 4] = [Gives::Credits, Gives::Promotion, Gives::Plan, Gives::Plan];
pub const GIVEN: i64 = 45;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    Credits,
    Promotion,
    Plan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Active,
    Canceling,
    Ended,
}

/// A plan that a tenant has or had; its place in the list is its name.
#[derive(Clone, Debug)]
pub struct Subscription {
    pub by_code: bool,
    pub status: Status,
    pub anchor: Moment,
    pub start: Moment,
    pub end: Moment,
    pub renews: bool,
    pub over: Option<Moment>,
}

/// What a tenant has beside credits.
#[derive(Clone, Debug, Default)]
pub struct Desk {
    pub subscriptions: Vec<Subscription>,
    pub redeemed: Vec<usize>,
}

pub fn lot(amount: i64, priority: i64, from: Moment, until: Option<Moment>) -> Lot {
    Lot {
        amount,
        remaining: amount,
        held: 0,
        priority,
        from,
        until,
        scope: Vec::new(),
        bought: false,
        plan: None,
        state: State::Active,
    }
}

impl Desk {
    /// The plans that may pay now.
    pub fn running(&self, now: Moment) -> Vec<u128> {
        (0_u128..)
            .zip(&self.subscriptions)
            .filter(|(_, one)| one.status != Status::Ended && one.start <= now && now < one.end)
            .map(|(place, _)| place)
            .collect()
    }

    /// The plans whose period is over and which were neither renewed nor ended yet.
    pub fn turning(&self, now: Moment) -> Vec<u128> {
        (0_u128..)
            .zip(&self.subscriptions)
            .filter(|(_, one)| one.status != Status::Ended && one.end <= now)
            .map(|(place, _)| place)
            .collect()
    }

    /// Gives the plan, or makes the one from the same source last longer; `true` for the former.
    pub fn subscribe(
        &mut self,
        purse: &mut Purse,
        by_code: bool,
        periods: Option<u32>,
        now: Moment,
    ) -> bool {
        let longer = |one: &&mut Subscription| {
            one.by_code == by_code
                && one.status == Status::Active
                && one.over.is_some_and(|over| over > now)
        };
        if let Some(periods) = periods
            && let Some(running) = self.subscriptions.iter_mut().find(longer)
        {
            let over = running.over.expect("it was looked for");
            let elapsed = (over - running.anchor).div_euclid(DAY);
            running.over = Some(running.anchor + (elapsed + i64::from(periods)) * DAY);
            running.renews = true;
            return false;
        }
        let place = self.subscriptions.len() as u128;
        self.subscriptions.push(Subscription {
            by_code,
            status: Status::Active,
            anchor: now,
            start: now,
            end: now + DAY,
            renews: periods != Some(1),
            over: periods.map(|periods| now + i64::from(periods) * DAY),
        });
        purse.grant(allowance(place, now, now + DAY));
        true
    }

    /// Moves what is due into its next period, or ends it; answers how many of each. The one whose period ended first
    /// comes first.
    pub fn renew(&mut self, purse: &mut Purse, now: Moment) -> (u32, u32) {
        let mut due: Vec<usize> = (0..self.subscriptions.len())
            .filter(|place| {
                let one = &self.subscriptions[*place];
                one.status != Status::Ended && one.end <= now
            })
            .collect();
        due.sort_by_key(|place| self.subscriptions[*place].end);
        let (mut renewed, mut ended) = (0, 0);
        for place in due {
            let one = &mut self.subscriptions[place];
            let over = one.over.is_some_and(|over| over <= one.end || over <= now);
            if one.status != Status::Active || !one.renews || over {
                one.status = Status::Ended;
                ended += 1;
                continue;
            }
            let start = one.anchor + (now - one.anchor).div_euclid(DAY) * DAY;
            (one.start, one.end) = (start.max(one.end), start + DAY);
            purse.grant(allowance(place as u128, one.start, one.end));
            renewed += 1;
        }
        (renewed, ended)
    }

    pub fn cancel(&mut self, place: usize) -> bool {
        let one = &mut self.subscriptions[place];
        let active = one.status == Status::Active;
        if active {
            one.status = Status::Canceling;
        }
        active
    }

    pub fn end_now(&mut self, purse: &mut Purse, place: usize) -> bool {
        let one = &mut self.subscriptions[place];
        if one.status == Status::Ended {
            return false;
        }
        one.status = Status::Ended;
        // What is left leaves the books, but for what calls hold, and its lots are shut.
        let own = |lot: &&mut Lot| {
            lot.plan == Some(place as u128) && lot.state == State::Active && lot.remaining > 0
        };
        for lot in purse.lots.iter_mut().filter(own) {
            purse.lapsed += lot.remaining - lot.held;
            lot.remaining = lot.held;
            lot.state = State::Expired;
        }
        true
    }
}

fn allowance(plan: u128, from: Moment, until: Moment) -> Lot {
    Lot {
        plan: Some(plan),
        ..lot(ALLOWANCE, 10, from, Some(until))
    }
}
