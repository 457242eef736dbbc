//! Promises of prices: every class is charged, versions begin at their moment, tenants have a multiplier of their own, and
//! tables are taken over to the digit.

use crate::support::{
    gate::{Gate, INPUT_NANOS, OUTPUT_NANOS},
    till::{NOW, Till},
    upstream::{Answer, Upstream},
};
use billing::shop::{
    import::import,
    model::{self, NewPrice, SetPriceError, latest_in, sale_of, set_price},
    price_table::{ListPrice, PriceSheet, PriceTable},
    tenant::{MultiplierError, set_multiplier},
};
use entity::{
    Actor, Credits, ModelId, Platform, Timestamp, channel::Kind, price_version, tenant, usage,
};
use sea_orm::{ColumnTrait, QueryFilter};
use serde_json::{Value, json};
use std::time::Duration;

fn nanos(nanos: i64) -> Credits {
    Credits::from_nanos(nanos)
}

/// A price for one token, as the list says it: for a million.
fn per_token(price: i64) -> Credits {
    nanos(price * 1_000_000)
}

fn sheet() -> PriceSheet {
    PriceSheet::plain(ListPrice {
        input: per_token(INPUT_NANOS),
        output: per_token(OUTPUT_NANOS),
        ..ListPrice::default()
    })
}

async fn versions(till: &Till, model: ModelId) -> Vec<price_version::Model> {
    let rows = price_version::Entity::every()
        .filter(price_version::Column::ModelId.eq(model))
        .all(till.db.read())
        .await;
    rows.expect("prices read")
}

/// One call of a model that an upstream answers so, and the row it became.
async fn called(
    gate: &Gate,
    (kind, path): (Kind, &str),
    (name, price): (&str, Option<NewPrice>),
    (request, answer): (Value, Value),
) -> usage::Model {
    let before = gate.ended_so_far().await;
    let upstream = Upstream::start([Answer::json(200, &answer)]);
    gate.add_upstream(kind, &upstream.base, name).await;
    if let Some(price) = price {
        let model = gate.model(name).await.id;
        let price = NewPrice { model, ..price };
        set_price(&gate.till.db, price, Actor::System, NOW)
            .await
            .expect("a price");
        // The price of the model's making holds at this very moment; the new one a microsecond later.
        gate.clock.advance(Duration::from_millis(1));
    }
    let mut body = request;
    body["model"] = name.into();
    let seen = gate.post(path, &body).send().await.expect("an answer");
    assert_eq!(seen.status(), 200, "{name}");
    seen.bytes().await.expect("a body");
    let mut rows = gate.ended(before + 1).await;
    rows.sort_by_key(|row| row.id);
    upstream.stop().await;
    rows.pop().expect("a row")
}

