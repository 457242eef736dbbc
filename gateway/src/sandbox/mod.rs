//! An upstream inside the process: deterministic, free of cost, for trying out and for tests.
//!
//! It speaks chat, responses, messages and embeddings, streamed and not. One word is one token, so anybody can check
//! a charge by counting. Some of its models fail on purpose.

mod chat;
mod embeddings;
mod messages;
mod play;
mod question;
mod responses;

use std::time::Duration;

use bytes::Bytes;
use entity::Protocol;
use outbound::BodyStream;
use serde_json::{Value, json};

use play::{Fault, Play, Step};
use question::Question;

/// One call to the sandbox.
pub(crate) struct Visit<'a> {
    pub(crate) protocol: Protocol,
    /// The body as an upstream would get it.
    pub(crate) body: &'a [u8],
    /// What ids in the answer are made of.
    pub(crate) id: String,
    /// Seconds since 1970.
    pub(crate) created: i64,
    /// How long a word takes.
    pub(crate) pace: Duration,
}

/// The answer, as an upstream would give it.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: BodyStream,
}

/// The models of a sandbox channel, with what kind of endpoint serves them.
pub const MODELS: &[(&str, entity::model::Kind)] = &[
    ("sandbox/echo", entity::model::Kind::Chat),
    ("sandbox/story", entity::model::Kind::Chat),
    ("sandbox/embedding", entity::model::Kind::Embedding),
];

/// Answers one call. A body it cannot read gets a 400 as from any provider.
pub(crate) fn answer(visit: &Visit<'_>) -> Reply {
    let Ok(body) = serde_json::from_slice::<Value>(visit.body) else {
        return refusal(400, "the body is not JSON");
    };
    if visit.protocol == Protocol::Embeddings {
        return embeddings::answer(&body).map_or_else(
            || refusal(400, "`input` is not text or tokens"),
            |body| whole(&body),
        );
    }

    let question = Question::read(visit.protocol, &body);
    let play = Play::of(&question);
    if let Some(Fault::Status(status)) = play.fault {
        return refusal(status, "the sandbox fails as it was asked to");
    }
    let scene = Scene {
        model: &question.model,
        id: &visit.id,
        created: visit.created,
        play: &play,
        streams_usage: question.streams_usage,
    };
    match (visit.protocol, question.streamed) {
        (Protocol::Responses, true) => play.perform(responses::events(&scene), visit.pace),
        (Protocol::Messages, true) => play.perform(messages::events(&scene), visit.pace),
        (Protocol::Chat | Protocol::Embeddings, true) => {
            play.perform(chat::events(&scene), visit.pace)
        }
        (Protocol::Responses, false) => play.perform_whole(&responses::body(&scene)),
        (Protocol::Messages, false) => play.perform_whole(&messages::body(&scene)),
        (Protocol::Chat | Protocol::Embeddings, false) => play.perform_whole(&chat::body(&scene)),
    }
}

/// What a renderer needs to know.
struct Scene<'a> {
    model: &'a str,
    id: &'a str,
    created: i64,
    play: &'a Play,
    streams_usage: bool,
}

fn whole(body: &Value) -> Reply {
    Reply {
        status: 200,
        body: play::stream(vec![Step::Say(body.to_string().into())], Duration::ZERO),
    }
}

/// An error body that both families of clients can read.
fn refusal(status: u16, message: &str) -> Reply {
    let body = json!({
        "type": "error",
        "error": {"type": "sandbox_error", "message": message, "param": null, "code": format!("sandbox_{status}")},
    });
    Reply {
        status,
        body: play::stream(vec![Step::Say(body.to_string().into())], Duration::ZERO),
    }
}

