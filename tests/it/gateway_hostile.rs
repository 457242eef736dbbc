//! Bytes that no client or upstream in order would send: ambiguous framing, twisted paths, endless heads and lines,
//! usage that cannot be, and callers whose answers must never mix.

use std::time::Duration;

use entity::{
    channel::Kind,
    usage::{Finish, Outcome, Quality},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{
    gate::{Gate, KEY, refusal},
    upstream::{Answer, Upstream},
};

const CHAT: &str = "/v1/chat/completions";
const ENOUGH: Duration = Duration::from_secs(20);

fn asking(model: &str, streamed: bool) -> Value {
    json!({"model": model, "stream": streamed, "max_tokens": 50, "messages": [{"role": "user", "content": "one two"}]})
}

/// All that the server says to these bytes until it closes the connection or has nothing more to say.
async fn exchange(gate: &Gate, bytes: &[u8]) -> String {
    let address = gate.base.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    // The server may close while we still write; what it said before is what counts.
    drop(socket.write_all(bytes).await);
    let mut said = Vec::new();
    let mut piece = vec![0; 16 << 10];
    while let Ok(Ok(read)) = timeout(Duration::from_millis(700), socket.read(&mut piece)).await {
        if read == 0 {
            break;
        }
        said.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

fn head(lines: &str) -> String {
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n{lines}\r\n"
    )
}

#[tokio::test]
async fn a_request_whose_end_is_ambiguous_is_never_two_requests() {
    let gate = Gate::open().await;
    let smuggled =
        format!("GET /v1/models HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {KEY}\r\n\r\n");
    let length = smuggled.len();
    let framings = [
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
        "content-length: 5\r\ncontent-length: 6\r\n".to_owned(),
        "transfer-encoding: xchunked\r\n".to_owned(),
        "transfer-encoding: chunked, identity\r\n".to_owned(),
        "transfer-encoding : chunked\r\n".to_owned(),
        "content-length: +5\r\n".to_owned(),
        "content-length: -1\r\n".to_owned(),
        "content-length: 0x10\r\n".to_owned(),
        "x-folded: one\r\n two\r\ncontent-length: 0\r\n".to_owned(),
    ];

    for framing in framings {
        let said = exchange(
            &gate,
            format!("{}0\r\n\r\n{smuggled}", head(&framing)).as_bytes(),
        )
        .await;

        assert!(
            said.matches("HTTP/1.1 ").count() <= 1,
            "{framing:?}: {said}"
        );
        assert!(!said.contains("\"object\":\"list\""), "{framing:?}: {said}");
        assert!(!said.starts_with("HTTP/1.1 200"), "{framing:?}: {said}");
    }
    let chunks = [
        "fffffffffffffffff\r\nx",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5;x=y\r\nhello\r\nzz\r\n",
    ];
    for chunk in chunks {
        let said = exchange(
            &gate,
            format!("{}{chunk}", head("transfer-encoding: chunked\r\n")).as_bytes(),
        )
        .await;
        assert!(!said.contains("HTTP/1.1 200"), "{chunk:?}: {said}");
    }
    let upgrade = head(
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\ncontent-length: 2\r\n",
    );
    let said = exchange(&gate, format!("{upgrade}{{}}").as_bytes()).await;
    assert!(said.starts_with("HTTP/1.1 400"), "no upgrade: {said}");
    gate.finish().await;
}

#[tokio::test]
async fn an_endless_head_or_a_bottomless_body_is_refused_at_once() {
    let gate = Gate::open_with(|config| config.body_limit = 1 << 20).await;
    let many = head(&"x-many: 1\r\n".repeat(10_000));
    let long = head(&format!("x-long: {}\r\n", "y".repeat(1 << 20)));
    for bytes in [many, long] {
        let said = exchange(&gate, bytes.as_bytes()).await;
        let refused = said.is_empty() || said.starts_with("HTTP/1.1 4");
        assert!(refused, "{}", &said[..said.len().min(200)]);
    }

    let deep = format!(
        r#"{{"model":"sandbox/echo","messages":{}"#,
        "[".repeat(900_000)
    );
    let answer = gate
        .bare(Method::POST, CHAT)
        .bearer_auth(KEY)
        .header("content-type", "application/json")
        .body(deep)
        .send()
        .await
        .expect("an answer");
    assert_eq!(refusal(answer).await.0, 400);

    let chunk = format!("10000\r\n{}\r\n", "z".repeat(0x10000)).repeat(64);
    let said = exchange(
        &gate,
        format!("{}{chunk}", head("transfer-encoding: chunked\r\n")).as_bytes(),
    )
    .await;
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 413"),
        "{said}"
    );

    let bomb = zstd::encode_all(&vec![b' '; 40 << 20][..], 3).expect("memory takes it");
    let nested = zstd::encode_all(&bomb[..], 3).expect("memory takes it");
    let truncated = bomb[..bomb.len() / 2].to_vec();
    let skipped = [
        &[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4][..],
        b"rest",
    ]
    .concat();
    let table = [
        ("zstd", bomb, 413),
        ("zstd, zstd", nested, 415),
        ("zstd", truncated, 413),
        ("zstd", skipped, 400),
    ];
    for (encoding, body, expected) in table {
        let answer = gate
            .bare(Method::POST, CHAT)
            .bearer_auth(KEY)
            .header("content-type", "application/json")
            .header("content-encoding", encoding)
            .body(body)
            .send()
            .await
            .expect("an answer");
        assert_eq!(refusal(answer).await.0, expected, "{encoding}");
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_twisted_path_or_header_decides_nothing() {
    let gate = Gate::open().await;
    let body = asking("sandbox/echo", false).to_string();
    let twisted = [
        "/v1/models/../chat/completions",
        "/v1/./chat/completions",
        "/v1/%63hat/completions%00",
        "/v1/chat%2fcompletions",
        "/v1/chat%252fcompletions",
        "/v1/chat%5ccompletions",
        "/v1/chat/completions;x=1",
        "/v1/chat/completions/.",
        "/v1/CHAT/completions",
        "/console/%2e%2e/v1/chat/completions",
        "http://elsewhere.example/v1/embeddings",
    ];
    for path in twisted {
        let bytes = format!(
            "POST {path} HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let said = exchange(&gate, bytes.as_bytes()).await;
        let refused = ["HTTP/1.1 400", "HTTP/1.1 404", "HTTP/1.1 405"]
            .iter()
            .any(|line| said.starts_with(line));
        assert!(refused, "{path}: {said}");
    }
    for (name, value) in [
        ("x-original-url", "/console/operator"),
        ("x-rewrite-url", "/console/operator"),
        ("x-http-method-override", "DELETE"),
        ("x-forwarded-host", "elsewhere.example"),
        ("x-forwarded-prefix", "/console"),
        ("forwarded", "host=elsewhere.example"),
    ] {
        let answer = gate
            .post(CHAT, &asking("sandbox/echo", false))
            .header(name, value)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{name}");
        let text = answer.text().await.expect("a body");
        assert!(!text.contains("elsewhere"), "{name}: {text}");
    }
    for (name, value) in [
        ("api-key", KEY.to_owned()),
        ("cookie", format!("key={KEY}")),
        ("authorization", format!("Basic {KEY}")),
        ("x-goog-api-key", KEY.to_owned()),
    ] {
        let answer = gate
            .bare(Method::POST, CHAT)
            .header(name, value)
            .json(&asking("sandbox/echo", false))
            .send()
            .await
            .expect("an answer");
        assert_eq!(refusal(answer).await.0, 401, "{name}");
    }
    let in_query = gate.bare(Method::GET, &format!("/v1/models?key={KEY}&api_key={KEY}"));
    let in_query = in_query.send().await.expect("an answer");
    assert_eq!(refusal(in_query).await.0, 401);
    gate.finish().await;
}

/// An upstream that says exactly these bytes to whatever it is asked.
async fn raw_upstream(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let mut asked = vec![0; 64 << 10];
                drop(socket.read(&mut asked).await);
                drop(socket.write_all(&bytes).await);
                drop(socket.shutdown().await);
            });
        }
    });
    base
}

