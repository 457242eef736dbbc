//! Finds each variable's text in the environment, its file or the TOML file, and turns it into a value.

use super::{Faults, VARIABLES, Variable};
use std::collections::BTreeMap;

/// Every name that begins so must be in the table: a slip of the pen is a fault, not a default.
const OURS: &str = "TOLLGATE_";
/// Words of `.env.example` that stand for a value of the operator's own.
const EXAMPLES: [&str; 4] = ["GENERATE", "PASSWORD", "change-me", "changeme"];

pub(super) struct Reader {
    texts: BTreeMap<&'static str, String>,
    pub(super) faults: Faults,
}

impl Reader {
    /// Gathers the texts; what cannot be read is a fault already.
    pub(super) fn gather(environment: &BTreeMap<String, String>, file: Option<&str>) -> Self {
        let mut reader = Self {
            texts: BTreeMap::new(),
            faults: Faults::default(),
        };
        if let Some(file) = file {
            reader.take_file(file);
        }
        for variable in VARIABLES {
            reader.take(variable, environment);
        }
        reader.refuse_unknown(environment);
        reader
    }

    /// The text of a variable, if one was given.
    pub(super) fn text(&self, name: &'static str) -> Option<&str> {
        debug_assert!(
            VARIABLES.iter().any(|variable| variable.name == name),
            "{name} is not in the table"
        );
        self.texts.get(name).map(String::as_str)
    }

    /// A variable's value, or the default; a text that `parse` refuses is a fault, mended by `mend`.
    pub(super) fn value<T>(
        &mut self,
        name: &'static str,
        default: T,
        mend: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        let Some(text) = self.text(name).map(str::to_owned) else {
            return default;
        };
        parse(&text).unwrap_or_else(|| {
            let secret = VARIABLES.iter().any(|one| one.name == name && one.secret);
            let wrong = if secret {
                "its value is malformed".to_owned()
            } else {
                format!("{text:?} is malformed")
            };
            self.faults.add(name, wrong, format!("write {mend}"));
            default
        })
    }

    fn take(&mut self, variable: &Variable, environment: &BTreeMap<String, String>) {
        let name = variable.name;
        let by_file = format!("{name}_FILE");
        let given = |name: &str| environment.get(name).filter(|text| !text.trim().is_empty());
        match (given(name), given(&by_file).filter(|_| variable.secret)) {
            (Some(_), Some(_)) => self.faults.add(
                name,
                format!("both {name} and {by_file} are set"),
                "unset one of them",
            ),
            (Some(text), None) => self.put(variable, text),
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) if text.trim().is_empty() => self.faults.add(
                    &by_file,
                    format!("{path} is empty"),
                    "write the value into that file",
                ),
                Ok(text) => self.put(variable, &text),
                Err(fault) => self.faults.add(
                    &by_file,
                    format!("{path} cannot be read: {fault}"),
                    "name a file that this process may read",
                ),
            },
            (None, None) => {}
        }
    }

    fn put(&mut self, variable: &Variable, text: &str) {
        let text = text.trim();
        if variable.secret && EXAMPLES.iter().any(|example| text.contains(example)) {
            self.faults.add(
                variable.name,
                "it still holds the text of an example",
                "put a value of your own in its place, such as the output of `openssl rand -hex 32`",
            );
        } else {
            self.texts.insert(variable.name, text.to_owned());
        }
    }

    fn take_file(&mut self, file: &str) {
        let table = match file.parse::<toml::Table>() {
            Ok(table) => table,
            Err(fault) => {
                return self.faults.add(
                    "TOLLGATE_CONFIG",
                    format!("the file is not TOML: {}", fault.message()),
                    "write one `name = value` a line",
                );
            }
        };
        for (key, value) in table {
            let Some(variable) = VARIABLES.iter().find(|one| one.toml_key() == key) else {
                self.faults.add(
                    &key,
                    "the configuration file sets a name that does not exist",
                    nearest(&key, VARIABLES.iter().map(Variable::toml_key)),
                );
                continue;
            };
            match value {
                toml::Value::String(text) => self.put(variable, &text),
                toml::Value::Integer(number) => self.put(variable, &number.to_string()),
                toml::Value::Array(items) if items.iter().all(toml::Value::is_str) => {
                    let texts: Vec<&str> = items.iter().filter_map(toml::Value::as_str).collect();
                    self.put(variable, &texts.join(","));
                }
                _ => self.faults.add(
                    variable.name,
                    "in the configuration file it is not a text, a number or a list of texts",
                    "put the value in quotes",
                ),
            }
        }
    }

    fn refuse_unknown(&mut self, environment: &BTreeMap<String, String>) {
        let known = |name: &str| {
            VARIABLES.iter().any(|variable| {
                variable.name == name
                    || (variable.secret && name.strip_suffix("_FILE") == Some(variable.name))
            })
        };
        for name in environment.keys() {
            if name.starts_with(OURS) && !known(name) {
                self.faults.add(
                    name,
                    "there is no such setting",
                    nearest(name, VARIABLES.iter().map(|one| one.name.to_owned())),
                );
            }
        }
    }
}

/// A pointer to the name that was probably meant: the one that agrees longest from both ends.
fn nearest(name: &str, names: impl Iterator<Item = String>) -> String {
    let agrees = |other: &str| {
        let alike = |(a, b): &(u8, u8)| a == b;
        let begin = name.bytes().zip(other.bytes()).take_while(alike).count();
        let end = name.bytes().rev().zip(other.bytes().rev());
        let end = end.take_while(alike).count();
        (begin + end).min(name.len()).min(other.len())
    };
    names
        .max_by_key(|other| agrees(other))
        .map_or_else(String::new, |other| {
            format!("unset it, or write {other} if that is what was meant")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_told_the_name_that_was_meant() {
        for (slip, meant) in [
            ("TOLLGATE_SITENAME", "TOLLGATE_SITE_NAME"),
            ("TOLLGATE_LISTN", "TOLLGATE_LISTEN"),
            ("TOLLGATE_DB_CONNECTIONS", "TOLLGATE_DATABASE_CONNECTIONS"),
            ("TOLLGATE_PUBLIC_ADDRESS", "TOLLGATE_PUBLIC_URL"),
            ("TOLLGATE_MASTERKEY", "TOLLGATE_MASTER_KEY"),
        ] {
            let told = nearest(slip, VARIABLES.iter().map(|one| one.name.to_owned()));
            assert!(told.contains(&format!("write {meant} ")), "{slip}: {told}");
        }
    }
}
