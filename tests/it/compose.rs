//! The container files promise what the binary keeps: its settings, its commands, its paths.

use api::config::VARIABLES;
use std::{collections::BTreeSet, path::Path};

const DOCKERFILE: &str = include_str!("../../Dockerfile");
const COMPOSE: &str = include_str!("../../docker-compose.yml");
const IGNORED: &str = include_str!("../../.dockerignore");
const COMMAND_LINE: &str = include_str!("../../api/src/main.rs");

/// Words in capitals that are the base images' business.
const FOREIGN: [&str; 3] = ["POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE"];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Names of settings in a text: capitals with an underscore.
fn names(text: &str) -> BTreeSet<&str> {
    lines(text)
        .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .filter(|word| {
            word.contains('_') && word.chars().all(|c| c == '_' || c.is_ascii_uppercase())
        })
        .collect()
}

fn commands() -> BTreeSet<String> {
    let body = COMMAND_LINE
        .split_once("enum Command {")
        .and_then(|(_, rest)| rest.split_once("\n}\n"))
        .map(|(body, _)| body)
        .expect("the commands are one enum");
    body.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| {
            line.split([',', ' ', '('])
                .next()
                .unwrap_or(line)
                .to_lowercase()
        })
        .collect()
}

#[test]
fn every_setting_they_name_exists() {
    for name in names(DOCKERFILE).into_iter().chain(names(COMPOSE)) {
        let known = VARIABLES.iter().any(|one| {
            one.name == name || (one.secret && name.strip_suffix("_FILE") == Some(one.name))
        });
        assert!(known || FOREIGN.contains(&name), "{name} is no setting");
    }
}

#[test]
fn every_command_they_run_exists() {
    let run: BTreeSet<&str> = lines(DOCKERFILE)
        .chain(lines(COMPOSE))
        .filter_map(|line| line.split_once("\"tollgate\", \"").map(|(_, rest)| rest))
        .chain(lines(DOCKERFILE).filter_map(|line| line.strip_prefix("CMD [\"")))
        .filter_map(|rest| rest.split('"').next())
        .collect();

    assert_eq!(run, BTreeSet::from(["healthcheck", "serve"]));
    let known = commands();
    assert!(
        run.iter().all(|command| known.contains(*command)),
        "{known:?}"
    );
}

#[test]
fn the_image_holds_every_crate_it_is_built_from() {
    let manifest = include_str!("../../Cargo.toml");
    let members = lines(manifest)
        .find_map(|line| line.strip_prefix("members = "))
        .expect("the workspace has members");
    for member in members.split('"').skip(1).step_by(2) {
        let let_in = lines(IGNORED)
            .any(|line| line == format!("!{member}") || line.starts_with(&format!("!{member}/")));
        assert!(let_in, "{member} is not in the image's context");
    }
    for path in lines(IGNORED).filter_map(|line| line.strip_prefix('!')) {
        assert!(root().join(path).exists(), "{path} is not there");
    }
}

#[test]
fn it_runs_as_nobody_and_writes_into_volumes_only() {
    assert!(lines(DOCKERFILE).any(|line| line == "USER 10001:10001"));
    let data = "/var/lib/tollgate";
    assert!(DOCKERFILE.contains(&format!("TOLLGATE_DATA_DIR={data}")));
    assert!(lines(COMPOSE).any(|line| line == format!("- data:{data}")));
    assert_eq!(
        lines(COMPOSE)
            .filter(|line| *line == "read_only: true")
            .count(),
        2
    );
}

#[test]
fn a_port_is_the_same_everywhere() {
    assert!(DOCKERFILE.contains("TOLLGATE_LISTEN=0.0.0.0:8080"));
    assert!(lines(DOCKERFILE).any(|line| line == "EXPOSE 8080"));
    assert!(lines(COMPOSE).any(|line| line == "- \"127.0.0.1:8080:8080\""));
}

#[test]
fn both_have_health_checks() {
    assert!(lines(DOCKERFILE).any(|line| line.starts_with("HEALTHCHECK")));
    assert_eq!(
        lines(COMPOSE)
            .filter(|line| *line == "healthcheck:")
            .count(),
        2
    );
    assert!(COMPOSE.contains("condition: service_healthy"));
}
