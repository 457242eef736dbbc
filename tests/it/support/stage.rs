//! A whole installation on a real port, with everybody on it whom the tests in `tests/outside` play. Ends with its
//! books proved.

use super::database::TestDatabase;
use api::{
    app::{self, Ports, Running},
    config::{Config, Overrides},
    demo,
    keyring::Keyring,
};
use billing::{
    audit,
    ledger::{self, GrantOrder},
    plan::{self, NewPlan, PlanDocument, Quantity, Rule, Terms, Window},
    shop::{
        channel::{self, Served},
        model::{self, AddModel, NewPrice},
        price_table::{ListPrice, PriceSheet},
    },
    subscription::{self, Subscribe},
};
use entity::{
    Actor, Credits, Database, KeyId, ModelId, OrderId, PersonId, PlanId, Platform, SubscriptionId,
    TenantId, Timestamp, email_token::Purpose, grant, order, plan_version::Period, price_version,
    subscription::Source,
};
use identity::{
    SignedIn,
    email::EmailAddress,
    email_token,
    key::{IssueKey, KeyName},
    password::{Attempt, Hasher, Password},
    person::{self, DisplayName, Locale, SignUp},
    session::{self, SignIn},
};
use sea_orm::{ActiveModelTrait, ConnectionTrait, DbErr, Set};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::process::Command;

const PASSWORD: &str = "every word has its price";
const CHAT: &str = "sandbox/echo";
const EMBEDDING: &str = "sandbox/embedding";
/// Sold, and served by no channel.
const IDLE: &str = "sandbox/idle";
/// Refused to everybody.
const BLOCKED: &str = "sandbox/blocked";
/// Begins an answer and never ends it.
const ENDLESS: &str = "sandbox/stall";

/// Nano-credits a token costs: of input and of output.
const CHAT_NANOS: (i64, i64) = (1_000, 2_000);
const EMBEDDING_NANOS: (i64, i64) = (100, 0);
const CREDITS: Credits = Credits::from_nanos(10_000_000_000);

/// The installation, and beside it one that nobody runs yet.
pub struct Stage {
    running: Running,
    hasher: Hasher,
    funded: TenantId,
    folder: TempDir,
    database: TestDatabase,
    fresh: Fresh,
}

/// An installation as its first start leaves it, with one table missing, so that what needs that table fails.
struct Fresh {
    running: Running,
    _folder: TempDir,
    database: TestDatabase,
}

/// What a client saw of one answered call.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    model: String,
    input: i64,
    output: i64,
}

impl Call {
    /// What it costs, in nano-credits.
    pub fn price(&self) -> i64 {
        let (input, output) = match self.model.as_str() {
            EMBEDDING => EMBEDDING_NANOS,
            _ => CHAT_NANOS,
        };
        self.input * input + self.output * output
    }
}

/// One account and its key.
struct Account {
    right: SignedIn,
    key: String,
}

impl Stage {
    /// Starts it, and writes down for the tests who and what is there.
    pub async fn open() -> Self {
        // A second installation in this process finds the provider installed.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let (running, folder, database) = start().await;
        let mut stage = Self {
            running,
            hasher: Hasher::new(),
            funded: TenantId::fresh(),
            folder,
            database,
            fresh: Fresh::open().await,
        };
        let words = stage.furnish().await;
        std::fs::write(stage.file("stage.json"), words.to_string()).expect("the folder is ours");
        stage
    }

    /// What the funded tenant may spend, in nano-credits.
    pub async fn available(&self) -> i64 {
        balance(&self.running.db, self.funded, self.running.clock.now()).await
    }

