//! The golden samples in `gateway/fixtures`: every stream fed split at every byte, every request written and compared
//! by meaning, every reject refused at its field.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use entity::Protocol;
use serde_json::{Map, Value, json};

use super::{
    Translation,
    answer::{Answer, Collector, Fault, Item, Reason},
    carrier::tests::carriers,
    fault::FaultKind,
    names::Names,
    neutral::Request,
    read,
    stream::Reader,
    target::{Target, Traits},
    voice::Voice,
    whole,
};
use crate::wire::sse::Splitter;

pub(super) fn fixtures(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(below)
}

/// The entries of a folder, by name; none where it is not there.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an entry").path())
        .collect();
    found.sort();
    found
}

pub(super) fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn value(path: &Path) -> Value {
    serde_json::from_str(&text(path)).expect("a fixture is JSON")
}

pub(super) fn protocol(word: &str) -> Protocol {
    match word {
        "chat" => Protocol::Chat,
        "responses" => Protocol::Responses,
        "messages" => Protocol::Messages,
        other => panic!("no protocol: {other}"),
    }
}

/// Client and upstream of each pair, and its folder.
fn pairs() -> Vec<(Protocol, Protocol, PathBuf)> {
    let folders = entries(&fixtures("translate"));
    assert_eq!(folders.len(), 6);
    let read = |folder: PathBuf| {
        let name = folder
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let (client, upstream) = name.split_once("_to_").expect("a pair");
        (protocol(client), protocol(upstream), folder)
    };
    folders.into_iter().map(read).collect()
}

pub(super) fn voice() -> Voice {
    Voice {
        id: "0a1b".to_owned(),
        model: "M".to_owned(),
        created: 1_763_700_000,
        usage_asked: true,
        hides_thoughts: false,
        input_estimate: 7,
        echo: Map::new(),
        carriers: carriers("x"),
    }
}

pub(super) fn translation(client: Protocol, upstream: Protocol) -> Translation {
    let request = Request::default();
    let names = Names::of(&request, upstream);
    Translation::new(&request, upstream, client, voice(), names)
}

/// The data of each event, the stream having come in two pieces.
pub(super) fn events(stream: &[u8], cut: usize) -> Vec<Vec<u8>> {
    let mut splitter = Splitter::new(1 << 20);
    let mut found = Vec::new();
    for piece in [&stream[..cut], &stream[cut..]] {
        splitter.push(piece);
        while let Some(frame) = splitter.next_frame().expect("small frames") {
            found.push(frame.data.to_vec());
        }
    }
    found
}

/// The data of each event, which is the same wherever the stream was cut in two.
fn uncut(stream: &[u8]) -> Vec<Vec<u8>> {
    let whole = events(stream, 0);
    for cut in 1..=stream.len() {
        assert!(events(stream, cut) == whole, "cut at {cut}");
    }
    whole
}

/// All that a caller gets of a stream.
pub(super) fn translated_stream(client: Protocol, upstream: Protocol, data: &[Vec<u8>]) -> Vec<u8> {
    let mut translator = translation(client, upstream).stream();
    let mut out = Vec::new();
    for data in data {
        out.extend_from_slice(&translator.translate(data));
    }
    out.extend_from_slice(&translator.end().0);
    out
}

/// What a stream says, read in its own protocol.
pub(super) fn heard(protocol: Protocol, data: &[Vec<u8>]) -> Heard {
    let mut reader = Reader::of(protocol, false);
    let mut events = Vec::new();
    for data in data {
        reader.read(data, &mut events);
    }
    reader.end(&mut events);
    Heard::of(events)
}

/// An answer, or as much of it as came before its upstream failed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heard {
    items: Vec<Item>,
    ended: Result<Answer, Fault>,
}

