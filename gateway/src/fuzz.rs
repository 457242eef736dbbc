//! The doors through which strangers' bytes come in, each with what must hold whatever comes: nothing panics, nothing is
//! lost or made up, nothing grows without bound. Called by the tests with the samples and a bounded number of mutations
//! of them, and by libFuzzer (`dev/fuzz`) for as long as one likes.

use std::net::IpAddr;

use bytes::Bytes;
use entity::{Protocol, TenantId};
use identity::{
    key::{KeyFault, inspect},
    seal::MasterKey,
};
use outbound::{AllowList, Url};
use serde_json::{Map, Value};

use crate::{
    translate::{self, Carriers, Names, Target, Traits, Translation, Voice, neutral::Request},
    wire::{
        reading,
        sse::{Frame, Splitter},
        tap::{Seen, Tap},
        usage::{MessagesUsage, openai},
    },
};

/// A door by its name.
pub type Door = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Door] = &[
    ("sse", sse),
    ("chat", chat),
    ("responses", responses),
    ("messages", messages),
    ("usage", usage),
    ("key", key),
    ("url", url),
];

/// No frame of a test is longer.
const LIMIT: usize = 1 << 16;
/// Opens nothing that anybody has.
const MASTER: &str = "1:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";
const PROTOCOLS: [Protocol; 3] = [Protocol::Chat, Protocol::Responses, Protocol::Messages];

/// Server-sent events: whatever the network does to them, the frames are the same and every byte is in one of them.
pub fn sse(data: &[u8]) {
    let whole = frames(data, data.len().max(1));
    let cut = frames(
        data,
        usize::from(data.first().copied().unwrap_or(0) % 7) + 1,
    );
    assert_eq!(whole, cut, "the same frames wherever the stream is cut");
    if let Some(frames) = whole {
        let raw: Vec<u8> = frames.iter().flat_map(|frame| frame.raw.to_vec()).collect();
        assert_eq!(raw, data, "no byte is lost or made up");
    }
}

/// The frames of a stream that comes in pieces; nothing where one grows too large.
fn frames(data: &[u8], piece: usize) -> Option<Vec<Frame>> {
    let mut splitter = Splitter::new(LIMIT);
    let mut found = Vec::new();
    for piece in data.chunks(piece) {
        splitter.push(piece);
        while let Some(frame) = splitter.next_frame().ok()? {
            found.push(frame);
        }
    }
    found.extend(splitter.finish());
    Some(found)
}

/// Chat, as a request and as an answer.
pub fn chat(data: &[u8]) {
    dialect(Protocol::Chat, data);
}

/// Responses, as a request and as an answer.
pub fn responses(data: &[u8]) {
    dialect(Protocol::Responses, data);
}

/// Messages, as a request and as an answer.
pub fn messages(data: &[u8]) {
    dialect(Protocol::Messages, data);
}

/// A request is refused or written as JSON for whoever it fits; an answer, whole or in events, is metered and put into
/// every other protocol, and ends once.
fn dialect(protocol: Protocol, data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    if let Ok(read) = reading::read(protocol, &body) {
        let sent = read.body_for(protocol, &body, "m", 1_000);
        let sent: Map<String, Value> =
            serde_json::from_slice(&sent).expect("edits keep JSON whole");
        assert_eq!(sent.get("model"), Some(&Value::from("m")));
    }
    if let Ok(request) = translate::read(protocol, data) {
        for upstream in PROTOCOLS {
            if request.fits(upstream).is_ok() {
                written(&request, upstream);
            }
        }
    }
    let mut tap = Tap::new(protocol);
    if tap.see_whole(data) == Seen::End {
        tap.metered(10);
    }
    let events = frames(data, data.len().max(1)).unwrap_or_default();
    for client in PROTOCOLS {
        translated(protocol, client, data, &events);
    }
}

