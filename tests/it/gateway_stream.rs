//! Streams in trouble: how long they may take, how much of them waits in memory, how they end, and that a call which a
//! client makes again is known for one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use entity::{
    Platform, Scoped, call_link, channel,
    channel::Kind,
    usage::{Finish, Outcome},
    usage_doubt,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{
    gate::Gate,
    house::House,
    upstream::{Answer, Upstream},
};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const CLAUDE_CODE: &str = "claude-cli/2.1.330 (external, sdk-cli)";

fn asking(model: &str, streamed: bool) -> Value {
    json!({"model": model, "stream": streamed, "max_tokens": 50, "messages": [{"role": "user", "content": "one two three four"}]})
}

const BEGIN: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n";
const OPEN: &str = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
const SAY: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Par\"}}\n\n";
const CLOSED: &str = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: error\n";

#[tokio::test]
async fn a_block_that_is_open_is_closed_before_our_own_error() {
    let gate = Gate::open().await;
    let said =
        json!({"choices": [{"index": 0, "delta": {"content": "Par"}, "finish_reason": null}]});
    let native = Upstream::start([Answer::stream(&[BEGIN, OPEN, SAY]).then_hang()]);
    let foreign = Upstream::start([Answer::stream(&[&format!("data: {said}\n\n")]).then_hang()]);
    gate.add_upstream(Kind::Anthropic, &native.base, "native")
        .await;
    gate.add_upstream(Kind::OpenaiCompatible, &foreign.base, "foreign")
        .await;

    for model in ["native", "foreign"] {
        let answer = gate.post(MESSAGES, &asking(model, true)).send().await;
        let text = answer.expect("an answer").text().await.expect("a body");

        assert!(text.contains(CLOSED), "{model}: {text}");
        assert!(text.contains("went silent"), "{model}: {text}");
    }
    native.stop().await;
    foreign.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_stream_that_never_ends_is_ended_at_the_total_deadline() {
    let gate = Gate::open_with(|config| {
        config.longest = Duration::from_millis(300);
        config.idle = Duration::from_mins(1);
    })
    .await;

    let answer = gate.post(CHAT, &asking("sandbox/stall", true)).send().await;
    let text = answer.expect("an answer").text().await.expect("a body");

    assert!(text.contains("\"error\""), "{text}");
    assert_eq!(gate.ended(1).await[0].finish, Finish::Stalled);
    gate.finish().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_is_given_up_and_the_next_channel_asked() {
    let gate = Gate::open_with(|config| config.first_byte = Duration::from_millis(200)).await;
    let silent = Upstream::start([Answer::json(200, &json!({})).wait_first()]);
    let working = Upstream::start([Answer::stream(&[
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n",
    ])]);
    let first = gate
        .add_upstream(Kind::OpenaiCompatible, &silent.base, "slow")
        .await;
    gate.add_upstream(Kind::OpenaiCompatible, &working.base, "slow")
        .await;
    let only = sea_orm::ColumnTrait::eq(&channel::Column::Id, first);
    let update = sea_orm::QueryFilter::filter(channel::Entity::change(), only);
    gate.change(update, channel::Column::Priority, -1_i64).await;

    let answer = gate.post(CHAT, &asking("slow", true)).send().await;
    let text = answer.expect("an answer").text().await.expect("a body");

    assert!(text.contains("\"hi\""), "{text}");
    assert_eq!((silent.requests().len(), working.requests().len()), (1, 1));
    assert_eq!(gate.ended(1).await[0].finish, Finish::Complete);
    silent.release();
    silent.stop().await;
    working.stop().await;
    gate.finish().await;
}

/// An upstream that pushes events as fast as they are taken, and counts the bytes.
async fn flood(events: usize, pushed: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a caller");
        let mut asked = vec![0; 64 << 10];
        drop(socket.read(&mut asked).await);
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        drop(socket.write_all(head.as_bytes()).await);
        let said = json!({"choices": [{"index": 0, "delta": {"content": "x".repeat(16 << 10)}, "finish_reason": null}]});
        let event = format!("data: {said}\n\n");
        for _ in 0..events {
            if socket.write_all(event.as_bytes()).await.is_err() {
                return;
            }
            pushed.fetch_add(event.len(), Ordering::Relaxed);
        }
        let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":9}}\n\ndata: [DONE]\n\n";
        drop(socket.write_all(end.as_bytes()).await);
    });
    base
}

