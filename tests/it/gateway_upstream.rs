//! Upstreams that are not there, go away, drip, never end or are somebody else: the rows U-1 to U-18 of the fault
//! battery that need more than a script.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use entity::{
    Platform, Scoped, attempt,
    channel::Kind,
    usage::{Finish, Outcome, Quality},
    usage_doubt,
};
use flate2::{Compression, write::GzEncoder};
use reqwest::header::HeaderValue;
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use std::io::Write;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Notify};

use crate::support::{
    bare::{Bare, STREAM_HEAD, nobody},
    gate::{Gate, INPUT_NANOS, OUTPUT_NANOS},
    upstream::{Answer, Upstream},
};

const CHAT: &str = "/v1/chat/completions";
const ENDPOINTS: [(&str, Kind); 3] = [
    (CHAT, Kind::Openai),
    ("/v1/responses", Kind::Openai),
    ("/v1/messages", Kind::Anthropic),
];

fn asking(model: &str, streamed: bool) -> Value {
    json!({"model": model, "stream": streamed, "max_tokens": 50, "input": "one two three four",
           "messages": [{"role": "user", "content": "one two three four"}]})
}

/// The least good answer of each endpoint: 5 tokens in, 2 out.
fn good(path: &str) -> Answer {
    let body = match path {
        "/v1/responses" => json!({"id": "r", "object": "response", "status": "completed",
            "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}],
            "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}}),
        "/v1/messages" => {
            json!({"id": "m", "type": "message", "role": "assistant", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 5, "output_tokens": 2}})
        }
        _ => {
            json!({"id": "c", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "hi"}}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}})
        }
    };
    Answer::json(200, &body)
}

fn delta(text: &str) -> String {
    let chunk =
        json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    format!("data: {chunk}\n\n")
}

/// The tries in vain of a call.
async fn tries(gate: &Gate, call: &entity::usage::Model) -> Vec<attempt::Model> {
    attempt::Entity::every()
        .filter(attempt::Column::CallId.eq(call.id))
        .all(gate.till.db.read())
        .await
        .expect("attempts read")
}

/// What fails before the first byte of an answer.
enum Fault {
    /// Nobody listens.
    Refuses,
    /// The name stands for nothing.
    NoName,
    /// The connection is torn down once the request was read.
    Resets(Bare),
    /// An answer of this status.
    Says(u16, Upstream),
}

impl Fault {
    async fn every() -> Vec<(&'static str, Self)> {
        let says = |status| {
            let words = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
            Self::Says(status, Upstream::start([Answer::json(status, &words)]))
        };
        let resets = Bare::start(|socket: TcpStream| async move {
            socket.set_zero_linger().expect("a socket option");
        });
        vec![
            ("U-1 refuses", Self::Refuses),
            ("U-18 no name", Self::NoName),
            ("U-3 resets", Self::Resets(resets.await)),
            ("U-11 529", says(529)),
            ("U-11 503", says(503)),
        ]
    }

    async fn base(&self) -> String {
        match self {
            Self::Refuses => nobody().await,
            Self::NoName => "http://nobody.invalid".to_owned(),
            Self::Resets(bare) => bare.base.clone(),
            Self::Says(_, upstream) => upstream.base.clone(),
        }
    }

    /// How often it was asked; none where it cannot be.
    fn asked(&self) -> Option<usize> {
        match self {
            Self::Refuses | Self::NoName => None,
            Self::Resets(bare) => Some(bare.connections()),
            Self::Says(_, upstream) => Some(upstream.requests().len()),
        }
    }

    /// The statuses in the rows of its tries; no row is written for a try that reached nobody.
    fn kept(&self) -> Vec<Option<i64>> {
        match self {
            Self::Refuses | Self::NoName => Vec::new(),
            Self::Resets(_) => vec![None],
            Self::Says(status, _) => vec![Some(i64::from(*status))],
        }
    }
}

