//! Wallets to keep the books of: a database, its lanes, and tenants with a key each. A test ends with
//! [`Books::close`], which fails it when the ledger does not add up.

use super::database::{TestDatabase, server_url};
use billing::{
    admission::{HoldOrder, Settlement},
    audit,
    lane::{LaneSettings, Lanes},
    ledger::{self, Balance, GrantOrder, Granted},
    rating::Tokens,
};
use entity::{
    Actor, Clock, Credits, Database, GroupId, HoldId, KeyId, MemberId, ModelId, PersonId,
    PriceVersionId, Protocol, TenantId, Timestamp, grant::Source, group, key, member, model,
    person, price_version, tenant, usage,
};
use sea_orm::{ActiveModelTrait, DbErr, IntoActiveModel};
use std::time::Duration;

/// When tests begin: 2026-11-18, mid-morning in UTC.
pub const START: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

/// The books of an installation.
pub struct Books {
    /// Where they are kept.
    pub db: Database,
    /// Stands still unless moved.
    pub clock: Clock,
    /// How calls hold and settle.
    pub lanes: Lanes,
    /// The one model for sale.
    pub model: ModelId,
    price: PriceVersionId,
    group: GroupId,
    /// The database itself, for another process to open.
    pub database: TestDatabase,
}

/// A tenant with one member and one key.
#[derive(Clone, Copy, Debug)]
pub struct Payer {
    /// Who pays.
    pub tenant: TenantId,
    /// Who calls.
    pub member: MemberId,
    /// Who that is.
    pub person: PersonId,
    /// With which key.
    pub key: KeyId,
}

/// So many nano-credits.
pub fn nanos(nanos: i64) -> Credits {
    Credits::from_nanos(nanos)
}

impl Books {
    /// Empty books, with a model for sale.
    pub async fn open() -> Self {
        Self::open_on(server_url().as_deref()).await
    }

    /// As [`Books::open`], on this PostgreSQL or on SQLite.
    pub async fn open_on(server: Option<&str>) -> Self {
        let database = TestDatabase::migrated_on(server.map(str::to_owned)).await;
        let db = database.open().await;
        let clock = Clock::fixed(START);
        let mut settings = LaneSettings::of(&db);
        settings.linger = Duration::from_millis(5);
        let lanes = Lanes::start(&db, clock.clone(), settings);
        let (group, model, price) = db
            .write(|tx| Box::pin(shelf(tx)))
            .await
            .expect("a model for sale");
        Self {
            db,
            clock,
            lanes,
            model,
            price,
            group,
            database,
        }
    }

    /// The books of tenants that have so many nano-credits each.
    pub async fn with_payer(credits: i64) -> (Self, Payer) {
        let books = Self::open().await;
        let payer = books.payer().await;
        books.grant(&payer, credits).await;
        (books, payer)
    }