    /// Runs tests of `tests/outside`, and returns the answered calls of the funded key.
    pub async fn run(&self, tests: &[&str]) -> Vec<Call> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let pictures = here.join("../target/screenshots");
        let ended = Command::new(python())
            .args(["-m", "pytest"])
            .args(tests)
            .current_dir(here.join("outside"))
            .env("TOLLGATE_STAGE", self.file("stage.json"))
            .env("TOLLGATE_SCREENSHOTS", pictures)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .status()
            .await
            .expect("TEST_PYTHON names a Python");
        assert!(ended.success(), "{tests:?} of tests/outside do not pass");
        std::fs::read_to_string(self.file("calls.json"))
            .map(|text| serde_json::from_str(&text).expect("the calls are JSON"))
            .unwrap_or_default()
    }

    /// Ends the installation, proves its books, and says what the funded tenant has left.
    pub async fn close(self) -> i64 {
        let clock = self.running.clock.clone();
        self.fresh
            .running
            .halt()
            .await
            .expect("the fresh installation ends cleanly");
        self.fresh.database.drop().await;
        self.running
            .halt()
            .await
            .expect("the installation ends cleanly");
        let db = self.database.open().await;
        let report = audit::prove(&db, clock.now()).await.expect("an audit");
        assert!(report.is_clean(), "the books do not add up:\n{report}");
        let left = balance(&db, self.funded, clock.now()).await;
        db.close().await.expect("the database closes");
        self.database.drop().await;
        left
    }

    /// A file of the folder that the tests read and write.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Tells the tests one thing more.
    pub fn tell(&self, name: &str, what: Value) {
        let file = self.file("stage.json");
        let text = std::fs::read_to_string(&file).expect("it was written");
        let mut words: Value = serde_json::from_str(&text).expect("it is JSON");
        words[name] = what;
        std::fs::write(file, words.to_string()).expect("the folder is ours");
    }

    /// Its rows.
    pub fn db(&self) -> &Database {
        &self.running.db
    }

    /// Its secrets.
    pub fn keyring(&self) -> &Keyring {
        &self.running.keyring
    }

    /// What time it is there.
    pub fn now(&self) -> Timestamp {
        self.running.clock.now()
    }

    /// Whose key is the funded one.
    pub fn funded(&self) -> TenantId {
        self.funded
    }

    async fn furnish(&mut self) -> Value {
        let Running {
            db, clock, keyring, ..
        } = &self.running;
        let shown = demo::furnish(db, keyring, clock.now())
            .await
            .expect("the demo's things are put up");
        self.sell().await;
        let member = self.account("member").await;
        let revoked = self.key(&member.right, "revoked").await;
        identity::key::revoke(
            &self.running.db,
            &member.right,
            revoked.0,
            self.running.clock.now(),
        )
        .await
        .expect("a key of one's own can be revoked");
        self.funded = member.right.tenant();
        self.grant(self.funded).await;
        self.order(&member.right).await;
        let newcomer = self.account("newcomer").await;
        let empty = self.account("empty").await;
        let single = self.account("single").await;
        self.grant(single.right.tenant()).await;
        self.on_plan(
            single.right.tenant(),
            "single",
            Rule::Concurrency { limit: 1 },
        )
        .await;
        let quota = self.account("quota").await;
        self.grant(quota.right.tenant()).await;
        let daily = Rule::Quota {
            name: "daily".to_owned(),
            window: Window::Day,
            models: Vec::new(),
            limit: Quantity::Requests(1),
        };
        self.on_plan(quota.right.tenant(), "quota", daily).await;
        self.spend_one(&quota.key).await;

        let who = |email: &str, password: &str| json!({"email": email, "password": password});
        let price = |(input, output): (i64, i64)| {
            json!({
                "input": (input * 1_000_000).to_string(),
                "output": (output * 1_000_000).to_string(),
            })
        };
        json!({
            "base_url": self.running.public_url,
            "calls": self.file("calls.json"),
            "keys": {
                "funded": member.key,
                "wrong": "sk-tg-ThisKeyWasNeverMade000000000000000000000000000000",
                "foreign": "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789abcdefghijkl",
                "revoked": revoked.1,
                "empty": empty.key,
                "quota": quota.key,
                "single": single.key,
            },
            "models": {
                "chat": CHAT,
                "story": "sandbox/story",
                "embedding": EMBEDDING,
                "blocked": BLOCKED,
                "unknown": "sandbox/ecko",
                "idle": IDLE,
                "endless": ENDLESS,
            },
            "prices": {CHAT: price(CHAT_NANOS), EMBEDDING: price(EMBEDDING_NANOS)},
            "code": {"text": shown.code, "credits": "10"},
            "links": {
                "verify": format!("/console/verify/{}", self.link(&newcomer.right, Purpose::Verify).await),
                "recover": format!("/console/recover/{}", self.link(&newcomer.right, Purpose::Recover).await),
                "failing": format!("/console/recover/{}", self.link(&empty.right, Purpose::Recover).await),
            },
            "fresh": {"base_url": self.fresh.running.public_url, "setup": self.fresh.setup().await},
            "subscriber": who("quota@stage.example", PASSWORD),
            "newcomer": who("newcomer@stage.example", PASSWORD),
            "member": who("member@stage.example", PASSWORD),
            "operator": who(shown.operator, shown.password),
        })
    }

    /// Models beside the demo's: one that nobody serves, one that is blocked, one that never ends.
    async fn sell(&self) {
        let Running { db, clock, .. } = &self.running;
        self.model(IDLE).await;
        self.model(ENDLESS).await;
        let blocked = self.model(BLOCKED).await;
        let sandbox = entity::channel::Entity::every()
            .one(db.read())
            .await
            .expect("the channels read")
            .expect("the demo has a channel");
        let served = gateway::SANDBOX_MODELS
            .iter()
            .map(|(name, _)| *name)
            .chain([ENDLESS, BLOCKED])
            .map(|name| Served {
                name: name.to_owned(),
                upstream_name: name.to_owned(),
            })
            .collect();
        channel::serve(db, sandbox.id, served, Actor::System, clock.now())
            .await
            .expect("the channel serves them");
        let reason = "it is blocked for a test".to_owned();
        model::block(db, blocked, reason, Actor::System, clock.now())
            .await
            .expect("a model can be blocked");
    }

    async fn model(&self, name: &str) -> ModelId {
        let Running { db, clock, .. } = &self.running;
        let order = AddModel {
            name: name.to_owned(),
            kind: entity::model::Kind::Chat,
            context_window: Some(128_000),
            max_output: Some(4_000),
            capabilities: Vec::new(),
        };
        let id = model::add(db, order, Actor::System, clock.now())
            .await
            .expect("a model is added");
        let (input, output) = CHAT_NANOS;
        let price = NewPrice {
            source: price_version::Source::Sandbox,
            ..NewPrice::of(
                id,
                PriceSheet::plain(ListPrice {
                    input: Credits::from_nanos(input * 1_000_000),
                    output: Credits::from_nanos(output * 1_000_000),
                    ..ListPrice::default()
                }),
            )
        };
        model::set_price(db, price, Actor::System, clock.now())
            .await
            .expect("a price is set");
        id
    }

    /// Somebody with a proved mailbox and a key.
    async fn account(&self, name: &str) -> Account {
        let Running { db, clock, .. } = &self.running;
        let email = || EmailAddress::parse(&format!("{name}@stage.example")).expect("an address");
        let order = SignUp {
            email: email(),
            password: Password::parse(PASSWORD).expect("a password"),
            display_name: DisplayName::parse("Robin").expect("a name"),
            locale: Locale::from_tag("en"),
        };
        let now = clock.now();
        let made = person::sign_up(db, &self.hasher, order, now)
            .await
            .expect("an account");
        let link: Result<_, DbErr> = db
            .write(move |tx| {
                Box::pin(async move {
                    email_token::mint_in(tx, made.person, Purpose::Verify, now).await
                })
            })
            .await;
        email_token::verify_email(db, &link.expect("a link"), now)
            .await
            .expect("the link is good");
        let sign_in = SignIn {
            email: email(),
            password: Attempt::new(PASSWORD),
            address: None,
            user_agent: None,
            replaces: None,
        };
        let (_, right) = session::sign_in(db, &self.hasher, sign_in, now)
            .await
            .expect("the password is right");
        let (_, key) = self.key(&right, "test").await;
        Account { right, key }
    }

    async fn key(&self, right: &SignedIn, name: &str) -> (KeyId, String) {
        let Running {
            db, clock, keyring, ..
        } = &self.running;
        let name = KeyName::parse(name).expect("a name");
        let (secret, row) =
            identity::key::issue(db, &keyring.keys, right, IssueKey::named(name), clock.now())
                .await
                .expect("a key");
        (row.id, secret.reveal().to_string())
    }

    /// The secret of a letter's link.
    async fn link(&self, to: &SignedIn, purpose: Purpose) -> String {
        let Running { db, clock, .. } = &self.running;
        let (person, now) = (to.person(), clock.now());
        let link: Result<_, DbErr> = db
            .write(move |tx| {
                Box::pin(async move { email_token::mint_in(tx, person, purpose, now).await })
            })
            .await;
        link.expect("a link").expose().to_owned()
    }

    /// A purchase that waits to be paid.
    async fn order(&self, buyer: &SignedIn) {
        let Running { db, clock, .. } = &self.running;
        let now = clock.now();
        let row = order::ActiveModel {
            id: Set(OrderId::fresh()),
            tenant_id: Set(buyer.tenant()),
            member_id: Set(buyer.member()),
            status: Set(order::Status::SessionOpen),
            product: Set("{}".to_owned()),
            credits: Set(CREDITS),
            bonus: Set(Credits::ZERO),
            amount_minor: Set(1_000),
            tax_minor: Set(0),
            currency: Set("usd".to_owned()),
            provider: Set("stripe".to_owned()),
            provider_session: Set(Some("cs_test_stage".to_owned())),
            provider_payment: Set(None),
            checkout_url: Set(Some("https://pay.example/cs_test_stage".to_owned())),
            livemode: Set(false),
            review_reason: Set(None),
            grant_id: Set(None),
            created_at: Set(now),
            updated_at: Set(now),
            credited_at: Set(None),
            legacy_ref: Set(None),
        };
        let stored: Result<order::Model, DbErr> = db
            .write(move |tx| Box::pin(async move { row.insert(tx).await }))
            .await;
        stored.expect("an order");
    }

    async fn grant(&self, tenant: TenantId) {
        let Running { db, clock, .. } = &self.running;
        let source = grant::Source::Goodwill;
        let now = clock.now();
        let order = GrantOrder::new(tenant, source, CREDITS, "stage", Actor::System, now);
        ledger::grant(db, order, now)
            .await
            .expect("the grant is booked");
    }

    async fn on_plan(&self, tenant: TenantId, name: &str, rule: Rule) {
        let Running { db, clock, .. } = &self.running;
        let order = NewPlan {
            id: PlanId::fresh(),
            name: name.to_owned(),
            title: name.to_owned(),
            description: String::new(),
            terms: Terms {
                price_minor: 0,
                currency: "usd".to_owned(),
                period: Period::Month,
                allowance: Credits::ZERO,
                document: PlanDocument {
                    version: plan::VERSION,
                    rules: vec![rule],
                },
            },
            operator: PersonId::fresh(),
        };
        let now = clock.now();
        let version = plan::create(db, order, now).await.expect("a plan");
        let wish = Subscribe {
            id: SubscriptionId::fresh(),
            tenant,
            version: version.id,
            source: Source::Operator,
            periods: None,
            code: None,
            actor: Actor::System,
        };
        subscription::subscribe(db, wish, now)
            .await
            .expect("a subscription");
    }

    async fn spend_one(&self, key: &str) {
        let answer = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client")
            .post(format!("{}/v1/chat/completions", self.running.public_url))
            .bearer_auth(key)
            .json(&json!({
                "model": CHAT,
                "max_tokens": 10,
                "messages": [{"role": "user", "content": "hello"}],
            }))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
    }
}

