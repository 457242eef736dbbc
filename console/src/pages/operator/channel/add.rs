//! A new channel: the provider chosen, its key pasted; the models come next.

use super::{
    preset::{PRESETS, Preset},
    secret,
};
use crate::{
    Console, Error,
    frame::{Answer, Faults, Operator, Page, Protected, State, Tone, reply},
    pages::operator::field,
    words::phrase,
};
use askama::Template;
use billing::shop::channel::{AddChannel, AddChannelError, add};
use entity::{ChannelId, channel::Kind};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "page/operator/channel_add.html")]
struct Add {
    page: Page,
    presets: Vec<Choice>,
    form: Entered,
    faults: Faults,
}

struct Choice {
    word: &'static str,
    name: String,
    chosen: bool,
}

/// The form as sent. The secret is never shown again, not even beside a fault.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    provider: String,
    name: String,
    base_url: String,
    secret: String,
}

impl Entered {
    fn read(&self, console: &Console) -> Result<AddChannel, Faults> {
        let mut faults = Faults::none();
        let id = ChannelId::fresh();
        let preset = Preset::at(&self.provider).ok_or_else(|| phrase("op-fault-required"));
        let preset = faults.take("provider", preset);
        let Some(preset) = preset else {
            return Err(faults);
        };
        let own_name = preset.own_name().unwrap_or("Sandbox");
        let name = match self.name.trim() {
            "" if preset.own_name().is_some() || preset.kind == Kind::Sandbox => own_name,
            typed => typed,
        };
        let name = faults.take("name", field::text(name, 80));
        let base_url = match (preset.kind, self.base_url.trim()) {
            (Kind::Sandbox, _) => Some(String::new()),
            (_, "") => faults.take("base_url", secret::checked_url(console, preset.base_url)),
            (_, typed) => faults.take("base_url", secret::checked_url(console, typed)),
        };
        let secret = match &base_url {
            Some(base_url) if preset.kind != Kind::Sandbox => {
                let sealed = secret::sealed(console, id, base_url, &self.secret);
                faults.take("secret", sealed).flatten()
            }
            _ => None,
        };
        if !preset.is_open && self.secret.trim().is_empty() {
            faults.add("secret", phrase("op-fault-required"));
        }
        match (name, base_url) {
            (Some(name), Some(base_url)) if faults.is_empty() => Ok(AddChannel {
                id,
                name,
                kind: preset.kind,
                base_url,
                secret,
                options: preset.options(),
            }),
            _ => Err(faults),
        }
    }
}

/// The form.
pub(crate) async fn show(page: Page, _operator: Operator) -> Answer {
    reply::page(&view(page, Entered::default(), Faults::none()))
}

/// The form sent.
pub(crate) async fn submit(
    page: Page,
    operator: Operator,
    console: State,
    form: Protected<Entered>,
) -> Answer {
    let Protected(form) = form;
    let order = match form.read(&console) {
        Ok(order) => order,
        Err(faults) => return reply::refused(&view(page, form, faults)),
    };

    let (id, name) = (order.id, order.name.clone());
    let outcome = add(&console.db, order, operator.0.actor(), console.clock.now()).await;

    let faults = match outcome {
        Ok(()) => {
            let done = phrase("op-channel-added-done").with("name", name);
            let next = format!("{}/models?look_up=yes", super::address(id));
            return Ok(reply::see_other(next).flash(Tone::Good, done));
        }
        Err(AddChannelError::Name) => Faults::of("name", phrase("op-fault-required")),
        Err(AddChannelError::Taken) => Faults::of("name", phrase("op-fault-taken")),
        Err(AddChannelError::Store(error)) => return Err(Error::Store(error)),
    };
    reply::refused(&view(page, form, faults))
}

fn view(page: Page, form: Entered, faults: Faults) -> Add {
    let presets = PRESETS
        .iter()
        .map(|preset| Choice {
            word: preset.word,
            name: preset
                .own_name()
                .map_or_else(|| page.say_phrase(&preset.label()), str::to_owned),
            chosen: preset.word == form.provider,
        })
        .collect();
    Add {
        page,
        presets,
        form,
        faults,
    }
}