    /// Another model for sale, with its price.
    pub async fn another_model(&self, name: &str) -> (ModelId, PriceVersionId) {
        let name = name.to_owned();
        self.db
            .write(move |tx| Box::pin(async move { sell(tx, &name).await }))
            .await
            .expect("a model for sale")
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Another tenant, with nothing.
    pub async fn payer(&self) -> Payer {
        let group = self.group;
        self.db
            .write(move |tx| Box::pin(sign_up(tx, group)))
            .await
            .expect("a tenant")
    }

    /// Gives paid credits.
    pub async fn grant(&self, payer: &Payer, credits: i64) -> Granted {
        let key = format!("test:{}", HoldId::fresh());
        let order = self.grant_order(payer, credits, &key);
        self.grant_by(order).await
    }

    /// An order of paid credits under a business key.
    pub fn grant_order(&self, payer: &Payer, credits: i64, key: &str) -> GrantOrder {
        let amount = nanos(credits);
        GrantOrder::new(
            payer.tenant,
            Source::Paid,
            amount,
            key,
            Actor::System,
            self.now(),
        )
    }

    /// Grants what is ordered.
    pub async fn grant_by(&self, order: GrantOrder) -> Granted {
        ledger::grant(&self.db, order, self.now())
            .await
            .expect("the grant is booked")
    }

    /// A call that is to hold so much.
    pub fn order(&self, payer: &Payer, amount: i64) -> HoldOrder {
        HoldOrder {
            id: HoldId::fresh(),
            tenant: payer.tenant,
            member: payer.member,
            key: payer.key,
            group: self.group,
            model: self.model,
            price_version: self.price,
            multiplier_ppm: 1_000_000,
            channel: None,
            amount: nanos(amount),
            least: nanos(amount),
            expected_output: None,
            input_tokens: 10,
            output_cap: 100,
            protocol: Protocol::Chat,
            client_kind: "test".to_owned(),
            streamed: false,
            ttl: Duration::from_mins(2),
            now: self.now(),
        }
    }

    /// What a call that cost so much settles with.
    pub fn settlement(&self, charge: i64) -> Settlement {
        Settlement {
            tokens: Tokens {
                input: 10,
                output: 5,
                requests: 1,
                ..Tokens::default()
            },
            charge: nanos(charge),
            quality: usage::Quality::Exact,
            finish: usage::Finish::Complete,
            channel: None,
            provider_cost: None,
            first_byte_at: Some(self.now()),
            ended_at: self.now(),
        }
    }

    /// What the tenant has.
    pub async fn balance(&self, payer: &Payer) -> Balance {
        ledger::balance(&self.db, payer.tenant, self.now())
            .await
            .expect("a balance")
    }

    /// Fails when a law of the ledger is broken.
    pub async fn audit(&self) {
        let report = audit::prove(&self.db, self.now()).await.expect("an audit");
        assert!(report.is_clean(), "the books do not add up:\n{report}");
    }

    /// Writes what is queued, and fails when the books do not add up.
    pub async fn close(self) {
        self.lanes.drain().await;
        self.audit().await;
        self.db.close().await.expect("the database closes");
        self.database.drop().await;
    }
}

async fn shelf(tx: &entity::Tx) -> Result<(GroupId, ModelId, PriceVersionId), DbErr> {
    let group = group::Model {
        id: GroupId::fresh(),
        name: "default".to_owned(),
        title: "Default".to_owned(),
        status: group::Status::Active,
        is_default: true,
        multiplier_ppm: 1_000_000,
        default_model_id: None,
        protocols: "[]".to_owned(),
        clients: "[]".to_owned(),
        fallback_group_id: None,
        stops_when_left: false,
        counted_ppm: 1_000_000,
        strict_translation: false,
        created_at: START,
    };
    let id = group.id;
    group.into_active_model().reset_all().insert(tx).await?;
    let (model, price) = sell(tx, "sandbox/echo").await?;
    Ok((id, model, price))
}

async fn sell(tx: &entity::Tx, name: &str) -> Result<(ModelId, PriceVersionId), DbErr> {
    let model = model::Model {
        id: ModelId::fresh(),
        name: name.to_owned(),
        title: "Echo".to_owned(),
        kind: model::Kind::Chat,
        status: model::Status::Active,
        status_reason: None,
        context_window: None,
        max_output: None,
        capabilities: "{}".to_owned(),
        created_at: START,
    };
    let price = price_version::Model {
        id: PriceVersionId::fresh(),
        model_id: model.id,
        effective_at: START,
        input: 1_000_000,
        output: 2_000_000,
        cache_read: None,
        cache_write_short: None,
        cache_write_long: None,
        per_request: 0,
        tiers: None,
        cost_input: None,
        cost_output: None,
        cost_cache_read: None,
        cost_cache_write_short: None,
        cost_cache_write_long: None,
        cost_per_request: None,
        source: price_version::Source::Sandbox,
        source_detail: None,
        created_at: START,
        classes: None,
        cost_classes: None,
        cost_tiers: None,
    };
    let ids = (model.id, price.id);
    model.into_active_model().reset_all().insert(tx).await?;
    price.into_active_model().reset_all().insert(tx).await?;
    Ok(ids)
}

async fn sign_up(tx: &entity::Tx, group_id: GroupId) -> Result<Payer, DbErr> {
    let payer = Payer {
        tenant: TenantId::fresh(),
        member: MemberId::fresh(),
        person: PersonId::fresh(),
        key: KeyId::fresh(),
    };
    let tenant = tenant::Model {
        id: payer.tenant,
        name: "Test".to_owned(),
        kind: tenant::Kind::Personal,
        status: tenant::Status::Active,
        status_reason: None,
        time_zone: "UTC".to_owned(),
        created_at: START,
        legacy_ref: None,
        multiplier_ppm: tenant::LIST_PPM,
    };
    let person = person::Model {
        id: payer.person,
        email: format!("{}@example.com", payer.person),
        email_verified_at: None,
        display_name: "Test".to_owned(),
        locale: "en".to_owned(),
        password_hash: None,
        password_scheme: None,
        platform_role: person::PlatformRole::None,
        status: person::Status::Active,
        failed_sign_ins: 0,
        retry_at: None,
        created_at: START,
        legacy_ref: None,
    };
    let member = member::Model {
        id: payer.member,
        tenant_id: payer.tenant,
        person_id: payer.person,
        role: member::Role::Owner,
        status: member::Status::Active,
        status_reason: None,
        created_at: START,
        legacy_ref: None,
    };
    let key = key::Model {
        id: payer.key,
        tenant_id: payer.tenant,
        member_id: payer.member,
        group_id,
        name: "test".to_owned(),
        prefix: "sk-tg-".to_owned(),
        last4: "test".to_owned(),
        digest: payer.key.uuid().as_bytes().to_vec(),
        scheme: key::Scheme::HmacSha256,
        pepper_version: 1,
        status: key::Status::Active,
        pay_order: key::PayOrder::PlanThenWallet,
        expires_at: None,
        created_at: START,
        revoked_at: None,
        last_used_at: None,
        legacy_ref: None,
    };
    tenant.into_active_model().reset_all().insert(tx).await?;
    person.into_active_model().reset_all().insert(tx).await?;
    member.into_active_model().reset_all().insert(tx).await?;
    key.into_active_model().reset_all().insert(tx).await?;
    Ok(payer)
}
