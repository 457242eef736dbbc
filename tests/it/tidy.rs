//! The house rules that a compiler does not know: which crate may use which, one home a package, no dead templates.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Crate, and what of ours it may use. ARCHITECTURE.md draws the same arrows.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "api",
        &[
            "billing",
            "console",
            "entity",
            "gateway",
            "identity",
            "migration",
            "outbound",
        ],
    ),
    // What the battery tries are its development dependencies.
    ("battery", &[]),
    (
        "bench",
        &["api", "billing", "entity", "identity", "migration"],
    ),
    ("billing", &["billing-core", "entity"]),
    ("billing-core", &["entity"]),
    ("console", &["billing", "entity", "identity", "outbound"]),
    ("entity", &[]),
    ("gateway", &["billing", "entity", "identity", "outbound"]),
    ("identity", &["entity"]),
    ("migration", &[]),
    ("outbound", &[]),
    // What tests use are their own development dependencies.
    ("tests", &[]),
];

/// Package, and the crates it lives in.
const HOMES: &[(&str, &[&str])] = &[
    ("actix-web", &["api", "console", "gateway"]),
    ("aes-gcm", &["identity"]),
    ("anyhow", &["api"]),
    ("argon2", &["identity"]),
    ("askama", &["console"]),
    ("async-stripe", &["billing"]),
    ("async-stripe-checkout", &["billing"]),
    ("async-stripe-shared", &["billing"]),
    ("async-stripe-types", &["billing"]),
    ("clap", &["api", "bench"]),
    ("fluent-templates", &["console"]),
    ("lettre", &["console"]),
    ("reqwest", &["outbound"]),
    ("sea-orm-migration", &["migration"]),
    ("tracing-subscriber", &["api"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn workspace() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo describes the workspace")
}

/// Crate -> packages it needs to be built; what only its tests need is not counted.
fn needs(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    metadata
        .packages
        .iter()
        .map(|package| {
            let names = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .map(|dependency| dependency.name.clone())
                .collect();
            (package.name.to_string(), names)
        })
        .collect()
}

/// Every file below `folder` that ends in `.extension`, with its text.
fn files(folder: &Path, extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == extension) {
                let text = fs::read_to_string(&path).expect("the file is text");
                found.push((path, text));
            }
        }
    }
    found
}

/// Every Rust file of ours.
fn sources() -> Vec<(PathBuf, String)> {
    ARROWS
        .iter()
        .flat_map(|(name, _)| files(&root().join(name), "rs"))
        .collect()
}

#[test]
fn crates_use_each_other_only_along_the_arrows() {
    let needs = needs(&workspace());
    let ours: HashSet<_> = needs.keys().map(String::as_str).collect();

    for (name, packages) in &needs {
        let (_, allowed) = ARROWS
            .iter()
            .find(|(known, _)| known == name)
            .unwrap_or_else(|| panic!("{name} has no arrows here"));
        for package in packages
            .iter()
            .filter(|package| ours.contains(package.as_str()))
        {
            assert!(
                allowed.contains(&package.as_str()),
                "{name} may not use {package}"
            );
        }
    }
}

#[test]
fn every_package_with_a_home_stays_in_it() {
    let needs = needs(&workspace());

    for (package, homes) in HOMES {
        for (name, packages) in &needs {
            assert!(
                !packages.contains(*package) || homes.contains(&name.as_str()),
                "{package} lives in {homes:?}, not in {name}"
            );
        }
    }
}

#[test]
fn versions_and_features_stand_in_the_workspace_alone() {
    for (name, _) in ARROWS {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml"))
            .expect("the manifest can be read");
        let manifest: toml::Table = manifest.parse().expect("the manifest is TOML");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (package, wish) in manifest
                .get(section)
                .and_then(toml::Value::as_table)
                .into_iter()
                .flatten()
            {
                assert!(
                    wish.get("workspace").is_some(),
                    "{name}: {package} has a version of its own"
                );
            }
        }
        assert!(
            !manifest.contains_key("features"),
            "{name} has features of its own"
        );
    }
}

#[test]
fn every_module_says_what_it_owns() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| path)
        .collect();

    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn the_front_of_a_crate_is_short() {
    for (name, _) in ARROWS {
        let front = root().join(name).join("src/lib.rs");
        // The benchmark is a program, which nothing uses.
        if *name == "bench" {
            assert!(!front.exists(), "the benchmark is used by nobody");
            continue;
        }
        let front = fs::read_to_string(front).expect("every crate has a lib.rs");
        // One line a table is a list, however long it grows.
        let told = front.lines().filter(|line| !line.starts_with("pub mod "));
        assert!(
            told.count() <= 60,
            "{name}/src/lib.rs is past 60 lines beside its modules"
        );
    }
}

#[test]
fn lints_are_put_off_only_with_a_reason() {
    let quiet = ["#[al", "low("].concat();
    let inner = ["#![al", "low("].concat();

    for (path, text) in sources() {
        assert!(
            !text.contains(&quiet) && !text.contains(&inner),
            "{}: write #[expect(.., reason = \"..\")]",
            path.display()
        );
    }
}

#[test]
fn every_template_is_used() {
    let folder = root().join("templates");
    let templates = files(&folder, "html");
    let rust: String = files(&root().join("console/src"), "rs")
        .into_iter()
        .map(|(_, text)| text)
        .collect();

    for (path, _) in &templates {
        let name = path
            .strip_prefix(&folder)
            .expect("it is below the folder")
            .to_string_lossy()
            .replace('\\', "/");
        let quoted = format!("\"{name}\"");
        let used = rust.contains(&quoted)
            || templates
                .iter()
                .any(|(other, text)| other != path && text.contains(&quoted));
        assert!(used, "templates/{name} is used by nothing");
    }
}

/// So that the test of access, which reads the tables, asks every path there is.
#[test]
fn every_path_is_a_row_of_a_table_of_routes() {
    let ways_in = [
        "web::resource(",
        "web::scope(",
        ".service(",
        ".default_service(",
        "#[get(",
        "#[post(",
        "#[route(",
    ];
    let edges = ["api", "console", "gateway"];
    let mut tables = 0;
    for (path, text) in edges
        .iter()
        .flat_map(|edge| files(&root().join(edge).join("src"), "rs"))
    {
        if !path.ends_with("routes.rs") {
            for way in ways_in {
                assert!(!text.contains(way), "{way} in {}", path.display());
            }
            continue;
        }
        tables += 1;
        for literal in text.split("web::resource(\"").skip(1) {
            let named = literal.split('"').next().unwrap_or_default();
            assert!(
                named.ends_with("/{rest:.*}"),
                "{named} is mounted past the table of {}",
                path.display()
            );
        }
    }
    assert_eq!(tables, edges.len(), "a table each");
}