#[tokio::test]
async fn a_slow_reader_makes_the_upstream_wait_and_not_the_memory_grow() {
    const EVENTS: usize = 4_000;
    let gate = Gate::open().await;
    let pushed = Arc::new(AtomicUsize::new(0));
    let base = flood(EVENTS, pushed.clone()).await;
    gate.add_upstream(Kind::OpenaiCompatible, &base, "flood")
        .await;

    let mut answer = gate
        .post(CHAT, &asking("flood", true))
        .send()
        .await
        .expect("an answer");
    // Nobody reads: after a while the upstream cannot write any more either.
    let last = AtomicUsize::new(0);
    let same = AtomicUsize::new(0);
    gate.until("the upstream waits", || async {
        let now = pushed.load(Ordering::Relaxed);
        if now > 0 && last.swap(now, Ordering::Relaxed) == now {
            same.fetch_add(1, Ordering::Relaxed) > 40
        } else {
            same.store(0, Ordering::Relaxed);
            false
        }
    })
    .await;
    let waiting = pushed.load(Ordering::Relaxed);
    assert!(waiting < 32 << 20, "{waiting} bytes wait somewhere");

    let mut heard = 0;
    while let Some(piece) = answer.chunk().await.expect("a piece") {
        heard += piece.len();
    }
    assert!(heard >= EVENTS * (16 << 10), "all of it came: {heard}");
    assert_eq!(gate.ended(1).await[0].output_tokens, 9);
    gate.finish().await;
}

