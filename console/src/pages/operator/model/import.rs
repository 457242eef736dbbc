//! Takes models and prices over from the price table: what would happen first, then what is ticked.

use crate::{
    Error,
    frame::{Answer, Operator, Page, Protected, State, Tone, reply},
    pages::operator::field,
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::shop::{
    import::{ImportError, Proposal, Verdict, import, preview},
    price_table::{Line, PriceTable},
};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/operator/import.html")]
struct Import {
    page: Page,
    day: String,
    vendors: Vec<(String, bool)>,
    rows: Vec<Row>,
    any: bool,
}

struct Row {
    model: String,
    input: String,
    output: String,
    cache_read: String,
    long: Option<Phrase>,
    verdict: Phrase,
    tone: &'static str,
    may_be_taken: bool,
    is_ticked: bool,
}

/// What the address may say.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    vendor: String,
}

/// The form as sent.
#[derive(Debug, Deserialize)]
pub(crate) struct Entered {
    #[serde(default)]
    models: String,
}

/// What an import would do.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    query: web::Query<Query>,
) -> Answer {
    let table = PriceTable::shipped();
    let names = table.vendors();
    let vendor = names
        .iter()
        .find(|name| **name == query.vendor)
        .or_else(|| names.first())
        .copied()
        .unwrap_or_default();
    let lines: Vec<Line> = table
        .lines
        .iter()
        .filter(|line| line.vendor == vendor)
        .cloned()
        .collect();
    let rows: Vec<Row> = preview(console.db.read(), &lines, console.clock.now())
        .await?
        .iter()
        .map(Row::of)
        .collect();

    reply::page(&Import {
        page,
        day: table.retrieved.to_string(),
        vendors: names
            .iter()
            .map(|name| ((*name).to_owned(), *name == vendor))
            .collect(),
        any: rows.iter().any(|row| row.may_be_taken),
        rows,
    })
}

/// Takes over what is ticked.
pub(crate) async fn submit(operator: Operator, console: State, form: Protected<Entered>) -> Answer {
    let models = field::lines(&form.0.models);
    if models.is_empty() {
        let back = reply::see_other("/console/operator/models/import");
        return Ok(back.flash(Tone::Note, phrase("op-import-none")));
    }

    let table = PriceTable::shipped();
    let actor = operator.0.actor();
    let outcome = import(&console.db, &table, &models, actor, console.clock.now()).await;

    match outcome {
        Ok(done) => Ok(reply::see_other(super::LIST).flash(
            Tone::Good,
            phrase("op-import-done")
                .count("added", done.added.into())
                .count("priced", done.priced.into()),
        )),
        Err(ImportError::Store(error)) => Err(Error::Store(error)),
        Err(error @ (ImportError::Model(_) | ImportError::Price(_))) => {
            Err(Error::Internal(error.to_string()))
        }
    }
}

impl Row {
    fn of(proposal: &Proposal) -> Self {
        let line = &proposal.line;
        let (verdict, tone) = match proposal.verdict {
            Verdict::Add => (phrase("op-import-add"), "good"),
            Verdict::Price => (phrase("op-import-price"), "good"),
            Verdict::Reprice => (phrase("op-import-reprice"), "warn"),
            Verdict::Same => (phrase("op-import-same"), ""),
            Verdict::KeepManual => (phrase("op-import-manual"), ""),
            Verdict::Unpriced => (phrase("op-import-unpriced"), "note"),
            Verdict::ShutDown => (phrase("op-import-shut-down"), "bad"),
        };
        let price = line.price.as_ref();
        Self {
            model: line.model.clone(),
            input: price
                .map(|price| price.input.to_string())
                .unwrap_or_default(),
            output: price
                .map(|price| price.output.to_string())
                .unwrap_or_default(),
            cache_read: price
                .and_then(|price| price.cache_read)
                .map(|credits| credits.to_string())
                .unwrap_or_default(),
            long: long(line),
            verdict,
            tone,
            may_be_taken: matches!(
                proposal.verdict,
                Verdict::Add | Verdict::Price | Verdict::Reprice
            ),
            is_ticked: matches!(proposal.verdict, Verdict::Price),
        }
    }
}

fn long(line: &Line) -> Option<Phrase> {
    let (above, price) = line.long_prompt.as_ref()?;
    Some(
        phrase("op-import-long")
            .with("tokens", format::count(i64::try_from(*above).ok()?))
            .with("input", price.input.to_string())
            .with("output", price.output.to_string()),
    )
}
