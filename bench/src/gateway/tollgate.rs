//! Tollgate as an operator would run it, with one member who has plenty, before the scripted upstream.

use api::{
    app::{self, Ports},
    config::{Config, Overrides},
    demo::{self, Stage},
};
use billing::{
    ledger::{self, GrantOrder},
    shop::{
        channel::{self, AddChannel, SealedSecret, Served},
        model::{self, AddModel, NewPrice},
        price_table::{ListPrice, PriceSheet},
    },
};
use entity::{
    Actor, ChannelId, Credits, MemberId, PersonId, TenantId, Timestamp, channel::Kind, grant,
    member, tenant,
};
use identity::{
    email::EmailAddress,
    key::{IssueKey, KeyName, issue},
    password::{Attempt, Hasher},
    seal::seal_channel_secret,
    session::{self, SignIn},
};

use super::upstream;
use crate::support::database::TestDatabase;
use sea_orm::{ActiveModelTrait, DbErr, IntoActiveModel};

/// What it stands before and on.
#[derive(clap::Args)]
pub struct Settings {
    /// Address and port of the upstream.
    #[arg(long)]
    upstream: String,
    /// A PostgreSQL in which a database may be made.
    #[arg(long)]
    database: Option<String>,
    /// Further tenants, each with a wallet and a key of its own.
    #[arg(long, default_value_t = 0)]
    wallets: usize,
}

/// Says its address, its member's key and those of the further tenants, and runs until the input ends.
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
    let mut words = vec![running.address.to_string()];
    let stage = furnish(&running, &settings.upstream).await;
    words.push(stage.key.clone());
    words.extend(tenants(&running, &stage, settings.wallets).await);
    println!("{}", words.join(" "));

    super::process::abandoned().await;
    running.halt().await.expect("it ends in order");
    database.drop().await;
}

async fn furnish(running: &app::Running, upstream: &str) -> Stage {
    let (db, now) = (&running.db, running.clock.now());
    let stage = demo::furnish(db, &running.keyring, now)
        .await
        .expect("the demo's things are put up");
    let order = plenty(stage.tenant, now);
    ledger::grant(db, order, now).await.expect("a grant");
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
            max_output: (name != upstream::LONG).then_some(4_000),
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
    stage
}

/// So many further tenants of the member, each with plenty, and their keys' texts.
async fn tenants(running: &app::Running, stage: &Stage, count: usize) -> Vec<String> {
    let (db, now) = (&running.db, running.clock.now());
    let sign_in = SignIn {
        email: EmailAddress::parse(stage.member).expect("a mail address"),
        password: Attempt::new(stage.password),
        address: None,
        user_agent: None,
        replaces: None,
    };
    let (token, mut right) = session::sign_in(db, &Hasher::new(), sign_in, now)
        .await
        .expect("the member signs in");
    let mut texts = Vec::with_capacity(count);
    for place in 0..count {
        let (tenant, person) = (TenantId::fresh(), right.person());
        let rows = db.write(move |tx| Box::pin(open_tenant(tx, tenant, person, now)));
        rows.await.expect("a tenant");
        let order = plenty(tenant, now);
        ledger::grant(db, order, now).await.expect("a grant");
        session::switch(db, &right, tenant, now)
            .await
            .expect("they are a member there");
        right = session::resume(db, &token, now)
            .await
            .expect("sessions can be read")
            .expect("it goes on");
        let name = KeyName::parse(&format!("bench {place}")).expect("a name");
        let (secret, _) = issue(
            db,
            &running.keyring.keys,
            &right,
            IssueKey::named(name),
            now,
        )
        .await
        .expect("a key");
        texts.push(secret.reveal().to_string());
    }
    texts
}

async fn open_tenant(
    tx: &entity::Tx,
    id: TenantId,
    person_id: PersonId,
    created_at: Timestamp,
) -> Result<(), DbErr> {
    let tenant = tenant::Model {
        id,
        name: "Bench".to_owned(),
        kind: tenant::Kind::Personal,
        status: tenant::Status::Active,
        status_reason: None,
        time_zone: "UTC".to_owned(),
        created_at,
        legacy_ref: None,
        multiplier_ppm: tenant::LIST_PPM,
    };
    let member = member::Model {
        id: MemberId::fresh(),
        tenant_id: id,
        person_id,
        role: member::Role::Owner,
        status: member::Status::Active,
        status_reason: None,
        created_at,
        legacy_ref: None,
    };
    tenant.into_active_model().reset_all().insert(tx).await?;
    member.into_active_model().reset_all().insert(tx).await?;
    Ok(())
}

fn plenty(tenant: TenantId, now: Timestamp) -> GrantOrder {
    let plenty = Credits::from_nanos(1_000_000_000_000_000_000);
    let source = grant::Source::Goodwill;
    GrantOrder::new(
        tenant,
        source,
        plenty,
        format!("bench:{tenant}"),
        Actor::System,
        now,
    )
}
