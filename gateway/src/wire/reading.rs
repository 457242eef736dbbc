//! A light reading of a request: the few fields that matter here, with the places they stand, in one parse.
//!
//! The body itself is kept as it came; what has to change on its way to the upstream is cut in at its place, so that
//! every other field, known or not, arrives byte for byte.

use std::{borrow::Cow, fmt, ops::Range};

use bytes::Bytes;
use entity::Protocol;
use memchr::memmem;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

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

/// The smallest thinking budget that providers take.
const THINKING_MIN: u64 = 1_024;
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

impl Reading {
    /// The body as the upstream gets it: under the upstream's name for the model, asking for usage where only a
    /// question brings it, and with an output limit where the protocol demands one.
    pub(crate) fn body_for(
        &self,
        protocol: Protocol,
        body: &Bytes,
        upstream_model: &str,
        output_limit: u64,
    ) -> Bytes {
        let mut edits = Edits::default();
        self.rename(upstream_model, &mut edits);
        if protocol == Protocol::Chat && self.streamed && !self.usage_asked {
            self.ask_usage(body, &mut edits);
        }
        if protocol == Protocol::Messages && self.max_output.is_none() {
            let present = self.spans.max_tokens.clone();
            edits.set(self, "max_tokens", present, &output_limit.to_string());
        }
        edits.apply(body)
    }

    /// The body under the upstream's name for the model, and else as it came.
    pub(crate) fn renamed(&self, body: &Bytes, upstream_model: &str) -> Bytes {
        let mut edits = Edits::default();
        self.rename(upstream_model, &mut edits);
        edits.apply(body)
    }

    fn rename(&self, upstream_model: &str, edits: &mut Edits) {
        if self.model != upstream_model || self.spans.model.is_none() {
            edits.set(
                self,
                "model",
                self.spans.model.clone(),
                &quoted(upstream_model),
            );
        }
    }

    /// The body with its output limit lowered to `limit`, and a thinking budget in proportion. `chat_name` is how the
    /// upstream calls the limit in a chat request that has none.
    pub(crate) fn lowered(
        &self,
        protocol: Protocol,
        body: &Bytes,
        limit: u64,
        chat_name: &'static str,
    ) -> Bytes {
        let spans = &self.spans;
        let mut edits = Edits::default();
        let (usual, names) = match protocol {
            Protocol::Responses => (
                "max_output_tokens",
                vec![("max_output_tokens", &spans.max_output_tokens)],
            ),
            Protocol::Chat => (
                chat_name,
                vec![
                    ("max_tokens", &spans.max_tokens),
                    ("max_completion_tokens", &spans.max_completion_tokens),
                ],
            ),
            Protocol::Messages | Protocol::Embeddings => {
                ("max_tokens", vec![("max_tokens", &spans.max_tokens)])
            }
        };
        let mut said = false;
        for (name, span) in names {
            let present = span.clone().filter(|span| {
                let raw = body.get(span.clone()).unwrap_or_default();
                raw != b"null"
            });
            if present.is_some() {
                edits.set(self, name, present, &limit.to_string());
                said = true;
            }
        }
        if !said {
            let null = match (protocol, usual) {
                (Protocol::Chat, "max_completion_tokens") => spans.max_completion_tokens.clone(),
                (Protocol::Responses, _) => spans.max_output_tokens.clone(),
                _ => spans.max_tokens.clone(),
            };
            edits.set(self, usual, null, &limit.to_string());
        }
        self.lower_thinking(body, limit, &mut edits);
        edits.apply(body)
    }

    fn lower_thinking(&self, body: &Bytes, limit: u64, edits: &mut Edits) {
        let Some(span) = self.spans.thinking.clone() else {
            return;
        };
        let Some(mut thinking) = body
            .get(span.clone())
            .and_then(|raw| serde_json::from_slice::<serde_json::Map<_, _>>(raw).ok())
        else {
            return;
        };
        let Some(budget) = thinking
            .get("budget_tokens")
            .and_then(serde_json::Value::as_u64)
        else {
            return;
        };
        let asked = u128::from(self.max_output.unwrap_or(budget.saturating_mul(2)).max(1));
        let share = u128::from(budget).saturating_mul(u128::from(limit)) / asked;
        let lowered = u64::try_from(share)
            .unwrap_or(budget)
            .max(THINKING_MIN)
            .min(limit.saturating_sub(1))
            .min(budget);
        thinking.insert("budget_tokens".to_owned(), lowered.into());
        let value = serde_json::Value::Object(thinking).to_string();
        edits.set(self, "thinking", Some(span), &value);
    }

