//! What must hold for any input: nothing panics, every stream ends once, a stream and the whole answer of the same
//! content say the same, and what was written is read as it was meant.

use billing::rating::Tokens;
use entity::Protocol;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{
    answer::{Answer, Ending, Event, Item, Opening, Reason},
    chat,
    golden::{Heard, events, fixtures, heard, text, translated_stream, voice, written},
    messages,
    neutral::{Call, Request},
    read, responses, whole,
};

const ALL: [Protocol; 3] = [Protocol::Chat, Protocol::Responses, Protocol::Messages];

fn item() -> impl Strategy<Value = Item> {
    let words = || "[ -~é世\n\"\\\\]{1,30}";
    prop_oneof![
        words().prop_map(|text| Item::Thought { text, opaque: None }),
        words().prop_map(|text| Item::Text {
            text,
            citations: Vec::new(),
            likely: Vec::new(),
        }),
        ("[a-z_]{1,9}", words()).prop_map(|(name, text)| {
            Item::Call(Call {
                name,
                args: json!({"x": text}).to_string(),
                ..Call::default()
            })
        }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let usage = (0..9_000_u64, 0..9_000_u64, 0..9_000_u64, 1..9_000_u64);
    (vec(item(), 0..6), usage, any::<bool>()).prop_map(|(mut items, usage, short)| {
        // Chat has one thought, one text and then its calls.
        items.sort_by_key(|item| match item {
            Item::Thought { .. } => 0,
            Item::Text { .. } => 1,
            _ => 2,
        });
        for (number, item) in items.iter_mut().enumerate() {
            if let Item::Call(call) = item {
                call.id = format!("call_{number}");
            }
        }
        let (input, cache_read, cache_write_short, output) = usage;
        let tokens = Tokens {
            input,
            cache_read,
            cache_write_short,
            output,
            reasoning: output / 2,
            requests: 1,
            ..Tokens::default()
        };
        let has_calls = items.iter().any(|item| matches!(item, Item::Call(_)));
        let reason = if short { Reason::Length } else { Reason::End };
        Answer {
            ending: Ending::new(reason, Some(tokens)).agreeing_with(has_calls),
            items,
        }
    })
}

/// The steps of an answer; calls side by side where `apart` is false.
fn steps(answer: &Answer, apart: bool) -> Vec<Event> {
    let mut steps = vec![Event::Start(None)];
    let mut closes = Vec::new();
    for (key, item) in answer.items.iter().enumerate() {
        let (opening, text) = match item {
            Item::Thought { text, .. } => (Opening::Thought, text),
            Item::Text { text, .. } => (Opening::Text, text),
            Item::Compaction(text) => (Opening::Compaction, text),
            Item::Refusal(text) | Item::Search(text) => (Opening::Refusal, text),
            Item::Call(call) => {
                let empty = Call {
                    args: String::new(),
                    ..call.clone()
                };
                (Opening::Call(empty), &call.args)
            }
        };
        let is_call = matches!(opening, Opening::Call(_));
        steps.push(Event::Open(key, opening));
        for letter in text.chars() {
            steps.push(Event::Delta(key, letter.to_string()));
        }
        if is_call && !apart {
            closes.push(Event::Close(key));
        } else {
            steps.push(Event::Close(key));
        }
    }
    steps.extend(closes);
    steps.push(Event::End(answer.ending.clone()));
    steps
}

fn streamed(protocol: Protocol, steps: Vec<Event>) -> Vec<u8> {
    let mut out = Vec::new();
    match protocol {
        Protocol::Responses => {
            let mut writer = responses::Writer::new(voice());
            for step in steps {
                writer.write(step, &mut out);
            }
        }
        Protocol::Messages => {
            let mut writer = messages::Writer::new(voice());
            for step in steps {
                writer.write(step, &mut out);
            }
        }
        Protocol::Chat | Protocol::Embeddings => {
            let mut writer = chat::Writer::new(voice());
            for step in steps {
                writer.write(step, &mut out);
            }
        }
    }
    out
}

fn at_once(protocol: Protocol, answer: &Answer) -> Value {
    match protocol {
        Protocol::Responses => responses::answer(answer, &voice()),
        Protocol::Messages => messages::answer(answer, &voice()),
        Protocol::Chat | Protocol::Embeddings => chat::answer(answer, &voice()),
    }
}

/// Every request and every stream of the samples.
fn samples(end: &str) -> Vec<(Protocol, String)> {
    ["chat", "responses", "messages"]
        .into_iter()
        .flat_map(|word| {
            let folder = std::fs::read_dir(fixtures("native").join(word)).expect("samples");
            folder.map(move |entry| (word, entry.expect("an entry").path()))
        })
        .filter(|(_, path)| path.to_string_lossy().ends_with(end))
        .map(|(word, path)| (super::golden::protocol(word), text(&path)))
        .collect()
}

/// Replaces the values at some places of a JSON document.
fn spoil(value: &mut Value, places: &[(u16, u8)], at: &mut u16) {
    *at = at.wrapping_add(1);
    if let Some((_, what)) = places.iter().find(|(place, _)| place % 97 == *at % 97) {
        *value = match what % 8 {
            0 => Value::Null,
            1 => json!(-1),
            2 => json!("gw1.AAAA"),
            3 => json!([[], {}, "x", null]),
            4 => json!({"type": "text"}),
            5 => json!(true),
            6 => json!(""),
            _ => json!(1e300),
        };
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| spoil(item, places, at)),
        Value::Object(map) => map.values_mut().for_each(|item| spoil(item, places, at)),
        _ => {}
    }
}

fn try_all(client: Protocol, body: &[u8]) {
    let Ok(request) = read(client, body) else {
        return;
    };
    for upstream in ALL {
        if request.fits(upstream).is_ok() {
            write_any(&request, upstream);
        }
    }
}

fn write_any(request: &Request, upstream: Protocol) {
    let carriers = super::carrier::tests::carriers("x");
    for model in ["M", "claude-sonnet-4-5", "claude-sonnet-4", "kimi-k2"] {
        let traits = super::Traits::of(upstream, model, &std::collections::BTreeSet::new());
        let names = super::Names::of(request, upstream).with_output(request, traits);
        let target = super::Target {
            protocol: upstream,
            model,
            default_output: 32_000,
            most_output: Some(64_000),
            streamed: request.streamed,
            traits,
            carriers: &carriers,
            names: &names,
        };
        serde_json::from_slice::<Value>(&request.write(&target).body).expect("JSON");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_and_the_whole_answer_say_the_same(answer in answer(), apart in any::<bool>()) {
        for protocol in ALL {
            let stream = streamed(protocol, steps(&answer, apart));
            let streamed = heard(protocol, &events(&stream, 0));
            let body = at_once(protocol, &answer).to_string();
            let whole = Heard::of(whole(protocol, false, body.as_bytes()).expect("an answer"));
            prop_assert_eq!(streamed.expected_form(), whole.expected_form());
        }
    }

    #[test]
    fn an_answer_means_the_same_after_any_two_translations(answer in answer(), apart in any::<bool>()) {
        let first = streamed(Protocol::Chat, steps(&answer, apart));
        let meant = heard(Protocol::Chat, &events(&first, 0)).expected_form();
        for (client, upstream) in [(Protocol::Responses, Protocol::Messages), (Protocol::Messages, Protocol::Responses)] {
            let once = translated_stream(upstream, Protocol::Chat, &events(&first, 0));
            let twice = translated_stream(client, upstream, &events(&once, 0));
            prop_assert_eq!(&heard(client, &events(&twice, 0)).expected_form(), &meant);
        }
    }

    #[test]
    fn spoilt_requests_never_panic(places in vec(any::<(u16, u8)>(), 1..4)) {
        for (client, sample) in samples(".request.json") {
            let mut body: Value = serde_json::from_str(&sample).expect("JSON");
            spoil(&mut body, &places, &mut 0);
            try_all(client, body.to_string().as_bytes());
        }
    }

    #[test]
    fn spoilt_streams_end_once_and_never_panic(places in vec(any::<(u16, u8)>(), 1..4), cut in any::<prop::sample::Index>()) {
        for (upstream, sample) in samples(".sse") {
            let mut data = events(sample.as_bytes(), 0);
            let mut at = 0;
            for data in &mut data {
                if let Ok(mut value) = serde_json::from_slice::<Value>(data) {
                    spoil(&mut value, &places, &mut at);
                    *data = value.to_string().into_bytes();
                }
            }
            data.truncate(cut.index(data.len() + 1));
            for client in ALL {
                let out = translated_stream(client, upstream, &data);
                let said = String::from_utf8(out).expect("text");
                let ends = ["[DONE]", "\"type\":\"response.completed\"", "\"type\":\"response.incomplete\"",
                    "\"type\":\"response.failed\"", "\"type\":\"message_stop\"", "\"type\":\"error\"", "data: {\"error\":"];
                let count: usize = ends.iter().map(|end| said.matches(end).count()).sum();
                prop_assert_eq!(count, 1, "{}", said);
            }
        }
    }

    #[test]
    fn noise_is_refused(noise in vec(any::<u8>(), 0..200)) {
        for protocol in ALL {
            try_all(protocol, &noise);
            drop(whole(protocol, false, &noise));
            translated_stream(protocol, protocol, std::slice::from_ref(&noise));
        }
    }

    #[test]
    fn a_longer_conversation_begins_as_the_shorter_one(
        turns in vec((any::<bool>(), "[a-z ]{0,5}"), 2..8)
    ) {
        let messages: Vec<Value> = turns
            .iter()
            .map(|(user, said)| json!({"role": if *user { "user" } else { "assistant" }, "content": said}))
            .chain([json!({"role": "assistant", "content": "so"}), json!({"role": "user", "content": "go"})])
            .collect();
        let list = |body: &Value| body["messages"].as_array().expect("messages").clone();
        let short = json!({"model": "M", "messages": messages});
        let mut longer = messages.clone();
        longer.push(json!({"role": "assistant", "content": "done"}));
        longer.push(json!({"role": "user", "content": "more"}));
        let long = json!({"model": "M", "messages": longer});

        let short = list(&written(Protocol::Chat, Protocol::Messages, &short));
        let long = list(&written(Protocol::Chat, Protocol::Messages, &long));

        prop_assert!(long.starts_with(&short), "{:?} {:?}", short, long);
    }

    #[test]
    fn what_was_written_is_read_and_written_the_same(picks in vec(any::<u8>(), 1..6)) {
        let png = "data:image/png;base64,AAAA";
        let mut messages = vec![json!({"role": "system", "content": "s"}), json!({"role": "user", "content": "q"})];
        for (number, pick) in picks.iter().enumerate() {
            let id = format!("call_{number}");
            match pick % 4 {
                0 => messages.push(json!({"role": "user", "content": [{"type": "text", "text": "see"},
                    {"type": "image_url", "image_url": {"url": png}}]})),
                1 => messages.extend([
                    json!({"role": "assistant", "content": format!("a{number}")}),
                    json!({"role": "user", "content": "and?"})]),
                2 => messages.extend([
                    json!({"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function",
                        "function": {"name": "f", "arguments": "{\"x\":1}"}}]}),
                    json!({"role": "tool", "tool_call_id": id, "content": "r"})]),
                _ => messages.push(json!({"role": "user", "content": format!("u{number}")})),
            }
        }
        messages.push(json!({"role": "user", "content": "end"}));
        let first = json!({"model": "M", "messages": messages, "max_completion_tokens": 99});
        for upstream in [Protocol::Responses, Protocol::Messages] {
            let there = written(Protocol::Chat, upstream, &first);
            let back = written(upstream, Protocol::Chat, &there);
            let again = written(Protocol::Chat, upstream, &back);
            prop_assert_eq!(there, again);
        }
    }
}
