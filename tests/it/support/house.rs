//! A whole installation on a real port, as `serve` starts it, with a clock that stands still and jobs that run when
//! asked. Ends with its books proved.

use super::{
    database::TestDatabase,
    office::Browser,
    stripe::{FakeStripe, SECRET},
    till::NOW,
};
use api::{
    app::{self, Ports, Running, Schedule},
    config::{Config, Overrides},
    demo,
};
use billing::audit;
use entity::{Clock, Credits, Database, TenantId, email_token::Purpose};
use identity::{
    email::EmailAddress,
    email_token,
    password::{Hasher, Password},
    person::{self, DisplayName, Locale, SignUp, SignedUp},
};
use reqwest::{Method, RequestBuilder};
use sea_orm::DbErr;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use tempfile::TempDir;

/// The password of everybody in the house, those of the demo too.
pub const PASSWORD: &str = "a toll for every word";

/// The installation.
pub struct House {
    /// Where it listens: `http://127.0.0.1:1234`.
    pub base: String,
    /// What time it is there.
    pub clock: Clock,
    running: Running,
    stripe: Option<FakeStripe>,
    folder: TempDir,
    database: TestDatabase,
    http: reqwest::Client,
}

impl House {
    /// Opens one with nothing set but where things are.
    pub async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// As [`House::open`], with more settings.
    pub async fn open_with(settings: &[(&str, &str)]) -> Self {
        Self::start(settings, None).await
    }

    /// One where credits can be bought.
    pub async fn selling() -> Self {
        Self::selling_with(&[]).await
    }

    /// As [`House::selling`], with more settings.
    pub async fn selling_with(settings: &[(&str, &str)]) -> Self {
        let stripe = FakeStripe::start();
        let base = format!("{}/", stripe.base());
        let mut all = vec![
            ("STRIPE_SECRET_KEY", "sk_test_of_the_test"),
            ("STRIPE_WEBHOOK_SECRET", SECRET),
            ("STRIPE_API_BASE", base.as_str()),
        ];
        all.extend(settings);
        Self::start(&all, Some(stripe)).await
    }

    async fn start(settings: &[(&str, &str)], stripe: Option<FakeStripe>) -> Self {
        // Whoever comes first installs it; it is the same for all.
        drop(rustls::crypto::ring::default_provider().install_default());
        let database = TestDatabase::empty().await;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut environment = BTreeMap::from([
            ("DATABASE_URL".to_owned(), database.url.clone()),
            ("TOLLGATE_DATABASE_CONNECTIONS".to_owned(), "6".to_owned()),
            ("TOLLGATE_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("TOLLGATE_DRAIN_SECONDS".to_owned(), "5".to_owned()),
        ]);
        for (name, value) in settings {
            environment.insert((*name).to_owned(), (*value).to_owned());
        }
        let overrides = Overrides {
            data_dir: Some(folder.path().to_owned()),
            ..Overrides::default()
        };
        let config = Config::read(&environment, &overrides).expect("the settings are whole");
        let clock = Clock::fixed(NOW);
        let ports = Ports {
            clock: clock.clone(),
            schedule: Schedule::OnDemand,
        };
        let running = app::start(&config, ports)
            .await
            .expect("the installation starts");
        Self {
            base: format!("http://{}", running.address),
            clock,
            running,
            stripe,
            folder,
            database,
            http: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("a client"),
        }
    }

    /// Puts up what the demo has: an operator, a member with credits and a key, sandbox models, a code.
    pub async fn furnish(&self) -> demo::Stage {
        let Running { db, keyring, .. } = &self.running;
        demo::furnish(db, keyring, self.clock.now())
            .await
            .expect("the demo's things are put up")
    }

    /// Somebody with a proved mailbox and a tenant of their own.
    pub async fn resident(&self, email: &str, name: &str) -> SignedUp {
        let now = self.clock.now();
        let order = SignUp {
            email: EmailAddress::parse(email).expect("an address"),
            password: Password::parse(PASSWORD).expect("a password"),
            display_name: DisplayName::parse(name).expect("a name"),
            locale: Locale::English,
        };
        let made = person::sign_up(self.db(), &Hasher::new(), order, now)
            .await
            .expect("an account");
        let link: Result<_, DbErr> = self
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    email_token::mint_in(tx, made.person, Purpose::Verify, now).await
                })
            })
            .await;
        email_token::verify_email(self.db(), &link.expect("a link"), now)
            .await
            .expect("the link is good");
        made
    }

    /// Nobody yet.
    pub fn stranger(&self) -> Browser {
        Browser::at(&self.base)
    }

    /// Somebody of the house, signed in.
    pub async fn signed_in(&self, email: &str) -> Browser {
        let mut browser = self.stranger();
        let fields = [("email", email), ("password", PASSWORD)];
        let seen = browser.send("/console/sign-in", &fields).await;
        assert_eq!(seen.status, 303, "sign-in is refused: {}", seen.text);
        browser
    }

    /// A request of a program.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Its rows.
    pub fn db(&self) -> &Database {
        &self.running.db
    }

    /// Its payment provider.
    pub fn stripe(&self) -> &FakeStripe {
        self.stripe.as_ref().expect("the house sells")
    }

    /// A path in its data directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs every job once.
    pub async fn work(&self) {
        self.running.jobs.run_all().await.expect("the jobs run");
    }

    /// What a tenant may spend now.
    pub async fn available(&self, tenant: TenantId) -> Credits {
        billing::ledger::balance(self.db(), tenant, self.clock.now())
            .await
            .expect("the balance reads")
            .available
    }

    /// Waits for a condition, and fails the test when it does not come about.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, condition: impl Fn() -> F) {
        let waiting = async {
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            while !condition().await {
                tick.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .unwrap_or_else(|_| panic!("in time: {what}"));
    }

    /// Ends it as SIGTERM does, and proves its books.
    pub async fn finish(self) {
        self.running
            .halt()
            .await
            .expect("the installation ends cleanly");
        if let Some(stripe) = self.stripe {
            stripe.stop().await;
        }
        let db = self.database.open().await;
        let report = audit::prove(&db, self.clock.now()).await.expect("an audit");
        assert!(report.is_clean(), "the books do not add up:\n{report}");
        db.close().await.expect("the database closes");
        self.database.drop().await;
    }
}