#[tokio::test]
async fn an_upstream_that_cannot_frame_its_answer_has_failed() {
    let gate = Gate::open().await;
    let body = r#"{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    let table = [
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len() + 50
        ),
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len() - 9
        ),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{body}"),
        format!(
            "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n{body}",
            "y".repeat(4 << 20)
        ),
        "\0\0\0\0 not http at all".to_owned(),
        String::new(),
    ];
    for (place, bytes) in table.into_iter().enumerate() {
        let model = format!("raw-{place}");
        let base = raw_upstream(bytes.into_bytes()).await;
        gate.add_upstream(Kind::OpenaiCompatible, &base, &model)
            .await;

        let answer = gate.post(CHAT, &asking(&model, false)).send().await;
        let (status, code, message) = refusal(answer.expect("an answer")).await;

        assert_eq!(
            (status, code.as_str()),
            (503, "channels_failed"),
            "{place}: {message}"
        );
    }
    for row in gate.ended(6).await {
        assert_eq!((row.outcome, row.charge.nanos()), (Outcome::Voided, 0));
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_line_without_an_end_ends_the_stream_and_not_the_server() {
    let gate = Gate::open().await;
    let begun = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"},\"finish_reason\":null}]}\n\n";
    let endless = "x".repeat(50 << 20);
    let upstream = Upstream::start([Answer::stream(&[begun, "data: ", &endless])]);
    gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, "endless")
        .await;

    let answer = gate.post(CHAT, &asking("endless", true)).send().await;
    let text = timeout(ENOUGH, answer.expect("an answer").text());
    let text = text.await.expect("in time").expect("a body");

    assert!(
        text.contains("hello") && text.contains("\"error\""),
        "{}",
        text.len()
    );
    assert!(
        text.len() < 4_096,
        "the line is not passed on: {}",
        text.len()
    );
    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(
        (row.outcome, row.quality),
        (Outcome::Settled, Quality::Counted)
    );
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_stream_that_is_torn_mixed_or_counted_twice_is_read_by_the_rules() {
    let gate = Gate::open().await;
    let say = |text: &str| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}"#
        )
    };
    let stop = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let used = |input: u32, output: u32| {
        format!(
            r#"{{"choices":[],"usage":{{"prompt_tokens":{input},"completion_tokens":{output}}}}}"#
        )
    };
    let done = "[DONE]";
    // A byte order mark, every line end there is, a comment, an event name, usage that rises and is said twice.
    let text = format!(
        "\u{feff}: hello\r\n\r\ndata: {}\r\r: x\n\nevent: message\ndata:{}\r\n\r\ndata: {}\n\ndata: {}\n\ndata: {}\n\ndata: {}\n\ndata: {done}\n\n",
        say("世"),
        say("界"),
        used(7, 1),
        stop,
        used(7, 9),
        used(7, 9)
    );
    let bytes = text.as_bytes();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let torn = bytes.to_vec();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a caller");
        let mut asked = vec![0; 64 << 10];
        drop(socket.read(&mut asked).await);
        drop(socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n").await);
        // Three bytes at a time: letters and line ends arrive in halves.
        for piece in torn.chunks(3) {
            drop(socket.write_all(piece).await);
            drop(socket.flush().await);
        }
    });
    gate.add_upstream(Kind::OpenaiCompatible, &base, "torn")
        .await;

    let answer = gate.post(CHAT, &asking("torn", true)).send().await;
    let heard = answer.expect("an answer").text().await.expect("UTF-8");

    assert!(heard.contains('世') && heard.contains('界'), "{heard}");
    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(
        (row.finish, row.quality),
        (Finish::Complete, Quality::Exact)
    );
    assert_eq!((row.input_tokens, row.output_tokens), (7, 9));
    gate.finish().await;
}

