//! A light reading of a request: the few fields that matter here, with the places they stand, in one parse.
//!
//! The body itself is kept as it came; what has to change on its way to the upstream is cut in at its place, so that
//! every other field, known or not, arrives byte for byte.

mod edit;
mod tool;

use std::{borrow::Cow, fmt, ops::Range};

use bytes::Bytes;
use entity::Protocol;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

pub(crate) use self::edit::renamed_names;
use self::tool::{searches, tools};
use super::size::{self, Size};

/// What a request says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that a request may state"
)]
pub(crate) struct Reading {
    /// The model asked for; empty where the request names none.
    pub(crate) model: String,
    /// Whether the answer is to stream.
    pub(crate) streamed: bool,
    /// Output tokens at most, as asked.
    pub(crate) max_output: Option<u64>,
    /// How many answers are asked for.
    pub(crate) choices: u64,
    /// Whether the request leans on state kept upstream, whose size its body does not show.
    pub(crate) stateful: bool,
    /// Whether tools or thinking are asked for, so that an answer cut short is worth little.
    pub(crate) demanding: bool,
    /// Searches that hosted tools may make; none where no such tool is offered.
    pub(crate) searches: u64,
    /// Whether the client asked for the usage event of a chat stream itself.
    pub(crate) usage_asked: bool,
    /// The response that the request goes on from.
    pub(crate) previous_response: Option<String>,
    /// Whether it has a name for its prompt cache or its user.
    pub(crate) names_somebody: bool,
    /// The form in which vectors are asked for; none where it is one that only the upstream knows.
    pub(crate) vectors: Option<Vectors>,
    pub(crate) size: Size,
    spans: Spans,
}

/// The form of a vector in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vectors {
    /// A list of numbers.
    Floats,
    /// Little-endian float32 in base64.
    Base64,
}

/// Where the fields stand that may have to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Spans {
    first_field: usize,
    model: Option<Range<usize>>,
    stream_options: Option<Range<usize>>,
    max_tokens: Option<Range<usize>>,
    max_completion_tokens: Option<Range<usize>>,
    max_output_tokens: Option<Range<usize>>,
    thinking: Option<Range<usize>>,
}

/// What is wrong with a request, and which field to look at.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{message}")]
pub(crate) struct BadRequest {
    pub(crate) field: Option<&'static str>,
    pub(crate) message: String,
}

/// The most answers one request may ask for.
const MAX_CHOICES: u64 = 128;

/// Reads a decoded body. Fails with the field to mend.
pub(crate) fn read(protocol: Protocol, body: &Bytes) -> Result<Reading, BadRequest> {
    let text = std::str::from_utf8(body).map_err(|_| bad(None, "the body is not UTF-8 text"))?;
    let mut parser = serde_json::Deserializer::from_str(text);
    let fields = Fields::deserialize(&mut parser)
        .and_then(|fields| parser.end().map(|()| fields))
        .map_err(|error| bad(None, &format!("the body is not a JSON object: {error}")))?;
    if let Some(twice) = fields.twice {
        return Err(bad(
            Some(twice),
            &format!("the field `{twice}` appears twice"),
        ));
    }

    required(protocol, &fields)?;
    unmetered(&fields)?;
    let tools = tools(protocol, &fields)?;
    let spans = Spans {
        first_field: text.find('{').map_or(0, |brace| brace + 1),
        model: fields.model.map(|raw| span(text, raw)),
        stream_options: fields.stream_options.map(|raw| span(text, raw)),
        max_tokens: fields.max_tokens.map(|raw| span(text, raw)),
        max_completion_tokens: fields.max_completion_tokens.map(|raw| span(text, raw)),
        max_output_tokens: fields.max_output_tokens.map(|raw| span(text, raw)),
        thinking: fields.thinking.map(|raw| span(text, raw)),
    };
    Ok(Reading {
        model: parse::<String>("model", fields.model, "a string")?.unwrap_or_default(),
        streamed: streamed(protocol, &fields)?,
        max_output: max_output(protocol, &fields)?,
        choices: choices(protocol, &fields)?,
        stateful: [
            fields.previous_response_id,
            fields.conversation,
            fields.prompt,
        ]
        .into_iter()
        .any(is_set),
        demanding: demanding(&fields),
        searches: searches(&fields, &tools),
        usage_asked: asks_usage(fields.stream_options),
        previous_response: fields
            .previous_response_id
            .and_then(|raw| serde_json::from_str(raw.get()).ok()),
        names_somebody: fields.names().into_iter().any(is_set),
        vectors: match fields.encoding_format.map(RawValue::get) {
            None | Some("null" | "\"float\"") => Some(Vectors::Floats),
            Some("\"base64\"") => Some(Vectors::Base64),
            Some(_) => None,
        },
        size: size::measure(body),
        spans,
    })
}