#[tokio::test]
async fn sound_pictures_reasoning_and_searches_are_charged_at_their_own_prices() {
    let gate = Gate::open().await;
    let mut sale = sheet();
    sale.base.reasoning = Some(per_token(3_000));
    sale.base.input_audio = Some(per_token(40_000));
    sale.base.output_audio = Some(per_token(80_000));
    sale.base.web_search = Some(nanos(25_000_000));
    sale.per_request = nanos(500);
    let mut cost = sheet();
    cost.base.input_audio = Some(per_token(20_000));
    cost.base.web_search = Some(nanos(10_000_000));
    let price = NewPrice {
        cost: Some(cost),
        ..NewPrice::of(ModelId::fresh(), sale)
    };
    let ask = json!({"messages": [{"role": "user", "content": "x".repeat(4_000)}], "input": "x".repeat(4_000), "max_tokens": 200});

    let chat = json!({"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 50, "prompt_tokens_details": {"audio_tokens": 30},
                  "completion_tokens_details": {"audio_tokens": 20, "reasoning_tokens": 10}}});
    let row = called(
        &gate,
        (Kind::Openai, "/v1/chat/completions"),
        ("heard", Some(price.clone())),
        (ask.clone(), chat),
    )
    .await;
    let expected =
        70 * INPUT_NANOS + 30 * 40_000 + 20 * OUTPUT_NANOS + 10 * 3_000 + 20 * 80_000 + 500;
    assert_eq!(row.charge.nanos(), expected);
    assert_eq!((row.input_audio_tokens, row.output_audio_tokens), (30, 20));
    let cost = 70 * INPUT_NANOS + 30 * 20_000 + 50 * OUTPUT_NANOS;
    assert_eq!(row.provider_cost, Some(cost));

    let item = |kind: &str| json!({"type": "web_search_call", "status": "completed", "action": {"type": kind}});
    let responses = json!({"id": "r", "status": "completed", "error": null,
        "output": [item("search"), item("search"), item("open_page"), {"type": "message", "content": []}],
        "usage": {"input_tokens": 10, "output_tokens": 4}});
    let mut asked = ask.clone();
    asked["tools"] = json!([{"type": "web_search"}]);
    let row = called(
        &gate,
        (Kind::Openai, "/v1/responses"),
        ("seeking", Some(price.clone())),
        (asked, responses),
    )
    .await;
    assert_eq!(row.web_searches, 2);
    let expected = 10 * INPUT_NANOS + 4 * OUTPUT_NANOS + 2 * 25_000_000 + 500;
    assert_eq!(row.charge.nanos(), expected);

    // Without a price of its own a search costs the stated fallback, never nothing.
    let messages = json!({"type": "message", "role": "assistant", "content": [], "stop_reason": "end_turn",
        "usage": {"input_tokens": 6, "output_tokens": 3, "server_tool_use": {"web_search_requests": 3}}});
    let mut asked = ask;
    asked["tools"] = json!([{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]);
    let row = called(
        &gate,
        (Kind::Anthropic, "/v1/messages"),
        ("plain", None),
        (asked, messages),
    )
    .await;
    let expected = 6 * INPUT_NANOS + 3 * OUTPUT_NANOS + 3 * billing::rating::WEB_SEARCH_FALLBACK;
    assert_eq!(row.charge.nanos(), expected);
    gate.finish().await;
}

