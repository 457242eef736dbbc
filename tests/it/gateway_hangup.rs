//! Clients that go away: nothing is lost, nothing is charged twice, and hanging up is no way to save.

use std::{sync::Arc, time::Duration};

use billing::sweeper;
use entity::{
    Platform, Scoped, channel, group, hold,
    usage::{Finish, Outcome, Quality},
};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, sync::Notify};

use crate::support::{
    bare::{Bare, STREAM_HEAD},
    gate::{Gate, INPUT_NANOS, KEY, OUTPUT_NANOS},
    upstream::{Answer, Upstream},
};

const CHAT: &str = "/v1/chat/completions";

fn asking(model: &str, streamed: bool) -> Value {
    json!({"model": model, "stream": streamed, "max_tokens": 400, "messages": [{"role": "user", "content": "tell me"}]})
}

#[tokio::test]
async fn hanging_up_before_the_body_has_arrived_makes_no_call() {
    let gate = Gate::open().await;
    let address = gate.base.trim_start_matches("http://").to_owned();
    let mut socket = tokio::net::TcpStream::connect(&address)
        .await
        .expect("a connection");
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{"
    );
    socket
        .write_all(head.as_bytes())
        .await
        .expect("the head is sent");

    drop(socket);

    let answer = gate
        .post(CHAT, &asking("sandbox/echo", false))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(
        gate.ended(1).await.len(),
        1,
        "only the second call was made"
    );
    gate.finish().await;
}

