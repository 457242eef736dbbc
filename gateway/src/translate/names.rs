//! Names of tools and ids of calls that every upstream takes, and the way back to what the caller declared.

use std::collections::HashMap;

use entity::Protocol;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    messages,
    neutral::{Format, Kind, Request, Tool},
    target::Traits,
};

/// The longest name that all providers take, and the longest that Anthropic itself does.
const LONGEST: usize = 64;
const LONGEST_AT_ANTHROPIC: usize = 128;

/// What the caller declared under a name that the upstream was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The arguments were put into `value`, for Messages takes no choice at the root of a schema.
    pub(crate) wrapped: bool,
}

/// The names of one request, there and back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    flat: HashMap<(Option<String>, String), String>,
    declared: HashMap<String, Declared>,
    output: Option<Output>,
    /// The upstream is Anthropic itself, which takes names of twice the length.
    long: bool,
}

/// A tool that no caller declared: its input is the answer's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) name: String,
    /// The answer was put into `value`, for a tool takes objects only.
    pub(crate) wrapped: bool,
}

impl Names {
    /// The names of all tools that a request declares, for an upstream of this protocol. The same tools have the same
    /// names in every request.
    pub(crate) fn of(request: &Request, upstream: Protocol) -> Self {
        Self::all(request, upstream, Self::default())
    }

    /// The names as Anthropic itself takes them.
    pub(crate) fn at_anthropic(request: &Request) -> Self {
        let long = Self {
            long: true,
            ..Self::default()
        };
        Self::all(request, Protocol::Messages, long)
    }

    fn all(request: &Request, upstream: Protocol, mut names: Self) -> Self {
        for tool in &request.tools {
            let mut flat = names.flatten(tool.namespace.as_deref(), &tool.name);
            if names.declared.contains_key(&flat) {
                let full = format!(
                    "{}\0{}",
                    tool.namespace.as_deref().unwrap_or_default(),
                    tool.name
                );
                flat = shortened(&flat, &full);
            }
            names.add(tool, flat, upstream);
        }
        names
    }

    /// With a tool for the answer, where the upstream's model takes no other word for its form.
    pub(crate) fn with_output(mut self, request: &Request, traits: Traits) -> Self {
        if let Format::Schema(given) = &request.format
            && messages::answers_by_tool(request, traits)
        {
            let mut name = "json_output".to_owned();
            while self.declared.contains_key(&name) {
                name.push('_');
            }
            let wrapped = given.schema.as_object().is_none_or(|schema| {
                let other = |kind: &Value| *kind != "object";
                super::schema::is_union(schema)
                    || schema.contains_key("$ref")
                    || schema.get("type").is_some_and(other)
            });
            self.output = Some(Output { name, wrapped });
        }
        self
    }

    /// The tool for the answer.
    pub(crate) fn output(&self) -> Option<&Output> {
        self.output.as_ref()
    }

    fn add(&mut self, tool: &Tool, flat: String, upstream: Protocol) {
        let wrapped = upstream == Protocol::Messages
            && tool.kind == Kind::Function
            && tool
                .schema
                .as_ref()
                .and_then(|schema| schema.as_object())
                .is_some_and(super::schema::is_union);
        self.flat
            .insert((tool.namespace.clone(), tool.name.clone()), flat.clone());
        self.declared.insert(
            flat,
            Declared {
                namespace: tool.namespace.clone(),
                name: tool.name.clone(),
                kind: tool.kind,
                wrapped,
            },
        );
    }

    /// The name that the upstream is given.
    pub(crate) fn flat(&self, namespace: Option<&str>, name: &str) -> String {
        let key = (namespace.map(str::to_owned), name.to_owned());
        self.flat
            .get(&key)
            .cloned()
            .unwrap_or_else(|| self.flatten(namespace, name))
    }

    fn flatten(&self, namespace: Option<&str>, name: &str) -> String {
        let longest = if self.long {
            LONGEST_AT_ANTHROPIC
        } else {
            LONGEST
        };
        flatten(namespace, name, longest)
    }

    /// Whether the arguments of this tool go wrapped into an object, for its schema is none of an object.
    pub(crate) fn wraps(&self, flat: &str) -> bool {
        self.declared(flat).is_some_and(|declared| declared.wrapped)
    }

