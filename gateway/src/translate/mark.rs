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

/// The latest turns of the user that are marked.
const LATEST: usize = 2;

/// Marks what the next request of a conversation begins with too: the tools, the words of the system, and the latest turns
/// of the user. Nothing where the caller has set marks of its own.
pub(super) fn set_usual(
    marks: &mut Marks,
    tools: &mut [Value],
    system: Option<&mut Value>,
    messages: &mut [Value],
) {
    if marks.set > 0 || marks.refused {
        return;
    }
    let of_system = system
        .and_then(Value::as_array_mut)
        .and_then(|blocks| blocks.last_mut());
    for block in tools.last_mut().into_iter().chain(of_system) {
        marks.set(block, Lasting::Short);
    }
    let of_users = messages
        .iter_mut()
        .rev()
        .filter(|message| message["role"] == "user");
    for message in of_users.take(LATEST) {
        if let Some(block) = last_block(message) {
            marks.set(block, Lasting::Short);
        }
    }
}

/// The last block of a message that may be marked: a text without letters may not.
fn last_block(message: &mut Value) -> Option<&mut Value> {
    let content = message.get_mut("content")?;
    if let Some(text) = content.as_str() {
        *content = json!([{"type": "text", "text": text}]);
    }
    let block = content.as_array_mut()?.last_mut()?;
    let text = block.get("text").and_then(Value::as_str);
    text.is_none_or(|text| !text.trim().is_empty())
        .then_some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_marks_end_what_the_next_request_begins_with() {
        let mark = json!({"type": "ephemeral"});
        let text = |text: &str| json!({"type": "text", "text": text});
        let mut tools = [json!({"name": "a"}), json!({"name": "b"})];
        let mut system = json!([text("s")]);
        let mut messages = [
            json!({"role": "user", "content": "first"}),
            json!({"role": "assistant", "content": "yes"}),
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}),
            json!({"role": "assistant", "content": "and"}),
            json!({"role": "user", "content": "last"}),
        ];

        let mut marks = Marks::default();
        set_usual(&mut marks, &mut tools, Some(&mut system), &mut messages);

        assert_eq!(marks.set, MOST);
        assert_eq!(tools[0].get("cache_control"), None);
        assert_eq!(tools[1]["cache_control"], mark);
        assert_eq!(system[0]["cache_control"], mark);
        assert_eq!(messages[0]["content"], "first");
        assert_eq!(messages[2]["content"][0]["cache_control"], mark);
        assert_eq!(messages[4]["content"][0]["cache_control"], mark);
        assert_eq!(messages[4]["content"][0]["text"], "last");
    }

    #[test]
    fn a_caller_that_marks_is_left_its_marks_and_an_empty_text_has_none() {
        let mut marks = Marks::default();
        marks.set(&mut json!({}), Lasting::Long);
        let mut tools = [json!({"name": "a"})];
        set_usual(&mut marks, &mut tools, None, &mut []);
        assert_eq!(tools, [json!({"name": "a"})]);

        let mut blank = [json!({"role": "user", "content": " "})];
        set_usual(&mut Marks::default(), &mut [], None, &mut blank);
        assert_eq!(blank[0]["content"][0].get("cache_control"), None);
    }
}
