//! Promises of the commands of `tollgate`, run as an operator of the machine runs them.

use crate::support::{
    office::Browser,
    program::{Ended, Program},
};
use billing::shop::channel::{AddChannel, add};
use entity::{Actor, ChannelId, Platform, Scoped, Timestamp, channel, person, tenant};
use sea_orm::{ConnectionTrait, PaginatorTrait};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{interval, timeout},
};

const OLIVE: &str = "olive@example.org";
const PASSWORD: &str = "the lamp burns low at nine";

/// Whether the command failed, and says why in one word or more of its error output.
fn refused(ended: &Ended, why: &str) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains(why), "{why}: {}", ended.err);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
}

async fn people(program: &Program) -> u64 {
    let db = program.database.open().await;
    let count = person::Entity::every().count(db.read()).await;
    let count = count.expect("people read");
    db.close().await.expect("the database closes");
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_made_at_the_command_line_can_sign_in() {
    let program = Program::new().await;

    let made = program
        .run_typing(
            &["operator", "create", OLIVE, "--name", "Olive"],
            &format!("{PASSWORD}\n"),
        )
        .await;
    let serving = program.serve().await;
    let mut browser = Browser::at(&serving.base);
    let wrong = [("email", OLIVE), ("password", "the lamp burns low at ten")];
    let wrong = browser.send("/console/sign-in", &wrong).await;
    let right = [("email", OLIVE), ("password", PASSWORD)];
    let right = browser.send("/console/sign-in", &right).await;
    let overview = browser.open("/console/operator").await;
    let link = serving.setup_path();
    serving.stop().await;

    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(!made.out.contains(PASSWORD) && !made.err.contains(PASSWORD));
    assert_eq!(wrong.status, 422);
    assert_eq!(right.status, 303, "{}", right.text);
    assert_eq!(overview.status, 200);
    assert_eq!(link, None, "somebody runs the installation already");
    program.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_with_a_taken_address_or_a_weak_password_is_not_made() {
    let program = Program::new().await;
    let create = async |email: &str, typed: &str| {
        program
            .run_typing(&["operator", "create", email], typed)
            .await
    };

    let first = create(OLIVE, PASSWORD).await;
    let taken = create(OLIVE, PASSWORD).await;
    let otherwise_written = create("Olive@Example.org", PASSWORD).await;
    let short = create("otto@example.org", "short\n").await;
    let common = create("otto@example.org", "password1234\n").await;
    let own_name = create("otto.the.great@example.org", "otto.the.great\n").await;
    let nothing = create("otto@example.org", "").await;
    let no_mailbox = create("otto", PASSWORD).await;

    assert_eq!(first.code, Some(0), "{first:?}");
    refused(&taken, "has an account");
    refused(&otherwise_written, "has an account");
    for weak in [short, common, own_name, nothing] {
        refused(&weak, "password");
    }
    refused(&no_mailbox, "mail address");
    assert_eq!(people(&program).await, 1);
    program.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_tried_from_the_command_line() {
    let program = Program::new().await;
    assert_eq!(program.run(&["migrate"]).await.code, Some(0));
    let db = program.database.open().await;
    for (name, kind, base_url) in [
        ("Sandbox", channel::Kind::Sandbox, ""),
        (
            "Nearby",
            channel::Kind::OpenaiCompatible,
            "http://10.1.2.3/v1",
        ),
    ] {
        let order = AddChannel {
            id: ChannelId::fresh(),
            name: name.to_owned(),
            kind,
            base_url: base_url.to_owned(),
            secret: None,
            options: channel::Options::default(),
        };
        let now = Timestamp::from_micros(1_795_000_000_000_000);
        add(&db, order, Actor::System, now)
            .await
            .expect("a channel");
    }
    db.close().await.expect("the database closes");
    let test = async |name: &str| program.run(&["channel", "test", name]).await;

    let good = test("Sandbox").await;
    let private = test("Nearby").await;
    let nothing = test("Nothing").await;

    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.out.contains("answers in this process"), "{}", good.out);
    refused(&private, "TOLLGATE_OUTBOUND_ALLOWED_CIDRS=10.1.2.3/32");
    refused(&nothing, "no channel of this name");
    program.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_passes_while_ready_and_fails_while_draining_and_without_a_server() {
    let program = Program::new().await.set("TOLLGATE_DRAIN_SECONDS", "30");
    let serving = program.serve().await;
    let address = serving.base.replace("http://", "");
    let check = async || program.run(&["--listen", &address, "healthcheck"]).await;

    let ready = check().await;
    let slow = slow_form(&address).await;
    serving.terminate().await;
    not_ready(&serving.base).await;
    let draining = check().await;
    drop(slow);
    let ended = serving.ended().await;
    let gone = check().await;

    assert_eq!(ready.code, Some(0), "{ready:?}");
    assert_eq!(draining.code, Some(1), "{draining:?}");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(gone.code, Some(1), "{gone:?}");
    program.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_twice_for_the_end_does_not_wait_for_running_requests() {
    let program = Program::new().await.set("TOLLGATE_DRAIN_SECONDS", "600");
    let serving = program.serve().await;
    let slow = slow_form(&serving.base.replace("http://", "")).await;

    serving.terminate().await;
    not_ready(&serving.base).await;
    serving.terminate().await;
    let ended = serving.ended().await;

    assert_eq!(ended.code, Some(0), "{ended:?}");
    drop(slow);
    program.finish().await;
}

/// A form whose last byte does not come, which keeps the server from ending.
async fn slow_form(address: &str) -> TcpStream {
    let mut slow = TcpStream::connect(address).await.expect("it listens");
    slow.write_all(
        b"POST /console/sign-in HTTP/1.1\r\nhost: a\r\nsec-fetch-site: same-origin\r\n\
          content-type: application/x-www-form-urlencoded\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n",
    )
    .await
    .expect("it reads");
    let mut go_on = [0; 25];
    slow.read_exact(&mut go_on).await.expect("it answers");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    slow
}

/// Waits until the server says that it ends, and is still there.
async fn not_ready(base: &str) {
    let mut browser = Browser::at(base);
    let waiting = async {
        let mut tick = interval(Duration::from_millis(10));
        loop {
            let seen = browser.open("/readyz").await;
            if seen.status == 503 {
                return seen;
            }
            tick.tick().await;
        }
    };
    let seen = timeout(Duration::from_secs(20), waiting).await;
    assert_eq!(seen.expect("it drains in time").text, "draining\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_brings_a_database_to_the_present_and_leaves_a_newer_one_alone() {
    let program = Program::new().await;

    let first = program.run(&["migrate"]).await;
    let again = program.run(&["migrate"]).await;
    let pending = migration::pending(&program.database.url).await;
    let db = program.database.open().await;
    let tenants = tenant::Entity::every().count(db.read()).await;
    let planted: Result<_, sea_orm::DbErr> = db
        .write(|tx| {
            Box::pin(async move {
                tx.execute_unprepared(
                    "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29991231_1_of_the_future', 0)",
                )
                .await
            })
        })
        .await;
    db.close().await.expect("the database closes");
    planted.expect("a row is planted");
    let newer = program.run(&["migrate"]).await;
    let serve = program.run(&["serve"]).await;

    for done in [first, again] {
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.out.contains("has the present schema"), "{}", done.out);
    }
    assert_eq!(pending.expect("the steps read"), 0);
    tenants.expect("the tables are there");
    refused(&newer, "m29991231_1_of_the_future");
    refused(&serve, "m29991231_1_of_the_future");
    program.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_proves_sound_books_and_names_the_law_and_row_of_broken_ones() {
    let program = Program::new().await;
    let shown = program.run(&["demo", "--check"]).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");

    let sound = program.run(&["audit"]).await;
    let db = program.database.open().await;
    let wallet = entity::wallet::Entity::across_tenants()
        .one(db.read())
        .await
        .expect("wallets read")
        .expect("a wallet");
    let planted: Result<_, sea_orm::DbErr> = db
        .write(|tx| {
            Box::pin(async move {
                tx.execute_unprepared("UPDATE wallet SET posted = posted + 7")
                    .await
            })
        })
        .await;
    planted.expect("a row is broken");
    db.close().await.expect("the database closes");
    let broken = program.run(&["audit"]).await;

    assert_eq!(sound.code, Some(0), "{sound:?}");
    for law in [
        "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I13", "I15", "I16", "I17",
        "I18", "I20",
    ] {
        let line = sound
            .out
            .lines()
            .find(|line| line.starts_with(&format!("{law} ")));
        let line = line.unwrap_or_else(|| panic!("{law} is asked: {}", sound.out));
        assert!(line.contains("holds"), "{line}");
    }
    assert_eq!(broken.code, Some(1), "{broken:?}");
    let lines: Vec<_> = broken
        .out
        .lines()
        .filter(|line| line.contains("BROKEN"))
        .collect();
    assert_eq!(lines.len(), 1, "{}", broken.out);
    assert!(lines[0].starts_with("I3 "), "{}", lines[0]);
    let posted = wallet.posted.nanos();
    for fact in [
        "wallet.posted".to_owned(),
        wallet.id.to_string(),
        format!("expected {posted}"),
        format!("found {}", posted + 7),
    ] {
        assert!(lines[0].contains(&fact), "{fact}: {}", lines[0]);
    }
    program.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_configuration_is_told_at_once_and_nothing_starts() {
    let program = Program::new()
        .await
        .set("TOLLGATE_LISTEN", "everywhere")
        .set("TOLLGATE_WORKERS", "0")
        .set("TOLLGATE_LOG_FORMAT", "xml")
        .set("TOLLGATE_SITENAME", "Gate")
        .set("TOLLGATE_MASTER_KEY", "c0ffee")
        .set("STRIPE_SECRET_KEY", "sk_live_verysecret")
        .set("SMTP_HOST", "mail.example.org")
        .set("TOLLGATE_KEY_PEPPER_FILE", "/nowhere/pepper");

    for command in ["serve", "migrate", "audit", "healthcheck"] {
        let ended = program.run(&[command]).await;
        refused(&ended, "the configuration has 8 faults:");
        for name in [
            "TOLLGATE_LISTEN",
            "TOLLGATE_WORKERS",
            "TOLLGATE_LOG_FORMAT",
            "TOLLGATE_SITENAME",
            "write TOLLGATE_SITE_NAME",
            "TOLLGATE_MASTER_KEY",
            "STRIPE_WEBHOOK_SECRET",
            "SMTP_FROM",
            "TOLLGATE_KEY_PEPPER_FILE",
        ] {
            assert!(ended.err.contains(name), "{name}: {}", ended.err);
        }
        for secret in ["verysecret", "c0ffee"] {
            assert!(!ended.err.contains(secret), "{secret}: {}", ended.err);
        }
    }
    let pending = migration::pending(&program.database.url).await;
    assert!(
        pending.expect("the steps read") > 0,
        "the database was not touched"
    );
    program.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_proves_no_database_that_is_not_there() {
    let program = Program::new().await;
    let nowhere = program.file("mistyped/tollgate.sqlite");
    let url = format!("sqlite://{}", nowhere.display());
    let program = program.set("DATABASE_URL", &url);

    let ended = program.run(&["audit"]).await;

    refused(&ended, "there is no database at");
    assert!(!nowhere.exists(), "nothing was made to be proved");
    program.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_reported_once() {
    let program = Program::new().await;
    let url = format!("sqlite://{}", program.file("").display());
    let program = program.set("DATABASE_URL", &url);

    let ended = program.run(&["migrate"]).await;

    refused(&ended, "the database cannot be used");
    let said = ended.err.matches("unable to open database file").count();
    assert_eq!(said, 1, "{}", ended.err);
    program.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_are_imported_from_the_communitys_table_with_a_report() {
    let program = Program::new().await;
    let table = program.file("table.json");
    let text = r#"{"sample_spec": {}, "drawn": {"litellm_provider": "openai", "mode": "image_generation"},
        "spoken": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05,
                   "input_cost_per_token_flex": 1e-06, "output_cost_per_image": 0.04}}"#;
    std::fs::write(&table, text).expect("the table is written");
    let file = table.to_str().expect("a path");
    let broken = program.file("broken.json");
    std::fs::write(&broken, text.replace("3e-06", "-3e-06")).expect("the table is written");
    let migrated = program.run(&["migrate"]).await;
    assert_eq!(migrated.code, Some(0), "{migrated:?}");

    let nothing = program.run(&["prices", "import", file]).await;
    let dry = program
        .run(&["prices", "import", file, "--vendor", "openai", "--dry-run"])
        .await;
    let added = program
        .run(&["prices", "import", file, "--model", "spoken"])
        .await;
    let again = program.run(&["prices", "import", file]).await;
    let unknown = program
        .run(&["prices", "import", file, "--vendor", "nobody"])
        .await;
    let negative = program
        .run(&["prices", "import", broken.to_str().expect("a path")])
        .await;

    assert!(nothing.out.contains("nothing to take over"), "{nothing:?}");
    assert!(dry.out.contains("Would be: 1 added"), "{dry:?}");
    assert!(added.out.contains("3 in, 15 out"), "{added:?}");
    assert!(added.out.contains("*_flex"), "{added:?}");
    assert!(added.out.contains("output_cost_per_image"), "{added:?}");
    assert!(added.out.contains("(1 entries of other kinds left out)"));
    assert!(again.out.contains("1 unchanged"), "{again:?}");
    refused(&unknown, "the table has no vendor nobody; it has openai");
    refused(&negative, "input_cost_per_token price of spoken");
    program.finish().await;
}