/// Declares the fields that are looked at; every other one is skipped unread.
macro_rules! fields {
    ($($name:ident),+ $(,)?) => {
        #[derive(Default)]
        struct Fields<'a> {
            $($name: Option<&'a RawValue>,)+
            twice: Option<&'static str>,
        }

        impl<'a> Fields<'a> {
            fn take(&mut self, name: &str, value: &'a RawValue) {
                match name {
                    $(stringify!($name) => {
                        if self.$name.replace(value).is_some() {
                            self.twice = Some(stringify!($name));
                        }
                    })+
                    _ => {}
                }
            }
        }
    };
}

fields! {
    model, messages, input, stream, stream_options, max_tokens, max_completion_tokens, max_output_tokens, n,
    previous_response_id, conversation, prompt, background, service_tier, speed,
    prompt_cache_key, user, safety_identifier, encoding_format, best_of, inference_geo,
    tools, functions, thinking, reasoning, reasoning_effort, web_search_options, max_tool_calls,
}

impl<'a> Fields<'a> {
    /// Names by which a caller tells its prompt caches and users apart.
    fn names(&self) -> [Option<&'a RawValue>; 3] {
        [self.prompt_cache_key, self.user, self.safety_identifier]
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some((Name(name), value)) =
                    map.next_entry::<Name<'de>, &'de RawValue>()?
                {
                    fields.take(&name, value);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn required(protocol: Protocol, fields: &Fields<'_>) -> Result<(), BadRequest> {
    let list = |name, value: Option<&RawValue>| match value.map(RawValue::get) {
        Some(raw) if raw.starts_with('[') && raw != "[]" => Ok(()),
        _ => Err(bad(
            Some(name),
            &format!("`{name}` must be a list with at least one entry"),
        )),
    };
    match protocol {
        Protocol::Chat | Protocol::Messages => list("messages", fields.messages),
        Protocol::Embeddings | Protocol::Responses => match fields.input.map(RawValue::get) {
            Some(raw) if raw.starts_with(['"', '[']) => Ok(()),
            None | Some("null") if protocol == Protocol::Responses && is_set(fields.prompt) => {
                Ok(())
            }
            _ => Err(bad(Some("input"), "`input` must be a string or a list")),
        },
    }
}

/// What an upstream sells at another price, or does where its cost is not seen, is refused rather than given away.
fn unmetered(fields: &Fields<'_>) -> Result<(), BadRequest> {
    if parse::<bool>("background", fields.background, "true or false")? == Some(true) {
        return Err(bad(
            Some("background"),
            "`background` is not supported; send the request without it",
        ));
    }
    for (name, value) in [
        ("service_tier", fields.service_tier),
        ("speed", fields.speed),
        ("inference_geo", fields.inference_geo),
    ] {
        let asked = parse::<String>(name, value, "a string")?;
        let dear = ["priority", "fast", "ultrafast", "scale", "us"];
        if asked.is_some_and(|asked| dear.contains(&asked.as_str())) {
            return Err(bad(
                Some(name),
                &format!("this `{name}` is not offered; leave `{name}` out"),
            ));
        }
    }
    Ok(())
}

/// Whether tools or thinking are asked for.
fn demanding(fields: &Fields<'_>) -> bool {
    let lists = |value: Option<&RawValue>| {
        value.is_some_and(|raw| raw.get().starts_with('[') && raw.get() != "[]")
    };
    let off = |raw: &RawValue| {
        ["disabled", "none", "minimal"]
            .iter()
            .any(|word| raw.get().contains(word))
    };
    let thinks =
        |value: Option<&RawValue>| value.is_some_and(|raw| raw.get() != "null" && !off(raw));
    lists(fields.tools)
        || lists(fields.functions)
        || thinks(fields.thinking)
        || thinks(fields.reasoning)
        || thinks(fields.reasoning_effort)
}

fn streamed(protocol: Protocol, fields: &Fields<'_>) -> Result<bool, BadRequest> {
    let asked = parse::<bool>("stream", fields.stream, "true or false")?.unwrap_or(false);
    Ok(asked && protocol != Protocol::Embeddings)
}

fn max_output(protocol: Protocol, fields: &Fields<'_>) -> Result<Option<u64>, BadRequest> {
    let whole = "a whole number";
    let asked = match protocol {
        Protocol::Chat => {
            let old = parse::<u64>("max_tokens", fields.max_tokens, whole)?;
            let new = parse::<u64>("max_completion_tokens", fields.max_completion_tokens, whole)?;
            old.max(new)
        }
        Protocol::Responses => parse("max_output_tokens", fields.max_output_tokens, whole)?,
        Protocol::Messages => {
            return parse("max_tokens", fields.max_tokens, whole);
        }
        Protocol::Embeddings => None,
    };
    if asked == Some(0) {
        let name = match protocol {
            Protocol::Responses => "max_output_tokens",
            _ => "max_tokens",
        };
        return Err(bad(Some(name), &format!("`{name}` must be at least 1")));
    }
    Ok(asked)
}

fn choices(protocol: Protocol, fields: &Fields<'_>) -> Result<u64, BadRequest> {
    if protocol != Protocol::Chat {
        return Ok(1);
    }
    let mut most = 1;
    for (name, value) in [("n", fields.n), ("best_of", fields.best_of)] {
        let asked = parse::<Option<u64>>(name, value, "a whole number")?
            .flatten()
            .unwrap_or(1);
        if !(1..=MAX_CHOICES).contains(&asked) {
            return Err(bad(
                Some(name),
                &format!("`{name}` must be between 1 and {MAX_CHOICES}"),
            ));
        }
        // Each answer that is made costs its output, whether or not it is shown.
        most = most.max(asked);
    }
    Ok(most)
}

fn asks_usage(stream_options: Option<&RawValue>) -> bool {
    #[derive(Deserialize)]
    struct Options {
        include_usage: Option<bool>,
    }
    stream_options
        .and_then(|raw| serde_json::from_str::<Option<Options>>(raw.get()).ok()?)
        .is_some_and(|options| options.include_usage == Some(true))
}

fn parse<'a, T: Deserialize<'a>>(
    name: &'static str,
    value: Option<&'a RawValue>,
    expected: &str,
) -> Result<Option<T>, BadRequest> {
    value.map_or(Ok(None), |raw| {
        serde_json::from_str(raw.get())
            .map_err(|_| bad(Some(name), &format!("`{name}` must be {expected}")))
    })
}

fn is_set(value: Option<&RawValue>) -> bool {
    value.is_some_and(|raw| raw.get() != "null")
}

/// Where a value stands in the text it was borrowed from.
fn span(text: &str, value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + value.get().len()
}

fn bad(field: Option<&'static str>, message: &str) -> BadRequest {
    BadRequest {
        field,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
