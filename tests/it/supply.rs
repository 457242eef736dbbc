//! What comes in from outside: every package has a licence, a source and a name that `deny.toml` allows.

use std::{collections::HashSet, path::Path};

use cargo_metadata::{Metadata, MetadataCommand, Package};
use serde::Deserialize;

#[derive(Deserialize)]
struct Policy {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: HashSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    #[serde(default)]
    wrappers: Vec<String>,
}

fn policy() -> Policy {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("deny.toml")).expect("deny.toml is there");
    toml::from_str(&text).expect("deny.toml is TOML")
}

/// Everything that is built for this machine.
fn everything() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .other_options(["--locked", "--offline", "--filter-platform=host-tuple"].map(str::to_owned))
        .exec()
        .expect("cargo describes the workspace")
}

fn foreign(metadata: &Metadata) -> impl Iterator<Item = &Package> {
    metadata
        .packages
        .iter()
        .filter(|package| !metadata.workspace_members.contains(&package.id))
}

#[test]
fn every_package_has_a_licence_we_allow() {
    let allowed = policy().licenses.allow;
    let metadata = everything();

    let refused: Vec<_> = foreign(&metadata)
        .filter(|package| {
            let licence = package.license.as_deref().unwrap_or_default();
            !Expression::of(licence).holds(&allowed)
        })
        .map(|package| format!("{} {:?}", package.name, package.license))
        .collect();

    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn every_package_comes_from_the_public_registry() {
    let metadata = everything();

    let strangers: Vec<_> = foreign(&metadata)
        .filter(|package| {
            !package
                .source
                .as_ref()
                .is_some_and(cargo_metadata::Source::is_crates_io)
        })
        .map(|package| package.name.to_string())
        .collect();

    assert!(strangers.is_empty(), "{strangers:#?}");
}

#[test]
fn no_banned_package_is_used() {
    let metadata = everything();
    let resolve = metadata.resolve.as_ref().expect("the graph is resolved");

    for ban in policy().bans.deny {
        let users: Vec<_> = resolve
            .nodes
            .iter()
            .filter(|node| {
                node.deps
                    .iter()
                    .any(|dependency| metadata[&dependency.pkg].name.as_str() == ban.name)
            })
            .map(|node| metadata[&node.id].name.to_string())
            .filter(|user| !ban.wrappers.contains(user))
            .collect();
        assert!(users.is_empty(), "{} is used by {users:?}", ban.name);
    }
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let allowed = HashSet::from(["MIT".to_owned(), "Unicode-3.0".to_owned()]);
    for (expression, holds) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("MIT OR GPL-3.0-only", true),
        ("GPL-3.0-only/MIT", true),
        ("MIT AND GPL-3.0-only", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("MIT AND GPL-3.0-only OR Unicode-3.0", true),
        ("GPL-2.0-only WITH Classpath-exception-2.0 OR MIT", true),
        ("", false),
        ("(MIT", false),
    ] {
        assert_eq!(
            Expression::of(expression).holds(&allowed),
            holds,
            "{expression}"
        );
    }
}

/// A licence expression, read from the left: `OR` of `AND` of names and brackets.
struct Expression {
    words: std::vec::IntoIter<String>,
}

impl Expression {
    fn of(text: &str) -> Self {
        let spaced = text
            .replace('(', " ( ")
            .replace(')', " ) ")
            .replace('/', " OR ");
        let words: Vec<_> = spaced.split_whitespace().map(str::to_owned).collect();
        Self {
            words: words.into_iter(),
        }
    }

    fn holds(mut self, allowed: &HashSet<String>) -> bool {
        self.any(allowed) == Some(true) && self.words.next().is_none()
    }

    fn next_is(&mut self, word: &str) -> bool {
        let here = self
            .words
            .as_slice()
            .first()
            .is_some_and(|next| next == word);
        if here {
            self.words.next();
        }
        here
    }

    fn any(&mut self, allowed: &HashSet<String>) -> Option<bool> {
        let mut holds = self.all(allowed)?;
        while self.next_is("OR") {
            holds |= self.all(allowed)?;
        }
        Some(holds)
    }

    fn all(&mut self, allowed: &HashSet<String>) -> Option<bool> {
        let mut holds = self.one(allowed)?;
        while self.next_is("AND") {
            holds &= self.one(allowed)?;
        }
        Some(holds)
    }

    /// An exception only ever widens a licence, so its name does not matter.
    fn one(&mut self, allowed: &HashSet<String>) -> Option<bool> {
        if self.next_is("(") {
            let holds = self.any(allowed)?;
            return self.next_is(")").then_some(holds);
        }
        let name = self.words.next()?;
        if self.next_is("WITH") {
            self.words.next()?;
        }
        Some(allowed.contains(&name))
    }
}
