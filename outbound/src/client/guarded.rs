//! The guard tried as strangers try it: sixty ways to write an address that is not theirs, names that change their mind, and
//! certificates that prove nothing.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use futures_util::FutureExt;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;

/// A listener on the loopback that counts who comes.
fn trap() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let came = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&came);
    thread::spawn(move || {
        for socket in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            if let Ok(mut socket) = socket {
                let answer =
                    b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nsecret";
                drop(socket.read(&mut [0; 4096]));
                drop(socket.write_all(answer));
            }
        }
    });
    (port, came)
}

fn get(url: Url) -> Call {
    Call {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        header_timeout: Some(Duration::from_secs(5)),
        proxy: None,
    }
}

/// Looks names up in turn in these lists; the last one stays.
fn names(answers: &'static [&'static [&'static str]]) -> LookUp {
    let asked = Arc::new(AtomicUsize::new(0));
    Arc::new(move |_| {
        let turn = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let found = answers[turn]
            .iter()
            .map(|address| SocketAddr::new(address.parse().expect("an address"), 0))
            .collect();
        async move { Ok(found) }.boxed()
    })
}

fn on(look_up: LookUp, networks: &[&str]) -> Outbound {
    let settings = Settings {
        allowed_cidrs: networks
            .iter()
            .map(|text| text.parse().expect("a network"))
            .collect(),
        allowed_ports: vec![22, 6379],
        ..Settings::default()
    };
    let ground = Ground {
        look_up,
        ..Ground::usual()
    };
    Outbound::on(ground, &settings).expect("these settings work")
}

/// Ways to write an address inside, `PORT` being where the trap is. Each is tried with both schemes where it says `SCHEME`.
const FORMS: &[&str] = &[
    "SCHEME://127.0.0.1:PORT/",
    "SCHEME://127.1:PORT/",
    "SCHEME://127.0.1:PORT/",
    "SCHEME://2130706433:PORT/",
    "SCHEME://0x7f000001:PORT/",
    "SCHEME://0x7f.1:PORT/",
    "SCHEME://0x7f.0x0.0x0.0x1:PORT/",
    "SCHEME://0177.0.0.1:PORT/",
    "SCHEME://017700000001:PORT/",
    "SCHEME://127.0.0.01:PORT/",
    "SCHEME://127.0.0.1.:PORT/",
    "SCHEME://127.255.255.254:PORT/",
    "SCHEME://0.0.0.0:PORT/",
    "SCHEME://0:PORT/",
    "SCHEME://[::]:PORT/",
    "SCHEME://[::1]:PORT/",
    "SCHEME://[0:0:0:0:0:0:0:1]:PORT/",
    "SCHEME://[::ffff:127.0.0.1]:PORT/",
    "SCHEME://[::ffff:7f00:1]:PORT/",
    "SCHEME://[::127.0.0.1]:PORT/",
    "SCHEME://[64:ff9b::7f00:1]:PORT/",
    "SCHEME://[2002:7f00:1::]:PORT/",
    "SCHEME://[fe80::1]:PORT/",
    "SCHEME://[fe80::1%25lo]:PORT/",
    "SCHEME://[fd00:ec2::254]/",
    "SCHEME://[fc00::1]:PORT/",
    "SCHEME://169.254.169.254/latest/meta-data/",
    "SCHEME://2852039166/latest/meta-data/",
    "SCHEME://100.64.0.1:PORT/",
    "SCHEME://100.127.255.254:PORT/",
    "SCHEME://10.0.0.1:PORT/",
    "SCHEME://172.16.0.1:PORT/",
    "SCHEME://192.168.0.1:PORT/",
    "SCHEME://198.18.0.1:PORT/",
    "SCHEME://224.0.0.1:PORT/",
    "SCHEME://255.255.255.255:PORT/",
    "SCHEME://127.0.0.1:22/",
    "SCHEME://127.0.0.1:6379/",
    "SCHEME://localhost:PORT/",
    "SCHEME://LOCALHOST:PORT/",
    "SCHEME://localhost.:PORT/",
    "SCHEME://localtest.example:PORT/",
    "SCHEME://\u{2460}\u{2461}\u{2466}.\u{24ea}.\u{24ea}.\u{2460}:PORT/",
    "SCHEME://\u{ff11}\u{ff12}\u{ff17}.\u{ff10}.\u{ff10}.\u{ff11}:PORT/",
    "SCHEME://127\u{3002}0\u{3002}0\u{3002}1:PORT/",
    "SCHEME://l\u{ff4f}calhost:PORT/",
    "SCHEME://%31%32%37.0.0.1:PORT/",
    "SCHEME://good@127.0.0.1:PORT/",
    "SCHEME://good:word@127.0.0.1:PORT/",
    "SCHEME://good.example@127.0.0.1:PORT/",
    "SCHEME://good.example%40@127.0.0.1:PORT/",
    "SCHEME://127.0.0.1:PORT#@good.example/",
    "SCHEME://127.0.0.1:PORT?@good.example/",
    "SCHEME://127.0.0.1:PORT\\@good.example/",
    "SCHEME:\\\\127.0.0.1:PORT/",
    "SCHEME:127.0.0.1:PORT/",
    "SCHEME:///127.0.0.1:PORT/",
    "SCHEME://127.0.\t0.1:PORT/",
    "SCHEME://127.0.0\n.1:PORT/",
    "  SCHEME://127.0.0.1:PORT/  ",
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "gopher://127.0.0.1:PORT/_x",
    "ftp://127.0.0.1:PORT/",
    "dict://127.0.0.1:PORT/",
    "data:text/plain,secret",
    "ws://127.0.0.1:PORT/",
    "unix:/run/docker.sock",
];

#[tokio::test]
async fn no_way_to_write_an_inner_address_leads_there() {
    let (port, came) = trap();
    let inner = on(names(&[&["127.0.0.1"]]), &[]);
    let mut tried = 0;
    for form in FORMS {
        for scheme in ["http", "https"] {
            let text = form
                .replace("SCHEME", scheme)
                .replace("PORT", &port.to_string());
            tried += 1;
            // What is no address at all is refused where it is typed.
            let Ok(url) = Url::parse(&text) else {
                continue;
            };
            let error = inner.send(get(url)).await.expect_err(&text);
            assert!(matches!(error, SendError::Refused(_)), "{text}: {error}");
            assert!(error.never_sent(), "{text}");
            assert!(!error.to_string().contains("secret"), "{text}: {error}");
        }
    }
    assert!(FORMS.len() >= 60 && tried >= 120, "{}", FORMS.len());
    assert_eq!(came.load(Ordering::SeqCst), 0, "nobody came");
}

#[tokio::test]
async fn a_name_that_moves_inside_between_two_calls_is_refused_at_the_second() {
    let (port, came) = trap();
    let url = Url::parse(&format!("http://moving.example:{port}/")).expect("an address");
    // The first address is a listed one, as a public one would be; the second is not.
    let moving = on(
        names(&[
            &["127.0.0.1"],
            &["127.0.0.2"],
            &["127.0.0.1", "127.0.0.2"],
            &[],
        ]),
        &["127.0.0.1/32"],
    );

    let first = moving.send(get(url.clone())).await.expect("an answer");
    assert_eq!(first.read(100).await.expect("a body"), "secret");
    let inside = moving
        .send(get(url.clone()))
        .await
        .expect_err("it moved inside");
    let mixed = moving
        .send(get(url.clone()))
        .await
        .expect_err("one bad address spoils the name");
    let gone = moving.send(get(url)).await.expect_err("the name is gone");

    assert!(matches!(inside, SendError::Refused(_)), "{inside}");
    assert!(matches!(mixed, SendError::Refused(_)), "{mixed}");
    assert!(matches!(gone, SendError::Connect(_)), "{gone}");
    assert!(gone.never_sent());
    assert_eq!(came.load(Ordering::SeqCst), 1, "only the first call came");
}

#[tokio::test]
async fn a_redirect_inside_reaches_nobody() {
    let (inner, came) = trap();
    for status in [301, 302, 303, 307, 308] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("one connection");
            drop(socket.read(&mut [0; 4096]));
            let answer = format!(
                "HTTP/1.1 {status} Go\r\nlocation: http://127.0.0.1:{inner}/\r\ncontent-length: 0\r\n\r\n"
            );
            drop(socket.write_all(answer.as_bytes()));
        });
        let url = Url::parse(&format!("http://127.0.0.1:{port}/")).expect("an address");
        let answer = on(of_the_machine(), &["127.0.0.0/8"]).send(get(url)).await;
        assert_eq!(answer.expect("an answer").status().as_u16(), status);
    }
    assert_eq!(came.load(Ordering::SeqCst), 0);
}

