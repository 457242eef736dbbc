//! What an answer may depend on and some upstreams cannot be told: which of the names that a translation leaves out a
//! strict group refuses, and how a caller wrote them.

use entity::Protocol;
use serde_json::{Map, Value};

use super::{
    neutral::{Request, Sampling},
    reject::Reject,
};

/// Fields that a strict group misses whichever way a request goes.
const MISSED: [&str; 11] = [
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "logit_bias",
    "logprobs",
    "prediction",
    "web_search",
];

/// Fields of chat that Messages have nothing like.
const MISSED_OF_CHAT: [&str; 6] = [
    "verbosity",
    "store",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
];

impl Request {
    /// Whether the request has anything that a strict group could miss; where not, it need not be written to see.
    pub(crate) fn may_be_missed(&self) -> bool {
        self.sampling != Sampling::default()
            || !self.stop.is_empty()
            || self.web_search.is_some()
            || self.verbosity.is_some()
            || self.cache_key.is_some()
            || !self.shared.is_empty()
            || !self.dropped.is_empty()
    }
}

/// The refusal of a strict group, if one of the names that a translation left out is missed on this way.
pub(crate) fn refusal(
    (client, upstream): (Protocol, Protocol),
    dropped: &[String],
    body: &[u8],
) -> Option<Reject> {
    let mut missed = dropped
        .iter()
        .filter(|name| is_missed(client, upstream, name))
        .peekable();
    missed.peek()?;
    let body = serde_json::from_slice(body).unwrap_or_default();
    let name = missed.find(|name| !says_nothing(&body, name))?;
    let field = as_written(client, name, &body);
    let message = format!(
        "`{field}` cannot be carried to the channels that serve this model, and the group of this API key leaves \
         nothing out on which the answer depends; leave `{field}` out of the request, or use another model or group"
    );
    Some(Reject::new(field, message))
}

fn is_missed(client: Protocol, upstream: Protocol, name: &str) -> bool {
    let to_messages = (client, upstream) == (Protocol::Chat, Protocol::Messages);
    MISSED.contains(&name)
        || to_messages && MISSED_OF_CHAT.contains(&name)
        || hosted(name).is_some()
}

/// Whether a field has the value that holds without it, as some clients send all that there is.
fn says_nothing(body: &Map<String, Value>, name: &str) -> bool {
    let Some(value) = body.get(name) else {
        return false;
    };
    let is = |number: f64| {
        value
            .as_f64()
            .is_some_and(|said| (said - number).abs() < f64::EPSILON)
    };
    match name {
        "temperature" | "top_p" => is(1.0),
        "frequency_penalty" | "presence_penalty" => is(0.0),
        "logit_bias" => value.as_object().is_some_and(Map::is_empty),
        "store" => value == &Value::Bool(false),
        "verbosity" => value == "medium",
        _ => false,
    }
}

/// The place of a tool that no upstream runs. A search among the caller's own tools is not missed, for all of them are
/// declared then.
fn hosted(name: &str) -> Option<&str> {
    let (at, kind) = name.strip_suffix(')')?.rsplit_once(" (")?;
    let last = at.rsplit('.').next()?;
    (last.starts_with("tools[") && kind != "tool_search").then_some(at)
}

/// A name as its caller wrote it.
fn as_written(client: Protocol, name: &str, body: &Map<String, Value>) -> String {
    if let Some(at) = hosted(name) {
        return at.to_owned();
    }
    match (client, name) {
        (Protocol::Chat, "web_search") => "web_search_options".to_owned(),
        (_, "web_search") => search(body),
        (Protocol::Responses, "logprobs") => {
            let counted = body.get("top_logprobs").and_then(Value::as_u64);
            let field = match counted {
                Some(1..) => "top_logprobs",
                _ => "include",
            };
            field.to_owned()
        }
        _ => name.to_owned(),
    }
}

/// Where a search is declared: among the tools, or in an item of the input that brings more of them.
fn search(body: &Map<String, Value>) -> String {
    let among = |tools: Option<&Value>, at: &str| {
        let place = tools?.as_array()?.iter().position(|tool| {
            let kind = tool.get("type").and_then(Value::as_str);
            kind.is_some_and(|kind| kind.starts_with("web_search"))
        })?;
        Some(format!("{at}[{place}]"))
    };
    let items = body.get("input").and_then(Value::as_array);
    let mut items = items.into_iter().flatten().enumerate();
    among(body.get("tools"), "tools")
        .or_else(|| {
            items.find_map(|(index, item)| {
                among(item.get("tools"), &format!("input[{index}].tools"))
            })
        })
        .unwrap_or_else(|| "tools".to_owned())
}