    /// Adds `include_usage` to the client's own stream options and leaves the others as they are.
    fn ask_usage(&self, body: &Bytes, edits: &mut Edits) {
        let present = self.spans.stream_options.clone();
        let mut options: serde_json::Map<String, serde_json::Value> = present
            .clone()
            .and_then(|span| serde_json::from_slice(body.get(span)?).ok())
            .unwrap_or_default();
        options.insert("include_usage".to_owned(), true.into());
        let value = serde_json::Value::Object(options).to_string();
        edits.set(self, "stream_options", present, &value);
    }
}

/// Replacements by place; applied once, in order.
#[derive(Default)]
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    fn set(&mut self, reading: &Reading, name: &str, place: Option<Range<usize>>, value: &str) {
        let start = reading.spans.first_field;
        self.0.push(match place {
            Some(span) => (span, value.to_owned()),
            None => (start..start, format!("\"{name}\":{value},")),
        });
    }

    fn apply(mut self, body: &Bytes) -> Bytes {
        if self.0.is_empty() {
            return body.clone();
        }
        self.0.sort_by_key(|(span, _)| span.start);
        let added: usize = self.0.iter().map(|(_, value)| value.len()).sum();
        let mut out = Vec::with_capacity(body.len() + added);
        let mut at = 0;
        for (span, value) in self.0 {
            out.extend_from_slice(body.get(at..span.start).unwrap_or_default());
            out.extend_from_slice(value.as_bytes());
            at = span.end;
        }
        out.extend_from_slice(body.get(at..).unwrap_or_default());
        out.into()
    }
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

/// The body with every such name as `rename` has it; none where it has none that is text.
pub(crate) fn renamed_names(body: &Bytes, rename: impl Fn(&str) -> String) -> Option<Bytes> {
    let text = std::str::from_utf8(body).ok()?;
    let fields: Fields<'_> = serde_json::from_str(text).ok()?;
    let mut edits = Edits::default();
    for raw in fields.names().into_iter().flatten() {
        if let Ok(told) = serde_json::from_str::<String>(raw.get()) {
            edits.0.push((span(text, raw), quoted(&rename(&told))));
        }
    }
    Some(edits.apply(body))
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

/// What matters of a tool, and of what stands around tools. A field that is there twice, or is of another kind than
/// upstreams take, makes it unreadable: nobody can say which of its readings an upstream would run.
#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    environment: Option<Place<'a>>,
    max_uses: Option<u64>,
    /// The tools of a namespace.
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
}

/// How deep namespaces may stand in each other; known clients have one.
const DEEPEST: usize = 3;

/// Every tool that is offered, those of namespaces and of the conversation too. One that an upstream sells apart from
/// tokens, without a word of it in the usage, is refused.
fn tools<'a>(protocol: Protocol, fields: &Fields<'a>) -> Result<Vec<Tool<'a>>, BadRequest> {
    let mut found = Vec::new();
    if let Some(raw) = fields.tools {
        gather("tools", raw, DEEPEST, &mut found)?;
    }
    if protocol == Protocol::Responses {
        for raw in tools_of_input(fields)? {
            gather("input", raw, DEEPEST, &mut found)?;
        }
    }
    Ok(found)
}

fn gather<'a>(
    field: &'static str,
    raw: &'a RawValue,
    deepest: usize,
    found: &mut Vec<Tool<'a>>,
) -> Result<(), BadRequest> {
    let unreadable = |error: serde_json::Error| {
        let cause = format!("a tool in `{field}` cannot be read: {error}");
        bad(Some(field), &cause)
    };
    let listed: Option<Vec<&RawValue>> = serde_json::from_str(raw.get()).map_err(unreadable)?;
    for raw in listed.unwrap_or_default() {
        let tool: Tool<'_> = serde_json::from_str(raw.get()).map_err(unreadable)?;
        if let Some(kind) = tool.kind.as_deref().filter(|kind| is_sold(kind, &tool)) {
            return Err(bad(
                Some(field),
                &format!(
                    "the tool `{kind}` is not offered, for its use is not reported; leave it out of `{field}`"
                ),
            ));
        }
        if let Some(inner) = tool.tools {
            let deepest = deepest.checked_sub(1).ok_or_else(|| {
                let cause = format!("the tools in `{field}` stand too deep in each other");
                bad(Some(field), &cause)
            })?;
            gather(field, inner, deepest, found)?;
        }
        found.push(tool);
    }
    Ok(())
}

