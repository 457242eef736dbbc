//! Proves that the books add up: every law is asked of the tables themselves, over one unchanging view, and
//! names the first row that breaks it.

//!
//! Of the laws in their numbering, I12 (what is refused changes nothing) is a property of operations, not of rows: the
//! tests compare the whole database before and after. I19 speaks of seals, and there are none.

mod deep;
mod laws;
pub mod nightly;

use entity::{Database, Timestamp, Tx};
use laws::{LAWS, Law};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use std::{collections::BTreeMap, fmt};
use uuid::Uuid;

/// What an audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// When it was asked for.
    pub at: Timestamp,
    /// One proof a law.
    pub proofs: Vec<Proof>,
}

/// What became of one law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Its number: `I1`.
    pub law: &'static str,
    /// What it says.
    pub says: &'static str,
    /// How many rows were looked at.
    pub rows: u64,
    /// The first row that breaks it.
    pub breach: Option<Breach>,
}

/// A row that breaks a law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// What does not add up: `wallet.held`.
    pub of: &'static str,
    /// Which row.
    pub row: String,
    /// What the other rows say it should be.
    pub expected: i64,
    /// What it is.
    pub found: i64,
}

impl Report {
    /// Whether every law holds.
    pub fn is_clean(&self) -> bool {
        self.proofs.iter().all(|proof| proof.breach.is_none())
    }

    /// The laws that do not hold.
    pub fn broken(&self) -> impl Iterator<Item = &Proof> {
        self.proofs.iter().filter(|proof| proof.breach.is_some())
    }
}

/// Asks every law of the tables. Writers go on meanwhile; they are not seen.
///
/// # Errors
/// When the database does not answer.
pub async fn prove(db: &Database, now: Timestamp) -> Result<Report, DbErr> {
    let tracker = db.tracker().clone();
    db.snapshot(move |tx| {
        Box::pin(async move {
            if tx.get_database_backend() == DbBackend::Postgres {
                // A proof over many rows takes longer than a page may.
                tx.execute_unprepared("SET LOCAL statement_timeout = 0")
                    .await?;
            }
            let mut sizes = BTreeMap::new();
            let mut proofs = Vec::with_capacity(LAWS.len().saturating_add(deep::LAWS.len()));
            for law in LAWS.iter().chain(deep::LAWS) {
                if tracker.is_closed() {
                    return Err(DbErr::Custom("the process ends".to_owned()));
                }
                proofs.push(law.prove(tx, &mut sizes).await?);
            }
            proofs.sort_by_key(|proof| number(proof.law));
            Ok(Report { at: now, proofs })
        })
    })
    .await
}

impl Law {
    async fn prove(
        &self,
        tx: &Tx,
        sizes: &mut BTreeMap<&'static str, i64>,
    ) -> Result<Proof, DbErr> {
        let mut rows = 0_i64;
        for table in self.tables {
            let size = match sizes.get(table) {
                Some(size) => *size,
                None => size_of(tx, table).await?,
            };
            sizes.insert(table, size);
            rows = rows.saturating_add(size);
        }
        let mut breach = None;
        for (of, query) in self.breaches {
            let Some(row) = one(tx, &format!("{query} ORDER BY 1 LIMIT 1")).await? else {
                continue;
            };
            let id: Option<Uuid> = row.try_get("", "row")?;
            breach = Some(Breach {
                of,
                row: id.map_or_else(|| "all rows".to_owned(), |id| id.to_string()),
                expected: row.try_get("", "expected")?,
                found: row.try_get("", "found")?,
            });
            break;
        }
        Ok(Proof {
            law: self.name,
            says: self.says,
            rows: u64::try_from(rows).unwrap_or(0),
            breach,
        })
    }
}

/// `I14` comes after `I9`.
fn number(law: &str) -> u32 {
    law.trim_start_matches('I').parse().unwrap_or(u32::MAX)
}

async fn size_of(tx: &Tx, table: &str) -> Result<i64, DbErr> {
    let count = format!(r#"SELECT CAST(COUNT(*) AS BIGINT) AS n FROM "{table}""#);
    let row = one(tx, &count).await?;
    row.map_or(Ok(0), |row| row.try_get("", "n"))
}

async fn one(tx: &Tx, sql: &str) -> Result<Option<sea_orm::QueryResult>, DbErr> {
    tx.query_one_raw(Statement::from_string(tx.get_database_backend(), sql))
        .await
}

/// A table for people: one line a law.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for proof in &self.proofs {
            let verdict = if proof.breach.is_some() {
                "BROKEN"
            } else {
                "holds"
            };
            writeln!(
                f,
                "{:<4} {:<7} {:>10} rows  {}",
                proof.law, verdict, proof.rows, proof.says
            )?;
            if let Some(breach) = &proof.breach {
                writeln!(f, "     {breach}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            of,
            row,
            expected,
            found,
        } = self;
        write!(f, "{of} of {row}: expected {expected}, found {found}")
    }
}