impl Heard {
    pub(super) fn of(events: Vec<super::answer::Event>) -> Self {
        let mut partial = Collector::default();
        let mut all = Collector::default();
        for event in events {
            all.add(event.clone());
            if !matches!(event, super::answer::Event::Fault(_)) {
                partial.add(event);
            }
        }
        partial.add(super::answer::Event::End(super::answer::Ending::new(
            Reason::End,
            None,
        )));
        Self {
            items: partial.finish().expect("ended").expect("well").items,
            ended: all.finish().expect("every stream ends somehow"),
        }
    }

    /// In the form of the samples' `expect.json`; the error's code by its kind.
    pub(super) fn expected_form(&self) -> Value {
        let joined = |pick: &dyn Fn(&Item) -> Option<&str>| -> String {
            self.items.iter().filter_map(pick).collect()
        };
        let tools: Vec<Value> = self
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Call(call) => {
                    Some(json!({"id": call.id, "name": call.name, "args": call.args}))
                }
                _ => None,
            })
            .collect();
        let ending = self.ended.as_ref().ok().map(|answer| &answer.ending);
        let usage = ending.and_then(|ending| ending.usage).map(|tokens| {
            json!({"fresh": tokens.input, "cache_read": tokens.cache_read,
                   "cache_write": tokens.cache_write_short + tokens.cache_write_long,
                   "output": tokens.output, "reasoning": tokens.reasoning})
        });
        let error = self.ended.as_ref().err().map(|fault| {
            json!({"code": format!("{:?}", FaultKind::of(fault)), "message": fault.message})
        });
        json!({
            "text": joined(&|item| match item { Item::Text { text, .. } => Some(text), _ => None }),
            "reasoning": joined(&|item| match item { Item::Thought { text, .. } => Some(text), _ => None }),
            "refusal": joined(&|item| match item { Item::Refusal(text) => Some(text), _ => None }),
            "tools": tools,
            "finish": ending.map(|ending| match ending.reason {
                Reason::End | Reason::StopSequence => "end",
                Reason::Length => "length",
                Reason::Tools => "tools",
                Reason::Refused | Reason::Filtered => "refusal",
            }),
            "usage": usage,
            "error": error,
        })
    }
}

fn expectation(path: &Path) -> Value {
    let mut expected = value(path);
    if let Some(error) = expected.get_mut("error").filter(|error| !error.is_null()) {
        let fault = Fault::read(error);
        error["code"] = format!("{:?}", FaultKind::of(&fault)).into();
    }
    expected
}

#[test]
fn native_streams_are_read_wherever_they_are_cut() {
    let mut read = 0;
    for word in ["chat", "responses", "messages"] {
        for path in entries(&fixtures("native").join(word)) {
            if path.extension().is_none_or(|end| end != "sse") {
                continue;
            }
            let expected = path.with_extension("expect.json");
            let stream = text(&path).into_bytes();
            let whole = heard(protocol(word), &uncut(&stream));
            if expected.exists() {
                assert_eq!(
                    whole.expected_form(),
                    expectation(&expected),
                    "{}",
                    path.display()
                );
                read += 1;
            }
        }
    }
    assert_eq!(read, 20);
}

#[test]
fn streams_are_translated_wherever_they_are_cut() {
    let mut translated = 0;
    for (client, upstream, folder) in pairs() {
        for sample in entries(&folder.join("streams")) {
            let stream = text(&sample.join("upstream.sse")).into_bytes();
            let expected = expectation(&sample.join("expect.json"));
            let out = translated_stream(client, upstream, &uncut(&stream));
            let spoken = heard(client, &uncut(&out));
            assert_eq!(
                spoken.expected_form(),
                expected,
                "{}\n{}",
                sample.display(),
                String::from_utf8_lossy(&out)
            );
            let reference = text(&sample.join("client.reference.sse")).into_bytes();
            let reference = heard(client, &events(&reference, 0)).expected_form();
            for field in ["text", "reasoning", "tools", "finish", "usage"] {
                assert_eq!(spoken.expected_form()[field], reference[field]);
            }
            translated += 1;
        }
    }
    assert_eq!(translated, 28);
}

