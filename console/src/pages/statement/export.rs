//! The lines of a period as a file.

use crate::{
    Error,
    frame::{Answer, SignedIn, State, Tone, reply},
    pages::usage::list::midnight,
    words::{csv, phrase},
};
use actix_web::web;
use billing::ledger::{self, Period, STATEMENT_MAX};
use entity::TenantId;
use sea_orm::ActiveEnum;
use serde::Deserialize;

/// Days, the last one included; what cannot be read does not bound.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    from: String,
    #[serde(default)]
    until: String,
}

/// A member's own.
pub(crate) async fn show(console: State, member: SignedIn, query: web::Query<Query>) -> Answer {
    if !member.may_pay() {
        return Err(Error::NotFound);
    }
    file(&console, member.tenant(), &query, "/console/statement").await
}

/// The lines of any tenant; back to its statement where they are too many for one file.
pub(crate) async fn file(console: &State, tenant: TenantId, query: &Query, back: &str) -> Answer {
    let period = Period {
        from: midnight(&query.from, 0),
        until: midnight(&query.until, 1),
    };
    let lines = ledger::statement_of(&console.db, tenant, period).await?;
    if lines.len() > STATEMENT_MAX {
        let many = i64::try_from(STATEMENT_MAX).unwrap_or(i64::MAX);
        let said = phrase("export-too-many").count("count", many);
        return Ok(reply::see_other(back).flash(Tone::Warn, said));
    }
    let mut text = String::new();
    csv::push(
        &mut text,
        [
            "id",
            "posted_at",
            "kind",
            "credits",
            "debt",
            "balance",
            "reason",
        ],
    );
    for line in lines {
        let row = line.transaction;
        csv::push(
            &mut text,
            [
                row.id.to_string().as_str(),
                row.posted_at.to_string().as_str(),
                row.kind.to_value().as_str(),
                line.change.to_string().as_str(),
                line.debt_change.to_string().as_str(),
                line.balance.to_string().as_str(),
                row.reason.as_deref().unwrap_or_default(),
            ],
        );
    }
    Ok(reply::file("statement.csv", csv::KIND, text))
}
