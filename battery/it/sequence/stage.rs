//! The databases side by side, and the model beside them.

use super::{
    dump::numbered,
    office::{self, DAY, Desk, GIVEN, GIVES, Gives, USES},
    script::{MODELS, NewLot, Step, TENANTS},
    side::{Reply, Side},
};
use crate::{
    chance::{Chance, Marks},
    model::{Bind, Cap, Lot, Moment, No, Outcome, Purse, View, Wish, seen},
    support::{books::START, database::server_url},
};
use entity::{HoldId, grant::Source};
use std::time::Duration;

const MINUTE: Moment = 60_000_000;
const TTL: Moment = 2 * MINUTE;

/// A call as the script knows it.
struct Call {
    wish: Wish,
    who: usize,
    /// Whether its guard is still in hand.
    guarded: bool,
    noted: Option<i64>,
}

pub struct Stage {
    chance: Chance,
    sides: Vec<Side>,
    now: Moment,
    purses: Vec<Purse>,
    desks: Vec<Desk>,
    calls: Vec<Call>,
}

impl Stage {
    pub fn where_it_runs() -> &'static str {
        match server_url() {
            Some(_) => "SQLite and PostgreSQL",
            None => "SQLite",
        }
    }

    pub async fn open(seed: u64, both: bool) -> Self {
        let mut sides = vec![Side::open(None).await];
        if let Some(server) = server_url().filter(|_| both) {
            sides.push(Side::open(Some(&server)).await);
        }
        let first = office::lot(office::FIRST, 50, START.micros(), None);
        let mut purses = vec![Purse::default(); TENANTS];
        for purse in &mut purses {
            purse.grant(first.clone());
        }
        Self {
            chance: Chance::of(seed),
            sides,
            now: START.micros(),
            purses,
            desks: vec![Desk::default(); TENANTS],
            calls: Vec::new(),
        }
    }

    /// One step on every side.
    pub async fn step(&mut self, marks: &mut Marks) {
        let Some(step) = self.next() else {
            return;
        };
        self.now += 1;
        let id = HoldId::fresh();
        let (expected, idle) = self.expect(&step, id, marks);
        for side in &mut self.sides {
            side.books.clock.advance(Duration::from_micros(1));
            let reply = side.perform(&step, id).await;
            assert_eq!(reply, expected, "{step:?}");
            for (who, purse) in self.purses.iter().enumerate() {
                let dump = side.dump(who).await;
                if idle && !side.seen[who].is_empty() {
                    assert_eq!(dump.text, side.seen[who], "{step:?} changes nothing");
                }
                side.seen[who].clone_from(&dump.text);
                assert_eq!(dump.view(), View::from(purse), "{step:?}");
                assert!(purse.conserves(), "{step:?}");
            }
        }
        // Rows that are the same on the other side are as clean there, and it is audited at the end.
        self.sides[0].audit(&step).await;
        if let Step::Wait { minutes } = step {
            self.now += i64::try_from(minutes).expect("not long") * MINUTE;
        }
        if let [one, other] = self.sides.as_slice() {
            for (a, b) in one.seen.iter().zip(&other.seen) {
                assert_eq!(
                    numbered(a),
                    numbered(b),
                    "the same rows in both after {step:?}"
                );
            }
        }
    }

    pub async fn finish(self) {
        for side in self.sides {
            side.books.close().await;
        }
    }

    /// A step that can be taken: the call it speaks of has its guard, the subscription is there.
    fn next(&mut self) -> Option<Step> {
        let step = Step::by(&mut self.chance);
        let guarded: Vec<usize> = (0..self.calls.len())
            .filter(|place| self.calls[*place].guarded)
            .collect();
        let held: Vec<usize> = (0..self.calls.len())
            .filter(|place| {
                let id = self.calls[*place].wish.id;
                let purse = &self.purses[self.calls[*place].who];
                purse.open.contains_key(&id) || purse.ended.contains_key(&id)
            })
            .collect();
        let one = |of: &[usize], call: usize| of.get(call % of.len().max(1)).copied();
        Some(match step {
            Step::HoldAgain { call } => Step::HoldAgain {
                call: one(&held, call)?,
            },
            Step::EndAgain { call } => Step::EndAgain {
                call: one(&held, call)?,
            },
            Step::Settle { call, charge } => Step::Settle {
                call: one(&guarded, call)?,
                charge,
            },
            Step::Void { call } => Step::Void {
                call: one(&guarded, call)?,
            },
            Step::Extend { call, extra, least } => Step::Extend {
                call: one(&guarded, call)?,
                extra,
                least,
            },
            Step::Checkpoint { call, charge } => Step::Checkpoint {
                call: one(&guarded, call)?,
                charge,
            },
            Step::Drop { call } => Step::Drop {
                call: one(&guarded, call)?,
            },
            Step::Lose { call } => Step::Lose {
                call: one(&guarded, call)?,
            },
            Step::Cancel { who, subscription } => {
                let count = self.desks[who].subscriptions.len();
                Step::Cancel {
                    who,
                    subscription: subscription.checked_rem(count)?,
                }
            }
            Step::EndNow { who, subscription } => {
                let count = self.desks[who].subscriptions.len();
                Step::EndNow {
                    who,
                    subscription: subscription.checked_rem(count)?,
                }
            }
            other => other,
        })
    }

    /// What the model says to a step, and whether it changes nothing.
    fn expect(&mut self, step: &Step, id: HoldId, marks: &mut Marks) -> (Reply, bool) {
        for (purse, desk) in self.purses.iter_mut().zip(&self.desks) {
            purse.plans = desk.running(self.now);
        }
        match step {
            Step::Hold {
                who,
                model,
                amount,
                least,
            } => {
                let wish = Wish {
                    id: id.uuid().as_u128(),
                    amount: *amount,
                    least: *least,
                    model: MODELS[*model].to_owned(),
                    now: self.now,
                    until: self.now + TTL,
                };
                self.expect_hold(*who, wish, marks)
            }
            Step::HoldAgain { call } => {
                let Call { wish, who, .. } = &self.calls[*call];
                marks.hit("hold: asked again");
                (Reply::Held(self.purses[*who].hold(wish)), true)
            }
            Step::Settle { .. } | Step::Void { .. } | Step::EndAgain { .. } | Step::Drop { .. } => {
                self.expect_end(step, marks)
            }
            Step::Extend { call, extra, least } => {
                let Call { wish, who, .. } = &self.calls[*call];
                let times = (self.now, self.now + TTL);
                let extended = self.purses[*who].extend(wish.id, (*extra, *least), times);
                if extended.is_ok() {
                    marks.hit("hold: extended");
                }
                let idle = extended.is_err();
                (Reply::Extended(extended), idle)
            }
            Step::Checkpoint { call, charge } => {
                let call = &mut self.calls[*call];
                let noted = call.noted.unwrap_or(0).max(*charge);
                call.noted = Some(noted);
                self.purses[call.who].note(call.wish.id, noted, self.now + TTL);
                (Reply::Did(true), false)
            }
            Step::Lose { call } => {
                self.calls[*call].guarded = false;
                (Reply::Did(true), true)
            }
            _ => self.expect_of_the_office(step, marks),
        }
    }

    fn expect_hold(&mut self, who: usize, wish: Wish, marks: &mut Marks) -> (Reply, bool) {
        let purse = &mut self.purses[who];
        let held = purse.hold(&wish);
        marks.hit("asked to hold");
        match &held {
            Ok(amount) => {
                let open = &purse.open[&wish.id];
                marks.hit("hold: open");
                for (met, mark) in [
                    (*amount < wish.amount, "hold: clamped"),
                    (open.parts.len() > 1, "hold: several lots"),
                    (open.line > 0, "hold: on the line"),
                    (
                        open.parts
                            .iter()
                            .any(|(lot, _)| purse.lots[*lot].plan.is_some()),
                        "hold: from a plan",
                    ),
                ] {
                    if met {
                        marks.hit(mark);
                    }
                }
            }
            Err(no) => marks.hit(refusal(no)),
        }
        let (guarded, idle) = (held.is_ok(), held.is_err());
        self.calls.push(Call {
            wish,
            who,
            guarded,
            noted: None,
        });
        (Reply::Held(held), idle)
    }

    fn expect_end(&mut self, step: &Step, marks: &mut Marks) -> (Reply, bool) {
        let (Step::Settle { call, .. }
        | Step::Void { call }
        | Step::EndAgain { call }
        | Step::Drop { call }) = step
        else {
            panic!("{step:?} ends nothing");
        };
        let now = self.now;
        let call = &mut self.calls[*call];
        let purse = &mut self.purses[call.who];
        let id = call.wish.id;
        let before = purse.ended.contains_key(&id);
        let ended = match step {
            Step::Settle { charge, .. } => purse.settle(id, *charge, now).map(Some),
            Step::Void { .. } => purse.void(id, now).map(Some),
            Step::Drop { .. } => match call.noted {
                Some(noted) => purse.settle(id, noted, now).map(Some),
                None => purse.void(id, now).map(Some),
            },
            _ => purse.expire(id, now),
        };
        if !matches!(step, Step::EndAgain { .. }) {
            call.guarded = false;
        }
        let changed = !before && matches!(ended, Ok(Some(_)));
        match &ended {
            Ok(Some(_)) if before => marks.hit("hold: ended again"),
            Ok(Some(ended)) => {
                marks.hit(match ended.outcome {
                    Outcome::Settled => "hold: settled",
                    Outcome::Voided => "hold: voided",
                    Outcome::Expired => "hold: expired",
                });
                if ended.parts.iter().any(|(lot, _)| lot.is_none()) {
                    marks.hit("hold: settled beyond");
                }
            }
            Ok(None) | Err(_) => {}
        }
        let said = ended.map(|ended| ended.as_ref().map(seen));
        let reply = match step {
            Step::Drop { .. } => Reply::Did(true),
            _ => Reply::Ended(said),
        };
        (reply, !changed)
    }

    fn expect_of_the_office(&mut self, step: &Step, marks: &mut Marks) -> (Reply, bool) {
        let now = self.now;
        match step {
            Step::Grant(new) => {
                let purse = &mut self.purses[new.who];
                let repaid = purse.debt.min(new.amount);
                purse.grant(lot_of(new, now));
                marks.hit("grant: booked");
                marks.hit("grant: told twice");
                if repaid > 0 {
                    marks.hit("grant: repays");
                }
                (Reply::Granted(repaid), false)
            }
            Step::Sweep => {
                let swept: u64 = self.purses.iter_mut().map(|purse| sweep(purse, now)).sum();
                if swept > 0 {
                    marks.hit("hold: expired");
                }
                (Reply::Swept(swept), swept == 0)
            }
            Step::Lapse => {
                let both = self.purses.iter_mut().zip(&self.desks);
                let lapsed: i64 = both
                    .map(|(purse, desk)| purse.lapse(now, &desk.turning(now)))
                    .sum();
                if lapsed > 0 {
                    marks.hit("lot: lapsed");
                }
                (Reply::Lapsed(lapsed), lapsed == 0)
            }
            Step::Adjust { who, amount } => {
                let purse = &mut self.purses[*who];
                let adjusted = if *amount > 0 {
                    purse.grant(office::lot(*amount, 40, now, None));
                    Ok(())
                } else {
                    purse.debit(-amount, now)
                };
                marks.hit(match (&adjusted, *amount > 0) {
                    (Ok(()), true) => "adjust: credit",
                    (Ok(()), false) => "adjust: debit",
                    (Err(_), _) => "adjust: refused",
                });
                let idle = adjusted.is_err();
                (Reply::Adjusted(adjusted), idle)
            }
            Step::Redeem { who, code } => self.expect_redeem(*who, *code, marks),
            Step::Subscribe { who, periods } => {
                let new = self.desks[*who].subscribe(&mut self.purses[*who], false, *periods, now);
                marks.hit(if new {
                    "subscription: pending to active"
                } else {
                    "subscription: longer"
                });
                (Reply::Did(new), false)
            }
            Step::Cancel { who, subscription } => {
                let did = self.desks[*who].cancel(*subscription);
                if did {
                    marks.hit("subscription: active to canceling");
                }
                (Reply::Did(did), !did)
            }
            Step::EndNow { who, subscription } => {
                let did = self.desks[*who].end_now(&mut self.purses[*who], *subscription);
                if did {
                    marks.hit("subscription: active to ended");
                }
                (Reply::Did(did), !did)
            }
            Step::Renew => {
                let (mut renewed, mut ended) = (0, 0);
                for (desk, purse) in self.desks.iter_mut().zip(&mut self.purses) {
                    let (more, over) = desk.renew(purse, now);
                    (renewed, ended) = (renewed + more, ended + over);
                }
                for (met, mark) in [
                    (renewed > 0, "subscription: renewed"),
                    (ended > 0, "subscription: period over to ended"),
                ] {
                    if met {
                        marks.hit(mark);
                    }
                }
                (Reply::Renewed(renewed, ended), renewed + ended == 0)
            }
            _ => {
                self.set(step);
                (Reply::Did(true), false)
            }
        }
    }

    fn expect_redeem(&mut self, who: usize, code: usize, marks: &mut Marks) -> (Reply, bool) {
        let used = self
            .desks
            .iter()
            .filter(|desk| desk.redeemed.contains(&code))
            .count();
        let no = if self.desks[who].redeemed.contains(&code) {
            marks.hit("code: redeemed already");
            Some("already")
        } else if used >= USES[code] {
            marks.hit("code: used up");
            Some("used up")
        } else {
            None
        };
        if let Some(no) = no {
            return (Reply::Redeemed(Err(no)), true);
        }
        marks.hit("code: redeemed");
        self.desks[who].redeemed.push(code);
        let (purse, now) = (&mut self.purses[who], self.now);
        match GIVES[code] {
            Gives::Credits => purse.grant(office::lot(GIVEN, 30, now, None)),
            Gives::Promotion => purse.grant(office::lot(GIVEN, 20, now, Some(now + DAY))),
            Gives::Plan => drop(self.desks[who].subscribe(purse, true, Some(1), now)),
        }
        (Reply::Redeemed(Ok(GIVES[code])), false)
    }

    /// What an operator sets.
    fn set(&mut self, step: &Step) {
        match step {
            Step::Freeze { who, on } => self.purses[*who].frozen = *on,
            Step::Ban { who, on } => self.purses[*who].banned = *on,
            Step::Block { on } => {
                for purse in &mut self.purses {
                    purse.blocked = *on;
                }
            }
            Step::KeyCap { who, most } => {
                limit(&mut self.purses[*who], &[(Bind::KeySpend, *most)], self.now);
            }
            Step::Limits {
                who,
                line,
                monthly,
                open,
                spend,
                calls,
            } => {
                let purse = &mut self.purses[*who];
                purse.line = *line;
                purse.most_open = open.map(i64::from);
                let new = [
                    (Bind::Line, *monthly),
                    (Bind::TenantSpend, *spend),
                    (Bind::TenantCalls, *calls),
                ];
                limit(purse, &new, self.now);
            }
            Step::Wait { .. } => {}
            other => panic!("{other:?} sets nothing"),
        }
    }
}

