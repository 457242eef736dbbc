//! Takes models and prices over from the price table: what would happen first, then what is ticked.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
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
    day: Option<String>,
    vendors: Vec<(String, bool)>,
    rows: Vec<Row>,
    any: bool,
    /// What was pasted, to be sent along with what is ticked.
    pasted: String,
    faults: Faults,
}

struct Row {
    model: String,
    input: String,
    output: String,
    cache_read: String,
    long: Vec<Phrase>,
    /// Prices of the vendor's that are not charged apart.
    uncharged: String,
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
    /// A table, or entries of one, in either form; empty takes the one that comes with the product.
    #[serde(default)]
    table: String,
    /// `look` shows what an import of the pasted table would do.
    #[serde(default)]
    step: String,
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
    let vendors = names
        .iter()
        .map(|name| ((*name).to_owned(), *name == vendor))
        .collect();

    reply::page(&Import {
        vendors,
        ..view(page, &console, &table, lines).await?
    })
}

async fn view(
    page: Page,
    console: &State,
    table: &PriceTable,
    lines: Vec<Line>,
) -> Result<Import, Error> {
    let proposals = preview(console.db.read(), &lines, console.clock.now()).await?;
    let rows: Vec<Row> = proposals.iter().map(Row::of).collect();
    Ok(Import {
        page,
        day: table.retrieved.map(|day| day.to_string()),
        vendors: Vec::new(),
        any: rows.iter().any(|row| row.may_be_taken),
        rows,
        pasted: String::new(),
        faults: Faults::none(),
    })
}

/// What an import of a pasted table would do, or what is wrong with it.
async fn look(page: Page, console: &State, pasted: String) -> Answer {
    let (table, faults) = match PriceTable::parse(&pasted) {
        Ok(table) => (table, Faults::none()),
        Err(fault) => {
            let why = phrase("op-import-fault").with("fault", fault.to_string());
            let none = PriceTable {
                retrieved: None,
                lines: Vec::new(),
                skipped: 0,
            };
            (none, Faults::of("table", why))
        }
    };
    let refused = !faults.is_empty();
    let import = Import {
        pasted,
        faults,
        ..view(page, console, &table, table.lines.clone()).await?
    };
    if refused {
        reply::refused(&import)
    } else {
        reply::page(&import)
    }
}

/// Takes over what is ticked.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    form: Protected<Entered>,
) -> Answer {
    let Protected(form) = form;
    if form.step == "look" {
        return look(page, &console, form.table).await;
    }
    let models = field::lines(&form.models);
    if models.is_empty() {
        let back = reply::see_other("/console/operator/models/import");
        return Ok(back.flash(Tone::Note, phrase("op-import-none")));
    }

    let table = if form.table.trim().is_empty() {
        PriceTable::shipped()
    } else {
        PriceTable::parse(&form.table).map_err(|_| Error::Malformed("table".to_owned()))?
    };
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
            if form.table.trim().is_empty() {
                return Err(Error::Internal(error.to_string()));
            }
            let why = phrase("op-import-fault").with("fault", error.to_string());
            let import = Import {
                faults: Faults::of("table", why),
                pasted: form.table,
                ..view(page, &console, &table, table.lines.clone()).await?
            };
            reply::refused(&import)
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
        let price = line.price.as_ref().map(|sheet| &sheet.base);
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
            uncharged: uncharged(line),
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

fn long(line: &Line) -> Vec<Phrase> {
    let longer = line.price.iter().flat_map(|sheet| &sheet.long_prompt);
    longer
        .map(|(above, price)| {
            let tokens = i64::try_from(*above).unwrap_or(i64::MAX);
            phrase("op-import-long")
                .with("tokens", format::count(tokens))
                .with("input", price.input.to_string())
                .with("output", price.output.to_string())
        })
        .collect()
}

/// What of a vendor's prices callers never meet: service tiers are not offered, so their prices need not be named.
fn uncharged(line: &Line) -> String {
    let names: Vec<&str> = line
        .uncharged
        .iter()
        .map(String::as_str)
        .filter(|name| !name.starts_with('*'))
        .collect();
    names.join(", ")
}
