//! Promises of a whole installation, started as `serve` and `demo` start it.

use crate::support::{database::TestDatabase, till::NOW};
use api::{
    app::{self, Ports, Running, Schedule},
    config::{Config, Overrides},
    demo,
};
use billing::{
    audit,
    shop::channel::{self, AddChannel, SealedSecret},
};
use entity::{
    Actor, AttemptId, ChannelId, Clock, EmailTokenId, HoldId, ModelId, OutboxId, Platform,
    RejectionId, Scoped, SessionId, attempt, email_token, key, ledger_entry, outbox, rejection,
    retention, session,
};
use identity::seal::{Sealed, open_channel_secret, seal_channel_secret};
use sea_orm::{ActiveModelTrait, DbErr, IntoActiveModel, PaginatorTrait};
use std::{collections::BTreeMap, time::Duration};
use tempfile::TempDir;

const OLD: &str = "1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const NEW: &str = "2:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";
const DAY: Duration = Duration::from_hours(24);

/// Where an installation's rows and files are while it is down.
struct Site {
    database: TestDatabase,
    folder: TempDir,
}

impl Site {
    async fn new() -> Self {
        // Another installation of this process may have done it before.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self {
            database: TestDatabase::empty().await,
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
        }
    }

    async fn start(&self, settings: &[(&str, &str)], ports: Ports) -> Running {
        let mut environment = BTreeMap::from([
            ("DATABASE_URL".to_owned(), self.database.url.clone()),
            ("TOLLGATE_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("TOLLGATE_DATABASE_CONNECTIONS".to_owned(), "5".to_owned()),
        ]);
        for (name, value) in settings {
            environment.insert((*name).to_owned(), (*value).to_owned());
        }
        let overrides = Overrides {
            data_dir: Some(self.folder.path().to_owned()),
            ..Overrides::default()
        };
        let config = Config::read(&environment, &overrides).expect("the settings are whole");
        app::start(&config, ports).await.expect("it starts")
    }

    /// Under these peppers and master keys.
    async fn under(&self, ring: &str) -> Running {
        let settings = [("TOLLGATE_KEY_PEPPER", ring), ("TOLLGATE_MASTER_KEY", ring)];
        self.start(&settings, Ports::default()).await
    }

    /// Proves the books, and clears up.
    async fn finish(self) {
        let db = self.database.open().await;
        let report = audit::prove(&db, NOW).await.expect("an audit");
        assert!(report.is_clean(), "the books do not add up:\n{report}");
        db.close().await.expect("the database closes");
        self.database.drop().await;
    }
}

async fn furnished(running: &Running) -> demo::Stage {
    demo::furnish(&running.db, &running.keyring, running.clock.now())
        .await
        .expect("the demo's things are put up")
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
}

