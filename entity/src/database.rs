//! One way to read and one way to write. A write runs in a task of its own, so that a caller who goes away
//! can neither leave a transaction open nor stop half-way; on SQLite there is one writer, and lane batches go
//! before other work.

pub mod crash;

use sea_orm::{
    AccessMode, ConnectOptions, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    IsolationLevel, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::task::TaskTracker;

/// What an operation writes through: committed when the operation succeeds, rolled back when it does not.
pub type Tx = DatabaseTransaction;

/// What an operation given to [`Database::write`] returns: `Box::pin(async move { .. })`.
pub type WriteFuture<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// Where the database is and how many connections it may use.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `sqlite:///path/file.sqlite` or `postgres://..`.
    pub url: String,
    /// Connections for writing on PostgreSQL; SQLite has one.
    pub write_connections: u32,
    /// Connections for reading.
    pub read_connections: u32,
}

impl Settings {
    /// The usual numbers of connections for this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            write_connections: 10,
            read_connections: 6,
        }
    }
}

/// How many connections of the writing pool ordinary work leaves to lane batches.
const RESERVED_FOR_LANES: u32 = 4;
/// Prepared statements that a connection keeps: those of a lane's batch in all their sizes, and room for others.
const STATEMENTS: usize = 256;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may lie idle and still be used unasked. After a server's restart each that is not asked costs a
/// call; under load none is idle for so long, and the question is one trip.
const IDLE_UNTESTED: Duration = Duration::from_secs(2);

/// The database of the installation. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    /// Ordinary work takes a turn here before it asks for the writer, so a lane batch waits for one at most.
    ordinary: Semaphore,
    /// One permit a writing connection.
    turns: Semaphore,
    generation: AtomicU64,
    handle: Handle,
    tracker: TaskTracker,
}

/// Who goes first where the writer is one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Lane,
    Ordinary,
    /// As ordinary work, for rows that no cache holds.
    Aside,
}

impl Database {
    /// Opens a migrated database. Long-lived work of the process runs on the runtime this is called from.
    ///
    /// # Errors
    /// When the address is malformed or nothing answers there.
    pub async fn open(settings: &Settings) -> Result<Self, DbErr> {
        let sqlite = settings.url.starts_with("sqlite:");
        let (writers, readers) = if sqlite {
            (1, settings.read_connections.max(1))
        } else {
            (
                settings.write_connections.max(RESERVED_FOR_LANES + 1),
                settings.read_connections.max(1),
            )
        };
        let ordinary = writers.saturating_sub(RESERVED_FOR_LANES).max(1);
        let writer = sea_orm::Database::connect(options(&settings.url, writers, false)).await?;
        let reader = sea_orm::Database::connect(options(&settings.url, readers, true)).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                reader,
                writer,
                ordinary: Semaphore::new(ordinary as usize),
                turns: Semaphore::new(writers as usize),
                generation: AtomicU64::new(0),
                handle: Handle::current(),
                tracker: TaskTracker::new(),
            }),
        })
    }

    /// Where reads go. On SQLite these connections cannot write.
    pub fn read(&self) -> &DatabaseConnection {
        &self.inner.reader
    }

    /// Which database this is; only the places that must differ ask.
    pub fn backend(&self) -> DbBackend {
        self.inner.writer.get_database_backend()
    }

    /// Runs `op` in a transaction in a task of its own, and commits when it succeeds. The caller may go away at
    /// any time: the operation still ends, one way or the other.
    ///
    /// # Errors
    /// What `op` returned, or the database's own error; then nothing was written.
    pub async fn write<T, E, F>(&self, op: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a Tx) -> WriteFuture<'a, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbErr> + Send + 'static,
    {
        self.spawn_write(Turn::Ordinary, op).await
    }

    /// As [`Database::write`], for rows that no cache holds: [`Database::generation`] stays, so that calls which write one
    /// each do not have all caches read again.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub async fn write_aside<T, E, F>(&self, op: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a Tx) -> WriteFuture<'a, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbErr> + Send + 'static,
    {
        self.spawn_write(Turn::Aside, op).await
    }

    /// As [`Database::write`], ahead of ordinary work: for lane batches, and for nothing else.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub async fn write_first<T, E, F>(&self, op: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a Tx) -> WriteFuture<'a, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbErr> + Send + 'static,
    {
        self.spawn_write(Turn::Lane, op).await
    }

    /// Runs `op` over one unchanging view of the database, for proofs that add up several tables.
    ///
    /// # Errors
    /// What `op` returned, or the database's own error.
    pub async fn snapshot<T, E, F>(&self, op: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a Tx) -> WriteFuture<'a, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbErr> + Send + 'static,
    {
        let database = self.clone();
        self.in_own_task(async move {
            let options = match database.backend() {
                DbBackend::Postgres => TransactionOptions {
                    isolation_level: Some(IsolationLevel::RepeatableRead),
                    access_mode: Some(AccessMode::ReadOnly),
                    ..TransactionOptions::default()
                },
                _ => TransactionOptions::default(),
            };
            let tx = database.inner.reader.begin_with_options(options).await?;
            let outcome = op(&tx).await;
            tx.rollback().await?;
            outcome
        })
        .await
    }

    /// Moves after every committed ordinary write of this process, so that caches know when to look again.
    pub fn generation(&self) -> u64 {
        self.inner.generation.load(Ordering::Acquire)
    }

    /// The multi-thread runtime that long-lived tasks belong on.
    pub fn handle(&self) -> &Handle {
        &self.inner.handle
    }

    /// Counts the tasks that must end before the process may.
    pub fn tracker(&self) -> &TaskTracker {
        &self.inner.tracker
    }

    /// Waits for the tasks under [`Database::tracker`] and closes the connections.
    ///
    /// # Errors
    /// When a connection does not close cleanly.
    pub async fn close(self) -> Result<(), DbErr> {
        self.inner.tracker.close();
        self.inner.tracker.wait().await;
        self.inner.reader.clone().close().await?;
        self.inner.writer.clone().close().await
    }

    async fn spawn_write<T, E, F>(&self, turn: Turn, op: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a Tx) -> WriteFuture<'a, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<DbErr> + Send + 'static,
    {
        let database = self.clone();
        self.in_own_task(async move { database.transact(turn, op).await })
            .await
    }

    async fn in_own_task<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbErr> + Send + 'static,
    {
        let task = self.inner.tracker.spawn_on(work, &self.inner.handle);
        task.await.unwrap_or_else(|fault| {
            tracing::error!(%fault, "a database operation ended early and was rolled back");
            Err(E::from(DbErr::Custom(format!(
                "the operation ended early and was rolled back: {fault}"
            ))))
        })
    }

    async fn transact<T, E, F>(&self, turn: Turn, op: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a Tx) -> WriteFuture<'a, T, E> + Send + 'static,
        E: From<DbErr>,
    {
        let inner = &*self.inner;
        let _behind_lanes = match turn {
            Turn::Ordinary | Turn::Aside => Some(permit(&inner.ordinary).await?),
            Turn::Lane => None,
        };
        let _turn = permit(&inner.turns).await?;
        let options = TransactionOptions {
            sqlite_transaction_mode: (self.backend() == DbBackend::Sqlite)
                .then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let tx = inner.writer.begin_with_options(options).await?;
        crash::point("write begun");
        match op(&tx).await {
            Ok(value) => {
                crash::point("write done");
                tx.commit().await?;
                crash::point("write committed");
                if turn == Turn::Ordinary {
                    inner.generation.fetch_add(1, Ordering::AcqRel);
                }
                Ok(value)
            }
            Err(fault) => {
                tx.rollback().await?;
                Err(fault)
            }
        }
    }
}