/// Equal meanings get equal forms: one text part is its text, what may be left out is left out.
fn same_meaning(value: &Value) -> Value {
    match value {
        Value::Array(items) => match items.as_slice() {
            [Value::Object(part)] if part.len() == 2 && part.contains_key("text") => {
                part["text"].clone()
            }
            items => items.iter().map(same_meaning).collect(),
        },
        Value::Object(map) => {
            let optional = |name: &str, value: &Value| {
                matches!(name, "prompt_cache_key" | "safety_identifier" | "user")
                    || (name == "strict" && *value == json!(false))
                    || (name == "detail" && *value == json!("auto"))
            };
            map.iter()
                .filter(|(name, value)| !optional(name, value))
                .map(|(name, value)| (name.clone(), same_meaning(value)))
                .collect()
        }
        other => other.clone(),
    }
}

pub(super) fn written(client: Protocol, upstream: Protocol, body: &Value) -> Value {
    let request = read(client, body.to_string().as_bytes()).expect("a good request");
    request.fits(upstream).expect("it fits");
    let model = body["model"].as_str().unwrap_or("M");
    let names = Names::of(&request, upstream);
    // The samples were written for a model that thinks as it is told and takes no sampling then.
    let words = BTreeSet::from(["reasoning".to_owned(), "adaptive_thinking".to_owned()]);
    let target = Target {
        protocol: upstream,
        model,
        default_output: 32_000,
        most_output: None,
        streamed: request.streamed,
        traits: Traits::of(upstream, "M", &words),
        carriers: &carriers("x"),
        names: &names,
    };
    serde_json::from_slice(&request.write(&target).body).expect("JSON")
}

#[test]
fn requests_are_written_as_the_samples_have_them() {
    let mut compared = 0;
    for (client, upstream, folder) in pairs() {
        for sample in entries(&folder.join("requests")) {
            let spoken = written(client, upstream, &value(&sample.join("client.json")));
            let expected = value(&sample.join("upstream.json"));
            assert_eq!(
                same_meaning(&spoken),
                same_meaning(&expected),
                "{}",
                sample.display()
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 12);
}

#[test]
fn what_cannot_be_carried_is_refused_at_its_field() {
    let mut refused = 0;
    for (client, upstream, folder) in pairs() {
        for sample in entries(&folder.join("rejects")) {
            let sample = value(&sample);
            let body = sample["client"].to_string();
            let outcome = read(client, body.as_bytes()).and_then(|request| request.fits(upstream));
            let reject = outcome.expect_err(&body);
            assert_eq!(sample["expect"]["param"], reject.field, "{body}");
            refused += 1;
        }
    }
    assert_eq!(refused, 8);
}

#[test]
fn whole_answers_come_back_from_every_protocol() {
    let mut answers = 0;
    for word in ["chat", "responses", "messages"] {
        for path in entries(&fixtures("native").join(word)) {
            let name = path.to_string_lossy().into_owned();
            let special = ["compact", "count_tokens", "input_tokens"];
            if !name.ends_with(".response.json") || special.iter().any(|kind| name.contains(kind)) {
                continue;
            }
            let upstream = protocol(word);
            let body = text(&path);
            let native = Heard::of(whole(upstream, false, body.as_bytes()).expect("an answer"));
            for client in [Protocol::Chat, Protocol::Responses, Protocol::Messages] {
                if client == Protocol::Messages && name.contains("custom_tool") {
                    // Such a caller has no custom tool that could be called.
                    continue;
                }
                let (translated, _) = translation(client, upstream)
                    .whole(body.as_bytes())
                    .expect("an answer")
                    .expect("no failure");
                let spoken = Heard::of(whole(client, false, &translated).expect("an answer"));
                assert_eq!(
                    spoken.expected_form(),
                    native.expected_form(),
                    "{name} {client:?}"
                );
            }
            answers += 1;
        }
    }
    assert_eq!(answers, 11);
}
