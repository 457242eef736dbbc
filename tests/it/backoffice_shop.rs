//! Promises of what operators may change in the shop.

use crate::support::{
    gate::{Gate, refusal},
    till::{NOW, Till},
};
use billing::shop::{
    channel::{self, AddChannel, AddChannelError, SealedSecret, ServeError, Served},
    group::{self, AddGroup, ChangeGroup, ChangeGroupError},
    import::{Imported, import},
    model::{self, BlockError, NewPrice},
    price_table::PriceTable,
};
use entity::{
    Actor, ChannelId, Credits, Database, ModelId, PersonId, Platform, audit_trail, channel_model,
    group as groups, group_channel, model as models, price_version,
};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};
use std::{collections::BTreeSet, time::Duration};

fn operator() -> Actor {
    Actor::Operator(PersonId::fresh())
}

fn served(name: &str) -> Served {
    Served {
        name: name.to_owned(),
        upstream_name: name.to_owned(),
    }
}

async fn named(db: &Database, name: &str) -> models::Model {
    models::Entity::every()
        .filter(models::Column::Name.eq(name))
        .one(db.read())
        .await
        .expect("the store answers")
        .expect("a model of this name")
}

async fn prices(db: &Database, model: ModelId) -> Vec<price_version::Model> {
    price_version::Entity::every()
        .filter(price_version::Column::ModelId.eq(model))
        .order_by_asc(price_version::Column::Id)
        .all(db.read())
        .await
        .expect("the store answers")
}

async fn actions(db: &Database) -> Vec<String> {
    audit_trail::Entity::every()
        .order_by_asc(audit_trail::Column::Id)
        .all(db.read())
        .await
        .expect("the store answers")
        .into_iter()
        .map(|line| line.action)
        .collect()
}

async fn added_channel(db: &Database, name: &str) -> ChannelId {
    let id = ChannelId::fresh();
    let order = AddChannel {
        id,
        name: name.to_owned(),
        kind: entity::channel::Kind::OpenaiCompatible,
        base_url: "https://api.example.com/v1".to_owned(),
        secret: Some(SealedSecret {
            bytes: vec![1, 2, 3],
            hint: "cdef".to_owned(),
        }),
        options: entity::channel::Options::default(),
    };
    channel::add(db, order, operator(), NOW)
        .await
        .expect("a channel");
    id
}

#[tokio::test]
async fn an_import_adds_models_with_their_prices_and_twice_changes_nothing() {
    let till = Till::open().await;
    let table = PriceTable::shipped();
    let chosen = [
        "claude-sonnet-4-5".to_owned(),
        "gpt-5.4".to_owned(),
        "no-such".to_owned(),
    ];

    let first = import(&till.db, &table, &chosen, operator(), NOW)
        .await
        .expect("an import");
    let second = import(&till.db, &table, &chosen, operator(), NOW)
        .await
        .expect("an import");

    assert_eq!((first.added, first.priced, first.kept), (2, 0, 0));
    assert_eq!(
        second,
        Imported {
            added: 0,
            priced: 0,
            kept: 2
        }
    );
    let sonnet = named(&till.db, "claude-sonnet-4-5").await;
    assert_eq!(sonnet.status, models::Status::Active);
    let price = prices(&till.db, sonnet.id).await;
    assert_eq!(price.len(), 1);
    assert_eq!(
        (price[0].input, price[0].output),
        (3_000_000_000, 15_000_000_000)
    );
    assert_eq!(price[0].source, price_version::Source::Table);
    let gpt = named(&till.db, "gpt-5.4").await;
    let tiers = prices(&till.db, gpt.id).await[0]
        .tiers
        .clone()
        .expect("a tier");
    assert!(tiers.contains("272000"), "{tiers}");
    till.finish().await;
}

