//! Tollgate as an operator would run it, with one member who has plenty, before the scripted upstream.

use api::{
    app::{self, Ports},
    config::{Config, Overrides},
    demo,
};
use billing::{
    ledger::{self, GrantOrder},
    shop::{
        channel::{self, AddChannel, SealedSecret, Served},
        model::{self, AddModel, NewPrice},
        price_table::{ListPrice, PriceSheet},
    },
};
use entity::{Actor, ChannelId, Credits, channel::Kind, grant};
use identity::seal::seal_channel_secret;

use super::upstream;
use crate::support::database::TestDatabase;

/// What it stands before and on.
#[derive(clap::Args)]
pub struct Settings {
    /// Address and port of the upstream.
    #[arg(long)]
    upstream: String,
    /// A PostgreSQL in which a database may be made.
    #[arg(long)]
    database: Option<String>,
}

/// Says its address and its member's key, and runs until the input ends.
pub(super) async fn serve(settings: &Settings) {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let database = TestDatabase::empty_on(settings.database.clone()).await;
    let environment = [
        ("DATABASE_URL", database.url.as_str()),
        ("TOLLGATE_LISTEN", "127.0.0.1:0"),
        ("TOLLGATE_WORKERS", "1"),
        ("TOLLGATE_DRAIN_SECONDS", "1"),
        ("TOLLGATE_OUTBOUND_ALLOWED_CIDRS", "127.0.0.0/8"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let overrides = Overrides {
        data_dir: Some(folder.path().to_owned()),
        ..Overrides::default()
    };
    let config = Config::read(&environment, &overrides).expect("the settings are whole");
    let running = app::start(&config, Ports::default())
        .await
        .expect("it starts");
    let key = furnish(&running, &settings.upstream).await;
    println!("{} {key}", running.address);

    super::process::abandoned().await;
    running.halt().await.expect("it ends in order");
    database.drop().await;
}

async fn furnish(running: &app::Running, upstream: &str) -> String {
    let (db, now) = (&running.db, running.clock.now());
    let stage = demo::furnish(db, &running.keyring, now)
        .await
        .expect("the demo's things are put up");
    let plenty = Credits::from_nanos(1_000_000_000_000_000_000);
    let grant = GrantOrder::new(
        stage.tenant,
        grant::Source::Goodwill,
        plenty,
        "bench",
        Actor::System,
        now,
    );
    ledger::grant(db, grant, now).await.expect("a grant");
    let id = ChannelId::fresh();
    let secret = seal_channel_secret(&running.keyring.master, id, "127.0.0.1", "sk-bench");
    let order = AddChannel {
        id,
        name: "Bench".to_owned(),
        kind: Kind::OpenaiCompatible,
        base_url: format!("http://{upstream}"),
        secret: Some(SealedSecret {
            bytes: secret.into_bytes(),
            hint: "ench".to_owned(),
        }),
        options: entity::channel::Options::default(),
    };
    channel::add(db, order, Actor::System, now)
        .await
        .expect("a channel");
    for name in upstream::MODELS {
        let order = AddModel {
            name: name.to_owned(),
            kind: entity::model::Kind::Chat,
            context_window: Some(128_000),
            max_output: Some(4_000),
            capabilities: Vec::new(),
        };
        let model = model::add(db, order, Actor::System, now)
            .await
            .expect("a model");
        let per_million = Credits::from_nanos(1_000_000_000);
        let sheet = PriceSheet::plain(ListPrice {
            input: per_million,
            output: per_million,
            ..ListPrice::default()
        });
        let price = NewPrice::of(model, sheet);
        model::set_price(db, price, Actor::System, now)
            .await
            .expect("a price");
    }
    let served = upstream::MODELS
        .map(|name| Served {
            name: name.to_owned(),
            upstream_name: name.to_owned(),
        })
        .into();
    channel::serve(db, id, served, Actor::System, now)
        .await
        .expect("the channel serves them");
    stage.key
}
