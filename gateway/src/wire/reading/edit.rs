//! What has to change in a body on its way to the upstream, cut in at its place.

use std::ops::Range;

use bytes::Bytes;
use entity::Protocol;

use super::{Fields, Reading, span};

/// The smallest thinking budget that providers take.
const THINKING_MIN: u64 = 1_024;
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

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