    /// What the caller declared under this name.
    pub(crate) fn declared(&self, flat: &str) -> Option<&Declared> {
        self.declared.get(flat)
    }
}

fn flatten(namespace: Option<&str>, name: &str, longest: usize) -> String {
    let full = match namespace {
        Some(space) if space.ends_with("__") => format!("{space}{name}"),
        Some(space) => format!("{space}__{name}"),
        None => name.to_owned(),
    };
    let legal: String = full
        .chars()
        .map(|letter| if is_legal(letter) { letter } else { '_' })
        .collect();
    if legal.is_empty() || legal.len() > longest {
        return shortened(&legal, &full);
    }
    legal
}

/// The beginning of a name and a digest of all of it.
fn shortened(legal: &str, full: &str) -> String {
    let head: String = legal.chars().take(47).collect();
    format!("{head}_{}", digest(full, 8))
}

fn is_legal(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '-'
}

/// An id of a call that every provider takes; the same one for the same original, so that its echo fits.
pub(super) fn call_id(original: &str) -> String {
    let legal = !original.is_empty() && original.len() <= LONGEST && original.chars().all(is_legal);
    if legal {
        original.to_owned()
    } else {
        format!("call_{}", digest(original, 12))
    }
}

/// The first `bytes` bytes of a text's SHA-256, in hexadecimal.
pub(super) fn digest(text: &str, bytes: usize) -> String {
    use std::fmt::Write;

    let mut out = String::new();
    for byte in Sha256::digest(text.as_bytes()).iter().take(bytes) {
        write!(out, "{byte:02x}").expect("a text takes more text");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(namespace: Option<&str>, name: &str) -> Tool {
        Tool {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            ..Tool::default()
        }
    }

    #[test]
    fn every_declared_name_has_one_legal_form_and_comes_back() {
        let long = "x".repeat(80);
        let request = Request {
            tools: vec![
                tool(Some("mcp__db__"), "query"),
                tool(Some("mcp__db"), "query"),
                tool(None, "mcp__db__query"),
                tool(None, "read.file"),
                tool(None, "read file"),
                tool(None, &long),
                tool(None, &format!("{long}y")),
                tool(None, ""),
            ],
            ..Request::default()
        };

        let names = Names::of(&request, Protocol::Chat);

        for tool in &request.tools {
            let flat = names.flat(tool.namespace.as_deref(), &tool.name);
            assert!(
                (1..=64).contains(&flat.len()) && flat.chars().all(is_legal),
                "{flat}"
            );
            let back = names.declared(&flat).expect("declared");
            assert_eq!((&back.namespace, &back.name), (&tool.namespace, &tool.name));
        }
        assert_eq!(names.flat(Some("mcp__db__"), "query"), "mcp__db__query");
        assert_eq!(names.flat(Some("other"), "tool"), "other__tool");
    }

    #[test]
    fn anthropic_itself_takes_names_of_twice_the_length() {
        let name = |length: usize| "x".repeat(length);
        let request = Request {
            tools: vec![
                tool(None, &name(64)),
                tool(None, &name(128)),
                tool(None, &name(129)),
                tool(Some(&name(60)), &name(60)),
            ],
            ..Request::default()
        };

        let there = Names::at_anthropic(&request);
        let elsewhere = Names::of(&request, Protocol::Messages);

        let lengths = |names: &Names| -> Vec<usize> {
            let tools = request.tools.iter();
            tools
                .map(|tool| names.flat(tool.namespace.as_deref(), &tool.name).len())
                .collect()
        };
        assert_eq!(lengths(&there), [64, 128, 64, 122]);
        assert_eq!(lengths(&elsewhere), [64; 4]);
        let back = there.declared(&name(128)).expect("declared");
        assert_eq!(back.name, name(128));
        // A call of a tool that is not declared any more keeps its name as well.
        assert_eq!(there.flat(None, &name(100)), name(100));
    }

    #[test]
    fn a_call_id_that_no_provider_takes_becomes_one_that_all_take() {
        assert_eq!(call_id("call_A-1"), "call_A-1");
        assert_eq!(call_id("a b"), call_id("a b"));
        assert_eq!(call_id("a b").len(), 29);
        assert_ne!(call_id("a b"), call_id("a  b"));
        assert!(call_id(&"x".repeat(100)).starts_with("call_"));
    }
}