#[tokio::test]
async fn an_import_leaves_a_price_that_was_set_by_hand() {
    let till = Till::open().await;
    let table = PriceTable::shipped();
    let chosen = ["claude-sonnet-4-5".to_owned()];
    import(&till.db, &table, &chosen, operator(), NOW)
        .await
        .expect("an import");
    let sonnet = named(&till.db, "claude-sonnet-4-5").await;
    let mut sale = table
        .line("claude-sonnet-4-5")
        .and_then(|line| line.price.clone())
        .expect("a price");
    sale.base.input = Credits::parse("4").expect("a decimal");
    let by_hand = NewPrice::of(sonnet.id, sale);
    let later = NOW.plus(Duration::from_mins(1));
    model::set_price(&till.db, by_hand, operator(), later)
        .await
        .expect("a price");

    let again = import(&till.db, &table, &chosen, operator(), later)
        .await
        .expect("an import");

    assert_eq!(
        again,
        Imported {
            added: 0,
            priced: 0,
            kept: 1
        }
    );
    let latest = model::latest_in(till.db.read(), sonnet.id, later)
        .await
        .expect("the store answers");
    assert_eq!(latest.expect("a price").input, 4_000_000_000);
    assert_eq!(
        prices(&till.db, sonnet.id).await.len(),
        2,
        "the earlier price stays as it was"
    );
    till.finish().await;
}

#[tokio::test]
async fn a_channel_serves_priced_models_at_once_and_hides_unpriced_ones() {
    let till = Till::open().await;
    let id = added_channel(&till.db, "Example").await;

    channel::serve(
        &till.db,
        id,
        vec![served("gpt-5.4"), served("mine")],
        operator(),
        NOW,
    )
    .await
    .expect("two models");
    channel::serve(&till.db, id, vec![served("mine")], operator(), NOW)
        .await
        .expect("one model");

    assert_eq!(
        named(&till.db, "gpt-5.4").await.status,
        models::Status::Active
    );
    let mine = named(&till.db, "mine").await;
    assert_eq!(mine.status, models::Status::Hidden);
    let now_served = channel_model::Entity::every()
        .all(till.db.read())
        .await
        .expect("rows");
    assert_eq!(now_served.len(), 1);
    assert_eq!(now_served[0].model_id, mine.id);
    till.finish().await;
}

#[tokio::test]
async fn the_sandbox_is_for_sale_as_soon_as_a_channel_serves_it() {
    let till = Till::open().await;
    let channel = added_channel(&till.db, "Trial").await;
    let names = PriceTable::shipped().names_of("sandbox");

    let models = names.iter().map(|name| served(name)).collect();
    channel::serve(&till.db, channel, models, operator(), NOW)
        .await
        .expect("served");

    for name in names {
        let model = named(&till.db, &name).await;
        assert_eq!(model.status, models::Status::Active, "{name}");
        assert_eq!(prices(&till.db, model.id).await.len(), 1, "{name}");
    }
    till.finish().await;
}

#[tokio::test]
async fn a_name_that_no_model_can_have_changes_nothing() {
    let till = Till::open().await;
    let id = added_channel(&till.db, "Example").await;

    let refused = channel::serve(
        &till.db,
        id,
        vec![served("fine"), served("not fine")],
        operator(),
        NOW,
    )
    .await;

    assert!(matches!(refused, Err(ServeError::Name(name)) if name == "not fine"));
    let rows = models::Entity::every()
        .all(till.db.read())
        .await
        .expect("rows");
    assert_eq!(rows, []);
    till.finish().await;
}

#[tokio::test]
async fn two_channels_never_share_a_name() {
    let till = Till::open().await;
    added_channel(&till.db, "Example").await;

    let order = AddChannel {
        id: ChannelId::fresh(),
        name: " Example ".to_owned(),
        kind: entity::channel::Kind::Sandbox,
        base_url: String::new(),
        secret: None,
        options: entity::channel::Options::default(),
    };
    let refused = channel::add(&till.db, order, operator(), NOW).await;

    assert!(matches!(refused, Err(AddChannelError::Taken)));
    till.finish().await;
}

#[tokio::test]
async fn a_blocked_model_says_why_and_comes_back() {
    let till = Till::open().await;
    import(
        &till.db,
        &PriceTable::shipped(),
        &["gpt-5.4".to_owned()],
        operator(),
        NOW,
    )
    .await
    .expect("an import");
    let id = named(&till.db, "gpt-5.4").await.id;

    model::block(&till.db, id, "too dear".to_owned(), operator(), NOW)
        .await
        .expect("a block");
    let again = model::block(&till.db, id, "again".to_owned(), operator(), NOW).await;
    let blocked = named(&till.db, "gpt-5.4").await;
    model::unblock(&till.db, id, operator(), NOW)
        .await
        .expect("no block");

    assert!(matches!(again, Err(BlockError::NothingToChange)));
    assert_eq!(blocked.status, models::Status::Blocked);
    assert_eq!(blocked.status_reason.as_deref(), Some("too dear"));
    let free = named(&till.db, "gpt-5.4").await;
    assert_eq!(
        (free.status, free.status_reason),
        (models::Status::Active, None)
    );
    assert_eq!(
        actions(&till.db).await,
        ["model.add", "model.price", "model.block", "model.unblock"]
    );
    till.finish().await;
}

