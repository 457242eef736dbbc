//! What a wallet must do, said a second time and in the plainest way: lots in a list, sums by hand, nothing cached.
//! Written from ARCHITECTURE.md and not from the code it judges; whoever tests compares the two.

mod draw;
mod limit;
mod said;
mod view;

pub use limit::{Bind, Cap, Counter, Rule};
pub use said::{said_of_end, said_of_extend, said_of_hold, seen};
pub use view::{Rows, View, outcome, view};

use std::collections::BTreeMap;

/// A moment, in microseconds.
pub type Moment = i64;
/// A call.
pub type Call = u128;

/// The most a balance may be.
pub const MOST: i64 = 4_000_000_000_000_000_000;
/// The most one call may cost.
pub const MOST_CHARGE: i64 = 1_000_000_000_000_000;

/// A lot's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Active,
    Frozen,
    Exhausted,
    Expired,
}

/// A lot of credits. Its place in the list is its age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    pub amount: i64,
    pub remaining: i64,
    pub held: i64,
    pub priority: i64,
    pub from: Moment,
    pub until: Option<Moment>,
    /// Beginnings of model names; none is all models.
    pub scope: Vec<String>,
    pub bought: bool,
    pub plan: Option<u128>,
    pub state: State,
}

/// A running call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub amount: i64,
    pub parts: Vec<(usize, i64)>,
    pub line: i64,
    pub model: String,
    pub until: Moment,
    pub left: bool,
    pub noted: i64,
    /// What it reserves: in which cap's window that began when, how much.
    pub windows: Vec<(Rule, Moment, i64)>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Settled,
    Voided,
    Expired,
}

/// A call that ended; `None` stands for debt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub outcome: Outcome,
    pub charge: i64,
    pub parts: Vec<(Option<usize>, i64)>,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum No {
    OutOfRange,
    IdInUse,
    Banned,
    Blocked,
    Frozen,
    InDebt(i64),
    TooMany,
    Spent,
    Quota,
    /// What was needed, what there was.
    Short(i64, i64),
    Ended,
    Unknown,
}

/// One tenant's wallet with what binds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purse {
    pub lots: Vec<Lot>,
    pub open: BTreeMap<Call, Open>,
    pub ended: BTreeMap<Call, Ended>,
    pub debt: i64,
    pub line: i64,
    pub most_open: Option<i64>,
    pub frozen: bool,
    pub banned: bool,
    pub blocked: bool,
    pub caps: Vec<Cap>,
    pub counters: BTreeMap<(Rule, Moment), Counter>,
    /// Plans the tenant has now.
    pub plans: Vec<u128>,
    /// Credits that came in, and that left otherwise than by calls.
    pub issued: i64,
    pub lapsed: i64,
    pub debited: i64,
}

/// A call that asks.
#[derive(Clone, Debug)]
pub struct Wish {
    pub id: Call,
    pub amount: i64,
    pub least: i64,
    pub model: String,
    pub now: Moment,
    pub until: Moment,
}

impl Purse {
    pub fn posted(&self) -> i64 {
        self.lots.iter().map(|lot| lot.remaining).sum()
    }

    pub fn held(&self) -> i64 {
        self.lots.iter().map(|lot| lot.held).sum()
    }

    pub fn line_held(&self) -> i64 {
        self.open.values().map(|open| open.line).sum()
    }

    pub fn charged(&self) -> i64 {
        self.ended.values().map(|call| call.charge).sum()
    }

    /// What came in is what is there, less what is owed, and what went.
    pub fn conserves(&self) -> bool {
        self.issued == self.posted() - self.debt + self.charged() + self.lapsed + self.debited
    }

    /// Credits come in; a debt is repaid first.
    pub fn grant(&mut self, mut lot: Lot) {
        let repaid = self.debt.min(lot.amount);
        self.issued += lot.amount;
        self.debt -= repaid;
        lot.remaining = lot.amount - repaid;
        if lot.remaining == 0 {
            lot.state = State::Exhausted;
        }
        self.lots.push(lot);
    }

