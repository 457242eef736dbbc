//! The gateway alone, on a real port: one tenant with credits, one key, the sandbox and whatever upstreams a test adds.
//! Ends with its books added up and no hold left open.

use std::time::Duration;

use actix_web::{App, HttpServer, dev::ServerHandle, web};
use billing::{
    lane::{LaneSettings, Lanes},
    ledger::{Adjustment, Change, GrantOrder, adjust, grant},
    shop::{
        channel::{AddChannel, SealedSecret},
        model::{AddModel, NewPrice},
        price_table::{ListPrice, PriceSheet},
    },
};
use entity::{
    Actor, ChannelId, Clock, Credits, GroupId, KeyId, MemberId, ModelId, PersonId, Platform,
    Scoped, channel, group, hold, key, member, model, person, rejection, tenant, usage,
};
use gateway::{Config, Gateway};
use identity::{
    key::{KeyForm, Keys, PepperRing, inspect},
    seal::{MasterKey, seal_channel_secret},
};
use outbound::Outbound;
use reqwest::{Method, RequestBuilder, Response};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, Set,
    sea_query::Expr,
};
use serde_json::Value;

use super::till::{Buyer, NOW, Till};

/// The key of [`Gate::buyer`].
pub const KEY: &str = "sk-tg-FirstKeyOfTheTest000000000000000000000000004J95a2";
/// A well-formed key that no row has, until a test gives it one.
pub const OTHER_KEY: &str = "sk-tg-SecondKeyOfTheTest0000000000000000000000000294WX7";

const PEPPER: &str = "1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const MASTER: &str = "1:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";

/// What a fresh token costs, in nano-credits.
pub const INPUT_NANOS: i64 = 1_000;
/// What a token of output costs, in nano-credits.
pub const OUTPUT_NANOS: i64 = 2_000;
/// What a token read from a cache costs, in nano-credits.
pub const CACHED_NANOS: i64 = 100;
/// What a token written to a cache costs, in nano-credits.
pub const WRITTEN_NANOS: i64 = 1_250;

/// The models of the sandbox that tests call.
const SANDBOX: &[(&str, model::Kind)] = &[
    ("sandbox/echo", model::Kind::Chat),
    ("sandbox/story", model::Kind::Chat),
    ("sandbox/embedding", model::Kind::Embedding),
    ("text-embedding-3-small", model::Kind::Embedding),
    ("sandbox/error-500", model::Kind::Chat),
    ("sandbox/error-400", model::Kind::Chat),
    ("sandbox/stall", model::Kind::Chat),
    ("sandbox/cut", model::Kind::Chat),
    ("sandbox/garbage", model::Kind::Chat),
    ("sandbox/no-usage", model::Kind::Chat),
    ("sandbox/negative-usage", model::Kind::Chat),
];

/// A running gateway.
pub struct Gate {
    pub till: Till,
    pub buyer: Buyer,
    pub key: KeyId,
    pub group: GroupId,
    pub clock: Clock,
    pub gateway: Gateway,
    pub base: String,
    pub lanes: Lanes,
    keys: Keys,
    server: ServerHandle,
    http: reqwest::Client,
}

impl Gate {
    /// Opens one with ten credits, limits short enough for tests, and the sandbox.
    pub async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    /// As [`Gate::open`], with other limits.
    pub async fn open_with(adjust: impl FnOnce(&mut Config)) -> Self {
        let till = Till::open().await;
        let buyer = till.buyer().await;
        let clock = Clock::fixed(NOW);
        let lanes = Lanes::start(&till.db, clock.clone(), LaneSettings::of(&till.db));
        let keys = Keys::new(
            KeyForm::default(),
            PepperRing::parse(PEPPER).expect("a pepper"),
        );
        let outbound = Outbound::new(&outbound::Settings {
            allowed_cidrs: vec!["127.0.0.0/8".parse().expect("a network")],
            ..outbound::Settings::default()
        })
        .expect("the settings are good");
        let mut config = Config::new("https://gate.example/", master());
        config.heartbeat = Duration::from_millis(200);
        config.idle = Duration::from_millis(600);
        config.drain = Duration::from_secs(5);
        config.patience = Duration::from_millis(50);
        config.sandbox_pace = Duration::ZERO;
        adjust(&mut config);
        let gateway = Gateway::new(
            till.db.clone(),
            clock.clone(),
            lanes.clone(),
            outbound,
            keys.clone(),
            config,
        );
        let (server, base) = serve(&gateway);

        let mut gate = Self {
            till,
            buyer,
            key: KeyId::fresh(),
            group: GroupId::fresh(),
            clock,
            gateway,
            base,
            keys,
            lanes,
            server,
            http: client(),
        };
        gate.furnish().await;
        gate
    }

