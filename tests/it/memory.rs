//! How much memory a really started program uses for bodies that mean it no good: the peak of the process, read from the system.

use std::{io::Write, time::Duration};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::program::{Program, Serving};

const CHAT: &str = "/v1/chat/completions";
/// What a body may weigh.
const LIMIT: usize = 32 << 20;
const ENOUGH: Duration = Duration::from_mins(2);

/// Says these bytes, the pieces one after another, and hears the status of the answer; none where the connection was closed.
async fn say(serving: &Serving, head: &str, pieces: impl Iterator<Item = &[u8]>) -> Option<u16> {
    let address = serving.base.trim_start_matches("http://");
    let socket = TcpStream::connect(address).await.expect("a connection");
    let (mut hears, mut says) = socket.into_split();
    let hearing = tokio::spawn(async move {
        let mut heard = vec![0; 1024];
        let mut said = String::new();
        while !said.contains("\r\n") {
            match hears.read(&mut heard).await {
                Ok(read) if read > 0 => said.push_str(&String::from_utf8_lossy(&heard[..read])),
                _ => break,
            }
        }
        said.split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
    });
    let saying = async {
        says.write_all(head.as_bytes()).await?;
        for piece in pieces {
            says.write_all(piece).await?;
        }
        says.flush().await
    };
    // The server may close while we still speak; what it said before is what counts.
    drop(timeout(ENOUGH, saying).await.expect("in time"));
    timeout(ENOUGH, hearing)
        .await
        .expect("in time")
        .expect("a task")
}

fn key_of(serving: &Serving) -> String {
    let (_, rest) = serving
        .printed
        .split_once("API key")
        .expect("a demo has a key");
    rest.split_whitespace().next().expect("a key").to_owned()
}

/// What is said to the program: a head, a piece of a body so many times; and what may come of it.
struct Said {
    row: &'static str,
    head: String,
    piece: Vec<u8>,
    times: usize,
    answers: &'static [Option<u16>],
    /// By how much the process may grow.
    growth: usize,
}

fn head(key: &str, lines: &str) -> String {
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n{lines}\r\n"
    )
}

fn spaces() -> Vec<u8> {
    vec![b' '; 1 << 20]
}

/// T-17: past the cap, without an end, of many or long headers, and deep.
fn plain(key: &str) -> Vec<Said> {
    let deep = format!(
        "{{\"model\":\"sandbox/echo\",\"messages\":{}",
        "[".repeat(1_000_000)
    );
    let of_headers = |row, lines: &str| Said {
        row,
        head: head(key, lines),
        piece: Vec::new(),
        times: 0,
        answers: &[Some(400), Some(431), None],
        growth: LIMIT,
    };
    vec![
        Said {
            row: "T-17 100 MB announced",
            head: head(key, &format!("content-length: {}\r\n", 100 << 20)),
            piece: spaces(),
            times: 100,
            answers: &[Some(413)],
            growth: LIMIT,
        },
        Said {
            row: "T-17 without an end",
            head: head(key, "transfer-encoding: chunked\r\n"),
            piece: [b"100000\r\n".as_slice(), &spaces(), b"\r\n"].concat(),
            times: 256,
            answers: &[Some(413), None],
            growth: 2 * LIMIT,
        },
        of_headers("T-17 10,000 headers", &"x-many: 1\r\n".repeat(10_000)),
        of_headers(
            "T-17 a header of 1 MB",
            &format!("x-long: {}\r\n", "y".repeat(1 << 20)),
        ),
        Said {
            row: "T-17 a million deep",
            head: head(key, &format!("content-length: {}\r\n", deep.len())),
            piece: deep.into_bytes(),
            times: 1,
            answers: &[Some(400)],
            growth: LIMIT,
        },
    ]
}

/// T-29: a gigabyte packed small, in several ways.
fn packed(key: &str) -> Vec<Said> {
    let mut zstd = zstd::Encoder::new(Vec::new(), 3).expect("an encoder");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..1_024 {
        zstd.write_all(&spaces()).expect("memory takes it");
        gzip.write_all(&spaces()).expect("memory takes it");
    }
    let zstd = zstd.finish().expect("memory takes it");
    let gzip = gzip.finish().expect("memory takes it");
    let cut = zstd.get(..zstd.len() / 2).unwrap_or_default().to_vec();
    let said = |row, encoding: &str, piece: Vec<u8>, answers| Said {
        row,
        head: head(
            key,
            &format!(
                "content-encoding: {encoding}\r\ncontent-length: {}\r\n",
                piece.len()
            ),
        ),
        piece,
        times: 1,
        answers,
        growth: 2 * LIMIT,
    };
    vec![
        said("T-29 zstd of 1 GB", "zstd", zstd.clone(), &[Some(413)]),
        said("T-29 gzip of 1 GB", "gzip", gzip, &[Some(413)]),
        said("T-29 cut off", "zstd", cut, &[Some(400), Some(413)]),
        said("T-29 nested", "zstd, zstd", zstd, &[Some(415)]),
    ]
}

/// One that may weigh 32 MiB costs twice that at most, whatever it says of itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_means_no_good_costs_a_bounded_amount_of_memory() {
    let program = Program::new().await;
    let serving = program.demo().await;
    let key = key_of(&serving);
    // The first of its kind pays for what stays: connections, statements, the allocator's own.
    let first = head(&key, "content-length: 2\r\n");
    say(&serving, &first, [&b"{}"[..]].into_iter()).await;

    let mut figures = Vec::new();
    for said in plain(&key).into_iter().chain(packed(&key)) {
        let before = serving.memory();
        let pieces = std::iter::repeat_n(said.piece.as_slice(), said.times);
        let status = say(&serving, &said.head, pieces).await;
        let grown = serving.peak().saturating_sub(before);
        assert!(said.answers.contains(&status), "{}: {status:?}", said.row);
        figures.push(format!("{}: {} KiB", said.row, grown >> 10));
        assert!(grown <= said.growth, "{figures:?}");
    }
    println!("{figures:#?}");

    // Whoever comes first installs it; it is the same for all.
    drop(rustls::crypto::ring::default_provider().install_default());
    let call = json!({"model": "sandbox/echo", "messages": [{"role": "user", "content": "well?"}]});
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
        .post(format!("{}{CHAT}", serving.base))
        .bearer_auth(&key)
        .json(&call)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200, "it goes on after all of that");
    let told: Value = answer.json().await.expect("JSON");
    assert_eq!(told["choices"][0]["message"]["content"], "well?");
    serving.stop().await;
    let audited = program.run(&["audit"]).await;
    assert_eq!(audited.code, Some(0), "{audited:?}");
    program.finish().await;
}
