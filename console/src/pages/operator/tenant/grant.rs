//! Credits of a chosen source, with everything a lot may have: its place, its times, its models, what it cost.

use crate::{
    Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::{badge, field, once::Once},
    words::{Phrase, format, phrase},
};
use actix_web::web;
use askama::Template;
use billing::{
    admission::Scope,
    ledger::{Cost, GrantError, GrantOrder, give},
    plan::Pattern,
};
use entity::{TenantId, Timestamp, grant::Source, tenant};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/operator/grant.html")]
struct Grant {
    page: Page,
    name: String,
    back: String,
    form: Entered,
    faults: Faults,
}

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    source: String,
    amount: String,
    priority: String,
    effective: String,
    expires: String,
    models: String,
    cost: String,
    currency: String,
    reason: String,
    once: Once,
}

/// Where credits may come from that no other page gives.
const SOURCES: [(Source, &str); 6] = [
    (Source::Goodwill, "goodwill"),
    (Source::Promo, "promo"),
    (Source::Paid, "paid"),
    (Source::Import, "import"),
    (Source::Adjust, "adjust"),
    (Source::Code, "code"),
];

impl Entered {
    fn sources(&self) -> Vec<(&'static str, Phrase, bool)> {
        SOURCES
            .into_iter()
            .map(|(source, word)| (word, badge::source(source), word == self.source))
            .collect()
    }

    fn read(
        &self,
        (tenant, once): (TenantId, &str),
        operator: &Operator,
        now: Timestamp,
    ) -> Result<GrantOrder, Faults> {
        let mut faults = Faults::none();
        let source = SOURCES.into_iter().find(|(_, word)| *word == self.source);
        let source = source.ok_or_else(|| phrase("op-fault-required"));
        let source = faults.take("source", source.map(|(source, _)| source));
        let amount = faults.take("amount", field::some_credits(&self.amount));
        let place = |text: &str| field::number(text, 0..=100);
        let priority = faults.take("priority", field::optional(&self.priority, place));
        // Credits that were brought along may have begun before today.
        let start = field::optional(&self.effective, field::first_of_day);
        let effective = faults.take("effective", start);
        let end = |day: &str| field::end_of_day(day, now);
        let expires_at = faults.take("expires", field::optional(&self.expires, end));
        let models = field::patterns(&self.models);
        let fits = models.iter().all(|text| Pattern::parse(text).is_ok());
        let models = fits
            .then_some(models)
            .ok_or_else(|| phrase("limit-models-fault"));
        let models = faults.take("models", models);
        let cost = faults.take("cost", field::optional(&self.cost, field::money));
        let currency = field::currency(&self.currency).or_else(|fault| {
            // Without a cost there is nothing to name the currency of.
            self.cost.trim().is_empty().then(String::new).ok_or(fault)
        });
        let currency = faults.take("currency", currency);
        let reason = faults.take("reason", field::reason(&self.reason));
        if !faults.is_empty() {
            return Err(faults);
        }
        let (Some(source), Some(amount), Some(reason)) = (source, amount, reason) else {
            return Err(faults);
        };
        let cost = cost.flatten().map(|minor| Cost {
            minor,
            currency: currency.unwrap_or_default(),
        });
        Ok(GrantOrder {
            priority: priority.flatten(),
            effective_at: effective.flatten().unwrap_or(now),
            expires_at: expires_at.flatten(),
            scope: Scope {
                models: models.unwrap_or_default(),
            },
            cost,
            reason: Some(reason.as_str().to_owned()),
            ..GrantOrder::new(
                tenant,
                source,
                amount,
                format!("grant:{once}"),
                operator.0.actor(),
                now,
            )
        })
    }
}

/// The form.
pub(crate) async fn show(
    page: Page,
    _operator: Operator,
    console: State,
    path: web::Path<TenantId>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;
    let form = Entered {
        currency: "usd".to_owned(),
        once: Once::fresh(),
        ..Entered::default()
    };

    reply::page(&view(page, &tenant, form, Faults::none()))
}

/// The form sent.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    path: web::Path<TenantId>,
    Protected(form): Protected<Entered>,
) -> Answer {
    let tenant = super::found(&console, path.into_inner()).await?;
    let once = form.once.sent()?;
    let now = console.clock.now();
    let order = match form.read((tenant.id, once), &operator, now) {
        Ok(order) => order,
        Err(faults) => return reply::refused(&view(page, &tenant, form, faults)),
    };
    let amount = format::credits(order.amount);

    match give(&console.db, order, now).await {
        Ok(_) => Ok(reply::see_other(super::address(tenant.id))
            .flash(Tone::Good, phrase("op-grant-done").with("amount", amount))),
        Err(GrantError::OutOfRange) => {
            let faults = Faults::of("expires", phrase("op-grant-range"));
            reply::refused(&view(page, &tenant, form, faults))
        }
        Err(GrantError::KeyInUse) => Err(Once::fault()),
        Err(GrantError::Store(fault)) => Err(Error::Store(fault)),
    }
}

fn view(page: Page, tenant: &tenant::Model, form: Entered, faults: Faults) -> Grant {
    Grant {
        page,
        name: tenant.name.clone(),
        back: super::address(tenant.id),
        form,
        faults,
    }
}