/// A server that proves itself with this certificate, and whether anybody said a word to it after that.
fn proving(certificate: &'static [u8]) -> (u16, thread::JoinHandle<bool>) {
    // Made once with openssl: an own root, and beside it a root that nobody believes; all of one key.
    let key = PrivatePkcs8KeyDer::from(&include_bytes!("../../certificates/key.der")[..]);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(certificate)],
            PrivateKeyDer::from(key),
        )
        .expect("a certificate with its key");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let heard = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("one connection");
        let mut session = rustls::ServerConnection::new(Arc::new(config)).expect("a session");
        let mut stream = rustls::Stream::new(&mut session, &mut socket);
        let heard = stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0);
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        heard
    });
    (port, heard)
}

#[tokio::test]
async fn a_certificate_that_is_over_early_strange_or_unknown_ends_the_call_before_a_word() {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from(
            &include_bytes!("../../certificates/root.der")[..],
        ))
        .expect("a root");
    let settings = Settings {
        allowed_cidrs: vec!["127.0.0.1/32".parse().expect("a network")],
        ..Settings::default()
    };
    let ground = Ground {
        roots: Arc::new(roots),
        look_up: names(&[&["127.0.0.1"]]),
    };
    let outbound = Outbound::on(ground, &settings).expect("these settings work");
    let table: [(&str, &'static [u8], Option<&str>); 5] = [
        ("good", include_bytes!("../../certificates/good.der"), None),
        (
            "expired",
            include_bytes!("../../certificates/expired.der"),
            Some("expired"),
        ),
        (
            "early",
            include_bytes!("../../certificates/early.der"),
            Some("not valid yet"),
        ),
        (
            "stranger",
            include_bytes!("../../certificates/stranger.der"),
            Some("not valid for"),
        ),
        (
            "unknown",
            include_bytes!("../../certificates/unknown.der"),
            Some("UnknownIssuer"),
        ),
    ];

    for (name, certificate, fault) in table {
        let (port, heard) = proving(certificate);
        let url = Url::parse(&format!("https://localhost:{port}/")).expect("an address");

        let answer = outbound.send(get(url)).await;

        match fault {
            None => assert_eq!(answer.expect(name).status(), StatusCode::OK),
            Some(fault) => {
                let error = answer.expect_err(name);
                assert!(matches!(error, SendError::Connect(_)), "{name}: {error}");
                assert!(error.to_string().contains(fault), "{name}: {error}");
                assert!(error.never_sent(), "{name}");
            }
        }
        let heard = heard.join().expect("the server ends");
        assert_eq!(heard, fault.is_none(), "{name}: nothing is said to it");
    }
}
