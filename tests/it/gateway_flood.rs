//! Many at once: callers whose answers must never mix, connections that take their time, and upstreams that pour.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use billing::ledger::{GrantOrder, grant};
use entity::{
    Actor, Credits, Scoped,
    channel::Kind,
    grant::Source,
    usage::{self, Finish, Outcome, Quality},
};
use reqwest::Method;
use sea_orm::PaginatorTrait;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    bare::{Bare, STREAM_HEAD},
    gate::{Gate, KEY},
    till::Buyer,
};

const CHAT: &str = "/v1/chat/completions";
const ENOUGH: Duration = Duration::from_mins(1);

/// A well-formed key of this number: prefix, 43 digits, and the CRC-32 of both in base62.
fn key_of(number: u32) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let text = format!("sk-tg-{number:043}");
    let sum = text.bytes().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    });
    let mut rest = !sum;
    let mut end = Vec::new();
    for _ in 0..6 {
        end.push(DIGITS[usize::try_from(rest % 62).expect("below 62")]);
        rest /= 62;
    }
    end.reverse();
    text + std::str::from_utf8(&end).expect("letters")
}

const TENANTS: u32 = 64;
const CALLS_EACH: u32 = 50;

/// One call of a tenant; every fifth is hung up on, at once or after its first piece.
async fn call(gate: &Gate, key: &str, tenant: u32, number: u32) {
    let nonce = format!(
        "nonce{tenant}x{number}x{}",
        (tenant * 7919 + number * 104_729) % 10_007
    );
    let streamed = number.is_multiple_of(2);
    let messages = json!([{"role": "user", "content": nonce}]);
    let (path, body) = match number % 3 {
        0 => (
            CHAT,
            json!({"model": "sandbox/echo", "stream": streamed, "max_tokens": 50, "messages": messages}),
        ),
        1 => (
            "/v1/responses",
            json!({"model": "sandbox/echo", "stream": streamed, "input": nonce}),
        ),
        _ => (
            "/v1/messages",
            json!({"model": "sandbox/echo", "stream": streamed, "max_tokens": 50, "messages": messages}),
        ),
    };
    let request = gate.bare(Method::POST, path).bearer_auth(key).json(&body);
    let mut answer = request.send().await.expect("an answer");
    let said = format!("{:?}", answer.headers());
    assert_eq!(answer.status(), 200, "{said}");
    assert!(!said.contains("nonce"), "{said}");
    if number.is_multiple_of(5) {
        if number.is_multiple_of(10) {
            drop(answer.chunk().await);
        }
        return;
    }
    let text = answer.text().await.expect("a body");
    assert!(text.contains(&nonce), "{text}");
    assert_eq!(
        text.matches("nonce").count(),
        text.matches(&nonce).count(),
        "{text}"
    );
}

/// T-26, in full.
#[tokio::test]
async fn of_64_tenants_with_50_calls_each_nobody_hears_what_was_said_to_another() {
    let gate = Arc::new(Gate::open().await);
    let mut tenants: Vec<(Buyer, String)> = Vec::new();
    for number in 0..TENANTS {
        let buyer = gate.till.buyer().await;
        gate.hire(buyer).await;
        let key = key_of(number);
        gate.issue(&key, buyer).await;
        let now = gate.clock.now();
        let amount = Credits::from_nanos(10_000_000_000);
        let order = GrantOrder::new(
            buyer.tenant,
            Source::Goodwill,
            amount,
            "x",
            Actor::System,
            now,
        );
        grant(&gate.till.db, order, now).await.expect("credits");
        tenants.push((buyer, key));
    }

    let running: Vec<_> = (0_u32..)
        .zip(&tenants)
        .map(|(tenant, (_, key))| {
            let (gate, key) = (Arc::clone(&gate), key.clone());
            tokio::spawn(async move {
                for number in 0..CALLS_EACH {
                    call(&gate, &key, tenant, number).await;
                }
            })
        })
        .collect();
    for tenant in running {
        tenant.await.expect("no answer is mixed up");
    }

    for (buyer, _) in &tenants {
        let count = async || {
            let rows = usage::Entity::of(buyer.tenant)
                .count(gate.till.db.read())
                .await;
            rows.expect("usage reads")
        };
        gate.until("every call has ended", || async {
            count().await == u64::from(CALLS_EACH)
        })
        .await;
    }
    let gate = Arc::into_inner(gate).expect("every call has ended");
    gate.finish().await;
}