#[tokio::test]
async fn a_call_made_again_after_a_failed_stream_is_linked_to_it() {
    let gate = Gate::open().await;
    let failure = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let whole = json!({"type": "message", "content": [{"type": "text", "text": "Paris"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 10, "output_tokens": 2}});
    let upstream = Upstream::start([
        Answer::stream(&[BEGIN, OPEN, SAY, failure]),
        Answer::json(200, &whole),
    ]);
    gate.add_upstream(Kind::Anthropic, &upstream.base, "claude-x")
        .await;
    let ask = async |streamed| {
        let request = gate.post(MESSAGES, &asking("claude-x", streamed));
        let answer = request.header("user-agent", CLAUDE_CODE).send().await;
        answer.expect("an answer").text().await.expect("a body")
    };

    ask(true).await;
    gate.ended(1).await;
    ask(false).await;
    ask(false).await;

    let calls = gate.ended(3).await;
    gate.until("the link is kept", || async {
        !links(&gate).await.is_empty()
    })
    .await;
    let links = links(&gate).await;
    assert_eq!(links.len(), 1, "only the first repeats: {links:?}");
    assert_eq!(
        (links[0].repeats_id, links[0].id),
        (calls[0].id, calls[1].id)
    );
    upstream.stop().await;
    gate.finish().await;
}

async fn links(gate: &Gate) -> Vec<call_link::Model> {
    call_link::Entity::of(gate.buyer.tenant)
        .all(gate.till.db.read())
        .await
        .expect("links read")
}

#[tokio::test]
async fn usage_that_cannot_be_is_charged_within_the_hold_and_kept_for_an_operator() {
    let gate = Gate::open().await;
    let table = [
        (
            json!({"prompt_tokens": -5, "completion_tokens": 3}),
            "negative",
        ),
        (
            json!({"prompt_tokens": 900_000_000, "completion_tokens": 1}),
            "more than the call",
        ),
    ];
    for (number, (usage, words)) in (1_u64..).zip(table) {
        let body = json!({"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}], "usage": usage});
        let upstream = Upstream::start([Answer::json(200, &body)]);
        let model = format!("odd-{number}");
        let channel = gate
            .add_upstream(Kind::OpenaiCompatible, &upstream.base, &model)
            .await;

        let answer = gate.post(CHAT, &asking(&model, false)).send().await;
        assert_eq!(answer.expect("an answer").status(), 200);

        let row = gate.ended(number).await.pop().expect("a row");
        assert!(row.charge <= row.hold_amount);
        let find = || async {
            let found = usage_doubt::Entity::of(gate.buyer.tenant)
                .all(gate.till.db.read())
                .await
                .expect("doubts read");
            found.into_iter().find(|doubt| doubt.id == row.id)
        };
        gate.until("the doubt is kept", || async { find().await.is_some() })
            .await;
        let doubt = find().await.expect("it is kept");
        assert!(doubt.reason.contains(words), "{}", doubt.reason);
        assert_eq!((doubt.channel_id, doubt.charged), (channel, row.charge));
        upstream.stop().await;
    }
    gate.finish().await;
}

#[tokio::test]
async fn whoever_reads_the_bill_sees_which_calls_belong_together_and_which_usage_is_doubtful() {
    let house = House::open().await;
    let stage = house.furnish().await;
    add_failing_models(&house).await;
    let ask = async |model: &str, streamed| {
        let request = house.bare(Method::POST, MESSAGES).bearer_auth(&stage.key);
        let request = request.header("user-agent", CLAUDE_CODE);
        let answer = request.json(&asking(model, streamed)).send().await;
        let answer = answer.expect("an answer");
        let id = answer.headers()["request-id"]
            .to_str()
            .expect("text")
            .to_owned();
        answer.text().await.expect("a body");
        id
    };
    let first = ask("sandbox/cut", true).await;
    let again = ask("sandbox/echo", false).await;
    let doubtful = ask("sandbox/negative-usage", true).await;
    house
        .until("the rows are kept", || async {
            let links = call_link::Entity::of(stage.tenant).all(house.db().read());
            let doubts = usage_doubt::Entity::of(stage.tenant).all(house.db().read());
            links.await.is_ok_and(|rows| !rows.is_empty())
                && doubts.await.is_ok_and(|rows| !rows.is_empty())
        })
        .await;

    let mut member = house.signed_in(stage.member).await;
    let mut operator = house.signed_in(stage.operator).await;
    let broken = member.open(&format!("/console/usage/{first}")).await;
    let repeat = member.open(&format!("/console/usage/{again}")).await;
    let doubts = operator.open("/console/operator/doubts").await;

    assert!(broken.text.contains(&format!("/console/usage/{again}")));
    assert!(repeat.text.contains(&format!("/console/usage/{first}")));
    assert!(doubts.text.contains(&doubtful), "{}", doubts.text);
    assert!(doubts.text.contains("negative"), "{}", doubts.text);
    house.finish().await;
}

/// The sandbox's models that break off and miscount, for sale like its others.
async fn add_failing_models(house: &House) {
    use billing::shop::{
        channel::{self as shelf, Served},
        model::{self, AddModel, NewPrice},
        price_table::{ListPrice, PriceSheet},
    };
    use entity::{Actor, Credits, price_version};

    let now = house.clock.now();
    let names = ["sandbox/cut", "sandbox/negative-usage"];
    for name in names {
        let order = AddModel {
            name: name.to_owned(),
            kind: entity::model::Kind::Chat,
            context_window: Some(128_000),
            max_output: Some(4_000),
            capabilities: Vec::new(),
        };
        let model = model::add(house.db(), order, Actor::System, now)
            .await
            .expect("a model");
        let sheet = PriceSheet::plain(ListPrice {
            input: Credits::from_nanos(1_000_000_000),
            output: Credits::from_nanos(2_000_000_000),
            ..ListPrice::default()
        });
        let price = NewPrice {
            source: price_version::Source::Sandbox,
            ..NewPrice::of(model, sheet)
        };
        model::set_price(house.db(), price, Actor::System, now)
            .await
            .expect("a price");
    }
    let sandbox = channel::Entity::every()
        .one(house.db().read())
        .await
        .expect("channels read")
        .expect("the demo has one");
    let served = names
        .into_iter()
        .chain(["sandbox/echo"])
        .map(|name| Served {
            name: name.to_owned(),
            upstream_name: name.to_owned(),
        });
    shelf::serve(house.db(), sandbox.id, served.collect(), Actor::System, now)
        .await
        .expect("they are served");
}

#[tokio::test]
async fn what_a_client_is_owed_after_a_cut_is_said_once() {
    let gate = Gate::open().await;
    let answer = gate
        .post(MESSAGES, &asking("sandbox/cut", true))
        .send()
        .await;
    let text = answer.expect("an answer").text().await.expect("a body");

    assert_eq!(text.matches("event: error").count(), 1, "{text}");
    assert_eq!(
        text.matches("event: content_block_start").count(),
        text.matches("event: content_block_stop").count(),
        "{text}"
    );
    assert_eq!(gate.ended(1).await[0].outcome, Outcome::Settled);
    gate.finish().await;
}
