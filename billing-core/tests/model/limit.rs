//! Limits beside the credits themselves, and what their windows count.

use super::{Moment, No, Open, Outcome, Purse, Wish};

const HOUR: Moment = 3_600_000_000;

/// What a limit binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bind {
    /// What a key spends in two hours from its first use.
    KeySpend,
    /// What a tenant spends in a day.
    TenantSpend,
    /// How often a tenant calls in a day.
    TenantCalls,
    /// What a credit line gives in a month.
    Line,
}

/// A limit by name: what it binds, and the how manieth of its kind it is. One that was lifted and set anew counts anew.
pub type Rule = (Bind, u32);

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    pub rule: Rule,
    pub most: i64,
}

impl Cap {
    fn bind(self) -> Bind {
        self.rule.0
    }
}

/// What a window has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    pub end: Moment,
    pub used: i64,
    pub reserved: i64,
}

impl Bind {
    fn counts_credits(self) -> bool {
        self != Self::TenantCalls
    }

    /// The calendar window that a moment lies in; none where a first use starts it.
    fn calendar(self, now: Moment) -> Option<(Moment, Moment)> {
        let day = 24 * HOUR;
        match self {
            Self::KeySpend => None,
            Self::TenantSpend | Self::TenantCalls => {
                let start = now.div_euclid(day) * day;
                Some((start, start + day))
            }
            Self::Line => Some(month(now.div_euclid(day))),
        }
    }
}

/// The month that a day since 1970 lies in, in a calendar counted by hand.
fn month(day: i64) -> (Moment, Moment) {
    let long = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (mut year, mut start) = (1970, 0);
    loop {
        let lengths = [
            31,
            if long(year) { 29 } else { 28 },
            31,
            30,
            31,
            30,
            31,
            31,
            30,
            31,
            30,
            31,
        ];
        for days in lengths {
            if day < start + days {
                return (start * 24 * HOUR, (start + days) * 24 * HOUR);
            }
            start += days;
        }
        year += 1;
    }
}

impl Purse {
    /// The window that counts now, with what it has counted.
    fn window(&self, rule: Rule, now: Moment) -> (Moment, Counter) {
        let running = self.counters.iter().rfind(|((whose, start), counter)| {
            *whose == rule && *start <= now && now < counter.end
        });
        if let Some(((_, start), counter)) = running {
            return (*start, *counter);
        }
        let (start, end) = rule.0.calendar(now).unwrap_or((now, now + 2 * HOUR));
        let fresh = Counter {
            end,
            used: 0,
            reserved: 0,
        };
        (start, fresh)
    }

    fn left(&self, cap: Cap, now: Moment) -> i64 {
        let (_, counter) = self.window(cap.rule, now);
        (cap.most - counter.used - counter.reserved).max(0)
    }

    /// How far the windows let a call hold; the window that ends last names the refusal.
    pub(super) fn room(&self, wish: &Wish) -> Result<i64, No> {
        let mut room = i64::MAX;
        let mut worst: Option<(Moment, No)> = None;
        for cap in self.caps.iter().filter(|cap| cap.bind() != Bind::Line) {
            let left = self.left(*cap, wish.now);
            let needed = if cap.bind().counts_credits() {
                wish.least
            } else {
                1
            };
            if left < needed || (left == 0 && wish.amount > 0) {
                let (_, counter) = self.window(cap.rule, wish.now);
                let no = if cap.bind() == Bind::KeySpend {
                    No::Spent
                } else {
                    No::Quota
                };
                if worst.as_ref().is_none_or(|(end, _)| counter.end > *end) {
                    worst = Some((counter.end, no));
                }
            } else if cap.bind().counts_credits() {
                room = room.min(left);
            }
        }
        match worst {
            Some((_, no)) => Err(no),
            None => Ok(room),
        }
    }

    /// How far calls may go beyond the credits there are.
    pub(super) fn line_room(&self, now: Moment) -> i64 {
        let monthly = self.caps.iter().find(|cap| cap.bind() == Bind::Line);
        let monthly = monthly.map_or(i64::MAX, |cap| self.left(*cap, now));
        (self.line - self.debt - self.line_held())
            .max(0)
            .min(monthly)
    }

    /// How far a call may grow in all and on the line, and whether a window is what stops it.
    pub(super) fn room_to_grow(&self, open: &Open, least: i64) -> (i64, i64, bool) {
        let (mut all, mut line, mut binds) = (i64::MAX, i64::MAX, false);
        for (rule, start, _) in &open.windows {
            let cap = self.caps.iter().find(|cap| cap.rule == *rule);
            let Some(cap) = cap.filter(|cap| cap.bind().counts_credits()) else {
                continue;
            };
            let counter = self.counters[&(*rule, *start)];
            let left = (cap.most - counter.used - counter.reserved).max(0);
            let room = if cap.bind() == Bind::Line {
                &mut line
            } else {
                &mut all
            };
            *room = left.min(*room);
            binds |= left < least;
        }
        (all, line, binds)
    }

    fn count(&mut self, open: &mut Open, rule: Rule, units: i64, now: Moment) {
        let (start, counter) = self.window(rule, now);
        let counter = self.counters.entry((rule, start)).or_insert(counter);
        counter.reserved += units;
        open.windows.push((rule, start, units));
    }

    pub(super) fn count_new(&mut self, open: &mut Open, now: Moment) {
        for cap in self.caps.clone() {
            match cap.bind() {
                Bind::Line if open.line == 0 => {}
                Bind::Line => self.count(open, cap.rule, open.line, now),
                Bind::TenantCalls => self.count(open, cap.rule, 1, now),
                Bind::KeySpend | Bind::TenantSpend => {
                    self.count(open, cap.rule, open.amount, now);
                }
            }
        }
    }

    pub(super) fn count_more(&mut self, open: &mut Open, more: i64, line: i64, now: Moment) {
        for (rule, start, units) in &mut open.windows {
            let grown = match rule.0 {
                Bind::TenantCalls => 0,
                Bind::Line => line,
                Bind::KeySpend | Bind::TenantSpend => more,
            };
            *units += grown;
            if let Some(counter) = self.counters.get_mut(&(*rule, *start)) {
                counter.reserved += grown;
            }
        }
        let counted = open.windows.iter().any(|(rule, ..)| rule.0 == Bind::Line);
        let limit = self.caps.iter().find(|cap| cap.bind() == Bind::Line);
        if let Some(limit) = limit.copied().filter(|_| line > 0 && !counted) {
            self.count(open, limit.rule, line, now);
        }
    }

    pub(super) fn count_ended(&mut self, open: &Open, outcome: Outcome, charge: i64, owed: i64) {
        for (rule, start, units) in &open.windows {
            let counter = self
                .counters
                .get_mut(&(*rule, *start))
                .expect("it was counted");
            counter.reserved -= units;
            counter.used += match rule.0 {
                Bind::TenantCalls => i64::from(outcome == Outcome::Settled || charge > 0),
                Bind::Line => owed,
                Bind::KeySpend | Bind::TenantSpend => charge,
            };
        }
    }
}