    async fn furnish(&mut self) {
        self.insert(group_row(self.group)).await;
        self.hire(self.buyer).await;
        self.key = self.issue(KEY, self.buyer).await;
        self.grant(Credits::from_nanos(10_000_000_000)).await;
        let sandbox = ChannelId::fresh();
        self.add_channel(sandbox, channel::Kind::Sandbox, "").await;
        for (name, kind) in SANDBOX {
            self.add_model(name, *kind).await;
            let upstream = if *kind == model::Kind::Embedding {
                "sandbox/embedding"
            } else {
                name
            };
            self.serve(sandbox, name, upstream).await;
        }
    }

    /// Gives the tenant credits.
    pub async fn grant(&self, amount: Credits) {
        let order = GrantOrder::new(
            self.buyer.tenant,
            entity::grant::Source::Goodwill,
            amount,
            format!("test {}", KeyId::fresh()),
            Actor::System,
            self.clock.now(),
        );
        grant(&self.till.db, order, self.clock.now())
            .await
            .expect("credits are granted");
    }

    /// Takes every credit back.
    pub async fn spend_all(&self) {
        let now = self.clock.now();
        let adjustment = Adjustment {
            tenant: self.buyer.tenant,
            change: Change::Debit {
                amount: self.available().await,
            },
            business_key: format!("test {}", KeyId::fresh()),
            actor: Actor::System,
            reason: "the test wants none".to_owned(),
        };
        adjust(&self.till.db, adjustment, now)
            .await
            .expect("credits are taken");
    }

    /// Stores a key of this text for someone.
    pub async fn issue(&self, text: &str, whose: Buyer) -> KeyId {
        let well_formed = inspect(text).expect("tests hold well-formed keys");
        let digest = self.keys.digests(&well_formed)[0];
        let id = KeyId::fresh();
        self.insert(key::ActiveModel {
            id: Set(id),
            tenant_id: Set(whose.tenant),
            member_id: Set(whose.member),
            group_id: Set(self.group),
            name: Set("test".to_owned()),
            prefix: Set("sk-tg-".to_owned()),
            last4: Set("test".to_owned()),
            digest: Set(digest.bytes().to_vec()),
            scheme: Set(digest.scheme()),
            pepper_version: Set(i64::from(digest.pepper_version())),
            status: Set(key::Status::Active),
            pay_order: Set(key::PayOrder::PlanThenWallet),
            expires_at: Set(None),
            created_at: Set(NOW),
            revoked_at: Set(None),
            last_used_at: Set(None),
            legacy_ref: Set(None),
        })
        .await;
        id
    }

    /// Stores the person and the member behind a buyer.
    pub async fn hire(&self, whose: Buyer) {
        let person = PersonId::fresh();
        self.insert(person::ActiveModel {
            id: Set(person),
            email: Set(format!("{person}@example.org")),
            email_verified_at: Set(Some(NOW)),
            display_name: Set("Test".to_owned()),
            locale: Set("en".to_owned()),
            password_hash: Set(None),
            password_scheme: Set(None),
            platform_role: Set(person::PlatformRole::None),
            status: Set(person::Status::Active),
            failed_sign_ins: Set(0),
            retry_at: Set(None),
            created_at: Set(NOW),
            legacy_ref: Set(None),
        })
        .await;
        self.insert(member::ActiveModel {
            id: Set(whose.member),
            tenant_id: Set(whose.tenant),
            person_id: Set(person),
            role: Set(member::Role::Developer),
            status: Set(member::Status::Active),
            status_reason: Set(None),
            created_at: Set(NOW),
            legacy_ref: Set(None),
        })
        .await;
    }

