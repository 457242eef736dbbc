//! A process with its lane: what it is asked waits in a queue, a batch of it is decided and committed at once, and what
//! the store does with the commit is a matter of luck. A batch that failed is tried again ask by ask; the end of a hold is
//! never given up.

use crate::world::{Fault, World};
use billing_core::admission::{Answer, Ask, Ending, Memory};

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The call of this number.
    By(usize),
    Nobody,
}

/// An ask in a queue.
#[derive(Clone, Debug)]
pub struct Queued {
    pub ask: Ask,
    pub heard: Heard,
}

/// A process: what it is asked, and what its lane remembers. The calls in its hands know it by its number.
#[derive(Default)]
pub struct Process {
    pub queue: Vec<Queued>,
    pub memory: Memory,
}

/// What the store made of a commit.
enum Luck {
    Good,
    Failed,
    Unknown,
    DiesBefore,
    DiesAfter,
}

impl World<'_> {
    /// Lets a process carry out a batch of what waits.
    pub fn step(&mut self, process: usize) {
        let queue = &mut self.processes[process].queue;
        if queue.len() > 1 && self.faults.contains(&Fault::OutOfOrder) && self.chance.hits(40) {
            let (a, b) = (
                self.chance.below(queue.len()),
                self.chance.below(queue.len()),
            );
            queue.swap(a, b);
            self.marks.hit("fault: out of order");
        }
        let size = (1 + self.chance.below(8)).min(queue.len());
        let batch: Vec<Queued> = queue.drain(..size).collect();
        let batch: Vec<Queued> = batch
            .into_iter()
            .filter(|queued| !self.is_abandoned(queued))
            .collect();
        if !batch.is_empty() {
            self.carry_out(process, batch);
        }
    }

    fn carry_out(&mut self, process: usize, batch: Vec<Queued>) {
        let asks: Vec<Ask> = batch.iter().map(|queued| queued.ask.clone()).collect();
        match self.attempt(process, &asks) {
            Ok(answers) => {
                for (queued, answer) in batch.iter().zip(&answers) {
                    self.tell(process, queued, answer);
                }
            }
            Err(Died(true)) => self.crash(process),
            Err(Died(false)) => self.carry_out_singly(process, batch),
        }
    }

    fn carry_out_singly(&mut self, process: usize, batch: Vec<Queued>) {
        for queued in batch {
            match self.attempt(process, std::slice::from_ref(&queued.ask)) {
                Ok(answers) => self.tell(process, &queued, &answers[0]),
                Err(Died(true)) => return self.crash(process),
                Err(Died(false)) if matches!(queued.ask, Ask::End { .. }) => {
                    self.processes[process].queue.push(queued);
                }
                Err(Died(false)) => self.tell_failed(&queued),
            }
        }
    }

    /// Decides and commits; an error says whether the process died of it.
    fn attempt(&mut self, process: usize, asks: &[Ask]) -> Result<Vec<Answer>, Died> {
        let memory = &mut self.processes[process].memory;
        let mut batch = self.store.load(asks, memory, self.now);
        let answers: Vec<Answer> = asks
            .iter()
            .map(|ask| batch.decide(ask).expect("rows that agree with each other"))
            .collect();
        let changes = batch
            .take_changes(self.now)
            .expect("rows that agree with each other");
        let luck = self.luck();
        self.say(|| format!("commit of {asks:?} -> {answers:?}"));
        if matches!(luck, Luck::Failed | Luck::DiesBefore) {
            return Err(Died(matches!(luck, Luck::DiesBefore)));
        }
        self.store
            .commit(changes)
            .expect("no constraint is in the way");
        self.judge(asks, &answers);
        match luck {
            Luck::Unknown => Err(Died(false)),
            Luck::DiesAfter => Err(Died(true)),
            Luck::Good | Luck::Failed | Luck::DiesBefore => {
                let memory = &mut self.processes[process].memory;
                memory.keep(batch.wallets.into_values());
                Ok(answers)
            }
        }
    }

    fn luck(&mut self) -> Luck {
        let Some(fault) = self.chance.one(&self.faults) else {
            return Luck::Good;
        };
        if !self.chance.hits(12) {
            return Luck::Good;
        }
        let (luck, mark) = match fault {
            Fault::Fails => (Luck::Failed, "fault: commit failed"),
            Fault::Unknown => (Luck::Unknown, "fault: commit unknown"),
            Fault::DiesBefore => (Luck::DiesBefore, "fault: crash before commit"),
            Fault::DiesAfter => (Luck::DiesAfter, "fault: crash after commit"),
            Fault::Twice | Fault::OutOfOrder | Fault::Gone | Fault::Lost => return Luck::Good,
        };
        self.marks.hit(mark);
        luck
    }

    /// Everything a process had in memory is gone: its queue, and whoever held something in it.
    pub fn crash(&mut self, process: usize) {
        self.say(|| format!("process {process} dies"));
        self.processes[process] = Process::default();
        self.lose_calls_of(process);
    }

    /// An ask goes to a process, and with luck once more to another.
    pub fn send(&mut self, process: usize, ask: Ask, heard: Heard) {
        if self.faults.contains(&Fault::Twice) && self.chance.hits(15) && is_repeatable(&ask) {
            let other = self.chance.below(self.processes.len());
            let copy = Queued {
                ask: ask.clone(),
                heard: Heard::Nobody,
            };
            self.processes[other].queue.push(copy);
            self.marks.hit("fault: sent twice");
        }
        self.marks.hit("asked");
        self.processes[process].queue.push(Queued { ask, heard });
    }
}

/// Whether the process died with the attempt.
struct Died(bool);

/// To grow twice is to grow twice: nobody sends that again.
fn is_repeatable(ask: &Ask) -> bool {
    match ask {
        Ask::Hold(_) | Ask::Note { .. } => true,
        Ask::End { ending, .. } => !matches!(ending, Ending::Expire { .. }),
        Ask::Extend { .. } | Ask::Touch { .. } | Ask::Reject(_) | Ask::Attempt(_) => false,
    }
}