    /// Takes what no call holds; all of it or nothing.
    pub fn debit(&mut self, amount: i64, now: Moment) -> Result<(), No> {
        if !(1..=MOST).contains(&amount) {
            return Err(No::OutOfRange);
        }
        let takes = |lot: &Lot| lot.state == State::Active && lot.until.is_none_or(|end| now < end);
        let (parts, short) = draw::from(&self.lots, amount, takes);
        if short > 0 {
            return Err(No::Short(amount, amount - short));
        }
        for (lot, part) in parts {
            self.spend(lot, part);
        }
        self.debited += amount;
        Ok(())
    }

    /// What lapsed by now leaves the books, but for what calls hold, and for lots of plans whose period is being turned
    /// over. Answers how much.
    pub fn lapse(&mut self, now: Moment, turning: &[u128]) -> i64 {
        let mut gone = 0;
        for lot in &mut self.lots {
            let waits = lot.plan.is_some_and(|plan| turning.contains(&plan));
            let due = !waits && lot.until.is_some_and(|end| end <= now);
            let alive = matches!(lot.state, State::Active | State::Expired);
            if due && alive && lot.remaining > lot.held {
                gone += lot.remaining - lot.held;
                lot.remaining = lot.held;
                lot.state = State::Expired;
            }
        }
        self.lapsed += gone;
        gone
    }

    pub fn hold(&mut self, wish: &Wish) -> Result<i64, No> {
        if let Some(open) = self.open.get(&wish.id) {
            let same = wish.least <= open.amount && open.amount <= wish.amount;
            return if same {
                Ok(open.amount)
            } else {
                Err(No::IdInUse)
            };
        }
        if self.ended.contains_key(&wish.id) {
            return Err(No::IdInUse);
        }
        if wish.least < 0 || wish.least > wish.amount || wish.amount > MOST {
            return Err(No::OutOfRange);
        }
        self.admit(wish)?;
        let most = self.room(wish)?.min(wish.amount);
        let plans = self.plans.clone();
        let takes = |lot: &Lot| {
            lot.may_pay(&wish.model, wish.now) && lot.plan.is_none_or(|plan| plans.contains(&plan))
        };
        let (parts, short) = draw::from(&self.lots, most, takes);
        let line = short.min(self.line_room(wish.now));
        let amount = most - short + line;
        if amount < wish.least {
            return Err(No::Short(wish.least, amount));
        }
        let mut open = Open {
            amount,
            parts: Vec::new(),
            line,
            model: wish.model.clone(),
            until: wish.until,
            left: false,
            noted: 0,
            windows: Vec::new(),
        };
        self.reserve(&mut open, parts);
        self.count_new(&mut open, wish.now);
        self.open.insert(wish.id, open);
        Ok(amount)
    }

    fn admit(&self, wish: &Wish) -> Result<(), No> {
        if self.banned {
            return Err(No::Banned);
        }
        if self.blocked && wish.model == "gpt-5" {
            return Err(No::Blocked);
        }
        if self.frozen {
            return Err(No::Frozen);
        }
        if self.debt > self.line {
            return Err(No::InDebt(self.debt));
        }
        let running = i64::try_from(self.open.len()).expect("few calls");
        match self.most_open {
            Some(most) if running >= most => Err(No::TooMany),
            _ => Ok(()),
        }
    }

    pub fn extend(
        &mut self,
        id: Call,
        (extra, least): (i64, i64),
        (now, until): (Moment, Moment),
    ) -> Result<i64, No> {
        let mut open = self.open.get(&id).cloned().ok_or(No::Ended)?;
        if least <= 0 || least > extra || extra > MOST {
            return Err(No::OutOfRange);
        }
        if self.frozen {
            return Err(No::Frozen);
        }
        let (most, line_most, binds) = self.room_to_grow(&open, least);
        let wanted = extra.min(most);
        let takes = self.backs(&open, now);
        let (parts, short) = draw::from(&self.lots, wanted, takes);
        let line = short.min(self.line_room(now).min(line_most));
        let more = wanted - short + line;
        if more < least {
            return Err(if binds {
                No::Quota
            } else {
                No::Short(least, more)
            });
        }
        self.reserve(&mut open, parts);
        self.count_more(&mut open, more, line, now);
        open.line += line;
        open.amount += more;
        open.until = open.until.max(until);
        self.open.insert(id, open);
        Ok(more)
    }