    /// Adds a channel to the group; the secret is `sk-upstream`.
    pub async fn add_channel(&self, id: ChannelId, kind: channel::Kind, base_url: &str) {
        let host = url::Url::parse(base_url)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned));
        let order = AddChannel {
            id,
            name: id.to_string(),
            kind,
            base_url: base_url.to_owned(),
            secret: host.map(|host| SealedSecret {
                bytes: seal_channel_secret(&master(), id, &host, "sk-upstream").into_bytes(),
                hint: "test".to_owned(),
            }),
            options: channel::Options::default(),
        };
        billing::shop::channel::add(&self.till.db, order, Actor::System, NOW)
            .await
            .expect("a channel is added");
    }

    /// Adds a priced model without channels.
    pub async fn add_model(&self, name: &str, kind: model::Kind) -> ModelId {
        self.add_model_with(name, kind, 1_000, OUTPUT_NANOS).await
    }

    /// As [`Gate::add_model`], with so much output at most and at another price.
    pub async fn add_model_with(
        &self,
        name: &str,
        kind: model::Kind,
        max_output: i64,
        output_nanos: i64,
    ) -> ModelId {
        let order = AddModel {
            name: name.to_owned(),
            kind,
            context_window: Some(100_000),
            max_output: Some(max_output),
            capabilities: Vec::new(),
        };
        let id = billing::shop::model::add(&self.till.db, order, Actor::System, NOW)
            .await
            .expect("a model is added");
        let per_million = |nanos: i64| Credits::from_nanos(nanos * 1_000_000);
        let sheet = PriceSheet::plain(ListPrice {
            input: per_million(INPUT_NANOS),
            cache_read: Some(per_million(CACHED_NANOS)),
            cache_write_short: Some(per_million(WRITTEN_NANOS)),
            output: per_million(output_nanos),
            ..ListPrice::default()
        });
        let price = NewPrice::of(id, sheet);
        billing::shop::model::set_price(&self.till.db, price, Actor::System, NOW)
            .await
            .expect("a price is set");
        id
    }

    /// Lets a channel serve a model under the upstream's own name.
    pub async fn serve(&self, channel: ChannelId, model: &str, upstream_name: &str) {
        let model = self.model(model).await;
        self.insert(entity::channel_model::ActiveModel {
            channel_id: Set(channel),
            model_id: Set(model.id),
            upstream_name: Set(upstream_name.to_owned()),
        })
        .await;
    }

    /// A model that only one upstream serves.
    pub async fn add_upstream(
        &self,
        kind: channel::Kind,
        base_url: &str,
        model: &str,
    ) -> ChannelId {
        let id = ChannelId::fresh();
        self.add_channel(id, kind, base_url).await;
        if self.find_model(model).await.is_none() {
            self.add_model(model, model::Kind::Chat).await;
        }
        self.serve(id, model, &format!("upstream-{model}")).await;
        id
    }

    async fn find_model(&self, name: &str) -> Option<model::Model> {
        model::Entity::every()
            .filter(model::Column::Name.eq(name))
            .one(self.till.db.read())
            .await
            .expect("models read")
    }

    /// Has the first channel tried before the second.
    pub async fn prefer(&self, first: ChannelId, second: ChannelId) {
        for (id, priority) in [(first, 1_i64), (second, 2)] {
            let row = channel::Entity::change().filter(channel::Column::Id.eq(id));
            self.change(row, channel::Column::Priority, priority).await;
        }
    }

    /// The row of a model.
    pub async fn model(&self, name: &str) -> model::Model {
        self.find_model(name).await.expect("the model is there")
    }

    /// A POST with the tenant's key.
    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.bare(Method::POST, path).bearer_auth(KEY).json(body)
    }

    /// A GET with the tenant's key.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.bare(Method::GET, path).bearer_auth(KEY)
    }

    /// A request without a key.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// What the tenant may spend now.
    pub async fn available(&self) -> Credits {
        self.till
            .available(self.buyer.tenant, self.clock.now())
            .await
    }

    /// How many calls of the tenant have ended.
    pub async fn ended_so_far(&self) -> u64 {
        usage::Entity::of(self.buyer.tenant)
            .count(self.till.db.read())
            .await
            .expect("usage reads")
    }

    /// The ended calls, the oldest first, once there are `count` of them.
    pub async fn ended(&self, count: u64) -> Vec<usage::Model> {
        self.until("calls ended", || async {
            usage::Entity::of(self.buyer.tenant)
                .count(self.till.db.read())
                .await
                .expect("usage reads")
                >= count
        })
        .await;
        let mut rows = usage::Entity::of(self.buyer.tenant)
            .all(self.till.db.read())
            .await
            .expect("usage reads");
        rows.sort_by_key(|row| row.id);
        rows
    }

    /// The refusals that the tenant can see, once there are `count` of them.
    pub async fn rejections(&self, count: u64) -> Vec<rejection::Model> {
        self.until("rejections kept", || async {
            rejection::Entity::of(self.buyer.tenant)
                .count(self.till.db.read())
                .await
                .expect("rejections read")
                >= count
        })
        .await;
        rejection::Entity::of(self.buyer.tenant)
            .all(self.till.db.read())
            .await
            .expect("rejections read")
    }

    /// Waits for a condition, and fails the test when it does not come about.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, condition: impl Fn() -> F) {
        let waiting = async {
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            while !condition().await {
                tick.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), waiting)
            .await
            .unwrap_or_else(|_| panic!("in time: {what}"));
    }

    /// Changes a row directly, as an operator's page would.
    pub async fn change<E: EntityTrait>(
        &self,
        update: sea_orm::UpdateMany<E>,
        column: E::Column,
        value: impl Into<sea_orm::Value>,
    ) {
        let update = update.col_expr(column, Expr::value(value));
        let changed: Result<_, DbErr> = self
            .till
            .db
            .write(|tx| Box::pin(async move { update.exec(tx).await }))
            .await;
        changed.expect("a row changes");
    }

    /// Suspends or bans by changing one status.
    pub async fn suspend_tenant(&self) {
        let update = tenant::Entity::change().filter(tenant::Column::Id.eq(self.buyer.tenant));
        self.change(update, tenant::Column::Status, tenant::Status::Suspended)
            .await;
    }

    async fn insert<A>(&self, row: A)
    where
        A: ActiveModelTrait + sea_orm::ActiveModelBehavior + Send + 'static,
        <A::Entity as EntityTrait>::Model: sea_orm::IntoActiveModel<A> + Send,
    {
        let stored: Result<(), DbErr> = self
            .till
            .db
            .write(|tx| {
                Box::pin(async move {
                    <A::Entity as EntityTrait>::insert(row)
                        .exec_without_returning(tx)
                        .await
                        .map(drop)
                })
            })
            .await;
        stored.expect("a row is stored");
    }

    /// Stops the server, waits for every call, and adds the books up.
    pub async fn finish(self) {
        self.server.stop(true).await;
        self.until("no hold is open", || async {
            hold::Entity::of(self.buyer.tenant)
                .count(self.till.db.read())
                .await
                .expect("holds read")
                == 0
        })
        .await;
        self.gateway.landed().await;
        self.lanes.drain().await;
        self.till.finish().await;
    }
}