impl Fresh {
    async fn open() -> Self {
        let (running, folder, database) = start().await;
        let broken: Result<(), DbErr> = running
            .db
            .write(|tx| {
                Box::pin(async move {
                    tx.execute_unprepared("DROP TABLE email_token")
                        .await
                        .map(drop)
                })
            })
            .await;
        broken.expect("a table can be dropped");
        Self {
            running,
            _folder: folder,
            database,
        }
    }

    /// The path that makes the first operator.
    async fn setup(&self) -> String {
        let link = identity::setup::open_link(&self.running.db, self.running.clock.now()).await;
        let secret = link.expect("the store answers").expect("nobody runs it");
        format!("/console/setup/{}", secret.expose())
    }
}

/// One that sells credits at a provider that nobody asks.
async fn start() -> (Running, TempDir, TestDatabase) {
    let database = TestDatabase::empty().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let settings = [
        ("DATABASE_URL", database.url.as_str()),
        ("TOLLGATE_LISTEN", "127.0.0.1:0"),
        ("TOLLGATE_DRAIN_SECONDS", "5"),
        ("TOLLGATE_OUTBOUND_ALLOWED_CIDRS", "127.0.0.0/8"),
        ("STRIPE_SECRET_KEY", "sk_test_stage"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_stage"),
        ("STRIPE_API_BASE", "http://127.0.0.1:9/"),
    ];
    let environment = settings
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let overrides = Overrides {
        data_dir: Some(folder.path().to_owned()),
        ..Overrides::default()
    };
    let config = Config::read(&environment, &overrides).expect("the settings are whole");
    let running = app::start(&config, Ports::default())
        .await
        .expect("the installation starts");
    (running, folder, database)
}

async fn balance(db: &Database, tenant: TenantId, now: Timestamp) -> i64 {
    ledger::balance(db, tenant, now)
        .await
        .expect("a balance")
        .available
        .nanos()
}

#[expect(
    clippy::disallowed_methods,
    reason = "dev/test says which Python has the packages"
)]
pub fn python() -> String {
    std::env::var("TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}