#[cfg(test)]
mod tests {
    use entity::Protocol::{Chat, Messages, Responses};
    use serde_json::json;

    use super::*;
    use crate::translate::{Names, Target, Traits, carrier::tests::carriers, read};

    /// The fields that a strict group refuses of a request, the first of them taken out each time.
    fn refused(
        (client, upstream): (Protocol, Protocol),
        model: &str,
        extra: &Value,
    ) -> Vec<String> {
        let said = json!([{"role": "user", "content": "q"}]);
        let mut body = json!({"model": "M", "max_tokens": 4_000});
        let talk = if client == Responses {
            "input"
        } else {
            "messages"
        };
        body[talk] = said;
        let object = body.as_object_mut().expect("an object");
        object.extend(extra.as_object().expect("an object").clone());
        let body = body.to_string().into_bytes();
        let request = read(client, &body).expect("a good request");
        let names = Names::of(&request, upstream);
        let written = request.write(&Target {
            protocol: upstream,
            model,
            default_output: 4_000,
            most_output: None,
            streamed: false,
            traits: Traits::of(upstream, model, &std::collections::BTreeSet::new()),
            carriers: &carriers("x"),
            names: &names,
        });
        let found: Vec<String> = written
            .dropped
            .iter()
            .filter_map(|name| refusal((client, upstream), std::slice::from_ref(name), &body))
            .map(|reject| {
                let Reject { field, message } = reject;
                assert!(
                    message.contains(&format!("leave `{field}` out")),
                    "{message}"
                );
                assert!(message.len() < 300, "{message}");
                field
            })
            .collect();
        let whole = refusal((client, upstream), &written.dropped, &body);
        assert_eq!(whole.map(|reject| reject.field), found.first().cloned());
        assert!(found.is_empty() || request.may_be_missed(), "{extra}");
        found
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a row for each field and way")]
    fn what_an_answer_depends_on_is_missed_on_each_way_that_cannot_carry_it() {
        const OLD: &str = "claude-sonnet-4-20250514";
        const NEW: &str = "claude-opus-4-8";
        let warm = json!({"temperature": 0.2});
        let both = json!({"temperature": 0.2, "top_p": 0.5});
        let thinking = json!({"temperature": 0.2, "reasoning_effort": "high"});
        let bent = json!({"frequency_penalty": 0.5, "presence_penalty": 0.5, "seed": 7,
                          "logit_bias": {"5": 1}, "prediction": {"type": "content", "content": "x"}});
        let usual = json!({"temperature": 1, "top_p": 1.0, "frequency_penalty": 0, "presence_penalty": 0.0,
                           "logit_bias": {}, "store": false, "verbosity": "medium", "logprobs": false});
        let usual_but_one = json!({"temperature": 1, "top_p": 0.9});
        let likely = json!({"logprobs": true, "top_logprobs": 2});
        let kept = json!({"prompt_cache_key": "k", "prompt_cache_options": {}, "moderation": {},
                          "prompt_cache_retention": "24h", "store": true, "verbosity": "low"});
        let named = json!({"metadata": {"a": "b"}, "service_tier": "scale"});
        let function = json!({"type": "function", "name": "f"});
        let searches = json!({"tools": [function, {"type": "web_search"}]});
        let brings = json!({"input": [{"role": "user", "content": "q"},
                                      {"type": "additional_tools", "role": "developer", "tools": [{"type": "web_search"}, function]}]});
        let runs = json!({"tools": [{"type": "code_interpreter"}, {"type": "tool_search", "execution": "server"}]});
        let lost = json!({"truncation": "auto", "max_tool_calls": 3, "moderation": {}, "store": true,
                          "client_metadata": {"a": "b"}, "prompt_cache_key": "k", "text": {"verbosity": "low"}});
        let named_likely = json!({"include": ["message.output_text.logprobs"]});
        let counted_likely = json!({"top_logprobs": 3});
        let ends = json!({"stop_sequences": ["1", "2", "3", "4", "5"]});
        let few_ends = json!({"stop_sequences": ["1", "2", "3", "4"]});
        let fetches = json!({"tools": [{"name": "g"}, {"type": "web_search_20250305", "name": "web_search"},
                                       {"type": "web_fetch_20250910", "name": "web_fetch"}]});
        let far = json!({"container": "c", "context_management": {}, "inference_geo": "eu",
                         "metadata": {"user_id": "u"}, "service_tier": "auto"});
        let table: &[(Protocol, Protocol, &str, &Value, &[&str])] = &[
            (Chat, Messages, OLD, &warm, &[]),
            (Chat, Messages, OLD, &both, &["top_p"]),
            (Chat, Messages, OLD, &thinking, &["temperature"]),
            (Chat, Messages, NEW, &both, &["top_p", "temperature"]),
            (Chat, Messages, NEW, &json!({"top_k": 3}), &["top_k"]),
            (
                Chat,
                Messages,
                NEW,
                &bent,
                &[
                    "prediction",
                    "frequency_penalty",
                    "presence_penalty",
                    "seed",
                    "logit_bias",
                ],
            ),
            (Chat, Messages, NEW, &usual, &[]),
            (Chat, Messages, NEW, &usual_but_one, &["top_p"]),
            (Chat, Responses, "gpt-5", &usual, &[]),
            (
                Messages,
                Responses,
                "gpt-5",
                &json!({"temperature": 1}),
                &[],
            ),
            (Chat, Messages, NEW, &likely, &["logprobs"]),
            (
                Chat,
                Messages,
                NEW,
                &kept,
                &[
                    "store",
                    "moderation",
                    "prompt_cache_options",
                    "prompt_cache_retention",
                    "prompt_cache_key",
                    "verbosity",
                ],
            ),
            (Chat, Messages, NEW, &named, &[]),
            (Chat, Responses, "gpt-4o", &both, &[]),
            (Chat, Responses, "gpt-5", &warm, &["temperature"]),
            (Chat, Responses, "gpt-4o", &likely, &[]),
            (Chat, Responses, "gpt-5", &likely, &["logprobs"]),
            (Chat, Responses, "gpt-4o", &kept, &[]),
            (
                Chat,
                Responses,
                "gpt-4o",
                &bent,
                &[
                    "prediction",
                    "frequency_penalty",
                    "presence_penalty",
                    "seed",
                    "logit_bias",
                ],
            ),
            (Responses, Chat, "m", &searches, &["tools[1]"]),
            (Responses, Chat, "m", &brings, &["input[1].tools[0]"]),
            (Responses, Chat, "m", &runs, &["tools[0]"]),
            (Responses, Chat, "m", &lost, &[]),
            (Responses, Chat, "m", &both, &[]),
            (Responses, Messages, NEW, &warm, &["temperature"]),
            (Responses, Messages, NEW, &searches, &[]),
            (Responses, Messages, NEW, &runs, &["tools[0]"]),
            (Responses, Messages, NEW, &lost, &[]),
            (Responses, Messages, NEW, &named_likely, &["include"]),
            (Responses, Messages, NEW, &counted_likely, &["top_logprobs"]),
            (Messages, Chat, "m", &ends, &["stop_sequences"]),
            (Messages, Chat, "m", &few_ends, &[]),
            (Messages, Chat, "m", &json!({"top_k": 3}), &["top_k"]),
            (Messages, Chat, "m", &fetches, &["tools[2]", "tools[1]"]),
            (Messages, Chat, "m", &far, &[]),
            (Messages, Responses, "gpt-4o", &ends, &[]),
            (Messages, Responses, "gpt-4o", &fetches, &["tools[2]"]),
            (Messages, Responses, "gpt-4o", &far, &[]),
            (Messages, Responses, "gpt-5", &warm, &["temperature"]),
            (
                Messages,
                Responses,
                "gpt-4o",
                &json!({"top_k": 3}),
                &["top_k"],
            ),
        ];

        for (client, upstream, model, extra, fields) in table {
            assert_eq!(
                refused((*client, *upstream), model, extra),
                *fields,
                "{client:?} to {upstream:?}, {model}: {extra}"
            );
        }
    }
}
