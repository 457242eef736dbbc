//! The scripted upstream: chat answers of one size, whole or streamed, as fast as a socket takes them or at a pace.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Answers at once; when streamed, [`BURST`] pieces without a pause.
pub(super) const FAST: &str = "bench-fast";
/// Streams [`PACED`] pieces, [`PACE`] apart.
pub(super) const PACED_MODEL: &str = "bench-paced";
/// Streams a piece a second for as long as [`SLOW_LASTS`].
pub(super) const SLOW: &str = "bench-slow";
/// How long a slow stream takes.
pub(super) const SLOW_LASTS: Duration = Duration::from_secs(SLOW_PIECES);
const SLOW_PIECES: u64 = 30;
/// Streams [`LENGTH`] pieces, [`TOGETHER`] of them every [`REST`].
pub(super) const LONG: &str = "bench-long";
/// All of them.
pub(super) const MODELS: [&str; 4] = [FAST, PACED_MODEL, SLOW, LONG];

/// Pieces of a long stream.
pub(super) const LENGTH: u64 = 100_000;
/// Of them, those that leave together.
const TOGETHER: usize = 50;
/// A thousand such streams keep a core half busy. As fast as they are taken, they would fill the kernel's memory for
/// sockets, which drops what came then, and some would crawl for ever.
const REST: Duration = Duration::from_millis(200);

/// Pieces of a fast stream.
pub(super) const BURST: u64 = 100;
const PACED: u64 = 20;
const PACE: Duration = Duration::from_millis(20);

const USAGE: &str = r#"{"prompt_tokens":120,"completion_tokens":100,"total_tokens":220}"#;

/// Says its address and serves until the input ends.
pub(super) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    println!("{}", listener.local_addr().expect("it has an address"));
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            drop(stream.set_nodelay(true));
            tokio::spawn(connection(stream));
        }
    });
    super::process::abandoned().await;
}

async fn connection(mut stream: TcpStream) {
    let whole = whole();
    let mut buffer = Vec::with_capacity(16 << 10);
    loop {
        let Some(body) = request(&mut stream, &mut buffer).await else {
            return;
        };
        let streamed = contains(&body, b"\"stream\":true");
        let done = if !streamed {
            stream.write_all(&whole).await
        } else if contains(&body, SLOW.as_bytes()) {
            paced(&mut stream, SLOW_PIECES, Duration::from_secs(1)).await
        } else if contains(&body, LONG.as_bytes()) {
            long(&mut stream).await
        } else if contains(&body, PACED_MODEL.as_bytes()) {
            paced(&mut stream, PACED, PACE).await
        } else {
            paced(&mut stream, BURST, Duration::ZERO).await
        };
        if done.is_err() {
            return;
        }
    }
}

/// The body of the next request; nothing when the connection has ended.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
                .unwrap_or(0);
            let start = end + 4;
            if buffer.len() >= start + length {
                let body = buffer[start..start + length].to_vec();
                buffer.drain(..start + length);
                return Some(body);
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn whole() -> Vec<u8> {
    let text = "a word and another ".repeat(26);
    let body = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"bench","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{USAGE}}}"#
    );
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const DELTA: &str = r#""choices":[{"index":0,"delta":{"content":"a word "},"finish_reason":null}]"#;

async fn long(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(HEAD).await?;
    let together = event(DELTA).repeat(TOGETHER);
    let mut left = usize::try_from(LENGTH).unwrap_or(usize::MAX) / TOGETHER;
    let mut next = tokio::time::Instant::now();
    while left > 0 {
        stream.write_all(&together).await?;
        left -= 1;
        next += REST;
        tokio::time::sleep_until(next).await;
    }
    stream.write_all(&end()).await
}

async fn paced(stream: &mut TcpStream, pieces: u64, pace: Duration) -> std::io::Result<()> {
    stream.write_all(HEAD).await?;
    let delta = event(DELTA);
    let mut next = tokio::time::Instant::now();
    for _ in 0..pieces {
        stream.write_all(&delta).await?;
        if !pace.is_zero() {
            next += pace;
            tokio::time::sleep_until(next).await;
        }
    }
    stream.write_all(&end()).await
}

fn end() -> Vec<u8> {
    let end = [
        event(r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#),
        event(&format!(r#""choices":[],"usage":{USAGE}"#)),
        chunk("data: [DONE]\n\n"),
        b"0\r\n\r\n".to_vec(),
    ];
    end.concat()
}

fn event(fields: &str) -> Vec<u8> {
    chunk(&format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\",{fields}}}\n\n"
    ))
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}

fn contains(within: &[u8], what: &[u8]) -> bool {
    find(within, what).is_some()
}