    pub fn note(&mut self, id: Call, charge: i64, until: Moment) {
        if let Some(open) = self.open.get_mut(&id) {
            open.left = true;
            open.noted = open.noted.max(charge);
            open.until = open.until.max(until);
        }
    }

    pub fn settle(&mut self, id: Call, charge: i64, at: Moment) -> Result<Ended, No> {
        if let Some(ended) = self.ended.get(&id) {
            return Ok(ended.clone());
        }
        if !(0..=MOST_CHARGE).contains(&charge) {
            return Err(No::OutOfRange);
        }
        self.end(id, Outcome::Settled, charge, at)
    }

    pub fn void(&mut self, id: Call, at: Moment) -> Result<Ended, No> {
        match self.ended.get(&id) {
            Some(ended) => Ok(ended.clone()),
            None => self.end(id, Outcome::Voided, 0, at),
        }
    }

    /// `None` while it has time left.
    pub fn expire(&mut self, id: Call, at: Moment) -> Result<Option<Ended>, No> {
        if let Some(ended) = self.ended.get(&id) {
            return Ok(Some(ended.clone()));
        }
        let open = self.open.get(&id).ok_or(No::Unknown)?;
        if open.until > at {
            return Ok(None);
        }
        let charge = if open.left { open.noted } else { 0 };
        self.end(id, Outcome::Expired, charge, at).map(Some)
    }

    fn end(&mut self, id: Call, outcome: Outcome, charge: i64, at: Moment) -> Result<Ended, No> {
        let open = self.open.remove(&id).ok_or(No::Unknown)?;
        for (lot, part) in &open.parts {
            self.lots[*lot].held -= part;
        }
        let mut left = charge;
        let mut parts = Vec::new();
        for (lot, part) in &open.parts {
            let spent = left.min(*part);
            left -= spent;
            if spent > 0 {
                self.spend(*lot, spent);
                parts.push((Some(*lot), spent));
            }
        }
        let takes = self.backs(&open, at);
        let (beyond, owed) = draw::from(&self.lots, left, takes);
        for (lot, part) in beyond {
            self.spend(lot, part);
            parts.push((Some(lot), part));
        }
        self.debt += owed;
        if owed > 0 {
            parts.push((None, owed));
        }
        self.count_ended(&open, outcome, charge, owed);
        let ended = Ended {
            outcome,
            charge,
            parts,
        };
        self.ended.insert(id, ended.clone());
        Ok(ended)
    }

    /// The lots that may pay for a running call beyond what it holds: its own plans' and those of no plan.
    fn backs(&self, open: &Open, at: Moment) -> impl Fn(&Lot) -> bool + use<> {
        let plans: Vec<u128> = open
            .parts
            .iter()
            .filter_map(|(lot, _)| self.lots[*lot].plan)
            .collect();
        let model = open.model.clone();
        move |lot| lot.may_pay(&model, at) && lot.plan.is_none_or(|plan| plans.contains(&plan))
    }

    fn reserve(&mut self, open: &mut Open, parts: Vec<(usize, i64)>) {
        for (lot, part) in parts {
            self.lots[lot].held += part;
            open.parts.push((lot, part));
        }
    }

    fn spend(&mut self, lot: usize, part: i64) {
        let lot = &mut self.lots[lot];
        lot.remaining -= part;
        if lot.remaining == 0 && lot.state == State::Active {
            lot.state = State::Exhausted;
        }
    }
}

impl Lot {
    fn may_pay(&self, model: &str, at: Moment) -> bool {
        let fits = |start: &String| match start.strip_suffix('*') {
            Some(start) => model.starts_with(start),
            None => model == start,
        };
        self.state == State::Active
            && self.from <= at
            && self.until.is_none_or(|end| at < end)
            && (self.scope.is_empty() || self.scope.iter().any(fits))
    }
}
