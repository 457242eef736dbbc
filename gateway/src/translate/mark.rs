//! Marks of a prompt cache, in the words of either provider.

use serde_json::{Value, json};

/// How long what a mark ends is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// Minutes: what every provider does where nothing else is said.
    Short,
    /// An hour at Anthropic, half a day at `OpenAI`.
    Long,
}

impl Lasting {
    /// The mark of a part or a tool that ends what its caller wants cached.
    pub(super) fn read(given: &Value) -> Option<Self> {
        ["cache_control", "prompt_cache_breakpoint"]
            .iter()
            .find_map(|name| {
                let mark = given.get(*name)?.as_object()?;
                let long = mark
                    .get("ttl")
                    .is_some_and(|ttl| ttl == "1h" || ttl == "12h");
                Some(if long { Self::Long } else { Self::Short })
            })
    }
}

/// Marks that one request to Anthropic may hold.
const MOST: usize = 4;

/// Sets the marks of a request to Anthropic, of which it may hold a few, the long ones before the short ones.
#[derive(Debug, Default)]
pub(super) struct Marks {
    set: usize,
    short: bool,
    /// There was no room for one.
    pub(super) refused: bool,
}

impl Marks {
    /// Marks a block or a tool.
    pub(super) fn set(&mut self, block: &mut Value, lasting: Lasting) {
        if block.get("cache_control").is_none() {
            if self.set == MOST {
                self.refused = true;
                return;
            }
            self.set += 1;
        }
        self.short |= lasting == Lasting::Short;
        block["cache_control"] = if self.short {
            json!({"type": "ephemeral"})
        } else {
            json!({"type": "ephemeral", "ttl": "1h"})
        };
    }
}