/// Makes the call that a curl line describes: its words in quotes are headers and, last, the body of a POST.
async fn paste(line: &str) -> (u16, String) {
    let url = line
        .split(' ')
        .find(|word| word.starts_with("http"))
        .expect("an address");
    let quoted: Vec<&str> = line.split('\'').skip(1).step_by(2).collect();
    let (headers, body) = match quoted.split_last() {
        Some((body, headers)) if line.contains(" -d ") => (headers, Some(*body)),
        _ => (&quoted[..], None),
    };
    let mut request = match body {
        Some(body) => client().post(url).body(body.to_owned()),
        None => client().get(url),
    };
    for header in headers {
        let (name, value) = header.split_once(": ").expect("a header");
        request = request.header(name, value);
    }
    let answer = request.send().await.expect("an answer");
    (
        answer.status().as_u16(),
        answer.text().await.expect("a body"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_that_a_demo_prints_to_be_pasted_works() {
    let site = Site::new().await;
    let running = site.start(&[], Ports::default()).await;
    let stage = furnished(&running).await;

    let welcome = demo::welcome(&running.public_url, &stage);
    let lines: Vec<&str> = welcome
        .lines()
        .filter(|line| line.starts_with("curl "))
        .collect();
    let mut answers = Vec::new();
    for line in &lines {
        answers.push(paste(line).await);
    }
    let checked = demo::check(&running, &stage).await.expect("it can be made");

    for word in [
        stage.member,
        stage.operator,
        stage.password,
        &stage.key,
        &stage.code,
        "/console",
    ] {
        assert!(welcome.contains(word), "{word} is missing:\n{welcome}");
    }
    assert_eq!(lines.len(), 5, "{welcome}");
    for (line, (status, body)) in lines.iter().zip(&answers) {
        assert_eq!(*status, 200, "{line}: {body}");
    }
    assert!(checked.right, "{}", checked.report);
    running.halt().await.expect("it ends");
    site.finish().await;
}

async fn models(running: &Running, key: &str) -> u16 {
    client()
        .get(format!("{}/v1/models", running.public_url))
        .bearer_auth(key)
        .send()
        .await
        .expect("an answer")
        .status()
        .as_u16()
}

async fn only_key(running: &Running) -> key::Model {
    key::Entity::across_tenants()
        .one(running.db.read())
        .await
        .expect("keys read")
        .expect("the demo has a key")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_moves_to_the_new_pepper_at_its_next_use_and_a_channels_secret_still_opens() {
    let site = Site::new().await;
    let before = site.under(OLD).await;
    let stage = furnished(&before).await;
    let id = ChannelId::fresh();
    let sealed = seal_channel_secret(&before.keyring.master, id, "api.example.org", "sk-upstream");
    let order = AddChannel {
        id,
        name: "Upstream".to_owned(),
        kind: entity::channel::Kind::Openai,
        base_url: "https://api.example.org/v1".to_owned(),
        secret: Some(SealedSecret {
            bytes: sealed.into_bytes(),
            hint: "eam".to_owned(),
        }),
        options: entity::channel::Options::default(),
    };
    channel::add(&before.db, order, Actor::System, before.clock.now())
        .await
        .expect("a channel");
    let old = only_key(&before).await;
    before.halt().await.expect("it ends");

    let rotated = site.under(&format!("{NEW},{OLD}")).await;
    let first = models(&rotated, &stage.key).await;
    let moved = only_key(&rotated).await;
    let second = models(&rotated, &stage.key).await;
    let row = entity::channel::Entity::every()
        .all(rotated.db.read())
        .await
        .expect("channels read")
        .into_iter()
        .find(|row| row.id == id)
        .expect("the channel");
    let sealed = Sealed::from_bytes(row.secret.expect("a secret"));
    let opened = open_channel_secret(&rotated.keyring.master, id, "api.example.org", &sealed);
    rotated.halt().await.expect("it ends");
    let without_old = site.under(NEW).await;
    let third = models(&without_old, &stage.key).await;
    without_old.halt().await.expect("it ends");

    assert_eq!((first, second, third), (200, 200, 200));
    assert_eq!((old.pepper_version, moved.pepper_version), (1, 2));
    assert_ne!(old.digest, moved.digest);
    assert_eq!(opened.expect("it opens").expose(), "sk-upstream");
    site.finish().await;
}

async fn put<M, A>(running: &Running, rows: Vec<M>)
where
    M: IntoActiveModel<A> + Send + 'static,
    A: ActiveModelTrait + sea_orm::ActiveModelBehavior + Send + 'static,
    <A::Entity as sea_orm::EntityTrait>::Model: IntoActiveModel<A>,
{
    let stored: Result<(), DbErr> = running
        .db
        .write(move |tx| {
            Box::pin(async move {
                for row in rows {
                    row.into_active_model().reset_all().insert(tx).await?;
                }
                Ok(())
            })
        })
        .await;
    stored.expect("rows are stored");
}

fn refused(key: &key::Model, days_ago: u32) -> rejection::Model {
    rejection::Model {
        id: RejectionId::fresh(),
        tenant_id: key.tenant_id,
        member_id: key.member_id,
        key_id: key.id,
        code: "model_blocked".to_owned(),
        http_status: 403,
        message: "no".to_owned(),
        protocol: None,
        client_kind: "curl".to_owned(),
        model_name: None,
        calls: 1,
        path: None,
        headers: None,
        fix: None,
        created_at: NOW.minus(DAY * days_ago),
    }
}

fn tried(days_ago: u32) -> attempt::Model {
    attempt::Model {
        id: AttemptId::fresh(),
        call_id: HoldId::fresh(),
        channel_id: ChannelId::fresh(),
        model_id: ModelId::fresh(),
        status: Some(503),
        fault: "no".to_owned(),
        took_ms: 1,
        cost: None,
        created_at: NOW.minus(DAY * days_ago),
    }
}

fn letter(status: outbox::Status, days_ago: u32) -> outbox::Model {
    let then = NOW.minus(DAY * days_ago);
    outbox::Model {
        id: OutboxId::fresh(),
        topic: "mail.verify".to_owned(),
        payload: "{}".to_owned(),
        status,
        attempts: 1,
        next_try_at: NOW.plus(DAY),
        error: None,
        created_at: then,
        done_at: (status == outbox::Status::Done).then_some(then),
    }
}

/// A digest that no other row has.
fn digest() -> Vec<u8> {
    let (one, other) = (SessionId::fresh(), SessionId::fresh());
    [one.uuid().as_bytes().as_slice(), other.uuid().as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_for_a_while_goes_in_slices_and_money_stays() {
    let site = Site::new().await;
    let ports = Ports {
        clock: Clock::fixed(NOW),
        schedule: Schedule::OnDemand,
    };
    let running = site.start(&[], ports).await;
    furnished(&running).await;
    let (db, key) = (&running.db, only_key(&running).await);
    let live = session::Entity::every()
        .one(db.read())
        .await
        .expect("sessions read")
        .expect("the demo's member signed in");
    let ended = |days_ago: u32| session::Model {
        id: SessionId::fresh(),
        digest: digest(),
        expires_at: NOW.minus(DAY * days_ago),
        ..live.clone()
    };
    let link = |expired_days_ago: u32, used_days_ago: Option<u32>| email_token::Model {
        id: EmailTokenId::fresh(),
        person_id: live.person_id,
        purpose: email_token::Purpose::Recover,
        digest: digest(),
        email: "member@demo.example".to_owned(),
        created_at: NOW.minus(DAY * 40),
        expires_at: NOW.minus(DAY * expired_days_ago),
        used_at: used_days_ago.map(|days| NOW.minus(DAY * days)),
    };
    let past = retention::SLICE * 2 + 50;
    put(&running, (0..past).map(|_| refused(&key, 91)).collect()).await;
    put(&running, vec![refused(&key, 89), refused(&key, 0)]).await;
    put(&running, vec![ended(2), ended(0)]).await;
    put(&running, vec![tried(91), tried(89), tried(0)]).await;
    put(
        &running,
        vec![link(8, None), link(1, Some(9)), link(6, None)],
    )
    .await;
    let letters = vec![
        letter(outbox::Status::Done, 31),
        letter(outbox::Status::Done, 29),
        letter(outbox::Status::Pending, 31),
        letter(outbox::Status::Dead, 31),
    ];
    put(&running, letters).await;
    let links = email_token::Entity::every().count(db.read()).await;
    let entries = ledger_entry::Entity::every().count(db.read()).await;

    running.jobs.run_all().await.expect("the jobs run");

    let rejections = rejection::Entity::across_tenants().count(db.read()).await;
    let sessions = session::Entity::every().count(db.read()).await;
    let links_left = email_token::Entity::every().count(db.read()).await;
    let waiting = outbox::Entity::every().all(db.read()).await;
    let old: Vec<outbox::Model> = waiting
        .expect("the outbox reads")
        .into_iter()
        .filter(|row| row.payload == "{}")
        .collect();
    assert_eq!(retention::SLICE, 200);
    assert_eq!(rejections.expect("they count"), 2);
    let tries = attempt::Entity::every().count(db.read()).await;
    assert_eq!(tries.expect("they count"), 2, "90 days, like refusals");
    assert_eq!(sessions.expect("they count"), 2, "the live one and today's");
    assert_eq!(
        links.expect("they count") - links_left.expect("they count"),
        2
    );
    assert_eq!(old.len(), 3, "{old:?}");
    assert!(
        old.iter()
            .all(|row| row.done_at.is_none_or(|at| at > NOW.minus(DAY * 30)))
    );
    let left = ledger_entry::Entity::every().count(db.read()).await;
    assert_eq!(left.expect("they count"), entries.expect("they count"));
    running.halt().await.expect("it ends");
    site.finish().await;
}
