//! The list of finished calls.

use super::rows::{self, Call, Cursor, Filter};
use crate::{
    frame::{Answer, Faults, Page, SignedIn, State, reply},
    words::format,
};
use actix_web::web;
use askama::Template;
use chrono::{NaiveDate, NaiveTime};
use entity::{Database, Platform, Timestamp, model};
use identity::key;
use sea_orm::{DbErr, QueryOrder};
use serde::Deserialize;
use url::form_urlencoded;

/// Rows a page.
const ROWS: u64 = 50;

#[derive(Template)]
#[template(path = "page/usage/list.html")]
struct UsagePage {
    page: Page,
    keys: Vec<Choice>,
    models: Vec<Choice>,
    from: String,
    until: String,
    faults: Faults,
    total_calls: i64,
    total_cost: format::Amount,
    calls: Vec<Call>,
    newer: String,
    older: String,
    /// The export of the same filter.
    csv: String,
}

struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

/// The filter and the cursor, as the address holds them. What cannot be read does not filter.
#[derive(Default, Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    key: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    until: String,
    #[serde(default)]
    before: String,
    #[serde(default)]
    after: String,
}

impl Query {
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            key: self.key.parse().ok(),
            model: self.model.parse().ok(),
            from: midnight(&self.from, 0),
            until: midnight(&self.until, 1),
        }
    }

    fn cursor(&self) -> Cursor {
        match (self.before.parse(), self.after.parse()) {
            (Ok(id), _) => Cursor::Before(id),
            (_, Ok(id)) => Cursor::After(id),
            _ => Cursor::Newest,
        }
    }

    /// The address of another page of the same filter.
    fn at(&self, cursor: &str, id: &str) -> String {
        let query = self.pairs().append_pair(cursor, id).finish();
        format!("/console/usage?{query}")
    }

    /// The address of the export of the same filter.
    fn csv(&self) -> String {
        format!("/console/usage.csv?{}", self.pairs().finish())
    }

    fn pairs(&self) -> form_urlencoded::Serializer<'_, String> {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs
            .append_pair("key", &self.key)
            .append_pair("model", &self.model)
            .append_pair("from", &self.from)
            .append_pair("until", &self.until);
        pairs
    }
}

/// The start of a day in UTC, or of one `days` later.
pub(crate) fn midnight(date: &str, days: u64) -> Option<Timestamp> {
    let day = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    let day = day.checked_add_days(chrono::Days::new(days))?;
    Some(Timestamp::from_datetime(
        day.and_time(NaiveTime::MIN).and_utc(),
    ))
}

/// Shows it.
pub(crate) async fn show(
    console: State,
    page: Page,
    member: SignedIn,
    query: web::Query<Query>,
) -> Answer {
    let (db, tenant, filter) = (&console.db, member.tenant(), query.filter());
    let mut found = rows::find(db, tenant, &filter, (query.cursor(), ROWS + 1)).await?;
    let (newer, older) = cut(&query, &mut found);
    let total = rows::sum(db, tenant, &filter).await?;

    reply::page(&UsagePage {
        keys: keys(db, &member, &query.key).await?,
        models: models(db, &query.model).await?,
        from: query.from.clone(),
        until: query.until.clone(),
        faults: Faults::none(),
        total_calls: total.calls,
        total_cost: format::amount(total.charge),
        calls: rows::read(db, tenant, found).await?,
        newer,
        older,
        csv: query.csv(),
        page,
    })
}

/// Takes the row beyond the page off and gives the addresses of the pages around it.
fn cut(query: &Query, found: &mut Vec<entity::usage::Model>) -> (String, String) {
    let full = found.len() as u64 > ROWS;
    let (more_newer, more_older) = match query.cursor() {
        Cursor::Newest => (false, full),
        Cursor::Before(_) => (true, full),
        Cursor::After(_) => (full, true),
    };
    if full {
        match query.cursor() {
            Cursor::After(_) => drop(found.remove(0)),
            Cursor::Newest | Cursor::Before(_) => drop(found.pop()),
        }
    }
    let at = |cursor, row: Option<&entity::usage::Model>, more: bool| {
        row.filter(|_| more)
            .map(|row| query.at(cursor, &row.id.to_string()))
            .unwrap_or_default()
    };
    (
        at("after", found.first(), more_newer),
        at("before", found.last(), more_older),
    )
}

async fn keys(db: &Database, member: &SignedIn, chosen: &str) -> Result<Vec<Choice>, DbErr> {
    let keys = key::list(db, member).await?;
    let choices = keys.into_iter().map(|key| {
        let value = key.id.to_string();
        Choice {
            label: key.name,
            chosen: value == chosen,
            value,
        }
    });
    Ok(choices.collect())
}

async fn models(db: &Database, chosen: &str) -> Result<Vec<Choice>, DbErr> {
    let models = model::Entity::every()
        .order_by_asc(model::Column::Name)
        .all(db.read())
        .await?;
    let choices = models.into_iter().map(|model| {
        let value = model.id.to_string();
        Choice {
            label: model.name,
            chosen: value == chosen,
            value,
        }
    });
    Ok(choices.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_nonsense_does_not_filter() {
        let query = Query {
            from: "2026-11-20".into(),
            until: "2026-11-20".into(),
            key: "nonsense".into(),
            ..Query::default()
        };

        let filter = query.filter();

        let day = filter
            .until
            .zip(filter.from)
            .map(|(until, from)| until.since(from).as_secs());
        assert_eq!(day, Some(86_400));
        assert!(filter.key.is_none());
        assert!(midnight("tomorrow", 0).is_none());
    }
}
