//! `tollgate demo --check`: calls every endpoint, streamed where it streams, and adds everything up.

use super::{
    endpoint::{self, MODELS},
    stage::Stage,
};
use crate::app::Running;
use billing::{
    audit::{self, Proof},
    ledger,
};
use bytes::Bytes;
use entity::{Credits, HoldId, Scoped, usage};
use outbound::{
    Call, HeaderMap, HeaderValue, Method, Outbound, SendError, Settings, SettingsError, Url,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use serde_json::Value;
use std::fmt::{self, Write};

/// Why the check could not be made; what it found wrong is in its report instead.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The server did not answer.
    #[error("the server did not answer: {0}")]
    Call(#[from] SendError),
    /// There is no client.
    #[error(transparent)]
    Client(#[from] SettingsError),
    /// The address or the key cannot be used.
    #[error("the address or the key cannot be used")]
    Address,
    /// The database did not answer.
    #[error("the database refused: {0}")]
    Store(#[from] DbErr),
}

/// What was found, as a table for people, and whether all of it is right.
#[derive(Debug)]
pub struct Checked {
    /// The table and the proofs.
    pub report: String,
    /// Whether every line is right.
    pub right: bool,
}

/// One call and what came of it.
struct Line {
    path: &'static str,
    streamed: bool,
    status: u16,
    row: Option<usage::Model>,
    expected: i64,
    before: Credits,
    after: Credits,
}

const LONGEST: usize = 1 << 20;

/// Calls every endpoint of a furnished demo.
///
/// # Errors
/// As the variants say.
pub async fn check(running: &Running, stage: &Stage) -> Result<Checked, CheckError> {
    let client = Outbound::new(&Settings {
        allowed_cidrs: "127.0.0.0/8".parse().into_iter().collect(),
        ..Settings::default()
    })?;
    let mut lines = Vec::new();
    for endpoint in endpoint::all() {
        let ways: &[bool] = if endpoint.streams {
            &[false, true]
        } else {
            &[false]
        };
        for &streamed in ways {
            let body = endpoint.asking(streamed);
            let before = available(running, stage).await?;
            let (status, id) = ask(&client, running, stage, Some(&body), endpoint.path).await?;
            lines.push(Line {
                path: endpoint.path,
                streamed,
                status,
                row: row(running, stage, id).await?,
                expected: endpoint.charge_nanos,
                before,
                after: available(running, stage).await?,
            });
        }
    }
    let (listed, _) = ask(&client, running, stage, None, MODELS).await?;
    let proofs = audit::prove(&running.db, running.clock.now()).await?;

    let right = listed == 200
        && lines.iter().all(Line::is_right)
        && proofs.proofs.iter().all(|proof| proof.breach.is_none());
    Ok(Checked {
        report: report(listed, &lines, &proofs.proofs, right),
        right,
    })
}

impl Line {
    fn charge(&self) -> i64 {
        self.row.as_ref().map_or(0, |row| row.charge.nanos())
    }

    fn is_right(&self) -> bool {
        let fell = self.before.nanos() - self.after.nanos();
        self.status == 200 && self.charge() == self.expected && fell == self.expected
    }
}

async fn available(running: &Running, stage: &Stage) -> Result<Credits, DbErr> {
    let balance = ledger::balance(&running.db, stage.tenant, running.clock.now()).await?;
    Ok(balance.available)
}

async fn row(
    running: &Running,
    stage: &Stage,
    id: Option<HoldId>,
) -> Result<Option<usage::Model>, DbErr> {
    let Some(id) = id else { return Ok(None) };
    usage::Entity::of(stage.tenant)
        .filter(usage::Column::Id.eq(id))
        .one(running.db.read())
        .await
}

async fn ask(
    client: &Outbound,
    running: &Running,
    stage: &Stage,
    body: Option<&Value>,
    path: &str,
) -> Result<(u16, Option<HoldId>), CheckError> {
    let port = running.address.port();
    let url =
        Url::parse(&format!("http://127.0.0.1:{port}{path}")).map_err(|_| CheckError::Address)?;
    let mut headers = HeaderMap::new();
    let bearer = format!("Bearer {}", stage.key);
    let key = HeaderValue::from_str(&bearer).map_err(|_| CheckError::Address)?;
    headers.insert(AUTHORIZATION, key);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let answer = client
        .send(Call {
            method: if body.is_some() {
                Method::POST
            } else {
                Method::GET
            },
            url,
            headers,
            body: body.map_or_else(Bytes::new, |body| body.to_string().into()),
            header_timeout: None,
            proxy: None,
        })
        .await?;
    let status = answer.status().as_u16();
    let id = answer
        .headers()
        .get("x-request-id")
        .and_then(|id| id.to_str().ok()?.parse().ok());
    answer.read(LONGEST).await?;
    Ok((status, id))
}

fn report(listed: u16, lines: &[Line], proofs: &[Proof], right: bool) -> String {
    let mut text = format!(
        "\n  {:<22} {:<8} {:>6} {:>5} {:>5} {:>14} {:>14} {:>14}\n",
        "endpoint", "streamed", "status", "in", "out", "charge", "before", "after"
    );
    let mut row = |line: String| {
        let line = format!("  {line}");
        writeln!(text, "{}", line.trim_end()).expect("writing to a string cannot fail");
    };
    row(format!(
        "{MODELS:<22} {:<8} {listed:>6} {:>5} {:>5} {:>14} {:>14} {:>14}",
        "no", "", "", "", "", ""
    ));
    for line in lines {
        row(line.to_string());
    }
    row(String::new());
    for proof in proofs {
        let verdict = match &proof.breach {
            None => "holds",
            Some(_) => "BROKEN",
        };
        row(format!("{:<4} {verdict:<7} {}", proof.law, proof.says));
    }
    row(String::new());
    row(if right {
        "All right: every endpoint answered, every balance fell by exactly the price, every law of the ledger holds."
            .to_owned()
    } else {
        "NOT right: see WRONG and BROKEN above.".to_owned()
    });
    text.push('\n');
    text
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens = self
            .row
            .as_ref()
            .map_or((0, 0), |row| (row.input_tokens, row.output_tokens));
        write!(
            f,
            "{:<22} {:<8} {:>6} {:>5} {:>5} {:>14} {:>14} {:>14}{}",
            self.path,
            if self.streamed { "yes" } else { "no" },
            self.status,
            tokens.0,
            tokens.1,
            in_full(self.charge()),
            in_full(self.before.nanos()),
            in_full(self.after.nanos()),
            if self.is_right() { "" } else { "  WRONG" },
        )
    }
}

/// With all nine digits, so that the points of a column stand below each other.
fn in_full(nanos: i64) -> String {
    const UNIT: u64 = 1_000_000_000;
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    format!("{sign}{}.{:09}", size / UNIT, size % UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_written_with_all_their_digits() {
        for (nanos, text) in [
            (5_000_000_000, "5.000000000"),
            (-15_000, "-0.000015000"),
            (0, "0.000000000"),
        ] {
            assert_eq!(in_full(nanos), text);
        }
    }
}
