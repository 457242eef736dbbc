//! What a plan says to a call: models it leaves out, how many run at once, and quotas that are used up.

use billing::{
    plan::{self, NewPlan, PlanDocument, Quantity, Rule, Terms, Window},
    subscription::{self, Subscribe, WindowStand},
};
use entity::{
    Actor, Credits, PersonId, PlanId, SubscriptionId, Timestamp, channel, plan_version::Period,
    subscription::Source,
};
use serde_json::{Value, json};

use crate::support::{
    gate::{Gate, INPUT_NANOS, OUTPUT_NANOS, refusal},
    till::NOW,
    upstream::{Answer, Upstream},
};

const CHAT: &str = "/v1/chat/completions";

fn asking(model: &str) -> Value {
    json!({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "one two three"}], "input": "hi"})
}

/// Puts the tenant on a plan of these rules alone; its own credits pay.
pub async fn on_plan(gate: &Gate, rules: Vec<Rule>) {
    let order = NewPlan {
        id: PlanId::fresh(),
        name: "starter".to_owned(),
        title: "Starter".to_owned(),
        description: String::new(),
        terms: Terms {
            price_minor: 0,
            currency: "usd".to_owned(),
            period: Period::Month,
            allowance: Credits::ZERO,
            document: PlanDocument {
                version: plan::VERSION,
                rules,
            },
        },
        operator: PersonId::fresh(),
    };
    let version = plan::create(&gate.till.db, order, NOW)
        .await
        .expect("a plan");
    let wish = Subscribe {
        id: SubscriptionId::fresh(),
        tenant: gate.buyer.tenant,
        version: version.id,
        source: Source::Operator,
        periods: None,
        code: None,
        actor: Actor::System,
    };
    subscription::subscribe(&gate.till.db, wish, NOW)
        .await
        .expect("a subscription");
}

#[tokio::test]
async fn a_model_that_the_plan_leaves_out_is_refused_and_not_listed() {
    let gate = Gate::open().await;
    let allowed = Rule::ModelsAllowed {
        patterns: vec!["sandbox/story".to_owned()],
    };
    on_plan(&gate, vec![allowed]).await;

    let refused = refusal(
        gate.post(CHAT, &asking("sandbox/echo"))
            .send()
            .await
            .expect("an answer"),
    )
    .await;
    let served = gate
        .post(CHAT, &asking("sandbox/story"))
        .send()
        .await
        .expect("an answer");
    let list: Value = gate
        .get("/v1/models")
        .send()
        .await
        .expect("a list")
        .json()
        .await
        .expect("JSON");

    assert_eq!((refused.0, refused.1.as_str()), (403, "model_not_in_plan"));
    assert!(
        refused.2.contains("starter") || refused.2.contains("Starter"),
        "{}",
        refused.2
    );
    assert_eq!(served.status(), 200);
    let names: Vec<_> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|model| model["id"].clone())
        .collect();
    assert_eq!(names, [json!("sandbox/story")]);
    gate.finish().await;
}