#[tokio::test]
async fn hanging_up_while_the_upstream_thinks_still_settles_what_it_then_says() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([Answer::json(
        200,
        &json!({
        "choices": [{"message": {"role": "assistant", "content": "late"}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}),
    )
    .wait_first()]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "slow")
        .await;
    let request = tokio::spawn(gate.post(CHAT, &asking("slow", false)).send());
    gate.until("the upstream was asked", || async {
        upstream.requests().len() == 1
    })
    .await;

    request.abort();
    drop(request.await);
    upstream.release();

    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(
        (row.outcome, row.quality),
        (Outcome::Settled, Quality::Exact)
    );
    assert_eq!(row.charge.nanos(), 5 * INPUT_NANOS + 2 * OUTPUT_NANOS);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn hanging_up_in_the_middle_is_charged_by_the_true_usage() {
    let gate = Gate::open_with(|config| config.sandbox_pace = Duration::from_millis(3)).await;
    let mut answer = gate
        .post(CHAT, &asking("sandbox/story", true))
        .send()
        .await
        .expect("an answer");
    answer.chunk().await.expect("a piece").expect("a piece");

    drop(answer);

    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(
        (row.outcome, row.finish, row.quality),
        (Outcome::Settled, Finish::ClientGone, Quality::Exact)
    );
    assert_eq!(row.charge.nanos(), 2 * INPUT_NANOS + 400 * OUTPUT_NANOS);
    gate.finish().await;
}

#[tokio::test]
async fn hanging_up_just_before_the_end_costs_the_same_as_staying() {
    let gate = Gate::open().await;
    let upstream = Upstream::start([Answer::stream(&[
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":40}}\n\ndata: [DONE]\n\n",
    ])
    .wait_before_last()]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "slow")
        .await;
    let mut answer = gate
        .post(CHAT, &asking("slow", true))
        .send()
        .await
        .expect("an answer");
    let mut text = String::new();
    while !text.contains("\"stop\"") {
        let piece = answer.chunk().await.expect("a piece").expect("a piece");
        text.push_str(&String::from_utf8_lossy(&piece));
    }

    drop(answer);
    upstream.release();

    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(
        (row.outcome, row.quality),
        (Outcome::Settled, Quality::Exact)
    );
    assert_eq!(row.charge.nanos(), 50 * INPUT_NANOS + 40 * OUTPUT_NANOS);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn an_answer_that_goes_on_for_nobody_is_stopped_and_charged_as_far_as_it_came() {
    let gate = Gate::open_with(|config| {
        config.drain = Duration::from_millis(100);
        config.idle = Duration::from_secs(20);
    })
    .await;
    let upstream = Upstream::start([Answer::stream(&[
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there\"},\"finish_reason\":null}]}\n\n",
    ])
    .then_hang()]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "endless")
        .await;
    let mut answer = gate
        .post(CHAT, &asking("endless", true))
        .send()
        .await
        .expect("an answer");
    answer.chunk().await.expect("a piece").expect("a piece");

    drop(answer);

    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(
        (row.outcome, row.finish, row.quality),
        (Outcome::Settled, Finish::ClientGone, Quality::Counted)
    );
    assert_eq!(row.output_tokens, 2);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn leaving_an_upstream_at_work_costs_its_input() {
    let gate = Gate::open_with(|config| {
        config.drain = Duration::from_millis(100);
        config.idle = Duration::from_secs(20);
    })
    .await;
    let upstream = Upstream::start([Answer::json(200, &json!({})).wait_first()]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "slow")
        .await;
    let address = gate.base.trim_start_matches("http://").to_owned();
    let mut socket = tokio::net::TcpStream::connect(&address)
        .await
        .expect("a connection");
    let body = asking("slow", false).to_string();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket
        .write_all(head.as_bytes())
        .await
        .expect("the request is sent");
    gate.until("the upstream was asked", || async {
        upstream.requests().len() == 1
    })
    .await;

    // A reset is noticed at once; a client that closes in order is waited for.
    socket.set_zero_linger().expect("a socket option");
    drop(socket);

    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(
        (row.outcome, row.finish, row.quality),
        (Outcome::Settled, Finish::ClientGone, Quality::Counted)
    );
    assert!(row.input_tokens > 0 && row.output_tokens == 0);
    assert_eq!(row.charge.nanos(), row.input_tokens * INPUT_NANOS);
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_call_that_is_lost_at_an_upstream_costs_its_input_and_no_more() {
    let gate = Gate::open().await;
    let late = json!({
        "choices": [{"message": {"role": "assistant", "content": "late"}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9},
    });
    let upstream = Upstream::start([Answer::json(200, &late).wait_first()]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "slow")
        .await;
    let asked = tokio::spawn(gate.post(CHAT, &asking("slow", false)).send());
    gate.until("the call was noted", || async {
        let hold = hold::Entity::of(gate.buyer.tenant)
            .one(gate.till.db.read())
            .await
            .expect("holds read");
        hold.is_some_and(|hold| hold.checkpoint_charge.is_positive())
    })
    .await;

    gate.clock.advance(Duration::from_hours(1));
    let swept = sweeper::sweep(&gate.till.db, &gate.lanes, gate.clock.now())
        .await
        .expect("the sweeper works");

    assert_eq!(swept.expired, 1);
    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(
        (row.outcome, row.finish, row.quality),
        (Outcome::Expired, Finish::Lost, Quality::Checkpoint)
    );
    assert!(row.input_tokens > 0 && row.output_tokens == 0);
    assert_eq!(row.charge.nanos(), row.input_tokens * INPUT_NANOS);
    upstream.release();
    let late = asked.await.expect("a task").expect("an answer");
    assert_eq!(late.status(), 200);
    assert_eq!(gate.ended(1).await.len(), 1, "it ends once");
    gate.finish().await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_left_and_pays_for_the_whole() {
    let gate = Gate::open_with(|config| {
        config.unread = Duration::from_millis(100);
        config.sandbox_pace = Duration::ZERO;
    })
    .await;
    let address = gate.base.trim_start_matches("http://").to_owned();
    let mut socket = tokio::net::TcpStream::connect(&address)
        .await
        .expect("a connection");
    // Long words fill the socket's buffers, so that the gateway has to wait for a reader.
    let words = vec!["x".repeat(20_000); 900].join(" ");
    let body = json!({"model": "sandbox/echo", "stream": true, "max_tokens": 900,
                      "messages": [{"role": "user", "content": words}]})
    .to_string();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket
        .write_all(head.as_bytes())
        .await
        .expect("the head is sent");
    socket
        .write_all(body.as_bytes())
        .await
        .expect("the body is sent");

    let row = gate.ended(1).await.pop().expect("a row");

    assert_eq!(
        (row.outcome, row.finish, row.quality),
        (Outcome::Settled, Finish::ClientGone, Quality::Exact)
    );
    assert_eq!(row.charge.nanos(), 900 * (INPUT_NANOS + OUTPUT_NANOS));
    drop(socket);
    gate.finish().await;
}

/// An upstream that says a word, goes on when told to, and notes that it was cut off.
async fn talker(go_on: &Arc<Notify>, cut: &Arc<Notify>) -> Bare {
    let (go_on, cut) = (Arc::clone(go_on), Arc::clone(cut));
    Bare::start(move |mut socket| {
        let (go_on, cut) = (Arc::clone(&go_on), Arc::clone(&cut));
        async move {
            let word = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there\"},\"finish_reason\":null}]}\n\n";
            let rest = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":50,\"completion_tokens\":40}}\n\ndata: [DONE]\n\n";
            drop(socket.write_all(STREAM_HEAD).await);
            drop(socket.write_all(word.as_bytes()).await);
            let mut byte = [0];
            tokio::select! {
                () = go_on.notified() => drop(socket.write_all(rest.as_bytes()).await),
                _ = tokio::io::AsyncReadExt::read(&mut socket, &mut byte) => cut.notify_one(),
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_group_may_stop_at_once_when_its_client_hangs_up() {
    // Only the setting can end these calls: every other limit is hours away.
    let gate = Gate::open_with(|config| {
        config.drain = Duration::from_hours(1);
        config.idle = Duration::from_hours(1);
        config.first_byte = Duration::from_hours(1);
    })
    .await;
    let (go_on, cut) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let upstream = talker(&go_on, &cut).await;
    let silent = Upstream::start([Answer::json(200, &json!({})).wait_first()]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "talks")
        .await;
    gate.add_upstream(channel::Kind::Openai, &silent.base, "thinks")
        .await;
    let hear_a_word = async || {
        let mut answer = gate
            .post(CHAT, &asking("talks", true))
            .send()
            .await
            .expect("an answer");
        answer.chunk().await.expect("a piece").expect("a piece");
        answer
    };

    drop(hear_a_word().await);
    go_on.notify_one();
    let drained = gate.ended(1).await.pop().expect("a row");
    let row = group::Entity::change().filter(group::Column::Id.eq(gate.group));
    gate.change(row, group::Column::StopsWhenLeft, true).await;
    drop(hear_a_word().await);
    cut.notified().await;
    let stopped = gate.ended(2).await.pop().expect("a row");
    let asked = tokio::spawn(gate.post(CHAT, &asking("thinks", true)).send());
    gate.until("the upstream was asked", || async {
        silent.requests().len() == 1
    })
    .await;
    asked.abort();
    drop(asked.await);
    let unheard = gate.ended(3).await.pop().expect("a row");

    assert_eq!(
        (drained.outcome, drained.quality),
        (Outcome::Settled, Quality::Exact),
        "without it the answer is read on"
    );
    assert_eq!(drained.charge.nanos(), 50 * INPUT_NANOS + 40 * OUTPUT_NANOS);
    assert_eq!(
        (stopped.outcome, stopped.finish, stopped.quality),
        (Outcome::Settled, Finish::ClientGone, Quality::Counted),
        "with it what was counted is charged, and the row says so"
    );
    assert_eq!(stopped.output_tokens, 2);
    assert_eq!(
        stopped.charge.nanos(),
        stopped.input_tokens * INPUT_NANOS + 2 * OUTPUT_NANOS
    );
    assert_eq!(
        (unheard.finish, unheard.quality, unheard.output_tokens),
        (Finish::ClientGone, Quality::Counted, 0)
    );
    assert_eq!(unheard.charge.nanos(), unheard.input_tokens * INPUT_NANOS);
    silent.release();
    silent.stop().await;
    gate.finish().await;
}