fn written(request: &Request, upstream: Protocol) {
    let carriers = carriers();
    // Of a vendor whose models take no schema, so that one is made up for.
    let model = "glm";
    let traits = Traits::of(upstream, model, &std::collections::BTreeSet::new());
    let names = Names::of(request, upstream).with_output(request, traits);
    let target = Target {
        protocol: upstream,
        model,
        default_output: 1_000,
        most_output: Some(4_000),
        streamed: true,
        traits,
        carriers: &carriers,
        names: &names,
    };
    let body = request.write(&target).body;
    serde_json::from_slice::<Map<String, Value>>(&body).expect("an object is written");
}

fn translated(upstream: Protocol, client: Protocol, whole: &[u8], events: &[Frame]) {
    let request = Request::default();
    let voice = Voice {
        id: "0a1b".to_owned(),
        model: "m".to_owned(),
        created: 1,
        usage_asked: true,
        hides_thoughts: false,
        input_estimate: 7,
        echo: Map::new(),
        carriers: carriers(),
    };
    let names = Names::of(&request, upstream);
    let translation = Translation {
        // Both ways of reading chat are tried with the same input.
        splits: client == Protocol::Messages,
        ..Translation::new(&request, upstream, client, voice, names)
    };
    if let Some(Ok((answer, _))) = translation.whole(whole) {
        serde_json::from_slice::<Map<String, Value>>(&answer).expect("an object is written");
    }
    let mut stream = translation.stream();
    let mut tap = Tap::new(upstream);
    let mut said = Vec::new();
    for frame in events {
        tap.see(frame);
        said.extend_from_slice(&stream.translate(&frame.data));
    }
    said.extend_from_slice(&stream.end().0);
    tap.metered(10);
    let mut heard = Tap::new(client);
    let mut ends = 0;
    for frame in frames(&said, said.len().max(1)).unwrap_or_default() {
        match heard.see(&frame) {
            Seen::Garbage => panic!("what is written is in the protocol: {frame:?}"),
            Seen::End | Seen::Failure(_) => ends += 1,
            Seen::Idle | Seen::Opening | Seen::Content | Seen::UsageOnly => {}
        }
    }
    assert!(ends <= 1, "an answer ends once");
}

fn carriers() -> Carriers {
    Carriers {
        master: MasterKey::parse(MASTER).expect("a ring"),
        tenant: TenantId::fresh(),
        origin: "fuzz".to_owned(),
    }
}

/// Reports of usage: classes are disjoint, and parts never exceed their whole.
pub fn usage(data: &[u8]) {
    let Ok(report) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    if let Ok(Some(tokens)) = openai(&report) {
        assert!(tokens.reasoning <= tokens.output);
    }
    let mut messages = MessagesUsage::default();
    for _ in 0..2 {
        if messages.merge(&report).is_ok()
            && let Some(tokens) = messages.tokens()
        {
            assert!(tokens.reasoning <= tokens.output);
        }
    }
}

/// Credentials: one that passes has nothing but letters and digits around its separators.
pub fn key(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match inspect(&text) {
        Ok(_) => assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        ),
        Err(KeyFault::Empty) => assert!(text.trim().is_empty(), "{text:?}"),
        Err(_) => {}
    }
}

/// Addresses: without an allow-list nothing passes that carries a user's name or is written as an address of this machine
/// or its neighbours; and plain http only to a name, which is judged once more when it is resolved.
pub fn url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(url) = Url::parse(&text) else {
        return;
    };
    if AllowList::default().admits(&url).is_err() {
        return;
    }
    let is_name = matches!(url.host(), Some(outbound::Host::Domain(_)));
    assert!(
        url.scheme() == "https" || (url.scheme() == "http" && is_name),
        "{url}"
    );
    assert!(
        url.username().is_empty() && url.password().is_none(),
        "{url}"
    );
    let host = url.host_str().expect("a host").trim_matches(['[', ']']);
    match host.parse() {
        Ok(IpAddr::V4(address)) => assert!(
            !(address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_broadcast()),
            "{url}"
        ),
        Ok(IpAddr::V6(address)) => assert!(
            !(address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address
                    .to_ipv4_mapped()
                    .is_some_and(|inner| inner.is_loopback() || inner.is_private())),
            "{url}"
        ),
        Err(_) => {}
    }
}
