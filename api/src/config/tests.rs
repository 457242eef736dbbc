//! What settings are taken, which are refused, and what stays as it was.

use super::*;
use identity::ring::Ring;
use std::{collections::BTreeMap, path::Path};

fn read(data: &Path, pairs: &[(&str, &str)]) -> Result<Config, Faults> {
    let environment = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let overrides = Overrides {
        data_dir: Some(data.to_owned()),
        ..Overrides::default()
    };
    Config::read(&environment, &overrides)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

#[test]
fn nothing_given_is_a_working_installation_whose_secrets_stay() {
    let data = folder();

    let first = read(data.path(), &[]).expect("defaults are whole");
    let second = read(data.path(), &[]).expect("defaults are whole");

    assert!(first.database.url.expose().starts_with("sqlite://"));
    assert!(first.stripe.is_none() && first.mail.smtp.is_none());
    assert_eq!(first.keys.pepper, second.keys.pepper);
    assert_ne!(first.keys.pepper, first.keys.master);
}

#[test]
fn a_pepper_may_stand_before_the_one_it_replaces_and_not_after_it() {
    let data = folder();
    let old = "9f2c4d7be1a05386c4f7d2180b6e93a57cd1480fe6b25933a81d64fc0e729b5a";
    let new = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";

    let rotated = read(
        data.path(),
        &[("TOLLGATE_KEY_PEPPER", &format!("2:{new},1:{old}"))],
    );
    let reversed = read(
        data.path(),
        &[("TOLLGATE_KEY_PEPPER", &format!("1:{old},2:{new}"))],
    );
    let bare = read(
        data.path(),
        &[("TOLLGATE_MASTER_KEY", &format!("{new},{old}"))],
    );

    assert!(rotated.is_ok());
    assert!(
        reversed
            .expect_err("out of order")
            .to_string()
            .contains("stands first")
    );
    assert!(
        bare.expect_err("without numbers")
            .to_string()
            .contains("2:new,1:old")
    );
}

#[test]
fn generated_secrets_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let data = folder();

    read(data.path(), &[]).expect("defaults are whole");

    let secrets: Vec<_> = std::fs::read_dir(data.path().join("secrets"))
        .expect("secrets were drawn")
        .map(|entry| {
            entry
                .and_then(|entry| entry.metadata())
                .expect("a file")
                .permissions()
                .mode()
                & 0o777
        })
        .collect();
    assert_eq!(secrets, [0o600; 4]);
}

#[test]
fn all_faults_are_reported_at_once() {
    let data = folder();

    let faults = read(
        data.path(),
        &[
            ("TOLLGATE_LISTEN", "everywhere"),
            ("TOLLGATE_PUBLIC_URL", "https://x.example/path"),
            ("TOLLGATE_LISTEM", "127.0.0.1:1"),
            ("TOLLGATE_KEY_PEPPER", "GENERATE"),
            ("TOLLGATE_MASTER_KEY", "abc"),
            ("STRIPE_SECRET_KEY", "sk_test_1"),
            ("SMTP_HOST", "mail.example"),
            ("DATABASE_URL", "mysql://x"),
        ],
    )
    .expect_err("all of these are wrong");

    let mut named: Vec<&str> = faults.iter().map(|fault| fault.variable.as_str()).collect();
    named.sort_unstable();
    assert_eq!(
        named,
        [
            "DATABASE_URL",
            "SMTP_FROM",
            "STRIPE_WEBHOOK_SECRET",
            "TOLLGATE_KEY_PEPPER",
            "TOLLGATE_LISTEM",
            "TOLLGATE_LISTEN",
            "TOLLGATE_MASTER_KEY",
            "TOLLGATE_PUBLIC_URL",
        ]
    );
    assert!(faults.iter().all(|fault| !fault.mend.is_empty()));
    assert!(faults.to_string().contains("TOLLGATE_LISTEN"));
}

#[test]
fn a_secret_may_be_a_file_but_not_both() {
    let data = folder();
    let file = data.path().join("pepper");
    let random = "9f2c4d7be1a05386c4f7d2180b6e93a57cd1480fe6b25933a81d64fc0e729b5a";
    std::fs::write(&file, format!("{random}\n")).expect("a file for the test");
    let path = file.display().to_string();

    let by_file = read(data.path(), &[("TOLLGATE_KEY_PEPPER_FILE", &path)]);
    let both = read(
        data.path(),
        &[
            ("TOLLGATE_KEY_PEPPER_FILE", &path),
            ("TOLLGATE_KEY_PEPPER", random),
        ],
    );

    assert_eq!(
        by_file.expect("a file is enough").keys.pepper,
        Ring::parse(random).expect("a ring")
    );
    assert!(both.is_err());
}

#[test]
fn postgres_without_a_data_directory_wants_its_secrets_given() {
    let environment = BTreeMap::from([(
        "DATABASE_URL".to_owned(),
        "postgres://tollgate@127.0.0.1/tollgate".to_owned(),
    )]);

    let faults =
        Config::read(&environment, &Overrides::default()).expect_err("secrets are missing");

    assert_eq!(
        faults.iter().next().map(|fault| fault.variable.as_str()),
        Some("TOLLGATE_KEY_PEPPER")
    );
}

#[test]
fn the_environment_wins_over_the_file() {
    let data = folder();
    let file = data.path().join("tollgate.toml");
    std::fs::write(
        &file,
        "listen = \"127.0.0.1:1111\"\nsite_name = \"Gate\"\nworkers = 3\n",
    )
    .expect("a file for the test");

    let config = read(
        data.path(),
        &[
            ("TOLLGATE_CONFIG", &file.display().to_string()),
            ("TOLLGATE_LISTEN", "127.0.0.1:2222"),
        ],
    )
    .expect("both are well formed");

    assert_eq!(config.listen.port(), 2222);
    assert_eq!((config.site_name.as_str(), config.workers), ("Gate", 3));
}
