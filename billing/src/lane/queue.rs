//! The lanes of a process: their queues, their batches, and what happens when a batch fails.

use super::{
    Hold,
    apply::{self, Decided},
    ask::{Op, Waiter},
    known::Known,
    meter::{Meter, Part, Spent, Watch},
    notes::Notes,
    wait::Waits,
};
use crate::admission::{
    Answer, Ask, EndRefusal, Ending, ExtendRefusal, HoldOrder, HoldRefusal, Settled,
};
use entity::{
    Clock, Credits, Database, HoldId, KeyId, TenantId, Timestamp, attempt, crash, rejection,
};
use sea_orm::{DbBackend, DbErr};
use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// How many lanes, and how much they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneSettings {
    /// Batches that may be under way at once.
    pub lanes: usize,
    /// Asks in one batch at most, but for notes that are due.
    pub batch: usize,
    /// Holds and extensions that may wait; one more is told `Overloaded`.
    pub waiting: usize,
    /// Notes, touches and rejections that may wait; one more is dropped.
    pub riding: usize,
    /// How long what can wait does, when nothing else is to be written.
    pub linger: Duration,
}

impl LaneSettings {
    /// The usual numbers for this database: `SQLite` has one writer, so one lane.
    pub fn of(db: &Database) -> Self {
        Self {
            lanes: match db.backend() {
                DbBackend::Sqlite => 1,
                _ => 3,
            },
            batch: 256,
            waiting: 8_192,
            riding: 8_192,
            linger: Duration::from_millis(250),
        }
    }
}

/// The one way to hold, end and extend. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Lanes {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queues: Vec<mpsc::UnboundedSender<Queued>>,
    waiting: Arc<Semaphore>,
    riding: Arc<Semaphore>,
    draining: AtomicBool,
    waits: Waits,
    /// How many asks have no answer yet.
    open: watch::Sender<usize>,
    stop: CancellationToken,
    clock: Clock,
    meter: Meter,
}

/// An op, counted as open until it is dropped.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) op: Op,
    open: OpenCount,
}

#[derive(Debug)]
struct OpenCount(watch::Sender<usize>);

