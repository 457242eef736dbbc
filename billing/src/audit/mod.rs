//! Proves that the books add up: every law is asked of the tables themselves, over one unchanging view, and
//! names the first row that breaks it.

mod laws;

use entity::{Database, Timestamp, Tx};
use laws::{LAWS, Law};
use sea_orm::{ConnectionTrait, DbErr, Statement};
use std::fmt;
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
    db.snapshot(move |tx| {
        Box::pin(async move {
            let mut proofs = Vec::with_capacity(LAWS.len());
            for law in LAWS {
                proofs.push(law.prove(tx).await?);
            }
            Ok(Report { at: now, proofs })
        })
    })
    .await
}

impl Law {
    async fn prove(&self, tx: &Tx) -> Result<Proof, DbErr> {
        let mut rows = 0_i64;
        for table in self.tables {
            let count = format!(r#"SELECT CAST(COUNT(*) AS BIGINT) AS n FROM "{table}""#);
            if let Some(row) = one(tx, &count).await? {
                rows = rows.saturating_add(row.try_get("", "n")?);
            }
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
