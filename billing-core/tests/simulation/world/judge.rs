//! What was committed, beside what the model says of it.

use super::World;
use crate::{
    laws,
    model::{self, Ended, No, View, Wish, said_of_end, said_of_extend, said_of_hold, seen},
};
use billing_core::admission::{Answer, Ask, Ending, HoldOrder, HoldRefusal};
use entity::{Credits, TenantId};
use std::collections::BTreeSet;

impl World<'_> {
    /// The answers of a batch that was committed are the model's, and so is what is stored now.
    pub fn judge(&mut self, asks: &[Ask], answers: &[Answer]) {
        let now = self.now;
        for (tenant, purse) in &mut self.purses {
            let plans = &self.store.known[tenant].plans;
            let running = plans.iter().filter(|(_, until)| now < *until);
            purse.plans = running.map(|(plan, _)| plan.id.uuid().as_u128()).collect();
        }
        for (ask, answer) in asks.iter().zip(answers) {
            self.judge_one(ask, answer);
        }
        for tenant in asks.iter().filter_map(Ask::tenant).collect::<BTreeSet<_>>() {
            self.compare(tenant);
        }
        laws::hold(&self.store);
    }

    /// The stored wallet looks as the model's.
    pub fn compare(&self, tenant: TenantId) {
        let purse = &self.purses[&tenant];
        assert_eq!(
            self.store.view(tenant),
            View::from(purse),
            "stored, and as it must be"
        );
        assert!(purse.conserves(), "credits in are credits out");
    }

    fn judge_one(&mut self, ask: &Ask, answer: &Answer) {
        match (ask, answer) {
            (Ask::Hold(order), Answer::Held(held)) => self.judge_hold(order, held),
            (Ask::End { tenant, id, ending }, Answer::Ended(ended)) => {
                let id = id.uuid().as_u128();
                let purse = self.purses.get_mut(tenant).expect("a purse");
                let before = purse.ended.contains_key(&id);
                let debt = purse.debt;
                let exhausted = exhausted(purse);
                let expected = match ending {
                    Ending::Settle(settlement) => {
                        let at = settlement.ended_at.micros();
                        purse.settle(id, settlement.charge.nanos(), at).map(Some)
                    }
                    Ending::Void { now, .. } => purse.void(id, now.micros()).map(Some),
                    Ending::Expire { now } => purse.expire(id, now.micros()),
                };
                if purse.debt > debt {
                    self.marks.hit("debt: owed");
                }
                if self.exhausted_more(*tenant, exhausted) {
                    self.marks.hit("lot: active to exhausted");
                }
                assert_eq!(
                    said_of_end(ended),
                    expected.clone().map(|ended| ended.as_ref().map(seen))
                );
                self.mark_end(before, &expected);
            }
            (
                Ask::Extend {
                    tenant, id, growth, ..
                },
                Answer::Extended(extended),
            ) => {
                let purse = self.purses.get_mut(tenant).expect("a purse");
                let expected = purse.extend(
                    id.uuid().as_u128(),
                    (growth.extra.nanos(), growth.least.nanos()),
                    (growth.now.micros(), growth.expires_at.micros()),
                );
                assert_eq!(said_of_extend(extended), expected);
                self.marks.hit(match expected {
                    Ok(_) => "hold: open to open, extended",
                    Err(No::Quota) => "extend: quota",
                    Err(No::Short(..)) => "extend: short",
                    Err(No::Ended) => "extend: ended",
                    Err(_) => "extend: refused otherwise",
                });
            }
            (Ask::Note { tenant, id, note }, Answer::Noted) => {
                let purse = self.purses.get_mut(tenant).expect("a purse");
                purse.note(
                    id.uuid().as_u128(),
                    note.charge.nanos(),
                    note.expires_at.micros(),
                );
                self.marks.hit("hold: open to open, noted");
            }
            other => panic!("another question was answered: {other:?}"),
        }
    }

    fn exhausted_more(&self, tenant: TenantId, before: usize) -> bool {
        exhausted(&self.purses[&tenant]) > before
    }

    fn judge_hold(&mut self, order: &HoldOrder, held: &Result<Credits, HoldRefusal>) {
        let id = order.id.uuid().as_u128();
        let wish = Wish {
            id,
            amount: order.amount.nanos(),
            least: order.least.nanos(),
            model: self.store.offers[&order.model].name.clone(),
            now: order.now.micros(),
            until: order.now.plus(order.ttl).micros(),
        };
        let purse = self.purses.get_mut(&order.tenant).expect("a purse");
        let again = purse.open.contains_key(&id);
        let expected = purse.hold(&wish);
        assert_eq!(said_of_hold(held), expected, "{order:?}");
        match &expected {
            Ok(_) if again => self.marks.hit("hold: open to open, asked again"),
            Ok(amount) => {
                let open = &purse.open[&id];
                let (clamped, several) = (*amount < wish.amount, open.parts.len() > 1);
                let line = open.line > 0;
                let plan = open
                    .parts
                    .iter()
                    .any(|(lot, _)| purse.lots[*lot].plan.is_some());
                self.marks.hit("hold: absent to open");
                for (met, mark) in [
                    (clamped, "hold: open to open, clamped"),
                    (several, "hold: open to open, over several lots"),
                    (line, "hold: open to open, on the line"),
                    (plan, "plan: pays"),
                ] {
                    if met {
                        self.marks.hit(mark);
                    }
                }
            }
            Err(no) => self.marks.hit(match no {
                No::Short(..) => "refused: short",
                No::InDebt(_) => "refused: in debt",
                No::Frozen => "refused: frozen",
                No::Banned => "refused: banned",
                No::Blocked => "refused: blocked",
                No::TooMany => "refused: too many",
                No::Spent => "refused: spent",
                No::Quota => "refused: quota",
                No::OutOfRange => "refused: out of range",
                No::IdInUse => "hold: ended, asked again",
                No::Ended | No::Unknown => panic!("no answer to this question"),
            }),
        }
    }

    fn mark_end(&mut self, before: bool, expected: &Result<Option<Ended>, No>) {
        let Ok(Some(ended)) = expected else {
            return;
        };
        if before {
            return self.marks.hit("hold: ended, ended again");
        }
        self.marks.hit(match ended.outcome {
            model::Outcome::Settled => "hold: open to settled",
            model::Outcome::Voided => "hold: open to voided",
            model::Outcome::Expired => "hold: open to expired",
        });
        if ended.outcome == model::Outcome::Expired && ended.charge > 0 {
            self.marks.hit("hold: open to expired, charged");
        }
        if ended.outcome == model::Outcome::Settled
            && ended.parts.iter().any(|(lot, _)| lot.is_none())
        {
            self.marks
                .hit("hold: open to settled, beyond what was held");
        }
    }
}

fn exhausted(purse: &model::Purse) -> usize {
    let done = |lot: &&model::Lot| lot.state == model::State::Exhausted;
    purse.lots.iter().filter(done).count()
}