impl OpenCount {
    fn of(open: &watch::Sender<usize>) -> Self {
        open.send_modify(|count| *count = count.saturating_add(1));
        Self(open.clone())
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Lanes {
    /// Starts the lanes on the database's runtime. They run until [`Lanes::drain`].
    pub fn start(db: &Database, clock: Clock, settings: LaneSettings) -> Self {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..settings.lanes.max(1))
            .map(|_| mpsc::unbounded_channel())
            .unzip();
        let lanes = Self {
            inner: Arc::new(Inner {
                queues: senders,
                waiting: Arc::new(Semaphore::new(settings.waiting)),
                riding: Arc::new(Semaphore::new(settings.riding)),
                draining: AtomicBool::new(false),
                waits: Waits::default(),
                open: watch::Sender::new(0),
                stop: CancellationToken::new(),
                clock,
                meter: Meter::default(),
            }),
        };
        let known = Known::default();
        for queue in receivers {
            let lane = Lane {
                db: db.clone(),
                lanes: lanes.clone(),
                known: known.shared(),
                touched: HashMap::new(),
                notes: Notes::waiting(settings.linger),
                settings,
            };
            db.tracker().spawn_on(lane.run(queue), db.handle());
        }
        lanes
    }

    /// Holds credits for a call, durably, or says why not. Dropping the future at any point leaks nothing: what
    /// may have been held is voided.
    ///
    /// # Errors
    /// [`HoldRefusal`].
    pub async fn hold(&self, order: HoldOrder) -> Result<Hold, HoldRefusal> {
        if self.inner.draining.load(Ordering::Acquire) {
            return Err(HoldRefusal::Draining);
        }
        let place = place(&self.inner.waiting).map_err(|full| match full {
            TryAcquireError::NoPermits => HoldRefusal::Overloaded,
            TryAcquireError::Closed => HoldRefusal::Draining,
        })?;
        let (waiter, answer) = oneshot::channel();
        self.queue(Op {
            ask: Ask::Hold(Arc::new(order)),
            waiter: Waiter::Hold(waiter),
            place: Some(place),
        });
        answer.await.unwrap_or(Err(HoldRefusal::Draining))
    }

    /// Ends a hold whose time ran out, for the sweeper; `None` where it has time left after all.
    ///
    /// # Errors
    /// [`EndRefusal`].
    pub async fn expire(
        &self,
        tenant: TenantId,
        id: HoldId,
        now: Timestamp,
    ) -> Result<Option<Settled>, EndRefusal> {
        self.end(tenant, id, Ending::Expire { now }).await
    }

    /// Notes that a key was used; coarse, and never awaited.
    pub fn touch(&self, key: KeyId, now: Timestamp) {
        self.ride(Ask::Touch { key, now });
    }

    /// Keeps a refused call for its owner to see; never awaited, and dropped when too many wait.
    pub fn reject(&self, row: rejection::Model) {
        self.ride(Ask::Reject(Arc::new(row)));
    }

    /// Keeps a try at a channel that brought nothing; never awaited, and dropped when too many wait.
    pub fn attempt(&self, row: attempt::Model) {
        self.ride(Ask::Attempt(Arc::new(row)));
    }

    /// How many asks have no answer yet.
    pub fn open(&self) -> usize {
        *self.inner.open.borrow()
    }

    /// What the batches of these lanes took so far, part by part.
    pub fn spent(&self) -> Spent {
        self.inner.meter.spent()
    }

    /// Refuses new holds, waits until everything that was asked is written, and stops the lanes. A hold that is
    /// still open then is left to the sweeper.
    pub async fn drain(&self) {
        self.inner.draining.store(true, Ordering::Release);
        let mut open = self.inner.open.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        drop(open.wait_for(|count| *count == 0).await);
        self.inner.stop.cancel();
    }

    pub(super) fn waits(&self) -> &Waits {
        &self.inner.waits
    }

    pub(super) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub(super) fn end(
        &self,
        tenant: TenantId,
        id: HoldId,
        ending: Ending,
    ) -> impl Future<Output = Result<Option<Settled>, EndRefusal>> + Send + use<> {
        let (waiter, answer) = oneshot::channel();
        self.queue(Op {
            ask: Ask::End { tenant, id, ending },
            waiter: Waiter::End(waiter),
            place: None,
        });
        async move { answer.await.unwrap_or_else(|_| Err(stopped().into())) }
    }

    pub(super) fn end_unheard(&self, tenant: TenantId, id: HoldId, ending: Ending) {
        self.queue(Op {
            ask: Ask::End { tenant, id, ending },
            waiter: Waiter::Nobody,
            place: None,
        });
    }

    pub(super) async fn extend(&self, ask: Ask) -> Result<Credits, ExtendRefusal> {
        let place = place(&self.inner.waiting).map_err(|full| match full {
            TryAcquireError::NoPermits => ExtendRefusal::Overloaded,
            TryAcquireError::Closed => ExtendRefusal::Draining,
        })?;
        let (waiter, answer) = oneshot::channel();
        self.queue(Op {
            ask,
            waiter: Waiter::Extend(waiter),
            place: Some(place),
        });
        answer.await.unwrap_or(Err(ExtendRefusal::Draining))
    }

    pub(super) fn ride(&self, ask: Ask) {
        let Ok(place) = place(&self.inner.riding) else {
            tracing::warn!("a note was dropped, for too many wait to be written");
            return;
        };
        self.queue(Op {
            ask,
            waiter: Waiter::Nobody,
            place: Some(place),
        });
    }

    fn queue(&self, op: Op) {
        let Some(queue) = self.queue_of(&op.ask) else {
            return;
        };
        let open = OpenCount::of(&self.inner.open);
        if let Err(unsent) = queue.send(Queued { op, open }) {
            tracing::warn!(ask = ?unsent.0.op.ask, "the lanes have stopped");
        }
    }

    fn queue_of(&self, ask: &Ask) -> Option<&mpsc::UnboundedSender<Queued>> {
        let id = match (ask.tenant(), ask) {
            (Some(tenant), _) => tenant.uuid(),
            (None, Ask::Touch { key, .. }) => key.uuid(),
            (None, Ask::Reject(row)) => row.tenant_id.uuid(),
            (None, Ask::Attempt(row)) => row.call_id.uuid(),
            (None, _) => return self.inner.queues.first(),
        };
        let lanes = u128::try_from(self.inner.queues.len()).ok()?;
        let lane = usize::try_from(id.as_u128().checked_rem(lanes)?).ok()?;
        self.inner.queues.get(lane)
    }
}

fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
    places.clone().try_acquire_owned()
}

