//! Work that repeats. Each job runs under a row of `lease`, so any number of replicas may be up and one does it.

use billing::{
    audit::nightly,
    lane::Lanes,
    ledger,
    payment::{PaymentProvider, inbox, order},
    subscription::{self, SubscribeError},
    sweeper,
};
use console::{Console, mail, probe};
use entity::{Clock, Database, lease, retention};
use sea_orm::DbErr;
use std::{fmt, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// A job that repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Holds left by a crash end.
    Sweep,
    /// Credits whose time is over leave the wallet.
    Expire,
    /// Subscriptions begin their next period.
    Renew,
    /// What the payment provider told us is worked off.
    Inbox,
    /// Orders the payment provider has been silent about are asked about.
    Reconcile,
    /// Letters that wait in the outbox are sent.
    Mail,
    /// Channels are looked at, and their models listed.
    Probe,
    /// Rows that are kept for a while only are removed.
    Retain,
    /// The laws of the ledger are proved, once a night.
    Audit,
}

/// Why a job did not end well; it runs again at its next turn.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The database did not answer.
    #[error("the database refused: {0}")]
    Store(#[from] DbErr),
    /// A subscription cannot begin its next period.
    #[error(transparent)]
    Subscription(#[from] SubscribeError),
}

impl Job {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Sweep,
        Self::Expire,
        Self::Renew,
        Self::Inbox,
        Self::Reconcile,
        Self::Mail,
        Self::Probe,
        Self::Retain,
        Self::Audit,
    ];

    /// Its name in the lease table and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::Expire => "expire",
            Self::Renew => "renew",
            Self::Inbox => "inbox",
            Self::Reconcile => "reconcile",
            Self::Mail => "mail",
            Self::Probe => "probe",
            Self::Retain => "retain",
            Self::Audit => "audit",
        }
    }

    const fn every(self) -> Duration {
        match self {
            Self::Inbox | Self::Mail => Duration::from_secs(5),
            Self::Sweep => Duration::from_secs(15),
            Self::Expire | Self::Renew => Duration::from_mins(1),
            Self::Probe => Duration::from_mins(5),
            Self::Reconcile => Duration::from_mins(10),
            // Looks every so often whether the night has come.
            Self::Audit => Duration::from_mins(20),
            Self::Retain => Duration::from_hours(1),
        }
    }
}

/// What the jobs work on.
#[derive(Clone)]
pub(crate) struct Work {
    pub db: Database,
    pub clock: Clock,
    pub lanes: Lanes,
    pub payments: Option<Arc<dyn PaymentProvider>>,
    /// Writes and sends letters.
    pub console: Console,
}

/// The jobs of one process. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    work: Arc<Work>,
    /// This process, in the lease table.
    holder: Arc<str>,
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

impl Jobs {
    pub(crate) fn new(work: Work) -> Self {
        Self {
            work: Arc::new(work),
            holder: entity::OutboxId::fresh().to_string().into(),
        }
    }

    /// Starts every job on the main runtime, until `end`.
    pub(crate) fn schedule(&self, end: &CancellationToken) {
        for job in Job::ALL {
            let (jobs, end) = (self.clone(), end.clone());
            let db = &self.work.db;
            db.tracker().spawn_on(
                async move {
                    end.run_until_cancelled(jobs.repeat(job)).await;
                    if let Err(fault) =
                        lease::release(&jobs.work.db, job.name(), &jobs.holder).await
                    {
                        tracing::warn!(job = job.name(), %fault, "the lease was not given back");
                    }
                },
                db.handle(),
            );
        }
    }

    /// Runs every job once, whoever holds the leases.
    ///
    /// # Errors
    /// The first job's error.
    pub async fn run_all(&self) -> Result<(), JobError> {
        for job in Job::ALL {
            self.run(job).await?;
        }
        Ok(())
    }

    async fn repeat(&self, job: Job) {
        let mut turns = tokio::time::interval(job.every());
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            if let Err(fault) = self.turn(job).await {
                tracing::error!(job = job.name(), %fault, "a job failed and will be tried again");
            }
        }
    }

    async fn turn(&self, job: Job) -> Result<(), JobError> {
        let Work { db, clock, .. } = &*self.work;
        let held_for = job.every() * 3 + Duration::from_secs(10);
        if lease::claim(db, job.name(), &self.holder, held_for, clock.now()).await? {
            self.run(job).await?;
        }
        Ok(())
    }

    async fn run(&self, job: Job) -> Result<(), JobError> {
        let Work {
            db,
            clock,
            lanes,
            payments,
            console,
        } = &*self.work;
        let now = clock.now();
        match job {
            Job::Sweep => {
                sweeper::sweep(db, lanes, now).await?;
            }
            Job::Expire => {
                ledger::expire_due(db, now).await?;
            }
            Job::Renew => {
                subscription::renew_due(db, now).await?;
            }
            Job::Inbox => {
                if let Some(provider) = payments {
                    inbox::process_due(db, &**provider, now).await?;
                }
            }
            Job::Mail => {
                mail::deliver_due(console, now).await?;
            }
            Job::Probe => {
                probe::look(console, now).await?;
            }
            Job::Retain => {
                retention::sweep(db, now).await?;
            }
            Job::Audit => {
                nightly::run_due(db, now).await?;
            }
            Job::Reconcile => {
                if let Some(provider) = payments {
                    order::reconcile(db, &**provider, now).await?;
                }
            }
        }
        Ok(())
    }
}