/// A limit that is there keeps its count when its amount changes; one that was lifted begins anew.
fn limit(purse: &mut Purse, new: &[(Bind, Option<i64>)], now: Moment) {
    let serial =
        u32::try_from((now - START.micros()).rem_euclid(MINUTE)).expect("a minute's micros");
    for (bind, most) in new {
        let old = purse.caps.iter().position(|cap| cap.rule.0 == *bind);
        let rule = old.map_or((*bind, serial), |place| purse.caps.remove(place).rule);
        purse.caps.extend(most.map(|most| Cap { rule, most }));
    }
}

/// Every call whose time ran out ends, the one that ran out first first.
fn sweep(purse: &mut Purse, now: Moment) -> u64 {
    let mut due: Vec<_> = purse
        .open
        .iter()
        .map(|(id, open)| (open.until, *id))
        .collect();
    due.retain(|(until, _)| *until <= now);
    due.sort_unstable();
    for (_, id) in &due {
        let ended = purse.expire(*id, now);
        assert!(matches!(ended, Ok(Some(_))), "it is due");
    }
    due.len() as u64
}

fn lot_of(new: &NewLot, now: Moment) -> Lot {
    let priority = match new.source {
        Source::Promo => 20,
        Source::Code => 30,
        Source::Goodwill => 40,
        _ => 50,
    };
    let from = if new.later { now + 20 * MINUTE } else { now };
    let until = new
        .hours
        .map(|hours| now + i64::try_from(hours).expect("few") * 60 * MINUTE);
    Lot {
        scope: new.scope.iter().map(|&model| model.to_owned()).collect(),
        bought: new.cost > 0,
        ..office::lot(new.amount, priority, from, until)
    }
}

fn refusal(no: &No) -> &'static str {
    match no {
        No::Short(..) => "refused: Short",
        No::InDebt(_) => "refused: InDebt",
        No::Frozen => "refused: Frozen",
        No::Banned => "refused: Banned",
        No::Blocked => "refused: Blocked",
        No::TooMany => "refused: TooMany",
        No::Spent => "refused: Spent",
        No::Quota => "refused: Quota",
        No::OutOfRange => "refused: OutOfRange",
        No::IdInUse | No::Ended | No::Unknown => "refused: otherwise",
    }
}
