//! Channels in trouble and at their limits: waits that upstreams ask for, tries within a budget, several keys, what a
//! provider takes otherwise, and what operators see of it.

use std::collections::BTreeMap;

use billing::shop::channel::{KEY_REFUSED_TOPIC, SealedSecret, add_key, set_options};
use entity::{
    Actor, ChannelId, Platform, attempt,
    channel::{self, Options, OutputLimit, Quirks},
    channel_key, outbox, person,
};
use identity::seal::seal_channel_secret;
use reqwest::header::HeaderValue;
use sea_orm::{ColumnTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use crate::support::{
    gate::{Gate, KEY, master, refusal},
    upstream::{Answer, Asked, Upstream},
};

const CHAT: &str = "/v1/chat/completions";

fn asking(model: &str, streamed: bool) -> Value {
    json!({"model": model, "stream": streamed, "max_tokens": 50, "messages": [{"role": "user", "content": "one two"}]})
}

fn good() -> Answer {
    Answer::json(
        200,
        &json!({"id": "c", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop",
               "message": {"role": "assistant", "content": "hi"}}],
               "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}),
    )
}

fn failing(status: u16) -> Answer {
    Answer::json(status, &json!({"error": {"message": "no"}}))
}

fn refused_key() -> Answer {
    Answer::json(
        401,
        &json!({"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}}),
    )
}

async fn ask(gate: &Gate, model: &str) -> reqwest::Response {
    gate.post(CHAT, &asking(model, false))
        .send()
        .await
        .expect("an answer")
}

pub(crate) async fn options(gate: &Gate, id: ChannelId, options: Options) {
    set_options(&gate.till.db, id, options, Actor::System, gate.clock.now())
        .await
        .expect("options are set");
}

async fn further_key(gate: &Gate, id: ChannelId, secret: &str) {
    let sealed = SealedSecret {
        bytes: seal_channel_secret(&master(), id, "127.0.0.1", secret).into_bytes(),
        hint: secret[secret.len() - 4..].to_owned(),
    };
    add_key(&gate.till.db, id, sealed, Actor::System, gate.clock.now())
        .await
        .expect("a key is added");
}

async fn channel_of(gate: &Gate, id: ChannelId) -> channel::Model {
    channel::Entity::every()
        .filter(channel::Column::Id.eq(id))
        .one(gate.till.db.read())
        .await
        .expect("channels read")
        .expect("the channel is there")
}

async fn asked_so_often(gate: &Gate, upstream: &Upstream, times: usize) {
    gate.until("the upstream is asked", || async {
        upstream.requests().len() == times
    })
    .await;
}

fn keys_of(requests: &[Asked]) -> Vec<&str> {
    requests
        .iter()
        .map(|asked| asked.header("authorization"))
        .collect()
}

#[tokio::test]
async fn an_upstream_that_says_when_to_come_back_is_left_alone_until_then() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([failing(429).header("retry-after", "3600"), good()]);
    gate.add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "m")
        .await;

    let first = refusal(ask(&gate, "m").await).await;
    let answer = ask(&gate, "m").await;

    let wait = answer.headers().get("retry-after").cloned();
    let second = refusal(answer).await;
    assert_eq!((first.0, first.1.as_str()), (429, "rate_limited"));
    assert_eq!((second.0, second.1.as_str()), (429, "rate_limited"));
    assert!(second.2.contains("provider's rate limit"), "{}", second.2);
    let wait: u64 = wait
        .as_ref()
        .and_then(|wait| wait.to_str().ok()?.parse().ok())
        .expect("a wait");
    assert!((30..=60).contains(&wait), "never hours: {wait}");
    assert_eq!(upstream.requests().len(), 1, "not asked before its time");
    assert_eq!(
        gate.ended(1).await.len(),
        1,
        "nothing was held for the second"
    );
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn only_where_every_channel_is_at_its_rate_limit_is_the_call_429() {
    let table = [
        ([failing(429), failing(429)], (429, "rate_limited")),
        (
            [failing(429), failing(429).header("retry-after", "9")],
            (429, "rate_limited"),
        ),
        ([failing(429), failing(500)], (503, "channels_failed")),
        ([failing(529), failing(529)], (503, "channels_failed")),
        (
            [failing(503).header("retry-after", "9"), failing(429)],
            (503, "channels_failed"),
        ),
    ];
    for (answers, expected) in table {
        let gate = Gate::open().await;
        let mut upstreams = Vec::new();
        for answer in answers {
            let upstream = Upstream::start([answer]);
            gate.add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "m")
                .await;
            upstreams.push(upstream);
        }

        let answer = ask(&gate, "m").await;

        assert!(answer.headers().contains_key("retry-after"));
        let (status, code, message) = refusal(answer).await;
        assert_eq!((status, code.as_str()), expected, "{message}");
        assert!(message.contains("Nothing was charged"), "{message}");
        for upstream in upstreams {
            upstream.stop().await;
        }
        gate.finish().await;
    }
}

#[tokio::test]
async fn a_call_is_tried_again_once_and_never_after_its_first_byte() {
    let gate = Gate::open().await;
    let (one, two, three) = (
        Upstream::start([failing(500)]),
        Upstream::start([failing(500)]),
        Upstream::start([good()]),
    );
    for upstream in [&one, &two, &three] {
        gate.add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "m")
            .await;
    }
    let cut = Upstream::start([Answer::stream(&[
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hal\"}}]}\n\n",
    ])]);
    let spare = Upstream::start([good()]);
    let first = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &cut.base, "cut")
        .await;
    let second = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &spare.base, "cut")
        .await;
    gate.prefer(first, second).await;

    let answer = ask(&gate, "m").await;
    let broken = gate
        .post(CHAT, &asking("cut", true))
        .send()
        .await
        .expect("an answer");
    let text = broken.text().await.expect("a body");

    let asked: usize = [&one, &two, &three]
        .iter()
        .map(|upstream| upstream.requests().len())
        .sum();
    assert!(asked <= 2, "one try and one more: {asked}");
    assert!([200, 503].contains(&answer.status().as_u16()));
    assert!(text.contains("hal") && text.contains("broke off"), "{text}");
    assert!(
        spare.requests().is_empty(),
        "what has begun is not begun again"
    );
    gate.ended(2).await;
    for upstream in [one, two, three, cut, spare] {
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn an_outage_gets_at_most_a_fifth_more_requests() {
    let gate = Gate::open().await;
    let (one, two) = (
        Upstream::start([failing(500)]),
        Upstream::start([failing(500)]),
    );
    for upstream in [&one, &two] {
        gate.add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "m")
            .await;
    }

    for _ in 0..60 {
        assert_eq!(ask(&gate, "m").await.status(), 503);
    }

    let asked = one.requests().len() + two.requests().len();
    assert!((60..=60 + 12 + 10).contains(&asked), "{asked}");
    one.stop().await;
    two.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn several_keys_are_drawn_in_turn_and_a_refused_one_is_put_aside_alone() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([good(), good(), refused_key(), good()]);
    let id = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "m")
        .await;
    further_key(&gate, id, "sk-second-1234").await;
    let operator = person::Entity::change();
    gate.change(
        operator,
        person::Column::PlatformRole,
        person::PlatformRole::Operator,
    )
    .await;

    for _ in 0..3 {
        assert_eq!(ask(&gate, "m").await.status(), 200);
    }
    let asked = upstream.requests();
    assert_eq!(
        keys_of(&asked),
        [
            "Bearer sk-upstream",
            "Bearer sk-second-1234",
            "Bearer sk-upstream",
            "Bearer sk-second-1234"
        ],
        "the third call met a refused key and went on with the other"
    );
    gate.until("the refused key is put aside", || async {
        channel_key::Entity::every()
            .filter(channel_key::Column::Status.eq(channel_key::Status::Refused))
            .count(gate.till.db.read())
            .await
            .expect("keys read")
            == 1
    })
    .await;
    for _ in 0..3 {
        assert_eq!(ask(&gate, "m").await.status(), 200);
    }

    let later = upstream.requests();
    assert!(
        keys_of(&later[4..])
            .iter()
            .all(|key| *key == "Bearer sk-second-1234")
    );
    let row = channel_of(&gate, id).await;
    assert_eq!(row.status, channel::Status::Active);
    assert_eq!(row.secret_hint.as_deref(), Some("1234"));
    let letters = outbox::Entity::every()
        .filter(outbox::Column::Topic.eq(KEY_REFUSED_TOPIC))
        .all(gate.till.db.read())
        .await
        .expect("letters read");
    assert_eq!(letters.len(), 1);
    assert!(
        letters[0].payload.contains("\"off\":false"),
        "{}",
        letters[0].payload
    );
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn calls_that_meet_one_refused_key_together_put_that_one_aside_alone() {
    let gate = Gate::open().await;
    let slow = || refused_key().wait_first();
    let upstream = Upstream::start([slow(), good(), good(), slow(), good()]);
    let id = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "m")
        .await;
    further_key(&gate, id, "sk-second-1234").await;
    further_key(&gate, id, "sk-third-12345").await;
    let ((first, second), ()) = tokio::join!(
        async {
            tokio::join!(ask(&gate, "m"), async {
                asked_so_often(&gate, &upstream, 3).await;
                ask(&gate, "m").await
            })
        },
        async {
            asked_so_often(&gate, &upstream, 1).await;
            for _ in 0..2 {
                assert_eq!(ask(&gate, "m").await.status(), 200);
            }
            asked_so_often(&gate, &upstream, 4).await;
            upstream.release();
            upstream.release();
        }
    );
    for answer in [first, second] {
        assert_eq!(answer.status(), 200, "another key served it");
    }
    gate.until("the refused key is put aside", || async {
        channel_key::Entity::every()
            .filter(channel_key::Column::Status.eq(channel_key::Status::Refused))
            .count(gate.till.db.read())
            .await
            .expect("keys read")
            > 0
    })
    .await;
    let before = upstream.requests().len();
    for _ in 0..4 {
        assert_eq!(ask(&gate, "m").await.status(), 200);
    }

    let later = upstream.requests();
    let mut keys = keys_of(&later[before..]);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys, ["Bearer sk-second-1234", "Bearer sk-third-12345"]);
    gate.ended(8).await;
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_key_that_had_enough_gives_way_to_another_though_nobody_says_for_how_long() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([failing(429), good()]);
    let id = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "m")
        .await;
    further_key(&gate, id, "sk-second-1234").await;

    assert_eq!(ask(&gate, "m").await.status(), 200);

    assert_eq!(
        keys_of(&upstream.requests()),
        ["Bearer sk-upstream", "Bearer sk-second-1234"]
    );
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn the_last_key_refused_switches_the_channel_off_and_tells_the_operators() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([refused_key()]);
    let id = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "m")
        .await;
    let operator = person::Entity::change();
    gate.change(
        operator,
        person::Column::PlatformRole,
        person::PlatformRole::Operator,
    )
    .await;

    assert_eq!(ask(&gate, "m").await.status(), 503);
    gate.until("a letter is written", || async {
        outbox::Entity::every()
            .filter(outbox::Column::Topic.eq(KEY_REFUSED_TOPIC))
            .count(gate.till.db.read())
            .await
            .expect("letters read")
            == 1
    })
    .await;

    let row = channel_of(&gate, id).await;
    assert_eq!(row.status, channel::Status::Disabled);
    assert!(row.status_reason.is_some());
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_full_channel_is_passed_over_and_alone_it_refuses_before_a_hold() {
    let gate = Gate::open().await;
    let (small, large) = (Upstream::start([good()]), Upstream::start([good()]));
    let first = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &small.base, "m")
        .await;
    let second = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &large.base, "m")
        .await;
    gate.prefer(first, second).await;
    gate.add_upstream(channel::Kind::OpenaiCompatible, &small.base, "alone")
        .await;
    let alone = channel::Entity::every()
        .order_by_desc(channel::Column::Id)
        .one(gate.till.db.read())
        .await
        .expect("channels read")
        .expect("the last one")
        .id;
    let limited = Options {
        requests_per_minute: Some(2),
        ..Options::default()
    };
    options(&gate, first, limited.clone()).await;
    options(&gate, alone, limited).await;

    for _ in 0..5 {
        assert_eq!(ask(&gate, "m").await.status(), 200);
    }
    assert_eq!((small.requests().len(), large.requests().len()), (2, 3));
    for _ in 0..2 {
        assert_eq!(ask(&gate, "alone").await.status(), 200);
    }
    let refused = ask(&gate, "alone").await;
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refusal(refused).await.1, "overloaded");
    assert_eq!(gate.ended(7).await.len(), 7);
    small.stop().await;
    large.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_channel_takes_only_so_many_calls_at_once() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([good().wait_first(), good()]);
    let id = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "m")
        .await;
    let one = Options {
        max_calls: Some(1),
        ..Options::default()
    };
    options(&gate, id, one).await;

    let running = tokio::spawn(gate.post(CHAT, &asking("m", false)).send());
    gate.until("the first call is there", || async {
        upstream.requests().len() == 1
    })
    .await;
    let second = refusal(ask(&gate, "m").await).await;
    upstream.release();
    let first = running.await.expect("it runs").expect("an answer");
    gate.ended(1).await;
    let third = ask(&gate, "m").await;

    assert_eq!(second.1, "overloaded");
    assert_eq!(
        (first.status().as_u16(), third.status().as_u16()),
        (200, 200)
    );
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_try_in_vain_is_a_row_with_its_status_and_no_row_is_written_for_a_good_one() {
    let gate = Gate::open().await;
    let (bad, fine) = (Upstream::start([failing(500)]), Upstream::start([good()]));
    let first = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &bad.base, "m")
        .await;
    let second = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &fine.base, "m")
        .await;
    gate.prefer(first, second).await;

    assert_eq!(ask(&gate, "m").await.status(), 200);
    let call = gate.ended(1).await.remove(0);
    gate.until("the try is kept", || async {
        attempt::Entity::every()
            .count(gate.till.db.read())
            .await
            .expect("attempts read")
            == 1
    })
    .await;

    let row = attempt::Entity::every()
        .one(gate.till.db.read())
        .await
        .expect("attempts read")
        .expect("one");
    assert_eq!((row.call_id, row.channel_id), (call.id, first));
    assert_eq!((row.status, row.cost), (Some(500), None));
    assert!(row.took_ms >= 0 && row.fault.contains("500"));
    assert_eq!(call.channel_id, Some(second));
    bad.stop().await;
    fine.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_provider_is_asked_as_it_wants_to_be() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([good()]);
    let azure = gate
        .add_upstream(
            channel::Kind::OpenaiCompatible,
            &format!("{}/openai/v1", upstream.base),
            "azure",
        )
        .await;
    options(
        &gate,
        azure,
        Options {
            headers: BTreeMap::from([
                ("x-title".to_owned(), "Tollgate".to_owned()),
                ("authorization".to_owned(), "Bearer stolen".to_owned()),
            ]),
            quirks: Quirks {
                api_key_header: true,
                api_version: Some("preview".to_owned()),
                output_limit: Some(OutputLimit::MaxCompletionTokens),
                ..Quirks::default()
            },
            ..Options::default()
        },
    )
    .await;
    let plain = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "plain")
        .await;
    options(
        &gate,
        plain,
        Options {
            quirks: Quirks {
                no_stream_options: true,
                output_limit: Some(OutputLimit::MaxTokens),
                ..Quirks::default()
            },
            ..Options::default()
        },
    )
    .await;

    assert_eq!(ask(&gate, "azure").await.status(), 200);
    let streamed = gate
        .post(
            CHAT,
            &json!({"model": "plain", "stream": true, "max_completion_tokens": 9,
                "messages": [{"role": "user", "content": "hi"}]}),
        )
        .header("x-api-key", KEY)
        .header("cookie", "a=b")
        .header("x-forwarded-for", "10.1.1.1")
        .send()
        .await
        .expect("an answer");
    drop(streamed);
    gate.until("both were asked", || async {
        upstream.requests().len() == 2
    })
    .await;

    let asked = upstream.requests();
    assert_eq!(asked[0].path, "/openai/v1/chat/completions");
    assert_eq!(asked[0].query, "api-version=preview");
    assert_eq!(asked[0].header("api-key"), "sk-upstream");
    assert_eq!(asked[0].header("authorization"), "");
    assert_eq!(asked[0].header("x-title"), "Tollgate");
    assert_eq!(asked[0].body["max_completion_tokens"], 50);
    assert_eq!(asked[0].body["max_tokens"], Value::Null);
    assert_eq!(asked[1].body["max_tokens"], 9);
    assert_eq!(asked[1].body["stream_options"], Value::Null);
    gate.finish().await;
    upstream.stop().await;
}

