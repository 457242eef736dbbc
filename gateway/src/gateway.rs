//! The state that all calls share, and how it is set up.

use std::{fmt, sync::Arc, time::Duration};

use billing::{expectation::Expectations, lane::Lanes, plan::Deals};
use entity::{Clock, Database};
use identity::{key::Keys, seal::MasterKey};
use outbound::Outbound;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    call::{Budget, Claims, Cooldowns, Loads, Memory, Pins, Rates, Repeats, Strangers, Turns},
    caller::Callers,
    catalog::Catalog,
    error::Links,
    refused::Refusals,
};

/// What can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address that clients use, without a path and without a trailing slash.
    pub public_url: String,
    /// Opens the channels' secrets.
    pub master: MasterKey,
    /// Bytes of a request body at most, after decoding.
    pub body_limit: usize,
    /// How long a request body may take to arrive.
    pub body_deadline: Duration,
    /// After how much silence a streaming client gets a sign of life.
    pub heartbeat: Duration,
    /// How long an upstream may take to begin a streamed answer.
    pub first_byte: Duration,
    /// How long an upstream may take for an answer that does not stream.
    pub whole_answer: Duration,
    /// How long an upstream may be silent within an answer.
    pub idle: Duration,
    /// How long a stream may go on at most.
    pub longest: Duration,
    /// How long a client may leave its answer unread.
    pub unread: Duration,
    /// How long an answer is read on for its usage after its client has gone.
    pub drain: Duration,
    /// How long credits stay held without a sign of life from the call.
    pub hold: Duration,
    /// How long a call waits for running calls of its tenant, where nothing else is in the way.
    pub patience: Duration,
    /// Tries of one call that reach an upstream at most, the first one included.
    pub attempts: usize,
    /// How long a word of the sandbox takes.
    pub sandbox_pace: Duration,
}

impl Config {
    /// The usual limits for an installation at this address.
    pub fn new(public_url: &str, master: MasterKey) -> Self {
        Self {
            public_url: public_url.trim_end_matches('/').to_owned(),
            master,
            body_limit: 32 << 20,
            body_deadline: Duration::from_mins(1),
            heartbeat: Duration::from_secs(10),
            first_byte: Duration::from_mins(1),
            whole_answer: Duration::from_mins(10),
            idle: Duration::from_mins(2),
            longest: Duration::from_hours(1),
            unread: Duration::from_mins(1),
            drain: Duration::from_secs(20),
            hold: Duration::from_mins(5),
            patience: Duration::from_secs(10),
            attempts: 2,
            sandbox_pace: Duration::from_millis(10),
        }
    }
}

/// The gateway. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) inner: Arc<Inner>,
}

/// Its parts hold secrets; a log says only that it is there.
impl fmt::Debug for Gateway {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Gateway").finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    pub(crate) db: Database,
    pub(crate) clock: Clock,
    pub(crate) lanes: Lanes,
    pub(crate) outbound: Outbound,
    pub(crate) callers: Callers,
    pub(crate) catalog: Catalog,
    pub(crate) deals: Deals,
    pub(crate) expectations: Expectations,
    pub(crate) rates: Rates,
    /// Counts what is asked without a call, apart from the calls.
    pub(crate) questions: Rates,
    pub(crate) cooldowns: Cooldowns,
    pub(crate) turns: Turns,
    pub(crate) loads: Loads,
    pub(crate) budget: Budget,
    pub(crate) refusals: Refusals,
    pub(crate) memory: Memory,
    pub(crate) pins: Pins,
    pub(crate) claims: Claims,
    pub(crate) repeats: Repeats,
    pub(crate) strangers: Strangers,
    pub(crate) links: Links,
    pub(crate) config: Config,
    /// No new call is let in.
    pub(crate) closed: CancellationToken,
    /// Running calls end at once.
    pub(crate) stopping: CancellationToken,
    /// Calls under way, whether or not their clients are still there.
    pub(crate) calls: TaskTracker,
}

impl Gateway {
    /// A gateway over these parts.
    pub fn new(
        db: Database,
        clock: Clock,
        lanes: Lanes,
        outbound: Outbound,
        keys: Keys,
        config: Config,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                callers: Callers::new(db.clone(), keys),
                catalog: Catalog::new(db.clone(), clock.clone(), config.master.clone()),
                deals: Deals::new(db.clone()),
                expectations: Expectations::new(db.clone()),
                cooldowns: Cooldowns::default(),
                turns: Turns::default(),
                loads: Loads::default(),
                budget: Budget::default(),
                refusals: Refusals::default(),
                memory: Memory::default(),
                pins: Pins::default(),
                claims: Claims::default(),
                repeats: Repeats::default(),
                strangers: Strangers::default(),
                rates: Rates::default(),
                questions: Rates::default(),
                links: Links {
                    public_url: config.public_url.clone(),
                },
                db,
                clock,
                lanes,
                outbound,
                config,
                closed: CancellationToken::new(),
                stopping: CancellationToken::new(),
                calls: TaskTracker::new(),
            }),
        }
    }

    /// Lets no new call in: they are told that the server restarts. Running calls go on.
    pub fn close(&self) {
        self.inner.closed.cancel();
    }

    /// Waits until no call is under way, those included whose clients have gone and whose usage is still awaited. The
    /// lanes may stop only after that, for every call has a settlement to bring.
    pub async fn landed(&self) {
        self.inner.calls.close();
        self.inner.calls.wait().await;
        for row in self.inner.refusals.drain() {
            self.inner.lanes.reject(row);
        }
    }

    /// Ends the answers that are still under way, each with an error event and a settlement: for the end of a
    /// shutdown's grace. Lets no new call in either.
    pub fn stop(&self) {
        self.close();
        self.inner.stopping.cancel();
    }
}
