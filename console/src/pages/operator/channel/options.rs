//! How a channel wants to be asked and how much it may carry.

use crate::{
    Console, Error,
    frame::{Answer, Faults, Operator, Protected, State, Tone, reply},
    pages::operator::field,
    words::{Phrase, phrase},
};
use actix_web::web;
use billing::shop::channel::{OptionsError, set_options};
use entity::{
    ChannelId,
    channel::{self, Options, OutputLimit, Quirks},
};
use outbound::provider;
use serde::Deserialize;
use std::collections::BTreeMap;
use url::Url;

/// What the output limit may be called; nothing takes what the caller wrote.
pub(super) const LIMIT_NAMES: [&str; 2] = [
    OutputLimit::MaxTokens.field(),
    OutputLimit::MaxCompletionTokens.field(),
];

/// Thoughts of earlier answers go back to the provider.
const ECHOES: &str = "yes";
/// They do not.
const ECHOES_NOT: &str = "no";

/// The form as sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entered {
    pub(super) max_calls: String,
    pub(super) requests: String,
    pub(super) tokens: String,
    pub(super) headers: String,
    pub(super) proxy: String,
    pub(super) api_key_header: String,
    pub(super) api_version: String,
    pub(super) output_limit: String,
    pub(super) no_stream_options: String,
    pub(super) auto_cache: String,
    pub(super) split_think: String,
    pub(super) echo_reasoning: String,
}

impl Entered {
    pub(super) fn of(channel: &channel::Model) -> Self {
        let options = Options::parse(&channel.options);
        let text =
            |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let tick = |set: bool| if set { "yes".to_owned() } else { String::new() };
        let headers = options
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"));
        Self {
            max_calls: text(options.max_calls.map(u64::from)),
            requests: text(options.requests_per_minute),
            tokens: text(options.tokens_per_minute),
            headers: headers.collect::<Vec<_>>().join("\n"),
            proxy: options.proxy.unwrap_or_default(),
            api_key_header: tick(options.quirks.api_key_header),
            api_version: options.quirks.api_version.unwrap_or_default(),
            output_limit: options
                .quirks
                .output_limit
                .map(|limit| limit.field().to_owned())
                .unwrap_or_default(),
            no_stream_options: tick(options.quirks.no_stream_options),
            auto_cache: tick(options.quirks.auto_cache),
            split_think: tick(options.quirks.split_think),
            echo_reasoning: match options.quirks.echo_reasoning {
                Some(true) => ECHOES.to_owned(),
                Some(false) => ECHOES_NOT.to_owned(),
                None => String::new(),
            },
        }
    }

    fn read(&self, console: &Console) -> Result<Options, Faults> {
        let mut faults = Faults::none();
        let number = |text: &str| {
            let number = field::optional(text, |text| field::number(text, 1..=1_000_000_000))?;
            Ok(number.and_then(|number| u64::try_from(number).ok()))
        };
        let max_calls = faults.take("max_calls", number(&self.max_calls));
        let requests = faults.take("requests", number(&self.requests));
        let tokens = faults.take("tokens", number(&self.tokens));
        let headers = faults.take("headers", headers(&self.headers));
        let proxy = faults.take(
            "proxy",
            field::optional(&self.proxy, |text| proxy(console, text)),
        );
        let api_version = faults.take("api_version", field::optional(&self.api_version, version));
        let output_limit = [OutputLimit::MaxTokens, OutputLimit::MaxCompletionTokens]
            .into_iter()
            .find(|limit| limit.field() == self.output_limit);
        match (max_calls, requests, tokens, headers, proxy, api_version) {
            (
                Some(calls),
                Some(requests),
                Some(tokens),
                Some(headers),
                Some(proxy),
                Some(version),
            ) => Ok(Options {
                max_calls: calls.map(|calls| u32::try_from(calls).unwrap_or(u32::MAX)),
                requests_per_minute: requests,
                tokens_per_minute: tokens,
                headers,
                proxy,
                quirks: Quirks {
                    api_key_header: !self.api_key_header.is_empty(),
                    api_version: version,
                    output_limit,
                    no_stream_options: !self.no_stream_options.is_empty(),
                    auto_cache: !self.auto_cache.is_empty(),
                    split_think: !self.split_think.is_empty(),
                    echo_reasoning: match self.echo_reasoning.as_str() {
                        ECHOES => Some(true),
                        ECHOES_NOT => Some(false),
                        _ => None,
                    },
                },
            }),
            _ => Err(faults),
        }
    }
}

/// A line each: name, colon, value. Never one that could carry a credential.
fn headers(text: &str) -> Result<BTreeMap<String, String>, Phrase> {
    field::lines(text)
        .iter()
        .map(|line| {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| phrase("op-fault-header").with("name", line.as_str()))?;
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
            let plain = !value.is_empty()
                && value.len() <= 500
                && value
                    .bytes()
                    .all(|byte| byte == b' ' || byte.is_ascii_graphic());
            if plain && provider::may_be_set(&name) {
                Ok((name, value))
            } else {
                Err(phrase("op-fault-header").with("name", name))
            }
        })
        .collect()
}

fn proxy(console: &Console, text: &str) -> Result<String, Phrase> {
    let url = Url::parse(text.trim()).map_err(|_| phrase("op-fault-url"))?;
    console
        .outbound
        .check_proxy(&url)
        .map_err(|refusal| phrase("op-fault-url-refused").with("detail", refusal.to_string()))?;
    Ok(url.to_string())
}

fn version(text: &str) -> Result<String, Phrase> {
    let text = text.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if text.len() <= 40 && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(phrase("op-fault-range"))
    }
}

/// The form sent.
pub(crate) async fn submit(
    operator: Operator,
    console: State,
    path: web::Path<ChannelId>,
    form: Protected<Entered>,
) -> Answer {
    let channel = super::found(&console, path.into_inner()).await?;
    let back = reply::see_other(super::address(channel.id));
    let options = match form.0.read(&console) {
        Ok(options) => options,
        Err(faults) => {
            return Ok(back.flash(
                Tone::Bad,
                faults
                    .first()
                    .cloned()
                    .unwrap_or_else(|| phrase("op-fault-range")),
            ));
        }
    };

    let actor = operator.0.actor();
    match set_options(&console.db, channel.id, options, actor, console.clock.now()).await {
        Ok(()) => {
            let done = phrase("op-channel-saved-done").with("name", channel.name);
            Ok(back.flash(Tone::Good, done))
        }
        Err(OptionsError::NoChannel) => Err(Error::NotFound),
        Err(OptionsError::Store(error)) => Err(Error::Store(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_lines_and_none_carries_a_credential() {
        let read = headers("X-Title: My gate\n\nuser-agent:  mine/1 ").expect("two headers");

        assert_eq!(read.get("x-title").map(String::as_str), Some("My gate"));
        assert_eq!(read.get("user-agent").map(String::as_str), Some("mine/1"));
        for line in [
            "authorization: Bearer x",
            "x-api-key: x",
            "nothing",
            "x-a:",
            "host: x",
        ] {
            assert!(headers(line).is_err(), "{line}");
        }
    }
}
