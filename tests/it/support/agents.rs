//! Upstreams for real agents: a provider with a script (`tests/outside/provider.py`) behind one channel a protocol, and
//! the proof that every answer of it was charged at exactly its price.

use super::stage::Stage;
use billing::shop::{
    channel::{self, AddChannel, SealedSecret, Served},
    model::{self, AddModel, NewPrice},
    price_table::{ListPrice, PriceSheet},
};
use entity::{
    Actor, ChannelId, Credits, Scoped,
    channel::Kind,
    usage::{self, Finish, Quality},
};
use identity::seal::seal_channel_secret;
use serde::Deserialize;
use serde_json::json;
use std::process::Stdio;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// The models, and the kind of channel that makes each call leave in its protocol.
const MODELS: [(&str, Kind, &[&str]); 3] = [
    ("agent-chat", Kind::OpenaiCompatible, &[]),
    ("agent-responses", Kind::Openai, &["responses_only"]),
    ("agent-messages", Kind::Anthropic, &[]),
];

/// Nano-credits a token: fresh, read from a cache, written to one, output.
const NANOS: [i64; 4] = [1_000, 100, 1_250, 2_000];

/// The provider while it runs.
pub struct Agents {
    _provider: Child,
}

/// One answer as the provider reported it.
#[derive(Debug, Deserialize)]
struct Answered {
    fresh: i64,
    cached: i64,
    written: i64,
    output: i64,
}

impl Agents {
    /// Starts the provider, puts its models up for sale, and tells the tests of them.
    pub async fn employ(stage: &Stage) -> Self {
        let mut provider = Command::new(super::stage::python())
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/outside/provider.py"))
            .arg(stage.file("answers.jsonl"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("TEST_PYTHON names a Python");
        let says = provider.stdout.take().expect("its output is ours");
        let port = BufReader::new(says)
            .lines()
            .next_line()
            .await
            .expect("its output reads")
            .expect("it says its port");
        for (name, kind, words) in MODELS {
            sell(stage, name, words).await;
            open_channel(stage, name, kind, &format!("http://127.0.0.1:{port}")).await;
        }
        let names: Vec<_> = MODELS.iter().map(|(name, ..)| *name).collect();
        stage.tell("agents", json!(names));
        Self {
            _provider: provider,
        }
    }

    /// What the provider's answers cost by its own report; every one of them must be in the books as it was reported.
    pub async fn prove(&self, stage: &Stage) -> i64 {
        let log = std::fs::read_to_string(stage.file("answers.jsonl")).expect("it answered");
        let mut reported: Vec<_> = log
            .lines()
            .map(|line| serde_json::from_str::<Answered>(line).expect("a line of JSON"))
            .map(|one| [one.fresh, one.cached, one.written, one.output])
            .collect();
        let rows = usage::Entity::of(stage.funded())
            .all(stage.db().read())
            .await
            .expect("usage reads");
        let mut booked = Vec::new();
        let mut charged = 0;
        for row in rows {
            assert_eq!(row.quality, Quality::Exact, "{row:?}");
            assert_eq!(row.finish, Finish::Complete, "{row:?}");
            let tokens = [
                row.input_tokens,
                row.cache_read_tokens,
                row.cache_write_short_tokens,
                row.output_tokens,
            ];
            let price: i64 = tokens
                .iter()
                .zip(NANOS)
                .map(|(count, nanos)| count * nanos)
                .sum();
            assert_eq!(row.charge.nanos(), price, "{row:?}");
            charged += price;
            booked.push(tokens);
        }
        reported.sort_unstable();
        booked.sort_unstable();
        assert_eq!(
            booked, reported,
            "the books hold what the provider reported"
        );
        println!("{} answers, {charged} nano-credits", booked.len());
        charged
    }
}

async fn sell(stage: &Stage, name: &str, words: &[&str]) {
    let (db, now) = (stage.db(), stage.now());
    let order = AddModel {
        name: name.to_owned(),
        kind: entity::model::Kind::Chat,
        context_window: Some(200_000),
        max_output: Some(64_000),
        capabilities: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    let id = model::add(db, order, Actor::System, now)
        .await
        .expect("a model is added");
    let [input, cached, written, output] =
        NANOS.map(|nanos| Credits::from_nanos(nanos * 1_000_000));
    let sheet = PriceSheet::plain(ListPrice {
        input,
        cache_read: Some(cached),
        cache_write_short: Some(written),
        output,
        ..ListPrice::default()
    });
    let price = NewPrice::of(id, sheet);
    model::set_price(db, price, Actor::System, now)
        .await
        .expect("a price is set");
}

async fn open_channel(stage: &Stage, model: &str, kind: Kind, base_url: &str) {
    let (db, now) = (stage.db(), stage.now());
    let id = ChannelId::fresh();
    let secret = seal_channel_secret(&stage.keyring().master, id, "127.0.0.1", "sk-provider");
    let order = AddChannel {
        id,
        name: format!("provider of {model}"),
        kind,
        base_url: base_url.to_owned(),
        secret: Some(SealedSecret {
            bytes: secret.into_bytes(),
            hint: "ider".to_owned(),
        }),
        options: entity::channel::Options::default(),
    };
    channel::add(db, order, Actor::System, now)
        .await
        .expect("a channel is added");
    let served = Served {
        name: model.to_owned(),
        upstream_name: model.to_owned(),
    };
    channel::serve(db, id, vec![served], Actor::System, now)
        .await
        .expect("the channel serves it");
}