/// U-1, U-3, the overloaded of U-11, the missing name of U-18, and B-12: one charge for a call, a row for each try.
#[tokio::test]
async fn an_upstream_that_fails_before_it_answers_is_replaced_and_the_call_charged_once() {
    let gate = Gate::open().await;
    let mut calls = 0;

    for (row, fault) in Fault::every().await {
        for (path, kind) in ENDPOINTS {
            let model = format!("spared-{calls}");
            let spare = Upstream::start([good(path)]);
            let first = gate.add_upstream(kind, &fault.base().await, &model).await;
            let second = gate.add_upstream(kind, &spare.base, &model).await;
            gate.prefer(first, second).await;
            let (before, asked) = (gate.available().await.nanos(), fault.asked());

            let answer = gate.post(path, &asking(&model, false)).send().await;

            assert_eq!(answer.expect("an answer").status(), 200, "{row} {path}");
            calls += 1;
            let call = gate.ended(calls).await.pop().expect("a row");
            assert_eq!(
                (call.outcome, call.channel_id, call.charge.nanos()),
                (
                    Outcome::Settled,
                    Some(second),
                    5 * INPUT_NANOS + 2 * OUTPUT_NANOS
                ),
                "{row} {path}"
            );
            let paid = before - gate.available().await.nanos();
            assert_eq!(paid, call.charge.nanos(), "{row} {path}: one charge");
            assert_eq!(spare.requests().len(), 1, "{row} {path}");
            assert_eq!(
                fault.asked(),
                asked.map(|before| before + 1),
                "{row} {path}: asked once"
            );
            let kept = fault.kept();
            gate.until("the tries are kept", || async {
                tries(&gate, &call).await.len() == kept.len()
            })
            .await;
            let rows = tries(&gate, &call).await;
            assert!(
                rows.iter()
                    .all(|row| row.channel_id == first && row.cost.is_none())
            );
            let found: Vec<_> = rows.iter().map(|row| row.status).collect();
            assert_eq!(found, kept, "{row} {path}");
            spare.stop().await;
        }
    }
    gate.finish().await;
}

#[tokio::test]
async fn where_no_other_upstream_is_left_the_caller_is_told_in_its_own_protocol() {
    let gate = Gate::open().await;
    let before = gate.available().await;
    let mut calls = 0;

    for (row, fault) in Fault::every().await {
        for (path, kind) in ENDPOINTS {
            for streamed in [false, true] {
                let model = format!("alone-{calls}");
                gate.add_upstream(kind, &fault.base().await, &model).await;

                let answer = gate.post(path, &asking(&model, streamed)).send().await;

                let answer = answer.expect("an answer");
                assert_eq!(answer.status(), 503, "{row} {path} {streamed}");
                assert_eq!(
                    answer
                        .headers()
                        .get("x-tollgate-code")
                        .map(HeaderValue::as_bytes),
                    Some(&b"channels_failed"[..]),
                    "{row} {path} {streamed}"
                );
                let body: Value = answer.json().await.expect("JSON");
                let code = if kind == Kind::Anthropic {
                    assert_eq!(body["type"], "error", "{row} {path}: {body}");
                    assert!(body["request_id"].is_string(), "{row} {path}: {body}");
                    &body["error"]["type"]
                } else {
                    assert!(body["error"]["param"].is_null(), "{row} {path}: {body}");
                    &body["error"]["code"]
                };
                assert!(
                    ["channels_failed", "overloaded_error"]
                        .contains(&code.as_str().unwrap_or_default()),
                    "{row} {path}: {body}"
                );
                calls += 1;
                let call = gate.ended(calls).await.pop().expect("a row");
                assert_eq!(
                    (call.outcome, call.finish, call.charge.nanos()),
                    (Outcome::Voided, Finish::UpstreamError, 0),
                    "{row} {path} {streamed}"
                );
            }
        }
    }
    assert_eq!(gate.available().await, before, "nothing is held any more");
    gate.finish().await;
}