/// One event with its data; chat has no event names.
fn event(name: &str, data: &Value) -> Bytes {
    if name.is_empty() {
        format!("data: {data}\n\n").into()
    } else {
        format!("event: {name}\ndata: {data}\n\n").into()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::wire::{
        sse::Splitter,
        tap::{Seen, Tap},
    };

    const CALLERS: [Protocol; 3] = [Protocol::Chat, Protocol::Responses, Protocol::Messages];

    async fn read(reply: Reply) -> (Vec<u8>, bool) {
        let mut body = reply.body;
        let mut all = Vec::new();
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) => all.extend_from_slice(&piece),
                Err(_) => return (all, false),
            }
        }
        (all, true)
    }

    fn ask(protocol: Protocol, body: &Value) -> Reply {
        answer(&Visit {
            protocol,
            body: body.to_string().as_bytes(),
            id: "1".to_owned(),
            created: 1_763_700_000,
            pace: Duration::ZERO,
        })
    }

    fn question(protocol: Protocol, model: &str, streamed: bool) -> Value {
        let mut body = json!({"model": model, "stream": streamed, "max_tokens": 100});
        if protocol == Protocol::Responses {
            body["input"] = "one two three".into();
        } else {
            body["messages"] = json!([{"role": "user", "content": "one two three"}]);
            body["stream_options"] = json!({"include_usage": true});
        }
        body
    }

    /// The tap after a whole visit, and the body.
    async fn visit(protocol: Protocol, model: &str, streamed: bool) -> (Tap, String, bool) {
        let (body, ended) = read(ask(protocol, &question(protocol, model, streamed))).await;
        let mut tap = Tap::new(protocol);
        if streamed {
            let mut splitter = Splitter::new(1 << 20);
            splitter.push(&body);
            while let Some(frame) = splitter.next_frame().expect("small frames") {
                tap.see(&frame);
            }
        } else {
            tap.see_whole(&body);
        }
        (tap, String::from_utf8(body).expect("text"), ended)
    }

    #[tokio::test]
    async fn echo_says_the_words_back_and_counts_them_exactly() {
        for protocol in CALLERS {
            for streamed in [true, false] {
                let (tap, body, _) = visit(protocol, "sandbox/echo", streamed).await;

                let metered = tap.metered(0);
                assert!(metered.exact && tap.finished(), "{protocol:?} {streamed}");
                assert_eq!((metered.tokens.input, metered.tokens.output), (3, 3));
                assert!(body.contains("three"), "{body}");
            }
        }
    }

    #[tokio::test]
    async fn an_answer_stops_at_the_token_limit() {
        let mut body = question(Protocol::Chat, "sandbox/story", false);
        body["max_tokens"] = 5.into();

        let (answer, _) = read(ask(Protocol::Chat, &body)).await;

        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
        assert_eq!(answer["usage"]["completion_tokens"], 5);
    }

    #[tokio::test]
    async fn faults_fail_as_named() {
        for protocol in CALLERS {
            let (tap, _, ended) = visit(protocol, "sandbox/cut", true).await;
            assert!(!ended && tap.delivered() && !tap.finished(), "{protocol:?}");

            let (tap, _, ended) = visit(protocol, "sandbox/no-usage", true).await;
            assert!(ended && tap.finished() && !tap.metered(1).exact);

            let (tap, _, _) = visit(protocol, "sandbox/negative-usage", true).await;
            assert!(tap.anomaly().is_some());

            let (tap, _, _) = visit(protocol, "sandbox/garbage", true).await;
            assert!(!tap.delivered() && !tap.finished());
        }
        let reply = ask(
            Protocol::Chat,
            &question(Protocol::Chat, "sandbox/error-500", true),
        );
        assert_eq!(reply.status, 500);
    }

    #[tokio::test]
    async fn embeddings_are_the_same_every_time_and_count_words() {
        let body =
            json!({"model": "sandbox/embedding", "input": ["one two", "three"], "dimensions": 8});
        let (first, _) = read(ask(Protocol::Embeddings, &body)).await;
        let (second, _) = read(ask(Protocol::Embeddings, &body)).await;

        assert_eq!(first, second);
        let answer: Value = serde_json::from_slice(&first).expect("JSON");
        assert_eq!(answer["usage"]["prompt_tokens"], 3);
        assert_eq!(
            answer["data"][1]["embedding"].as_array().map(Vec::len),
            Some(8)
        );

        let mut tap = Tap::new(Protocol::Embeddings);
        assert_eq!(tap.see_whole(&first), Seen::End);
    }
}
