//! Calls: what their clients ask, what they are told, and what they were promised by it.

use super::{Fault, NAMES, World};
use crate::process::{Heard, Queued};
use billing_core::{
    admission::{Answer, Ask, Ending, Growth, HoldOrder, Note, Settled, Settlement},
    rating::Tokens,
};
use entity::{Credits, GroupId, HoldId, ModelId, PriceVersionId, Protocol, TenantId, usage};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

const TTL: Duration = Duration::from_mins(2);

/// Where a call stands, in its client's eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Asking,
    /// Its client went away while asking.
    Gone,
    Held,
    Ended,
    /// Its process died, or forgot it.
    Lost,
}

/// A call.
pub struct Call {
    order: Arc<HoldOrder>,
    process: usize,
    phase: Phase,
    noted: Option<i64>,
    promised: Option<i64>,
    told: Option<Settled>,
}

impl Call {
    fn tenant(&self) -> TenantId {
        self.order.tenant
    }
}

impl World<'_> {
    fn some_call(&mut self, phase: Phase) -> Option<usize> {
        let calls: Vec<usize> = (0..self.calls.len())
            .filter(|place| self.calls[*place].phase == phase)
            .collect();
        self.chance.one(&calls)
    }

    pub fn ask(&mut self) {
        let tenant = self.some_tenant();
        let lowest = if self.chance.hits(2) { -3 } else { 0 };
        let amount = self.chance.between(lowest, 120);
        let least = match self.chance.below(3) {
            0 => amount,
            1 => amount.min(1),
            _ => self.chance.between(-1, amount.max(0)),
        };
        let model = self.some_model();
        let known = &self.store.known[&tenant];
        let (key, member) = (known.key, known.caller.member);
        let order = Arc::new(HoldOrder {
            id: HoldId::from_uuid(self.id()),
            tenant,
            member,
            key,
            group: GroupId::from_uuid(Uuid::nil()),
            model,
            price_version: PriceVersionId::from_uuid(Uuid::nil()),
            multiplier_ppm: 1_000_000,
            channel: None,
            amount: Credits::from_nanos(amount),
            least: Credits::from_nanos(least),
            expected_output: None,
            input_tokens: 1,
            output_cap: 1,
            protocol: Protocol::Chat,
            client_kind: String::new(),
            streamed: false,
            ttl: TTL,
            now: self.now,
        });
        let process = self.chance.below(self.processes.len());
        self.marks.hit("asked to hold");
        let place = self.calls.len();
        self.calls.push(Call {
            order: order.clone(),
            process,
            phase: Phase::Asking,
            noted: None,
            promised: None,
            told: None,
        });
        self.send(process, Ask::Hold(order), Heard::By(place));
    }

    fn some_model(&mut self) -> ModelId {
        let place = self.chance.below(NAMES.len());
        *self
            .store
            .offers
            .keys()
            .nth(place)
            .expect("as many as names")
    }

    /// A running call ends, one way or another.
    pub fn end_one(&mut self) {
        if self.faults.contains(&Fault::Gone)
            && self.chance.hits(10)
            && let Some(place) = self.some_call(Phase::Asking)
        {
            self.calls[place].phase = Phase::Gone;
            self.marks.hit("fault: caller gone");
            return;
        }
        let Some(place) = self.some_call(Phase::Held) else {
            return;
        };
        if self.faults.contains(&Fault::Lost) && self.chance.hits(15) {
            self.calls[place].phase = Phase::Lost;
            self.marks.hit("fault: caller lost");
            return;
        }
        self.calls[place].phase = Phase::Ended;
        let (ending, heard) = match self.chance.below(10) {
            0..6 => (self.settlement(), Heard::By(place)),
            6..8 => (self.voided(), Heard::By(place)),
            _ => (self.last_words(place), Heard::Nobody),
        };
        self.end(place, ending, heard);
    }

    fn end(&mut self, place: usize, ending: Ending, heard: Heard) {
        let (tenant, id) = (self.calls[place].tenant(), self.calls[place].order.id);
        let process = self.calls[place].process;
        self.send(process, Ask::End { tenant, id, ending }, heard);
    }

    fn settlement(&mut self) -> Ending {
        let charge = if self.chance.hits(2) {
            -1
        } else {
            self.chance.between(0, 170)
        };
        self.settled_with(charge)
    }

    fn settled_with(&self, charge: i64) -> Ending {
        Ending::Settle(Arc::new(Settlement {
            tokens: Tokens::default(),
            charge: Credits::from_nanos(charge),
            quality: usage::Quality::Exact,
            finish: usage::Finish::Complete,
            channel: None,
            provider_cost: None,
            first_byte_at: None,
            ended_at: self.now,
        }))
    }

    fn voided(&self) -> Ending {
        Ending::Void {
            reason: usage::Finish::UpstreamError,
            now: self.now,
        }
    }

    /// What a guard says that is dropped.
    fn last_words(&self, place: usize) -> Ending {
        match self.calls[place].noted {
            Some(noted) => self.settled_with(noted),
            None => self.voided(),
        }
    }

    pub fn extend_one(&mut self) {
        let Some(place) = self.some_call(Phase::Held) else {
            return;
        };
        let extra = self.chance.between(0, 60);
        let least = self.chance.between(0, extra);
        let ask = Ask::Extend {
            tenant: self.calls[place].tenant(),
            id: self.calls[place].order.id,
            model: self.calls[place].order.model,
            growth: Growth {
                extra: Credits::from_nanos(extra),
                least: Credits::from_nanos(least),
                now: self.now,
                expires_at: self.now.plus(TTL),
            },
        };
        self.send(self.calls[place].process, ask, Heard::By(place));
    }

    pub fn note_one(&mut self) {
        let Some(place) = self.some_call(Phase::Held) else {
            return;
        };
        let charge = self.chance.between(0, 130);
        let call = &mut self.calls[place];
        call.noted = Some(call.noted.unwrap_or(0).max(charge));
        let ask = Ask::Note {
            tenant: call.tenant(),
            id: call.order.id,
            note: Note {
                dispatched_at: self.now,
                charge: Credits::from_nanos(charge),
                output: 1,
                now: self.now,
                expires_at: self.now.plus(TTL),
            },
        };
        self.send(self.calls[place].process, ask, Heard::By(place));
    }

    /// Whatever some client says again, late, to another process: what has ended stays as it ended.
    pub fn stray(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let place = self.chance.below(self.calls.len());
        let process = self.chance.below(self.processes.len());
        let (tenant, id) = (self.calls[place].tenant(), self.calls[place].order.id);
        let ask = match self.chance.below(3) {
            0 => Ask::Hold(self.calls[place].order.clone()),
            // A client that has not been told that it holds does not settle.
            _ if matches!(
                self.calls[place].phase,
                Phase::Asking | Phase::Gone | Phase::Held
            ) =>
            {
                return;
            }
            1 => Ask::End {
                tenant,
                id,
                ending: self.voided(),
            },
            _ => Ask::End {
                tenant,
                id,
                ending: self.settlement(),
            },
        };
        self.send(process, ask, Heard::Nobody);
    }

    /// Every hold whose time ran out, to whichever process.
    pub fn sweep(&mut self) {
        let due: Vec<_> = self
            .store
            .holds
            .values()
            .filter(|hold| hold.expires_at <= self.now)
            .map(|hold| (hold.tenant_id, hold.id))
            .collect();
        for (tenant, id) in due {
            let process = self.chance.below(self.processes.len());
            let ending = Ending::Expire { now: self.now };
            self.send(process, Ask::End { tenant, id, ending }, Heard::Nobody);
        }
    }

    pub fn is_abandoned(&self, queued: &Queued) -> bool {
        let Heard::By(place) = queued.heard else {
            return false;
        };
        matches!(queued.ask, Ask::Hold(_)) && self.calls[place].phase == Phase::Gone
    }

    pub fn tell(&mut self, process: usize, queued: &Queued, answer: &Answer) {
        let Heard::By(place) = queued.heard else {
            return;
        };
        match answer {
            Answer::Held(Ok(amount)) if self.calls[place].phase == Phase::Gone => {
                assert_eq!(process, self.calls[place].process);
                self.say(|| format!("nobody waits for {amount}"));
                self.calls[place].phase = Phase::Ended;
                let ending = self.voided();
                self.end(place, ending, Heard::Nobody);
            }
            Answer::Held(Ok(amount)) => {
                self.calls[place].phase = Phase::Held;
                self.calls[place].promised = Some(amount.nanos());
            }
            Answer::Held(Err(_)) => self.calls[place].phase = Phase::Lost,
            Answer::Ended(Ok(Some(settled))) => self.calls[place].told = Some(*settled),
            Answer::Extended(Ok(more)) => {
                let promised = self.calls[place].promised.expect("it held");
                self.calls[place].promised = Some(promised + more.nanos());
            }
            Answer::Ended(_) | Answer::Extended(Err(_)) | Answer::Noted => {}
        }
    }

    /// The store failed: the client of a hold gives up, though it may have been made.
    pub fn tell_failed(&mut self, queued: &Queued) {
        if let (Heard::By(place), Ask::Hold(_)) = (queued.heard, &queued.ask) {
            self.calls[place].phase = Phase::Lost;
        }
    }

    pub fn lose_calls_of(&mut self, process: usize) {
        for call in self.calls.iter_mut().filter(|call| call.process == process) {
            if matches!(call.phase, Phase::Asking | Phase::Gone | Phase::Held) {
                call.phase = Phase::Lost;
            }
        }
    }

    /// What was told to anybody is so: a hold was made for as much, an end is the end.
    pub fn keep_promises(&self) {
        for call in &self.calls {
            let row = self.store.usages.get(&call.order.id);
            if let Some(promised) = call.promised {
                let row = row.expect("a hold that was promised is not lost");
                assert!(row.hold_amount.nanos() >= promised, "{row:?}");
            }
            if let Some(told) = call.told {
                let row = row.expect("an end that was told is not lost");
                assert_eq!(Settled::from(row), told);
            }
        }
    }
}