/// Whether the upstream runs the tool itself and sells it apart from tokens.
fn is_sold(kind: &str, tool: &Tool<'_>) -> bool {
    let place = tool
        .environment
        .as_ref()
        .and_then(|place| place.kind.as_deref());
    let is_hosted = place.is_some_and(|place| place.starts_with("container"));
    let is_sold = ["code_interpreter", "image_generation", "code_execution"]
        .iter()
        .any(|sold| kind.starts_with(sold));
    is_sold || is_hosted
}

/// The lists of tools that entries of a conversation bring along.
fn tools_of_input<'a>(fields: &Fields<'a>) -> Result<Vec<&'a RawValue>, BadRequest> {
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow, default)]
        tools: Option<&'a RawValue>,
    }
    let Some(raw) = fields.input.filter(|raw| raw.get().starts_with('[')) else {
        return Ok(Vec::new());
    };
    // A conversation is long, and hardly any brings tools along: their name would stand in it, as it is or escaped.
    let text = raw.get().as_bytes();
    if memmem::find(text, b"\"tools\"").is_none() && memmem::find(text, b"\\u").is_none() {
        return Ok(Vec::new());
    }
    let items: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|error| bad(Some("input"), &format!("`input` cannot be read: {error}")))?;
    let mut found = Vec::new();
    for raw in items {
        if !raw.get().starts_with('{') {
            continue;
        }
        let item: Item<'_> = serde_json::from_str(raw.get()).map_err(|error| {
            let cause = format!("an entry of `input` cannot be read: {error}");
            bad(Some("input"), &cause)
        })?;
        found.extend(item.tools);
    }
    Ok(found)
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

/// Searches that one request may make where it does not say.
const SEARCHES_MAX: u64 = 30;