async fn permit(turns: &Semaphore) -> Result<tokio::sync::SemaphorePermit<'_>, DbErr> {
    turns
        .acquire()
        .await
        .map_err(|_| DbErr::Custom("the database is closed".to_owned()))
}

/// Whether a server is on this machine. A server there would be asked for TLS for nothing, and sqlx 0.9.0 leaves Nagle's
/// algorithm on (transact-rs/sqlx#4335), which over TLS costs most statements 40 ms.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn options(url: &str, connections: u32, is_reader: bool) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    let says_tls = url.contains("sslmode");
    options
        .max_connections(connections)
        // All are opened here, on the main runtime: one that a server's worker opens dies with that worker.
        .min_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_timeout(ACQUIRE_TIMEOUT)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .test_before_acquire(false)
        .test_before_acquire_if_idle_for(IDLE_UNTESTED)
        .map_sqlx_sqlite_opts(move |sqlite| {
            use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
            sqlite
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(BUSY_TIMEOUT)
                .read_only(is_reader)
                .pragma("wal_autocheckpoint", "4000")
                .statement_cache_capacity(STATEMENTS)
                // Rows of a statement that may wait to be fetched: a lane's batch reads a few hundred at most.
                .row_buffer_size(512)
        })
        .map_sqlx_postgres_opts(move |postgres| {
            use sea_orm::sqlx::postgres::PgSslMode;
            let postgres = if !says_tls && is_loopback(postgres.get_host()) {
                postgres.ssl_mode(PgSslMode::Disable)
            } else {
                postgres
            };
            let postgres = postgres
                .application_name("tollgate")
                .statement_cache_capacity(STATEMENTS)
                .options([
                    ("lock_timeout", "10s"),
                    ("statement_timeout", "60s"),
                    ("idle_in_transaction_session_timeout", "60s"),
                ]);
            if is_reader {
                return postgres;
            }
            // Whatever is written begins at a key. A plan made while a table was small would read all of it later: whether
            // a call is there already is asked of `usage` by every batch, and a new book grows by the second. Where no
            // index fits, the plan then looks so costly that the server would compile it, which takes most of its time.
            postgres.options([("enable_seqscan", "off"), ("jit", "off")])
        });
    if url.starts_with("sqlite:") {
        options
            .idle_timeout(None::<Duration>)
            .max_lifetime(None::<Duration>);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_on_this_machine_is_spoken_to_without_tls() {
        for here in ["localhost", "127.0.0.1", "127.8.0.1", "::1", "[::1]"] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in [
            "db.example.com",
            "10.0.0.5",
            "localhost.example.com",
            "::",
            "",
        ] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