#[tokio::test]
async fn a_group_is_exactly_what_was_last_saved() {
    let till = Till::open().await;
    let one = added_channel(&till.db, "One").await;
    let two = added_channel(&till.db, "Two").await;
    let order = AddGroup {
        name: "team".to_owned(),
        title: "Team".to_owned(),
    };
    let id = group::add(&till.db, order, operator(), NOW)
        .await
        .expect("a group");
    let wish = |channels: &[ChannelId], multiplier_ppm| ChangeGroup {
        group: id,
        title: "Team".to_owned(),
        multiplier_ppm,
        default_model: None,
        channels: channels.iter().copied().collect::<BTreeSet<_>>(),
        protocols: BTreeSet::new(),
        clients: Vec::new(),
        fallback: None,
        stops_when_left: false,
        counted_ppm: 1_000_000,
        strict_translation: false,
    };

    let change = |wish| group::change(&till.db, wish, operator(), NOW);
    change(wish(&[one, two], 1_200_000)).await.expect("saved");
    change(wish(&[two], 500_000)).await.expect("saved");
    let unknown = change(wish(&[ChannelId::fresh()], 1)).await;
    let absurd = change(wish(&[], 0)).await;
    let itself = change(ChangeGroup {
        fallback: Some(id),
        ..wish(&[], 1)
    })
    .await;
    let upside_down = change(ChangeGroup {
        clients: serde_json::from_str(r#"[{"kind": "codex", "least": "2", "most": "1"}]"#)
            .expect("rules"),
        ..wish(&[], 1)
    })
    .await;
    assert!(matches!(itself, Err(ChangeGroupError::Fallback)));
    assert!(matches!(upside_down, Err(ChangeGroupError::Clients)));

    assert!(matches!(unknown, Err(ChangeGroupError::Unknown)));
    assert!(matches!(absurd, Err(ChangeGroupError::Multiplier)));
    let saved = groups::Entity::every()
        .filter(groups::Column::Id.eq(id))
        .one(till.db.read())
        .await
        .expect("the store answers")
        .expect("the group");
    assert_eq!(saved.multiplier_ppm, 500_000);
    let shelf = group_channel::Entity::every()
        .filter(group_channel::Column::GroupId.eq(id))
        .all(till.db.read())
        .await
        .expect("rows");
    assert_eq!(
        shelf
            .into_iter()
            .map(|row| row.channel_id)
            .collect::<Vec<_>>(),
        [two]
    );
    till.finish().await;
}

#[tokio::test]
async fn a_block_binds_at_the_next_call_and_its_reason_reaches_the_caller() {
    let gate = Gate::open().await;
    let call = serde_json::json!({
        "model": "sandbox/echo",
        "messages": [{ "role": "user", "content": "hi" }],
    });
    let ask = || gate.post("/v1/chat/completions", &call).send();
    let id = gate.model("sandbox/echo").await.id;

    let before = ask().await.expect("an answer").status();
    model::block(
        &gate.till.db,
        id,
        "under repair".to_owned(),
        operator(),
        NOW,
    )
    .await
    .expect("a block");
    let (status, code, message) = refusal(ask().await.expect("an answer")).await;
    model::unblock(&gate.till.db, id, operator(), NOW)
        .await
        .expect("no block");
    let after = ask().await.expect("an answer").status();

    assert_eq!(before, 200);
    assert_eq!((status, code.as_str()), (403, "model_blocked"));
    assert!(message.contains("under repair"), "{message}");
    assert_eq!(after, 200);
    gate.finish().await;
}

#[tokio::test]
async fn a_first_channel_finds_the_default_group_and_a_second_the_same_one() {
    let till = Till::open().await;

    added_channel(&till.db, "One").await;
    let group = group::ensure_default(&till.db, NOW).await.expect("a group");
    added_channel(&till.db, "Two").await;

    let all = groups::Entity::every()
        .all(till.db.read())
        .await
        .expect("rows");
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].id, all[0].name.as_str()), (group, "default"));
    let shelf = group_channel::Entity::every()
        .all(till.db.read())
        .await
        .expect("rows");
    assert_eq!(shelf.len(), 2);
    till.finish().await;
}