#[tokio::test]
async fn headers_pass_by_a_list_in_both_directions() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([good()
        .header("set-cookie", "upstream=1")
        .header("server", "secret-server")
        .header("x-request-id", "upstream-id")
        .header("openai-organization", "org-ours")]);
    gate.add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "m")
        .await;

    let answer = gate
        .post(CHAT, &asking("m", false))
        .header("cookie", "a=b")
        .header("x-forwarded-for", "10.1.1.1")
        .header("openai-organization", "org-theirs")
        .header("x-custom", "1")
        .send()
        .await
        .expect("an answer");

    for name in ["set-cookie", "openai-organization"] {
        assert!(!answer.headers().contains_key(name), "{name} stays inside");
    }
    assert_ne!(
        answer
            .headers()
            .get("x-request-id")
            .map(HeaderValue::as_bytes),
        Some(&b"upstream-id"[..])
    );
    assert_ne!(
        answer.headers().get("server").map(HeaderValue::as_bytes),
        Some(&b"secret-server"[..])
    );
    let asked = upstream.requests().remove(0);
    let mut names: Vec<&str> = asked
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "user-agent"
        ]
    );
    assert_eq!(asked.header("authorization"), "Bearer sk-upstream");
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_secret_is_bound_to_its_channel_and_host() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([good()]);
    let id = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "m")
        .await;
    let other = gate
        .add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "other")
        .await;
    let moved = upstream.base.replace("127.0.0.1", "localhost");
    let row = channel::Entity::change().filter(channel::Column::Id.eq(id));
    gate.change(row, channel::Column::BaseUrl, moved).await;
    let foreign = channel_of(&gate, id).await.secret;
    let row = channel::Entity::change().filter(channel::Column::Id.eq(other));
    gate.change(row, channel::Column::Secret, foreign).await;

    let host = refusal(ask(&gate, "m").await).await;
    let swapped = refusal(ask(&gate, "other").await).await;

    assert_eq!(
        (host.1.as_str(), swapped.1.as_str()),
        ("no_channel", "no_channel")
    );
    assert!(upstream.requests().is_empty(), "no secret left");
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn an_upstream_that_repeats_the_secret_gives_nothing_away() {
    let gate = Gate::open().await;
    let words = json!({"error": {"message": "you sent sk-upstream with a bad field", "code": "invalid_value"}});
    let upstream = Upstream::start([Answer::json(400, &words)]);
    gate.add_upstream(channel::Kind::OpenaiCompatible, &upstream.base, "m")
        .await;

    let answer = ask(&gate, "m").await;

    assert_eq!(answer.status(), 400);
    let text = answer.text().await.expect("a body");
    assert!(text.contains("you sent *** with a bad field"), "{text}");
    let kept = gate.rejections(1).await.remove(0);
    assert!(!kept.message.contains("sk-upstream"), "{}", kept.message);
    upstream.stop().await;
    gate.finish().await;
}
