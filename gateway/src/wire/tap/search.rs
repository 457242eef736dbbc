//! The searches of hosted tools in an answer.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Searches of hosted tools that passed as parts of the answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Searches {
    pub(super) web: u64,
    pub(super) file: u64,
}

impl Searches {
    /// Counts an output item or content block that is a search. Opening a page that was found is none.
    pub(super) fn add(&mut self, part: &RawValue) {
        let Ok(part) = serde_json::from_str::<Part<'_>>(part.get()) else {
            return;
        };
        let action = part
            .action
            .as_ref()
            .and_then(|action| action.kind.as_deref());
        match (part.kind.as_deref(), part.name.as_deref()) {
            (Some("web_search_call"), _) if action.is_none_or(|kind| kind == "search") => {
                self.web += 1;
            }
            (Some("server_tool_use"), Some("web_search")) => self.web += 1,
            (Some("file_search_call"), _) => self.file += 1,
            _ => {}
        }
    }
}

/// A part of an answer, as far as it may be a hosted tool's.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    action: Option<Action<'a>>,
}

#[derive(Deserialize)]
struct Action<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
}
