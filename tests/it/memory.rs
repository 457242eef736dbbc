//! How much memory a really started program uses for bodies that mean it no good: the peak of the process, read from the system.

use std::time::Duration;

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

/// T-17 and T-29. A body that may weigh 32 MiB costs little more than it weighs, and twice that at most: a body past its cap, without an end, of many or long headers, deep, or packed, costs a bounded amount.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_means_no_good_costs_a_bounded_amount_of_memory() {
    let program = Program::new().await;
    let serving = program.demo().await;
    let key = key_of(&serving);
    let head = |lines: &str| {
        format!(
            "POST {CHAT} HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n{lines}\r\n"
        )
    };
    let sized = |length: usize, lines: &str| head(&format!("{lines}content-length: {length}\r\n"));
    let spaces = vec![b' '; 1 << 20];
    let chunk = [b"100000\r\n".as_slice(), &spaces, b"\r\n"].concat();
    let deep = format!(
        "{{\"model\":\"sandbox/echo\",\"messages\":{}",
        "[".repeat(1_000_000)
    );
    let zstd = {
        let mut packer = zstd::Encoder::new(Vec::new(), 3).expect("an encoder");
        for _ in 0..1_024 {
            std::io::Write::write_all(&mut packer, &spaces).expect("memory takes it");
        }
        packer.finish().expect("memory takes it")
    };
    let gzip = {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..1_024 {
            std::io::Write::write_all(&mut packer, &spaces).expect("memory takes it");
        }
        packer.finish().expect("memory takes it")
    };
    let truncated = &zstd[..zstd.len() / 2];
    // What is said, how often a piece of it, the answer, and by how much the process may grow.
    let table: [(&str, String, &[u8], usize, &[Option<u16>], usize); 9] = [
        (
            "T-17 100 MB announced",
            sized(100 << 20, ""),
            &spaces,
            100,
            &[Some(413)],
            LIMIT,
        ),
        (
            "T-17 without an end",
            head("transfer-encoding: chunked\r\n"),
            &chunk,
            256,
            &[Some(413), None],
            2 * LIMIT,
        ),
        (
            "T-17 10,000 headers",
            head(&"x-many: 1\r\n".repeat(10_000)),
            b"",
            0,
            &[Some(400), Some(431), None],
            LIMIT,
        ),
        (
            "T-17 a header of 1 MB",
            head(&format!("x-long: {}\r\n", "y".repeat(1 << 20))),
            b"",
            0,
            &[Some(400), Some(431), None],
            LIMIT,
        ),
        (
            "T-17 a million deep",
            sized(deep.len(), ""),
            deep.as_bytes(),
            1,
            &[Some(400)],
            LIMIT,
        ),
        (
            "T-29 zstd of 1 GB",
            sized(zstd.len(), "content-encoding: zstd\r\n"),
            &zstd,
            1,
            &[Some(413)],
            2 * LIMIT,
        ),
        (
            "T-29 gzip of 1 GB",
            sized(gzip.len(), "content-encoding: gzip\r\n"),
            &gzip,
            1,
            &[Some(413)],
            2 * LIMIT,
        ),
        (
            "T-29 zstd cut off",
            sized(truncated.len(), "content-encoding: zstd\r\n"),
            truncated,
            1,
            &[Some(400), Some(413)],
            2 * LIMIT,
        ),
        (
            "T-29 nested",
            sized(zstd.len(), "content-encoding: zstd, zstd\r\n"),
            &zstd,
            1,
            &[Some(415)],
            LIMIT,
        ),
    ];
    // The first of its kind pays for what stays: connections, statements, the allocator's own.
    say(
        &serving,
        &head("content-length: 2\r\n"),
        [&b"{}"[..]].into_iter(),
    )
    .await;

    let mut figures = Vec::new();
    for (row, head, piece, times, answers, growth) in table {
        let before = serving.memory();
        let status = say(&serving, &head, std::iter::repeat_n(piece, times)).await;
        let grown = serving.peak().saturating_sub(before);
        assert!(answers.contains(&status), "{row}: {status:?}");
        figures.push(format!("{row}: {} KiB", grown >> 10));
        assert!(grown <= growth, "{figures:?}");
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