fn serve(gateway: &Gateway) -> (ServerHandle, String) {
    let gateway = gateway.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(gateway.clone()))
            .configure(gateway::routes::configure)
    })
    .workers(1)
    .h1_allow_half_closed(false)
    .disable_signals()
    .shutdown_timeout(10)
    .bind("127.0.0.1:0")
    .expect("a port is free");
    let base = format!("http://{}", server.addrs()[0]);
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(server);
    (handle, base)
}

fn client() -> reqwest::Client {
    // Whoever comes first installs it; it is the same for all.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
}

/// The key that seals the channels' secrets.
pub fn master() -> MasterKey {
    MasterKey::parse(MASTER).expect("a master key")
}

fn group_row(id: GroupId) -> group::ActiveModel {
    group::ActiveModel {
        id: Set(id),
        name: Set("default".to_owned()),
        title: Set("Default".to_owned()),
        status: Set(group::Status::Active),
        is_default: Set(true),
        multiplier_ppm: Set(1_000_000),
        default_model_id: Set(None),
        protocols: Set("[]".to_owned()),
        clients: Set("[]".to_owned()),
        fallback_group_id: Set(None),
        stops_when_left: Set(false),
        counted_ppm: Set(1_000_000),
        strict_translation: Set(false),
        created_at: Set(NOW),
    }
}

/// A member of the same tenant, or of another.
pub fn colleague(buyer: Buyer) -> Buyer {
    Buyer {
        member: MemberId::fresh(),
        ..buyer
    }
}

/// Status, stable code and message of a refusal.
pub async fn refusal(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    let code = response
        .headers()
        .get("x-tollgate-code")
        .map(|code| code.to_str().expect("a word").to_owned())
        .unwrap_or_default();
    let body: Value = response.json().await.expect("errors are JSON");
    let message = body["error"]["message"].as_str().unwrap_or_default();
    (status, code, message.to_owned())
}