fn stopped() -> DbErr {
    DbErr::Custom("the lanes have stopped".to_owned())
}

/// One lane at work.
struct Lane {
    db: Database,
    lanes: Lanes,
    known: Known,
    /// When a key's last use was last written.
    touched: HashMap<KeyId, Timestamp>,
    notes: Notes,
    settings: LaneSettings,
}

/// A key's last use is written at most this often.
const TOUCH_EVERY: Duration = Duration::from_mins(1);
/// Keys whose last use is remembered; past it the memory starts anew.
const TOUCHED_MAX: usize = 100_000;
/// How often the end of a hold is tried again, each time after twice the wait.
const END_TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(200);

impl Lane {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Queued>) {
        let stop = self.lanes.inner.stop.clone();
        let mut batch = Vec::new();
        loop {
            let note_due = self.notes.next();
            let gathered = tokio::select! {
                biased;
                gathered = queue.recv_many(&mut batch, self.settings.batch) => gathered,
                () = after(note_due) => 1,
                () = stop.cancelled() => 0,
            };
            if gathered == 0 {
                return;
            }
            self.hear_out(&mut queue, &mut batch).await;
            if !batch.is_empty() {
                self.linger(&mut queue, &mut batch).await;
            }
            self.bring_notes(&mut batch);
            if !batch.is_empty() {
                self.carry_out(mem::take(&mut batch)).await;
            }
        }
    }

    /// Lets whoever is ready ask first, for as long as that brings more: what a batch costs, it costs once.
    async fn hear_out(
        &mut self,
        queue: &mut mpsc::UnboundedReceiver<Queued>,
        batch: &mut Vec<Queued>,
    ) {
        self.put_notes_by(batch);
        let mut heard = 0;
        while heard < batch.len() && batch.len() < self.settings.batch {
            heard = batch.len();
            tokio::task::yield_now().await;
            while batch.len() < self.settings.batch
                && let Ok(queued) = queue.try_recv()
            {
                batch.extend(self.notes.keep(queued));
            }
        }
    }

    /// Waits a moment for company while nothing in the batch is urgent and no note is due.
    async fn linger(
        &mut self,
        queue: &mut mpsc::UnboundedReceiver<Queued>,
        batch: &mut Vec<Queued>,
    ) {
        let (wait, most) = (self.settings.linger, self.settings.batch);
        let wait = self.notes.next().map_or(wait, |due| due.min(wait));
        let company = async {
            while batch.len() < most && batch.iter().all(|queued| queued.op.ask.can_wait()) {
                let room = most.saturating_sub(batch.len());
                if queue.recv_many(batch, room).await == 0 {
                    return;
                }
                self.put_notes_by(batch);
            }
        };
        drop(tokio::time::timeout(wait, company).await);
    }

    /// Notes wait by themselves, for the call's end may make them needless.
    fn put_notes_by(&mut self, batch: &mut Vec<Queued>) {
        let all = mem::take(batch).into_iter();
        let others = all.filter_map(|queued| self.notes.keep(queued));
        *batch = others.collect();
    }

    /// Adds the notes that are due, beyond what a batch holds otherwise: however much is asked, calls that go on are
    /// noted. A note that waits goes before an expiry of its call, which it may put off.
    fn bring_notes(&mut self, batch: &mut Vec<Queued>) {
        let is_expiry = |queued: &Queued| queued.op.ask.expires().is_some();
        if batch.iter().any(is_expiry) {
            for queued in mem::take(batch) {
                let noted = queued.op.ask.expires();
                batch.extend(noted.and_then(|call| self.notes.take(call)));
                batch.push(queued);
            }
        }
        batch.extend(self.notes.take_due(self.settings.batch));
    }

    async fn carry_out(&mut self, batch: Vec<Queued>) {
        let batch: Vec<Queued> = batch
            .into_iter()
            .filter(|queued| !queued.op.is_abandoned() && self.is_news(&queued.op.ask))
            .collect();
        if batch.is_empty() {
            return;
        }
        let asks: Arc<[Ask]> = batch.iter().map(|queued| queued.op.ask.clone()).collect();
        match self.write(asks).await {
            Ok(answers) => {
                crash::point("batch committed");
                for (queued, answer) in batch.into_iter().zip(answers) {
                    if let (Ask::End { id, .. }, Answer::Ended(Ok(Some(_)))) =
                        (&queued.op.ask, &answer)
                    {
                        drop(self.notes.take(*id));
                    }
                    self.tell(queued, answer);
                }
            }
            Err(fault) => {
                tracing::warn!(%fault, asks = batch.len(), "a batch failed; each ask is tried alone");
                self.carry_out_singly(batch).await;
            }
        }
    }

    /// One poisoned ask cannot fail its neighbours, and where the first commit's outcome is unknown, what was
    /// done is found done. With no connection there is no use in trying all.
    async fn carry_out_singly(&self, batch: Vec<Queued>) {
        let mut lost = None;
        for queued in batch {
            let answer = match &lost {
                Some(fault) => Err(DbErr::Custom(String::clone(fault))),
                None => self.write_alone(&queued.op.ask).await,
            };
            match answer {
                Ok(answer) => self.tell(queued, answer),
                Err(fault) => {
                    if is_lost_connection(&fault) {
                        lost = Some(fault.to_string());
                    }
                    self.give_up(queued, fault);
                }
            }
        }
    }

    /// Tells the asker that it failed; but the end of a hold is tried again for a while, for a charge that is not
    /// written would be lost.
    fn give_up(&self, queued: Queued, fault: DbErr) {
        if !matches!(queued.op.ask, Ask::End { .. }) {
            let answer = queued.op.ask.failed(fault);
            return self.tell(queued, answer);
        }
        let lane = Self {
            touched: HashMap::new(),
            notes: Notes::waiting(self.settings.linger),
            db: self.db.clone(),
            lanes: self.lanes.clone(),
            known: self.known.shared(),
            settings: self.settings,
        };
        let persist = async move {
            let mut fault = fault;
            let mut wait = FIRST_WAIT;
            for _ in 1..END_TRIES {
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(2);
                match lane.write_alone(&queued.op.ask).await {
                    Ok(answer) => return lane.tell(queued, answer),
                    Err(again) => fault = again,
                }
            }
            let answer = queued.op.ask.failed(fault);
            lane.tell(queued, answer);
        };
        self.db.tracker().spawn_on(persist, self.db.handle());
    }

    async fn write_alone(&self, ask: &Ask) -> Result<Answer, DbErr> {
        let mut answers = self.write(Arc::from([ask.clone()])).await?;
        answers.pop().ok_or_else(stopped)
    }

    async fn write(&self, asks: Arc<[Ask]>) -> Result<Vec<Answer>, DbErr> {
        let known = self.known.clone();
        let now = self.lanes.now();
        let count = asks.len();
        let mut watch = Watch::start();
        let (decided, mut watch) = self
            .db
            .write_first(move |tx| {
                watch.lap(Part::Begin);
                Box::pin(async move {
                    let decided = apply::batch(tx, &asks, &known, now, &mut watch).await?;
                    Ok::<_, DbErr>((decided, watch))
                })
            })
            .await?;
        watch.lap(Part::Commit);
        self.lanes.inner.meter.add(&watch, count);
        let Decided { answers, wallets } = decided;
        self.known.keep(wallets);
        Ok(answers)
    }

    fn tell(&self, queued: Queued, answer: Answer) {
        let Queued { op, open } = queued;
        drop(op.place);
        if let (Ask::End { tenant, .. }, Answer::Ended(Ok(_))) = (&op.ask, &answer) {
            self.lanes.waits().wake(*tenant);
        }
        op.waiter.tell(&op.ask, answer, &self.lanes);
        crash::point("asker told");
        drop(open);
    }

    /// Whether an ask is worth writing: a key that was touched a moment ago is not.
    fn is_news(&mut self, ask: &Ask) -> bool {
        let Ask::Touch { key, now } = ask else {
            return true;
        };
        if self.touched.len() >= TOUCHED_MAX {
            self.touched.clear();
        }
        let last = self.touched.get(key);
        let news = last.is_none_or(|last| now.since(*last) >= TOUCH_EVERY);
        if news {
            self.touched.insert(*key, *now);
        }
        news
    }
}

/// Waits so long, or for ever.
async fn after(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

fn is_lost_connection(fault: &DbErr) -> bool {
    matches!(fault, DbErr::Conn(_) | DbErr::ConnectionAcquire(_))
}
