//! `tollgate demo --check`: calls every endpoint, streamed where it streams, and adds everything up.

use super::stage::{EMBEDDING_NANOS, INPUT_NANOS, OUTPUT_NANOS, Stage};
use crate::app::Running;
use billing::{audit, ledger};
use bytes::Bytes;
use entity::{Credits, HoldId, Scoped, usage};
use outbound::{
    Call, HeaderMap, HeaderValue, Method, Outbound, SendError, Settings, SettingsError, Url,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};
use serde_json::{Value, json};

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

/// The words that are asked; the sandbox counts one token a word.
const QUESTION: &str = "every word pays its toll";
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
    for (path, body, expected) in calls() {
        for streamed in [false, true] {
            if streamed && path == "/v1/embeddings" {
                continue;
            }
            let mut body = body.clone();
            body["stream"] = streamed.into();
            let before = available(running, stage).await?;
            let (status, id) = ask(&client, running, stage, Some(&body), path).await?;
            lines.push(Line {
                path,
                streamed,
                status,
                row: row(running, stage, id).await?,
                expected,
                before,
                after: available(running, stage).await?,
            });
        }
    }
    let (listed, _) = ask(&client, running, stage, None, "/v1/models").await?;
    let proofs = audit::prove(&running.db, running.clock.now()).await?;

    let mut report = String::new();
    table(&mut report, &lines);
    line(&mut report, &format!("GET /v1/models: {listed}"));
    for proof in &proofs.proofs {
        let verdict = match &proof.breach {
            None => "holds",
            Some(_) => "BROKEN",
        };
        line(
            &mut report,
            &format!("{:<4} {verdict:<7} {}", proof.law, proof.says),
        );
    }
    let right = listed == 200
        && lines.iter().all(Line::is_right)
        && proofs.proofs.iter().all(|proof| proof.breach.is_none());
    Ok(Checked { report, right })
}

fn calls() -> Vec<(&'static str, Value, i64)> {
    let words = i64::try_from(QUESTION.split(' ').count()).unwrap_or(i64::MAX);
    let messages = json!([{"role": "user", "content": QUESTION}]);
    let chat = words * (INPUT_NANOS + OUTPUT_NANOS);
    vec![
        (
            "/v1/chat/completions",
            json!({"model": "sandbox/echo", "messages": messages, "max_tokens": 100}),
            chat,
        ),
        (
            "/v1/responses",
            json!({"model": "sandbox/echo", "input": QUESTION, "max_output_tokens": 100}),
            chat,
        ),
        (
            "/v1/messages",
            json!({"model": "sandbox/echo", "messages": messages, "max_tokens": 100}),
            chat,
        ),
        (
            "/v1/embeddings",
            json!({"model": "sandbox/embedding", "input": QUESTION}),
            words * EMBEDDING_NANOS,
        ),
    ]
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

fn table(report: &mut String, lines: &[Line]) {
    line(
        report,
        &format!(
            "{:<22} {:<8} {:>6} {:>6} {:>6} {:>12} {:>12} {:>12}",
            "endpoint", "streamed", "status", "in", "out", "charge", "before", "after"
        ),
    );
    for one in lines {
        let tokens = one
            .row
            .as_ref()
            .map_or((0, 0), |row| (row.input_tokens, row.output_tokens));
        let verdict = if one.is_right() { "" } else { "  WRONG" };
        line(
            report,
            &format!(
                "{:<22} {:<8} {:>6} {:>6} {:>6} {:>12} {:>12} {:>12}{verdict}",
                one.path,
                if one.streamed { "yes" } else { "no" },
                one.status,
                tokens.0,
                tokens.1,
                Credits::from_nanos(one.charge()).to_string(),
                one.before.to_string(),
                one.after.to_string(),
            ),
        );
    }
}

fn line(report: &mut String, text: &str) {
    report.push_str(text);
    report.push('\n');
}