/// T-30: a thousand connections that send their head or their body slowly, or not at all, keep nobody else from an answer
/// and are closed at their limits.
#[tokio::test]
async fn a_thousand_slow_connections_hold_nobody_up_and_are_closed() {
    const EACH: usize = 500;
    let gate = Gate::open_with(|config| config.body_deadline = Duration::from_secs(3)).await;
    let address = gate.base.trim_start_matches("http://").to_owned();
    let heads = format!("POST {CHAT} HTTP/1.1\r\nhost: gate\r\nx-slow: ");
    let bodies = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{"
    );
    let mut slow = Vec::new();
    for said in [&heads, &bodies] {
        for _ in 0..EACH {
            let mut socket = TcpStream::connect(&address).await.expect("a connection");
            socket.write_all(said.as_bytes()).await.expect("it is sent");
            slow.push((said == &bodies, socket));
        }
    }

    for number in 0..20 {
        let body = json!({"model": "sandbox/echo", "max_tokens": 50, "messages": [{"role": "user", "content": format!("well {number}?")}]});
        let answer = timeout(ENOUGH, gate.post(CHAT, &body).send())
            .await
            .expect("in time");
        assert_eq!(answer.expect("an answer").status(), 200, "T-30 {number}");
    }
    let mut refused = 0;
    for (is_body, mut socket) in slow {
        let mut said = Vec::new();
        let end = timeout(ENOUGH, socket.read_to_end(&mut said)).await;
        drop(end.expect("T-30 a slow connection is closed"));
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 408"),
            "T-30 {said}"
        );
        refused += usize::from(is_body && said.contains("request_timeout"));
    }

    assert_eq!(refused, EACH, "T-30 each slow body is told so");
    assert_eq!(
        gate.ended(20).await.len(),
        20,
        "T-30 none of them became a call"
    );
    gate.finish().await;
}

const TINY: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n";

/// An upstream that pours tiny events until it is cut off or has said `most` of them, and how many bytes were taken.
async fn pouring(most: usize) -> (Bare, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let many = TINY.repeat(100);
    let bare = Bare::start(move |mut socket| {
        let (counted, many) = (Arc::clone(&counted), many.clone());
        async move {
            drop(socket.write_all(STREAM_HEAD).await);
            for _ in 0..most / 100 {
                if socket.write_all(many.as_bytes()).await.is_err() {
                    return;
                }
                counted.fetch_add(many.len(), Ordering::SeqCst);
            }
            drop(socket.write_all(b"data: [DONE]\n\n").await);
        }
    })
    .await;
    (bare, taken)
}

fn asking(model: &str) -> Value {
    json!({"model": model, "stream": true, "max_tokens": 50, "messages": [{"role": "user", "content": "pour"}]})
}

/// T-31: a flood of tiny events is passed on as fast as its client reads and no faster, and is settled either way.
#[tokio::test]
async fn a_flood_of_tiny_events_is_held_back_by_its_reader_and_settled() {
    const EVENTS: usize = 20_000;
    /// What sockets and channels of both sides may hold of what nobody reads, and what is read on until it is cut off.
    const UNREAD: usize = 32 << 20;
    let gate = Gate::open_with(|config| {
        config.unread = Duration::from_millis(500);
        config.drain = Duration::from_millis(100);
    })
    .await;
    let (some, _) = pouring(EVENTS).await;
    let (endless, taken) = pouring(usize::MAX).await;
    gate.add_upstream(Kind::OpenaiCompatible, &some.base, "some")
        .await;
    gate.add_upstream(Kind::OpenaiCompatible, &endless.base, "endless")
        .await;

    let answer = gate
        .post(CHAT, &asking("some"))
        .send()
        .await
        .expect("an answer");
    let text = answer.text().await.expect("a body");
    let read = gate.ended(1).await.pop().expect("a row");
    let mut socket = TcpStream::connect(gate.base.trim_start_matches("http://"))
        .await
        .expect("a connection");
    let body = asking("endless").to_string();
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket
        .write_all(request.as_bytes())
        .await
        .expect("it is sent");
    let unread = gate.ended(2).await.pop().expect("a row");

    assert_eq!(
        text.matches("\"x\"").count(),
        EVENTS,
        "T-31 every event passes"
    );
    assert_eq!(
        (read.outcome, read.quality, read.output_tokens),
        (
            Outcome::Settled,
            Quality::Counted,
            // Eight of that letter are a token.
            i64::try_from(EVENTS / 8).expect("small")
        ),
        "T-31"
    );
    assert!(
        read.charge.is_positive() && read.charge <= read.hold_amount,
        "T-31"
    );
    assert_eq!(
        (unread.outcome, unread.finish, unread.quality),
        (Outcome::Settled, Finish::ClientGone, Quality::Counted),
        "T-31"
    );
    assert!(
        unread.charge.is_positive() && unread.charge <= unread.hold_amount,
        "T-31"
    );
    let taken = taken.load(Ordering::SeqCst);
    assert!(taken <= UNREAD, "T-31 {taken} bytes were taken for nobody");
    drop(socket);
    gate.finish().await;
}