/// How many searches the tools of the upstream's own may make.
fn searches(fields: &Fields<'_>, tools: &[Tool<'_>]) -> u64 {
    let hosted = tools.iter().filter_map(|tool| {
        let kind = tool.kind.as_deref()?;
        let is_search = kind.starts_with("web_search") || kind == "file_search";
        is_search.then(|| tool.max_uses.unwrap_or(SEARCHES_MAX))
    });
    let offered = hosted.fold(0, |sum: u64, most| sum.saturating_add(most));
    let asked = u64::from(is_set(fields.web_search_options));
    let most = fields.max_tool_calls.and_then(|raw| {
        serde_json::from_str::<Option<u64>>(raw.get())
            .ok()
            .flatten()
    });
    offered
        .saturating_add(asked)
        .min(most.unwrap_or(u64::MAX))
        .min(SEARCHES_MAX.saturating_mul(4))
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

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn bad(field: Option<&'static str>, message: &str) -> BadRequest {
    BadRequest {
        field,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Chat, Embeddings, Messages, Responses};

    fn body(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn reading(protocol: Protocol, text: &str) -> Reading {
        read(protocol, &body(text)).expect("a good request")
    }

    #[test]
    fn the_fields_that_matter_are_read() {
        let chat = reading(
            Chat,
            r#"{"model":"a","messages":[1],"stream":true,"max_tokens":5,"max_completion_tokens":9,"n":3}"#,
        );
        assert_eq!(chat.model, "a");
        assert!(chat.streamed && !chat.usage_asked && !chat.stateful);
        assert_eq!((chat.max_output, chat.choices), (Some(9), 3));

        let responses = reading(
            Responses,
            r#"{"input":"hi","max_output_tokens":16,"previous_response_id":"resp_1","stream":null}"#,
        );
        assert_eq!(responses.model, "");
        assert!(responses.stateful && !responses.streamed);
        assert_eq!(responses.max_output, Some(16));

        let messages = reading(Messages, r#"{"model":"a","messages":[1],"max_tokens":0}"#);
        assert_eq!(messages.max_output, Some(0));

        let embeddings = reading(Embeddings, r#"{"input":[1,2],"stream":true}"#);
        assert!(!embeddings.streamed);
    }

    #[test]
    fn searches_of_hosted_tools_are_foreseen() {
        let table = [
            (Chat, r#"{"messages":[1]}"#, 0),
            (Chat, r#"{"messages":[1],"web_search_options":{}}"#, 1),
            (
                Chat,
                r#"{"messages":[1],"tools":[{"type":"function","function":{"name":"web_search"}}]}"#,
                0,
            ),
            (
                Messages,
                r#"{"messages":[1],"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":5}]}"#,
                5,
            ),
            (
                Messages,
                r#"{"messages":[1],"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"x"}]}"#,
                30,
            ),
            (
                Responses,
                r#"{"input":"a","tools":[{"type":"web_search"},{"type":"file_search"}],"max_tool_calls":7}"#,
                7,
            ),
            (
                Responses,
                r#"{"input":[{"type":"additional_tools","tools":[{"type":"web_search"}]}]}"#,
                30,
            ),
            (
                Responses,
                r#"{"input":"a","tools":[{"type":"namespace","name":"n","tools":[{"type":"web_search"}]}]}"#,
                30,
            ),
            (
                Messages,
                r#"{"messages":[1],"tools":[{"type":"web_search_20250305","max_uses":99999999999}]}"#,
                120,
            ),
        ];

        for (protocol, text, searches) in table {
            assert_eq!(reading(protocol, text).searches, searches, "{text}");
        }
    }

    #[test]
    fn a_lowered_limit_replaces_the_one_that_is_there_and_takes_thinking_with_it() {
        let table = [
            (
                Chat,
                r#"{"messages":[1],"max_tokens":9000}"#,
                r#"{"messages":[1],"max_tokens":500}"#,
            ),
            (
                Chat,
                r#"{"messages":[1],"max_tokens":9, "max_completion_tokens":9000}"#,
                r#"{"messages":[1],"max_tokens":500, "max_completion_tokens":500}"#,
            ),
            (
                Chat,
                r#"{"messages":[1]}"#,
                r#"{"max_completion_tokens":500,"messages":[1]}"#,
            ),
            (
                Chat,
                r#"{"messages":[1],"max_completion_tokens":null}"#,
                r#"{"messages":[1],"max_completion_tokens":500}"#,
            ),
            (
                Responses,
                r#"{"input":"hi"}"#,
                r#"{"max_output_tokens":500,"input":"hi"}"#,
            ),
            (
                Responses,
                r#"{"input":"hi","max_output_tokens":null}"#,
                r#"{"input":"hi","max_output_tokens":500}"#,
            ),
            (
                Messages,
                r#"{"messages":[1]}"#,
                r#"{"max_tokens":500,"messages":[1]}"#,
            ),
        ];
        for (protocol, before, after) in table {
            let lowered = reading(protocol, before).lowered(
                protocol,
                &body(before),
                500,
                "max_completion_tokens",
            );
            assert_eq!(lowered, body(after), "{before}");
            let again = read(protocol, &lowered).expect("a good request");
            assert_eq!(again.max_output, Some(500));
        }

        let thinking = r#"{"messages":[1],"max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":32000}}"#;
        let lowered = |limit| {
            let lowered = reading(Messages, thinking).lowered(Messages, &body(thinking), limit, "");
            String::from_utf8(lowered.to_vec()).expect("text")
        };
        assert!(
            lowered(8_000).contains("\"budget_tokens\":4000"),
            "{}",
            lowered(8_000)
        );
        assert!(
            lowered(1_600).contains("\"budget_tokens\":1024"),
            "{}",
            lowered(1_600)
        );
    }

    #[test]
    fn tools_and_thinking_make_a_request_demanding() {
        let table = [
            (Chat, r#"{"messages":[1]}"#, false),
            (Chat, r#"{"messages":[1],"tools":[]}"#, false),
            (Chat, r#"{"messages":[1],"tools":[{}]}"#, true),
            (Chat, r#"{"messages":[1],"functions":[{}]}"#, true),
            (Chat, r#"{"messages":[1],"reasoning_effort":"high"}"#, true),
            (Chat, r#"{"messages":[1],"reasoning_effort":"none"}"#, false),
            (
                Responses,
                r#"{"input":"hi","reasoning":{"effort":"low"}}"#,
                true,
            ),
            (Responses, r#"{"input":"hi","reasoning":null}"#, false),
            (
                Messages,
                r#"{"messages":[1],"thinking":{"type":"enabled","budget_tokens":1024}}"#,
                true,
            ),
            (
                Messages,
                r#"{"messages":[1],"thinking":{"type":"disabled"}}"#,
                false,
            ),
        ];

        for (protocol, text, demanding) in table {
            assert_eq!(reading(protocol, text).demanding, demanding, "{text}");
        }
    }

    #[test]
    fn a_tool_that_cannot_be_read_or_is_sold_apart_is_refused_wherever_it_stands() {
        let sold = r#"{"type":"code_interpreter","container":{"type":"auto"}}"#;
        let table = [
            (Responses, "tools", sold.to_owned()),
            (
                Responses,
                "tools",
                r#"{"type":"code_interpreter","type":"code_interpreter"}"#.to_owned(),
            ),
            (
                Responses,
                "tools",
                r#"{"type":"code_interpreter","\u0074ype":"function"}"#.to_owned(),
            ),
            (
                Responses,
                "tools",
                r#"{"type":"code_interpreter","environment":"x"}"#.to_owned(),
            ),
            (
                Responses,
                "tools",
                r#"{"type":["code_interpreter"]}"#.to_owned(),
            ),
            (
                Responses,
                "tools",
                r#"{"type":"shell","environment":{"type":"local","type":"container_auto"}}"#
                    .to_owned(),
            ),
            (
                Responses,
                "tools",
                r#"{"type":"web_search","max_uses":1,"max_uses":9}"#.to_owned(),
            ),
            (Responses, "tools", r#""code_interpreter""#.to_owned()),
            (
                Responses,
                "tools",
                format!(r#"{{"type":"namespace","name":"n","tools":[{sold}]}}"#),
            ),
            (
                Responses,
                "tools",
                format!(r#"{{"type":"namespace","tools":[],"tools":[{sold}]}}"#),
            ),
            (
                Responses,
                "input",
                format!(r#"{{"type":"additional_tools","tools":[{sold}]}}"#),
            ),
            (
                Responses,
                "input",
                format!(r#"{{"type":"additional_tools","\u0074ools":[{sold}]}}"#),
            ),
            (
                Responses,
                "input",
                format!(r#"{{"type":"additional_tools","tools":[],"tools":[{sold}]}}"#),
            ),
            (
                Responses,
                "input",
                format!(
                    r#"{{"type":"additional_tools","tools":[{{"type":"namespace","tools":[{sold}]}}]}}"#
                ),
            ),
            (
                Responses,
                "input",
                format!(r#"{{"type":"tool_search_output","tools":[{sold}]}}"#),
            ),
            (
                Messages,
                "tools",
                r#"{"type":"code_execution_20250825","name":"code_execution"}"#.to_owned(),
            ),
            (
                Messages,
                "tools",
                r#"{"type":"code_execution_20250825","type":"code_execution_20250825"}"#.to_owned(),
            ),
        ];
        for (protocol, field, tool) in table {
            let text = match (protocol, field) {
                (Responses, "tools") => format!(r#"{{"input":"a","tools":[{tool}]}}"#),
                (Responses, _) => format!(r#"{{"input":[{tool}]}}"#),
                _ => format!(r#"{{"messages":[1],"tools":[{tool}]}}"#),
            };
            let error = read(protocol, &body(&text)).expect_err(&text);
            assert_eq!(error.field, Some(field), "{text}");
        }

        let deep = "[{\"tools\":".repeat(5_000) + "[]" + &"}]".repeat(5_000);
        let deep = format!(r#"{{"input":"a","tools":{deep}}}"#);
        let error = read(Responses, &body(&deep)).expect_err("too deep");
        assert_eq!(error.field, Some("tools"));

        for text in [
            r#"{"input":"a","tools":null}"#,
            r#"{"input":"a","tools":[{"type":"shell","environment":{"type":"local"}},{"type":"custom","name":"x"}]}"#,
            r#"{"input":[{"type":"additional_tools","role":"developer","tools":[{"type":"namespace","name":"n","tools":[{"type":"function","name":"code_interpreter"}]}]}]}"#,
            r#"{"input":[{"type":"mcp_list_tools","tools":[{"name":"a","input_schema":{},"annotations":null}]},"b"]}"#,
        ] {
            read(Responses, &body(text)).expect(text);
        }
    }

    #[test]
    fn a_bad_request_names_its_field() {
        let table = [
            (Chat, "", None),
            (Chat, "hello", None),
            (Chat, "[1]", None),
            (Chat, r#"{"messages":[1]} x"#, None),
            (Chat, r#"{"messages":[1],"model":7}"#, Some("model")),
            (
                Chat,
                r#"{"messages":[1],"model":"a","model":"b"}"#,
                Some("model"),
            ),
            (Chat, r#"{"messages":"hi"}"#, Some("messages")),
            (Chat, r#"{"messages":[]}"#, Some("messages")),
            (Chat, r#"{"messages":[1],"stream":"yes"}"#, Some("stream")),
            (
                Chat,
                r#"{"messages":[1],"max_tokens":-1}"#,
                Some("max_tokens"),
            ),
            (
                Chat,
                r#"{"messages":[1],"max_tokens":0}"#,
                Some("max_tokens"),
            ),
            (
                Chat,
                r#"{"messages":[1],"max_tokens":1.5}"#,
                Some("max_tokens"),
            ),
            (
                Chat,
                r#"{"messages":[1],"max_tokens":"9"}"#,
                Some("max_tokens"),
            ),
            (
                Chat,
                r#"{"messages":[1],"max_completion_tokens":18446744073709551616}"#,
                Some("max_completion_tokens"),
            ),
            (Chat, r#"{"messages":[1],"n":0}"#, Some("n")),
            (Chat, r#"{"messages":[1],"n":129}"#, Some("n")),
            (
                Chat,
                r#"{"messages":[1],"service_tier":"priority"}"#,
                Some("service_tier"),
            ),
            (Responses, r#"{"model":"a"}"#, Some("input")),
            (Responses, r#"{"input":{}}"#, Some("input")),
            (
                Responses,
                r#"{"input":"a","background":true}"#,
                Some("background"),
            ),
            (
                Messages,
                r#"{"messages":[1],"speed":"fast"}"#,
                Some("speed"),
            ),
            (Embeddings, r#"{"model":"a"}"#, Some("input")),
        ];

        for (protocol, text, field) in table {
            let error = read(protocol, &body(text)).expect_err(text);
            assert_eq!(error.field, field, "{text}");
        }
    }

    #[test]
    fn only_what_must_change_changes_on_the_way_up() {
        let table = [
            (
                Chat,
                r#"{ "model" : "a", "messages":[1], "odd":{"x":1.0} }"#,
                r#"{ "model" : "up", "messages":[1], "odd":{"x":1.0} }"#,
            ),
            (
                Chat,
                r#"{"model":"up","messages":[1]}"#,
                r#"{"model":"up","messages":[1]}"#,
            ),
            (
                Chat,
                r#"{"model":"up","messages":[1],"stream":true}"#,
                r#"{"stream_options":{"include_usage":true},"model":"up","messages":[1],"stream":true}"#,
            ),
            (
                Chat,
                r#"{"stream_options":{"include_usage":false,"x":1},"model":"a","messages":[1],"stream":true}"#,
                r#"{"stream_options":{"include_usage":true,"x":1},"model":"up","messages":[1],"stream":true}"#,
            ),
            (
                Chat,
                r#"{"stream_options":null,"model":"up","messages":[1],"stream":true}"#,
                r#"{"stream_options":{"include_usage":true},"model":"up","messages":[1],"stream":true}"#,
            ),
            (
                Messages,
                r#"{"model":"up","messages":[1]}"#,
                r#"{"max_tokens":77,"model":"up","messages":[1]}"#,
            ),
            (
                Messages,
                r#"{"model":"up","messages":[1],"max_tokens":null}"#,
                r#"{"model":"up","messages":[1],"max_tokens":77}"#,
            ),
            (
                Responses,
                r#"{"model":"up","input":"a","stream":true}"#,
                r#"{"model":"up","input":"a","stream":true}"#,
            ),
            (
                Embeddings,
                r#"{"input":"a"}"#,
                r#"{"model":"up","input":"a"}"#,
            ),
            (
                Embeddings,
                r#"{"model":null,"input":"a"}"#,
                r#"{"model":"up","input":"a"}"#,
            ),
        ];

        for (protocol, text, expected) in table {
            let sent = reading(protocol, text).body_for(protocol, &body(text), "up", 77);
            assert_eq!(sent, expected, "{text}");
            serde_json::from_slice::<serde_json::Value>(&sent).expect("still JSON");
        }
    }
}