#[tokio::test]
async fn one_call_too_many_at_once_is_asked_to_come_back_soon() {
    let gate = Gate::open().await;
    on_plan(&gate, vec![Rule::Concurrency { limit: 1 }]).await;
    let slow = json!({"choices": [{"message": {"content": "ok"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
    let upstream = Upstream::start([Answer::json(200, &slow).wait_first()]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "slow")
        .await;
    let first = tokio::spawn(gate.post(CHAT, &asking("slow")).send());
    gate.until("the first call runs", || async {
        upstream.requests().len() == 1
    })
    .await;

    let second = gate
        .post(CHAT, &asking("sandbox/echo"))
        .send()
        .await
        .expect("an answer");

    assert!(second.headers().contains_key("retry-after"));
    let (status, code, _) = refusal(second).await;
    assert_eq!((status, code.as_str()), (429, "concurrency_limit"));
    upstream.release();
    assert_eq!(
        first.await.expect("no panic").expect("an answer").status(),
        200
    );
    gate.ended(1).await;
    assert_eq!(
        gate.post(CHAT, &asking("sandbox/echo"))
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn calls_beyond_the_limit_wait_their_turn_and_are_served() {
    let gate = Gate::open_with(|config| {
        config.patience = std::time::Duration::from_secs(20);
        config.idle = std::time::Duration::from_secs(20);
    })
    .await;
    on_plan(&gate, vec![Rule::Concurrency { limit: 2 }]).await;
    let whole = json!({"choices": [{"message": {"content": "ok"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
    let upstream = Upstream::start([Answer::json(200, &whole).wait_first()]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "slow")
        .await;

    let calls: Vec<_> = (0..6)
        .map(|_| tokio::spawn(gate.post(CHAT, &asking("slow")).send()))
        .collect();
    for count in 1..=6 {
        let running = count.max(2);
        gate.until("as many run as may", || async {
            upstream.requests().len() >= running
        })
        .await;
        assert!(upstream.requests().len() <= count + 1, "two at a time");
        upstream.release();
        gate.ended(u64::try_from(count).expect("few")).await;
    }

    for call in calls {
        let answer = call.await.expect("no panic").expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_call_that_lacks_only_what_running_calls_hold_waits_for_them() {
    let gate = Gate::open_with(|config| {
        config.patience = std::time::Duration::from_secs(20);
        config.idle = std::time::Duration::from_secs(20);
    })
    .await;
    let whole = json!({"choices": [{"message": {"content": "ok"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
    let slow = Upstream::start([Answer::json(200, &whole).wait_first()]);
    gate.add_upstream(channel::Kind::Openai, &slow.base, "slow")
        .await;
    gate.spend_all().await;
    gate.grant(Credits::from_nanos(2_000_000)).await;
    let mut large = asking("slow");
    large["max_tokens"] = 1_000.into();
    let first = tokio::spawn(gate.post(CHAT, &large).send());
    gate.until("the first call holds everything", || async {
        slow.requests().len() == 1
    })
    .await;

    let second = tokio::spawn(gate.post(CHAT, &asking("sandbox/echo")).send());
    gate.until("the second waits", || async { gate.lanes.waiting() == 1 })
        .await;
    slow.release();

    for call in [first, second] {
        let answer = call.await.expect("no panic").expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    slow.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn who_hangs_up_while_waiting_holds_nothing() {
    let gate = Gate::open_with(|config| config.patience = std::time::Duration::from_secs(20)).await;
    on_plan(&gate, vec![Rule::Concurrency { limit: 1 }]).await;
    let whole = json!({"choices": [{"message": {"content": "ok"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
    let upstream = Upstream::start([Answer::json(200, &whole).wait_first()]);
    gate.add_upstream(channel::Kind::Openai, &upstream.base, "slow")
        .await;
    let first = tokio::spawn(gate.post(CHAT, &asking("slow")).send());
    gate.until("the first call runs", || async {
        upstream.requests().len() == 1
    })
    .await;

    let second = tokio::spawn(gate.post(CHAT, &asking("slow")).send());
    gate.until("the second waits", || async { gate.lanes.waiting() == 1 })
        .await;
    second.abort();
    drop(second.await);
    gate.until("nobody waits", || async { gate.lanes.waiting() == 0 })
        .await;
    upstream.release();

    let answer = first.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), 200);
    gate.ended(1).await;
    assert_eq!(upstream.requests().len(), 1, "only the first was made");
    upstream.stop().await;
    gate.finish().await;
}

#[tokio::test]
async fn a_used_up_quota_names_its_window_and_when_it_is_whole_again() {
    let gate = Gate::open().await;
    let daily = Rule::Quota {
        name: "daily".to_owned(),
        window: Window::Day,
        models: Vec::new(),
        limit: Quantity::Requests(2),
    };
    on_plan(&gate, vec![daily]).await;
    for _ in 0..2 {
        let answer = gate
            .post(CHAT, &asking("sandbox/echo"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    let third = gate
        .post(CHAT, &asking("sandbox/echo"))
        .send()
        .await
        .expect("an answer");
    let codex: Value = gate
        .post("/v1/responses", &asking("sandbox/echo"))
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");

    let header = |name: &str| {
        third
            .headers()
            .get(name)
            .map(|value| value.to_str().expect("text").to_owned())
    };
    assert_eq!(header("x-should-retry").as_deref(), Some("false"));
    let wait: u64 = header("retry-after")
        .expect("a wait")
        .parse()
        .expect("seconds");
    assert!(wait <= 60, "clients honour hours and hang");
    let (status, code, message) = refusal(third).await;
    assert_eq!((status, code.as_str()), (429, "quota_exhausted"));
    assert!(
        message.contains("daily") && message.contains("UTC"),
        "{message}"
    );
    assert_eq!(codex["error"]["type"], "usage_limit_reached");
    assert!(codex["error"]["resets_at"].is_i64());
    let spent: i64 = gate
        .ended(2)
        .await
        .iter()
        .map(|row| row.charge.nanos())
        .sum();
    assert_eq!(spent, 2 * (3 * INPUT_NANOS + 3 * OUTPUT_NANOS));
    gate.finish().await;
}

#[tokio::test]
async fn a_multiplier_of_the_plan_is_in_the_charge() {
    let gate = Gate::open().await;
    let dearer = Rule::Multiplier {
        patterns: vec!["sandbox/*".to_owned()],
        ppm: 1_500_000,
    };
    on_plan(&gate, vec![dearer]).await;

    let answer = gate
        .post(CHAT, &asking("sandbox/echo"))
        .send()
        .await
        .expect("an answer");

    assert_eq!(answer.status(), 200);
    let row = gate.ended(1).await.pop().expect("a row");
    assert_eq!(
        row.charge.nanos() * 2,
        3 * (3 * INPUT_NANOS + 3 * OUTPUT_NANOS)
    );
    assert_eq!(row.multiplier_ppm, 1_500_000);
    gate.finish().await;
}

#[tokio::test]
async fn a_window_says_how_much_of_it_is_used_and_when_it_starts_anew() {
    let gate = Gate::open().await;
    let daily = Rule::Quota {
        name: "daily".to_owned(),
        window: Window::Day,
        models: Vec::new(),
        limit: Quantity::Requests(20),
    };
    on_plan(&gate, vec![daily]).await;
    let windows = async || {
        let plans = subscription::current(&gate.till.db, gate.buyer.tenant, NOW).await;
        let plans = plans.expect("plans read");
        subscription::windows(&gate.till.db, &plans[0], NOW)
            .await
            .expect("windows read")
    };

    let before = windows().await;
    for _ in 0..3 {
        let answer = gate.post(CHAT, &asking("sandbox/echo")).send().await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    gate.ended(3).await;
    let after = windows().await;

    let stand = |used| WindowStand {
        name: "daily".to_owned(),
        window: Window::Day,
        limit: Quantity::Requests(20),
        used: Quantity::Requests(used),
        resets_at: Timestamp::from_micros(1_795_046_400_000_000),
    };
    assert_eq!(before, [stand(0)]);
    assert_eq!(after, [stand(3)]);
    gate.finish().await;
}