#[tokio::test]
async fn a_search_that_no_upstream_was_offered_costs_nothing() {
    let gate = Gate::open().await;
    let ask = json!({"input": "seek", "max_output_tokens": 400, "tools": [{"type": "web_search"}]});
    let chat = json!({"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2}});
    let row = called(
        &gate,
        (Kind::OpenaiCompatible, "/v1/responses"),
        ("crossing", None),
        (ask, chat),
    )
    .await;
    assert_eq!(row.web_searches, 0);
    assert_eq!(row.charge.nanos(), 7 * INPUT_NANOS + 2 * OUTPUT_NANOS);
    gate.finish().await;
}

#[tokio::test]
async fn a_price_for_later_holds_from_its_moment_on_without_a_restart() {
    let gate = Gate::open().await;
    let model = gate.model("sandbox/echo").await.id;
    let mut dearer = sheet();
    dearer.base.input = per_token(10 * INPUT_NANOS);
    let hour = Duration::from_hours(1);
    let price = NewPrice {
        effective_at: Some(NOW.plus(hour)),
        ..NewPrice::of(model, dearer)
    };
    let version = set_price(&gate.till.db, price, Actor::System, NOW).await;
    let version = version.expect("a price");
    let request = json!({"model": "sandbox/echo", "messages": [{"role": "user", "content": "one two three"}]});
    let call = async || {
        let before = gate.ended_so_far().await;
        let answer = gate.post("/v1/chat/completions", &request).send().await;
        assert_eq!(answer.expect("an answer").status(), 200);
        let mut rows = gate.ended(before + 1).await;
        rows.sort_by_key(|row| row.id);
        rows.pop().expect("a row")
    };

    let before = call().await;
    gate.clock.advance(hour);
    gate.until("the price holds", async || {
        call().await.price_version_id == version
    })
    .await;
    let after = call().await;

    assert_eq!(before.charge.nanos(), 3 * INPUT_NANOS + 3 * OUTPUT_NANOS);
    assert_eq!(after.charge.nanos(), 30 * INPUT_NANOS + 3 * OUTPUT_NANOS);
    gate.finish().await;
}

#[tokio::test]
async fn a_tenants_multiplier_holds_from_the_next_call_and_is_kept_with_it() {
    let gate = Gate::open().await;
    let tenant = gate.buyer.tenant;
    let request = json!({"model": "sandbox/echo", "messages": [{"role": "user", "content": "one two three"}]});
    let set = |ppm| {
        let reason = "a large customer".to_owned();
        set_multiplier(&gate.till.db, tenant, ppm, Actor::System, reason, NOW)
    };

    set(800_000).await.expect("set");
    let answer = gate.post("/v1/chat/completions", &request).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
    let row = gate.ended(1).await.pop().expect("a row");
    for absurd in [0, -1, i64::MIN, 1_000_000_001, i64::MAX] {
        assert!(matches!(
            set(absurd).await,
            Err(MultiplierError::OutOfRange)
        ));
    }

    let list = 3 * INPUT_NANOS + 3 * OUTPUT_NANOS;
    assert_eq!(row.charge.nanos(), list * 8 / 10);
    assert_eq!(row.multiplier_ppm, 800_000);
    let kept = tenant::Entity::every()
        .filter(tenant::Column::Id.eq(tenant))
        .one(gate.till.db.read())
        .await;
    assert_eq!(
        kept.expect("reads").expect("it is there").multiplier_ppm,
        800_000
    );
    gate.finish().await;
}

#[tokio::test]
async fn absurd_prices_and_moments_are_refused_and_change_nothing() {
    let gate = Gate::open().await;
    let model = gate.model("sandbox/echo").await.id;
    let before = versions(&gate.till, model).await;
    let set = |price| set_price(&gate.till.db, price, Actor::System, NOW);
    let with = |change: fn(&mut PriceSheet)| {
        let mut sale = sheet();
        change(&mut sale);
        NewPrice::of(model, sale)
    };
    let at = |effective_at| NewPrice {
        effective_at: Some(effective_at),
        ..with(|_| {})
    };

    for price in [
        with(|sale| sale.base.input = nanos(-1)),
        with(|sale| sale.base.output = nanos(i64::MAX)),
        with(|sale| sale.base.web_search = Some(nanos(-1))),
        with(|sale| sale.base.output_audio = Some(nanos(i64::MIN))),
        with(|sale| sale.per_request = nanos(1_000_000_000_000_001)),
        NewPrice {
            cost: Some(PriceSheet::plain(ListPrice {
                input: nanos(-1),
                ..ListPrice::default()
            })),
            ..with(|_| {})
        },
    ] {
        assert!(matches!(set(price).await, Err(SetPriceError::OutOfRange)));
    }
    for price in [
        with(|sale| sale.long_prompt = vec![(0, sale.base)]),
        with(|sale| sale.long_prompt = vec![(5, sale.base), (5, sale.base)]),
        with(|sale| sale.long_prompt = vec![(u64::MAX, sale.base)]),
        with(|sale| sale.long_prompt = (1..=9).map(|above| (above, sale.base)).collect()),
        with(|sale| {
            let searching = ListPrice {
                web_search: Some(nanos(1)),
                ..sale.base
            };
            sale.long_prompt = vec![(5, searching)];
        }),
    ] {
        assert!(matches!(set(price).await, Err(SetPriceError::Lengths)));
    }
    for moment in [
        NOW.minus(Duration::from_micros(1)),
        Timestamp::from_micros(i64::MIN),
        Timestamp::from_micros(i64::MAX),
        NOW.plus(Duration::from_hours(24 * 366 * 11)),
    ] {
        assert!(matches!(set(at(moment)).await, Err(SetPriceError::Moment)));
    }
    let nobody = NewPrice::of(ModelId::fresh(), sheet());
    assert!(matches!(set(nobody).await, Err(SetPriceError::NoModel)));
    assert_eq!(versions(&gate.till, model).await, before);
    gate.finish().await;
}

#[tokio::test]
async fn of_two_prices_for_one_moment_the_one_set_later_holds() {
    let gate = Gate::open().await;
    let (db, model) = (&gate.till.db, gate.model("sandbox/echo").await.id);
    let tomorrow = NOW.plus(Duration::from_hours(24));

    for input in [7, 8, 9] {
        let mut sale = sheet();
        sale.base.input = per_token(input);
        let price = NewPrice {
            effective_at: Some(tomorrow),
            ..NewPrice::of(model, sale)
        };
        set_price(db, price, Actor::System, NOW)
            .await
            .expect("a price");
    }

    let now = latest_in(db.read(), model, NOW).await.expect("reads");
    assert_eq!(now.expect("a price").input, per_token(INPUT_NANOS).nanos());
    let soon = tomorrow.plus(Duration::from_millis(1));
    let then = latest_in(db.read(), model, soon).await.expect("reads");
    assert_eq!(then.expect("a price").input, per_token(9).nanos());
    gate.finish().await;
}

#[tokio::test]
async fn a_blocked_model_whose_price_is_still_to_come_comes_back_for_sale() {
    let till = Till::open().await;
    let order = model::AddModel {
        name: "later".to_owned(),
        kind: entity::model::Kind::Chat,
        context_window: None,
        max_output: None,
        capabilities: Vec::new(),
    };
    let id = model::add(&till.db, order, Actor::System, NOW)
        .await
        .expect("a model");
    let price = NewPrice {
        effective_at: Some(NOW.plus(Duration::from_hours(1))),
        ..NewPrice::of(id, sheet())
    };
    set_price(&till.db, price, Actor::System, NOW)
        .await
        .expect("a price");
    model::block(&till.db, id, "wait".to_owned(), Actor::System, NOW)
        .await
        .expect("blocked");

    model::unblock(&till.db, id, Actor::System, NOW)
        .await
        .expect("unblocked");

    let row = entity::model::Entity::every().one(till.db.read()).await;
    let row = row.expect("reads").expect("the model");
    assert_eq!(row.status, entity::model::Status::Active);
    till.finish().await;
}

#[tokio::test]
async fn the_communitys_table_is_taken_over_to_the_digit_and_twice_changes_nothing() {
    let till = Till::open().await;
    let table = PriceTable::parse(
        r#"{"sample_spec": {"mode": "one of chat, embedding.."},
            "heard-1": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05,
                "input_cost_per_audio_token": 3.2e-05, "output_cost_per_audio_token": 6.4e-05, "output_cost_per_image": 0.04,
                "search_context_cost_per_query": {"search_context_size_medium": 0.035},
                "input_cost_per_token_above_272k_tokens": 5e-06, "output_cost_per_token_above_272k_tokens": 2.25e-05},
            "gemini/seen-1": {"litellm_provider": "gemini", "mode": "chat", "input_cost_per_token": 1.3e-07, "output_cost_per_token": 0}}"#,
    )
    .expect("a table");
    let names: Vec<String> = table.lines.iter().map(|line| line.model.clone()).collect();

    let first = import(&till.db, &table, &names, Actor::System, NOW).await;
    let second = import(&till.db, &table, &names, Actor::System, NOW).await;

    assert_eq!(names, ["heard-1", "seen-1"]);
    assert_eq!(first.expect("an import").added, 2);
    assert_eq!(second.expect("an import").kept, 2);
    let heard = entity::model::Entity::every()
        .filter(entity::model::Column::Name.eq("heard-1"))
        .one(till.db.read())
        .await;
    let heard = heard.expect("reads").expect("the model").id;
    let row = latest_in(till.db.read(), heard, NOW).await;
    let row = row.expect("reads").expect("a price");
    let sale = sale_of(&row).expect("a sheet");
    let line = table.line("heard-1").expect("a line");
    assert_eq!(Some(&sale), line.price.as_ref());
    assert_eq!(line.uncharged, ["output_cost_per_image"]);
    assert_eq!(sale.base.web_search, Some(nanos(35_000_000)));
    till.finish().await;
}
