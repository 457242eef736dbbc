//! The calls that a demo offers: the welcome prints them to be pasted, the check makes them.

use super::stage::{EMBEDDING_NANOS, INPUT_NANOS, OUTPUT_NANOS};
use serde_json::{Value, json};

/// The words that are asked; the sandbox counts one token a word.
const QUESTION: &str = "every word pays its toll";

/// Lists what a key may use; the one endpoint that is asked with GET, and costs nothing.
pub(super) const MODELS: &str = "/v1/models";

/// One endpoint that is asked with POST, and costs something.
pub(super) struct Endpoint {
    pub path: &'static str,
    /// What a call sends, but for the wish to have it streamed.
    pub body: Value,
    pub streams: bool,
    /// What the call costs.
    pub charge_nanos: i64,
}

impl Endpoint {
    /// The body of a call, streamed or not.
    pub fn asking(&self, streamed: bool) -> Value {
        let mut body = self.body.clone();
        if self.streams {
            body["stream"] = streamed.into();
        }
        body
    }
}

/// All of them.
pub(super) fn all() -> Vec<Endpoint> {
    let words = i64::try_from(QUESTION.split(' ').count()).unwrap_or(i64::MAX);
    let messages = json!([{"role": "user", "content": QUESTION}]);
    let chat = |path, body| Endpoint {
        path,
        body,
        streams: true,
        charge_nanos: words * (INPUT_NANOS + OUTPUT_NANOS),
    };
    vec![
        chat(
            "/v1/chat/completions",
            json!({"model": "sandbox/echo", "messages": messages, "max_tokens": 100}),
        ),
        chat(
            "/v1/responses",
            json!({"model": "sandbox/echo", "input": QUESTION, "max_output_tokens": 100}),
        ),
        chat(
            "/v1/messages",
            json!({"model": "sandbox/echo", "messages": messages, "max_tokens": 100}),
        ),
        Endpoint {
            path: "/v1/embeddings",
            body: json!({"model": "sandbox/embedding", "input": QUESTION}),
            streams: false,
            charge_nanos: words * EMBEDDING_NANOS,
        },
    ]
}
