//! The two catalogs, compiled into the binary.

use super::{Locale, phrase::Argument};
use fluent_templates::{
    LanguageIdentifier, Loader, fluent_bundle::FluentValue, langid, static_loader,
};
use std::{borrow::Cow, collections::HashMap};

static_loader! {
    static CATALOGS = {
        locales: "./locales",
        fallback_language: "en",
        customise: |bundle| bundle.set_use_isolating(false),
    };
}

const ENGLISH: LanguageIdentifier = langid!("en");
const CHINESE: LanguageIdentifier = langid!("zh-CN");

/// The sentence `id` in `locale`; the id itself where there is none, which a test makes impossible.
pub(super) fn look_up(
    locale: Locale,
    id: &str,
    arguments: Option<&[(Cow<'static, str>, Argument)]>,
) -> String {
    let language = match locale {
        Locale::English => &ENGLISH,
        Locale::Chinese => &CHINESE,
    };
    let arguments: Option<HashMap<Cow<'static, str>, FluentValue<'_>>> = arguments.map(|list| {
        list.iter()
            .map(|(name, argument)| (name.clone(), value(argument)))
            .collect()
    });

    CATALOGS
        .try_lookup_complete(language, id, arguments.as_ref())
        .unwrap_or_else(|| id.to_owned())
}

fn value(argument: &Argument) -> FluentValue<'_> {
    match argument {
        Argument::Number(number) => FluentValue::from(*number),
        Argument::Text(text) => FluentValue::from(text.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        fs,
        path::{Path, PathBuf},
    };

    fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).expect("the folder is in the repository") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                found.extend(files(&path, extensions));
            } else if path
                .extension()
                .is_some_and(|e| extensions.iter().any(|known| e == *known))
            {
                found.push(path);
            }
        }
        found
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).expect("a text file")
    }

    /// Key -> the names of its blanks.
    fn catalog(tag: &str) -> BTreeMap<String, BTreeSet<String>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("locales")
            .join(tag);
        let mut keys = BTreeMap::new();
        for path in files(&folder, &["ftl"]) {
            let mut current = String::new();
            for line in text(&path).lines() {
                if let Some((key, _)) = line.split_once('=')
                    && line.starts_with(|c: char| c.is_ascii_lowercase())
                {
                    current = key.trim().to_owned();
                    assert!(
                        keys.insert(current.clone(), BTreeSet::new()).is_none(),
                        "{current} stands twice in {tag}"
                    );
                }
                for blank in line.split('$').skip(1) {
                    let name: String = blank
                        .chars()
                        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
                        .collect();
                    keys.entry(current.clone()).or_default().insert(name);
                }
            }
        }
        keys
    }

    /// Ids in `say("..")`, `say_with("..")`, `say_count("..")` and `phrase("..")`.
    fn used() -> BTreeMap<String, PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut sources = files(&root.join("../templates"), &["html", "txt", "subject"]);
        sources.extend(files(&root.join("src"), &["rs"]));
        let mut ids = BTreeMap::new();
        for path in sources {
            let source = text(&path);
            for call in ["say", "say_with", "say_count", "phrase"] {
                let pattern = format!("{call}(\"");
                for tail in source.split(&pattern).skip(1) {
                    let id: String = tail.chars().take_while(|c| *c != '"').collect();
                    if !id.is_empty() && id != ".." && !id.contains('\\') {
                        ids.insert(id, path.clone());
                    }
                }
            }
        }
        ids
    }

    #[test]
    fn both_catalogs_hold_the_same_sentences_with_the_same_blanks() {
        assert_eq!(catalog("en"), catalog("zh-CN"));
    }

    #[test]
    fn every_sentence_used_is_in_the_catalog() {
        let catalog = catalog("en");

        let missing: Vec<_> = used()
            .into_iter()
            .filter(|(id, _)| !catalog.contains_key(id))
            .collect();

        assert_eq!(missing, []);
    }

    #[test]
    fn every_sentence_in_the_catalog_parses() {
        for locale in super::Locale::ALL {
            for (id, blanks) in catalog(locale.tag()) {
                let list: Vec<_> = blanks
                    .into_iter()
                    .map(|name| (name.into(), super::Argument::Number(3)))
                    .collect();
                assert_ne!(
                    super::look_up(locale, &id, Some(&list)),
                    id,
                    "{}",
                    locale.tag()
                );
            }
        }
    }
}