/// U-6: what drips is not silent. It is read on past the limit for silence, nobody else waits for it, and the limit for
/// the whole ends it.
#[tokio::test]
async fn an_upstream_that_drips_is_heard_to_its_end_or_to_the_limit_of_the_whole() {
    let gate = Gate::open_with(|config| {
        config.idle = Duration::from_millis(400);
        config.longest = Duration::from_secs(4);
    })
    .await;
    let half = Arc::new(Notify::new());
    let go_on = Arc::clone(&half);
    let said = [
        delta("drop by drop"),
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".to_owned(),
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let slow = Bare::start(move |mut socket| {
        let (said, go_on) = (said.clone(), Arc::clone(&go_on));
        async move {
            drop(socket.write_all(STREAM_HEAD).await);
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            for (place, byte) in said.bytes().enumerate() {
                if place == 20 {
                    go_on.notified().await;
                }
                tick.tick().await;
                drop(socket.write_all(&[byte]).await);
            }
        }
    })
    .await;
    let endless = Bare::start(|mut socket| async move {
        drop(socket.write_all(STREAM_HEAD).await);
        drop(socket.write_all(delta("for ever").as_bytes()).await);
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while socket.write_all(b":").await.is_ok() {
            tick.tick().await;
        }
    })
    .await;
    gate.add_upstream(Kind::OpenaiCompatible, &slow.base, "slow")
        .await;
    gate.add_upstream(Kind::OpenaiCompatible, &endless.base, "endless")
        .await;

    let dripping = tokio::spawn(gate.post(CHAT, &asking("slow", true)).send());
    gate.until("it drips", || async { slow.connections() == 1 })
        .await;
    let other = gate.post(CHAT, &asking("sandbox/echo", true)).send().await;
    let other = other.expect("an answer").text().await.expect("a body");
    assert!(
        other.contains("[DONE]"),
        "nobody waits for another's upstream"
    );
    half.notify_one();
    let whole = dripping.await.expect("a task").expect("an answer");
    let whole = whole.text().await.expect("a body");
    let cut = gate.post(CHAT, &asking("endless", true)).send().await;
    let cut = cut.expect("an answer").text().await.expect("a body");

    assert!(
        whole.contains("drop by drop") && whole.contains("[DONE]"),
        "{whole}"
    );
    assert!(
        cut.contains("for ever") && cut.contains("\"upstream_error\""),
        "{cut}"
    );
    let rows = gate.ended(3).await;
    let of = |tokens| rows.iter().find(|row| row.output_tokens == tokens);
    let whole = of(3).expect("the slow one");
    assert_eq!(
        (whole.finish, whole.quality, whole.charge.nanos()),
        (
            Finish::Complete,
            Quality::Exact,
            7 * INPUT_NANOS + 3 * OUTPUT_NANOS
        )
    );
    let cut = rows
        .iter()
        .find(|row| row.finish == Finish::Stalled)
        .expect("the endless one");
    assert_eq!(
        (cut.outcome, cut.quality),
        (Outcome::Settled, Quality::Counted)
    );
    gate.finish().await;
}

/// Sends a head and then the same piece until the other side hangs up, and counts what it took.
async fn pour(head: &'static str, piece: &'static [u8]) -> (Bare, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let bare = Bare::start(move |mut socket| {
        let counted = Arc::clone(&counted);
        async move {
            drop(socket.write_all(head.as_bytes()).await);
            while socket.write_all(piece).await.is_ok() {
                counted.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    (bare, taken)
}

/// U-14: an answer without an end is cut at its cap, an error's at its own, and a compressed one is never unpacked.
#[tokio::test]
async fn an_answer_without_an_end_or_packed_small_is_cut_at_its_cap() {
    const PIECE: &[u8] = &[b' '; 64 << 10];
    /// What the sockets of both sides may hold beyond what was read.
    const SOCKETS: usize = 16 << 20;
    let gate = Gate::open().await;
    let table = [
        (
            "u14-whole",
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n",
            64 << 20,
        ),
        (
            "u14-error",
            "HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\n\r\n",
            1 << 20,
        ),
        (
            "u14-outage",
            "HTTP/1.1 500 Bad\r\ncontent-type: application/json\r\n\r\n",
            1 << 20,
        ),
    ];
    let mut calls = 0;
    for (row, head, cap) in table {
        let (bare, taken) = pour(head, PIECE).await;
        gate.add_upstream(Kind::OpenaiCompatible, &bare.base, row)
            .await;

        let answer = gate.post(CHAT, &asking(row, false)).send().await;

        let status = answer.expect("an answer").status().as_u16();
        assert_eq!(
            status,
            if head.contains("400") { 400 } else { 503 },
            "{row}"
        );
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken <= cap + SOCKETS, "{row}: {taken} bytes were taken");
        calls += 1;
        let call = gate.ended(calls).await.pop().expect("a row");
        assert_eq!(
            (call.outcome, call.charge.nanos()),
            (Outcome::Voided, 0),
            "{row}"
        );
    }

    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..1_024 {
        packer.write_all(PIECE).expect("memory takes it");
    }
    let bomb = packer.finish().expect("memory takes it");
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    );
    let bare = Bare::saying([head.as_bytes(), &bomb].concat()).await;
    gate.add_upstream(Kind::OpenaiCompatible, &bare.base, "bomb")
        .await;
    let answer = gate.post(CHAT, &asking("bomb", false)).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 503, "U-14 bomb");
    assert!(
        answer.text().await.expect("a body").len() < 4_096,
        "U-14 bomb"
    );
    assert_eq!(
        gate.ended(calls + 1)
            .await
            .pop()
            .expect("a row")
            .charge
            .nanos(),
        0
    );
    gate.finish().await;
}

/// U-16: an answer that names another model is charged by the model that was routed, and stands among the doubts.
#[tokio::test]
async fn an_answer_of_another_model_is_charged_as_the_one_that_was_asked_for_and_noted() {
    let gate = Gate::open().await;
    gate.add_model_with("dear", entity::model::Kind::Chat, 1_000, 100 * OUTPUT_NANOS)
        .await;
    let named = |name: &str| {
        let mut body = json!({"id": "c", "object": "chat.completion", "model": name,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}]});
        body["usage"] = json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7});
        body
    };
    let streamed = |name: &str| {
        let chunk = json!({"model": name, "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]});
        let last = json!({"model": name, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
        Answer::stream(&[&format!(
            "data: {chunk}\n\ndata: {last}\n\ndata: [DONE]\n\n"
        )])
    };
    // What the upstream is asked for is `upstream-<model>`; a date behind it is the same model.
    let table = [
        ("asked-0", Answer::json(200, &named("dear")), false, true),
        ("asked-1", streamed("dear"), true, true),
        (
            "asked-2",
            Answer::json(200, &named("upstream-asked-2-2026-08-06")),
            false,
            false,
        ),
        ("asked-3", streamed("vendor/Upstream-asked-3"), true, false),
        ("asked-4", Answer::json(200, &named("")), false, false),
    ];
    let mut calls = 0;
    for (model, answer, streams, doubted) in table {
        let upstream = Upstream::start([answer]);
        gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, model)
            .await;

        let answer = gate.post(CHAT, &asking(model, streams)).send().await;

        answer.expect("an answer").text().await.expect("a body");
        calls += 1;
        let call = gate.ended(calls).await.pop().expect("a row");
        assert_eq!(
            (call.quality, call.charge.nanos()),
            (Quality::Exact, 5 * INPUT_NANOS + 2 * OUTPUT_NANOS),
            "U-16 {model}"
        );
        let doubts = || {
            usage_doubt::Entity::across_tenants()
                .filter(usage_doubt::Column::Id.eq(call.id))
                .count(gate.till.db.read())
        };
        if doubted {
            gate.until("a doubt is kept", || async {
                doubts().await.expect("doubts read") == 1
            })
            .await;
        }
        assert_eq!(
            doubts().await.expect("doubts read"),
            u64::from(doubted),
            "U-16 {model}"
        );
        upstream.stop().await;
    }
    gate.finish().await;
}

/// U-17: a certificate that nobody vouches for ends the connection before a word of the request is said.
#[tokio::test]
async fn an_upstream_that_cannot_prove_its_name_is_told_nothing() {
    let gate = Gate::open().await;
    let plain = Bare::saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_vec()).await;
    let base = plain.base.replace("http://", "https://");
    gate.add_upstream(Kind::OpenaiCompatible, &base, "unproved")
        .await;

    let answer = gate.post(CHAT, &asking("unproved", false)).send().await;

    assert_eq!(answer.expect("an answer").status(), 503);
    let call = gate.ended(1).await.pop().expect("a row");
    assert_eq!((call.outcome, call.charge.nanos()), (Outcome::Voided, 0));
    assert!(tries(&gate, &call).await.is_empty(), "nothing was sent");
    gate.finish().await;
}