#[tokio::test]
async fn usage_that_cannot_be_never_costs_more_than_the_hold_nor_less_than_nothing() {
    let gate = Gate::open().await;
    let usages = [
        json!(null),
        json!({}),
        json!({"prompt_tokens": 0, "completion_tokens": 0}),
        json!({"prompt_tokens": -5, "completion_tokens": 3}),
        json!({"prompt_tokens": 1_000_000_000_000_i64, "completion_tokens": 3}),
        json!({"prompt_tokens": "5", "completion_tokens": 3}),
        json!({"prompt_tokens": 9_223_372_036_854_775_807_i64, "completion_tokens": 9_223_372_036_854_775_807_i64}),
        json!({"prompt_tokens": 1e308, "completion_tokens": 0.5}),
        json!({"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 900}}),
        json!({"prompt_tokens": 5, "completion_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 900}}),
    ];
    let mut calls = 0;
    for usage in usages {
        let body = json!({"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}], "usage": usage});
        let upstream = Upstream::start([Answer::json(200, &body)]);
        let model = format!("odd-{calls}");
        gate.add_upstream(Kind::OpenaiCompatible, &upstream.base, &model)
            .await;

        let answer = gate.post(CHAT, &asking(&model, false)).send().await;

        assert_eq!(answer.expect("an answer").status(), 200, "{usage}");
        calls += 1;
        let row = gate.ended(calls).await.pop().expect("a row");
        assert!(
            row.charge.is_positive() && row.charge <= row.hold_amount,
            "{usage}: {row:?}"
        );
        let parts = row.input_tokens + row.cache_read_tokens;
        assert!(
            row.quality == Quality::Counted || parts == 5,
            "{usage}: {row:?}"
        );
        upstream.stop().await;
    }
    gate.finish().await;
}
