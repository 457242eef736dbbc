//! Bodies that cannot be read: too large, too slow, not JSON, of the wrong type, in an unknown encoding.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::gate::{Gate, KEY, refusal};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_body_that_is_wrong_names_the_field() {
    let gate = Gate::open().await;
    let table = [
        (CHAT, "", "not a JSON object"),
        (CHAT, "hello", "not a JSON object"),
        (CHAT, r#"{"model":"sandbox/echo"}"#, "messages"),
        (CHAT, r#"{"model":7,"messages":[1]}"#, "model"),
        (
            CHAT,
            r#"{"model":"sandbox/echo","messages":[1],"stream":"yes"}"#,
            "stream",
        ),
        (
            CHAT,
            r#"{"model":"sandbox/echo","messages":[1],"max_tokens":-1}"#,
            "max_tokens",
        ),
        (
            CHAT,
            r#"{"model":"sandbox/echo","messages":[1],"n":0}"#,
            "`n`",
        ),
        (
            CHAT,
            r#"{"model":"sandbox/echo","model":"x","messages":[1]}"#,
            "twice",
        ),
        (
            "/v1/responses",
            r#"{"model":"sandbox/echo","input":7}"#,
            "input",
        ),
        (
            "/v1/responses",
            r#"{"model":"sandbox/echo","input":"a","background":true}"#,
            "background",
        ),
        (
            "/v1/messages",
            r#"{"model":"sandbox/echo","messages":"hi"}"#,
            "messages",
        ),
        (
            "/v1/embeddings",
            r#"{"model":"sandbox/embedding"}"#,
            "input",
        ),
    ];

    for (path, body, part) in table {
        let response = gate
            .bare(Method::POST, path)
            .bearer_auth(KEY)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .expect("an answer");
        let (status, code, message) = refusal(response).await;
        assert_eq!((status, code.as_str()), (400, "invalid_request"), "{body}");
        assert!(message.contains(part), "{body}: {message}");
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_body_past_the_cap_is_refused_with_words_and_not_with_a_reset() {
    let gate = Gate::open_with(|config| config.body_limit = 1 << 20).await;
    let long = json!({"model": "sandbox/echo", "messages": [{"role": "user", "content": "x".repeat(3 << 20)}]});
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![b' '; 20 << 20])
        .expect("memory takes it");
    let bomb = bomb.finish().expect("memory takes it");

    let plain = gate.post(CHAT, &long).send().await.expect("an answer");
    let unfolded = gate
        .bare(Method::POST, CHAT)
        .bearer_auth(KEY)
        .header("content-encoding", "gzip")
        .header("content-type", "application/json")
        .body(bomb)
        .send()
        .await
        .expect("an answer");

    for response in [plain, unfolded] {
        let (status, code, message) = refusal(response).await;
        assert_eq!(
            (status, code.as_str()),
            (413, "request_too_large"),
            "{message}"
        );
    }
    gate.finish().await;
}

#[tokio::test]
async fn a_compressed_body_is_read_and_an_unknown_encoding_is_refused() {
    let gate = Gate::open().await;
    let body =
        json!({"model": "sandbox/echo", "messages": [{"role": "user", "content": "one two"}]})
            .to_string();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(body.as_bytes()).expect("memory takes it");
    let gzip = gzip.finish().expect("memory takes it");
    let send = |encoding: &'static str, kind: &'static str, body: Vec<u8>| {
        gate.bare(Method::POST, CHAT)
            .bearer_auth(KEY)
            .header("content-encoding", encoding)
            .header("content-type", kind)
            .body(body)
            .send()
    };

    let read = send("gzip", "application/json", gzip.clone())
        .await
        .expect("an answer");
    let unknown = send("br", "application/json", gzip.clone())
        .await
        .expect("an answer");
    let corrupt = send("gzip", "application/json", body.clone().into_bytes())
        .await
        .expect("an answer");
    let form = send(
        "identity",
        "application/x-www-form-urlencoded",
        body.into_bytes(),
    )
    .await
    .expect("an answer");

    assert_eq!(read.status(), 200);
    assert_eq!(refusal(unknown).await.1, "unsupported_media_type");
    assert_eq!(refusal(corrupt).await.1, "invalid_request");
    let (status, code, _) = refusal(form).await;
    assert_eq!((status, code.as_str()), (415, "unsupported_media_type"));
    gate.finish().await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_given_up() {
    let gate = Gate::open_with(|config| {
        config.body_deadline = std::time::Duration::from_millis(200);
    })
    .await;
    let address = gate.base.trim_start_matches("http://").to_owned();
    let mut socket = tokio::net::TcpStream::connect(&address)
        .await
        .expect("a connection");

    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{"
    );
    socket
        .write_all(head.as_bytes())
        .await
        .expect("the head is sent");
    let mut answer = vec![0; 4096];
    let read = socket.read(&mut answer).await.expect("an answer");

    let text = String::from_utf8_lossy(answer.get(..read).expect("what was read")).into_owned();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    drop(socket);
    gate.finish().await;
}
