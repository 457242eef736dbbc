//! The upstream that a request is written for: its name for the model, and what that model takes.

use std::collections::BTreeSet;

use entity::Protocol;

use super::{
    carrier::Carriers,
    names::Names,
    neutral::{Effort, Request},
};

/// An upstream, as far as a request depends on it.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) protocol: Protocol,
    /// The upstream's own name for the model.
    pub(crate) model: &'a str,
    /// The output limit of a request that names none, where the protocol demands one.
    pub(crate) default_output: u64,
    /// The most output that credits are held for.
    pub(crate) most_output: Option<u64>,
    /// Whether the answer is asked for as a stream, however the caller wants it.
    pub(crate) streamed: bool,
    pub(crate) traits: Traits,
    pub(crate) carriers: &'a Carriers,
    pub(crate) names: &'a Names,
}

/// What a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about a model"
)]
pub(crate) struct Traits {
    pub(crate) thinking: Thinking,
    /// Takes temperature and its like.
    pub(crate) samples: bool,
    pub(crate) most_effort: Effort,
    /// Wants its thoughts back with its calls.
    pub(crate) echoes: bool,
    /// Thinks aloud: its text begins with its thoughts, and that is where it wants them back.
    pub(crate) splits: bool,
    /// Is served by Anthropic itself, which says what becomes of thoughts that are bound to what went before them.
    pub(crate) binds: bool,
    /// Is served by `OpenAI` itself, which takes names for prompt caches and users in chat too.
    pub(crate) is_openai: bool,
    /// Keeps what its prompts begin with where a mark says so, and the channel sets marks for callers that do not.
    pub(crate) caches: bool,
    /// Takes a schema for its answer.
    pub(crate) formats: bool,
    /// Takes words of the system in the middle of a conversation.
    pub(crate) interjects: bool,
    /// Knows chat as it was at first: `max_tokens`, and none of the later fields.
    pub(crate) is_plain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// It cannot.
    Never,
    /// Within a budget of tokens.
    Budget,
    /// As hard as it is told.
    Adaptive,
    /// As `Adaptive`, and it cannot be switched off.
    Always,
}

impl Traits {
    /// What is known of a model: by the words of the price table, else by the name of its family.
    pub(crate) fn of(protocol: Protocol, model: &str, words: &BTreeSet<String>) -> Self {
        let has = |word: &str| words.contains(word);
        let name = model.to_ascii_lowercase();
        let thinking = if has("thinking_always_on") {
            Thinking::Always
        } else if has("adaptive_thinking") {
            Thinking::Adaptive
        } else if has("reasoning") && protocol == Protocol::Messages {
            Thinking::Budget
        } else if has("reasoning") || words.is_empty() {
            by_name(&name)
        } else {
            Thinking::Never
        };
        let modern = matches!(thinking, Thinking::Adaptive | Thinking::Always);
        let legacy =
            has("legacy_thinking") || ["-4-6", "-4.6"].iter().any(|old| name.contains(old));
        let samples = match protocol {
            Protocol::Messages => !modern || legacy,
            Protocol::Responses => !(has("reasoning") || is_openai_reasoner(&name)),
            Protocol::Chat | Protocol::Embeddings => true,
        };
        let most_effort = if words.is_empty() || has("max_reasoning_effort") {
            Effort::Max
        } else if has("xhigh_reasoning_effort") {
            Effort::Xhigh
        } else {
            Effort::High
        };
        Self {
            thinking,
            samples,
            most_effort,
            echoes: ["deepseek", "kimi", "mimo"]
                .iter()
                .any(|vendor| name.contains(vendor)),
            splits: false,
            binds: false,
            caches: false,
            is_openai: false,
            formats: protocol != Protocol::Messages
                || has("native_structured_output")
                || formats_by_name(&name),
            interjects: has("mid_conversation_system"),
            is_plain: PLAIN.iter().any(|family| name.contains(family)),
        }
    }
}

/// Families of models whose vendors read `max_tokens` and refuse or overlook what `OpenAI` added later.
const PLAIN: [&str; 9] = [
    "deepseek",
    "mistral",
    "codestral",
    "devstral",
    "kimi",
    "moonshot",
    "glm",
    "minimax",
    "llama",
];

fn is_openai_reasoner(name: &str) -> bool {
    ["gpt-5", "gpt-6", "o1", "o3", "o4"]
        .iter()
        .any(|family| name.starts_with(family))
}

/// Models before Claude 4.6 think within a budget, those before 3.7 not at all; what is unknown is taken for new.
fn by_name(name: &str) -> Thinking {
    if ["gpt-3", "gpt-4", "chatgpt-4"]
        .iter()
        .any(|old| name.starts_with(old))
    {
        return Thinking::Never;
    }
    match version(name) {
        Some((0..=2, _) | (3, 0..=6)) => Thinking::Never,
        Some((3, _) | (4, 0..=5)) => Thinking::Budget,
        _ => Thinking::Adaptive,
    }
}

/// Models before Claude 4.5 take no schema for their answer, nor do those of vendors who speak the protocol at second
/// hand.
fn formats_by_name(name: &str) -> bool {
    let is_old = version(name).is_some_and(|version| version < (4, 5));
    !is_old && !PLAIN.iter().any(|family| name.contains(family))
}

/// The version in a name of Claude.
fn version(name: &str) -> Option<(u32, u32)> {
    let rest = name.split("claude-").nth(1)?;
    let digits: Vec<u32> = rest
        .split(['-', '.', '@', ':'])
        .filter_map(|piece| piece.parse().ok())
        .take(2)
        .collect();
    match digits.as_slice() {
        [major, minor] if *minor < 100 => Some((*major, *minor)),
        [major, ..] => Some((*major, 0)),
        [] => None,
    }
}

impl Target<'_> {
    /// The output limit that was asked for, as far as credits are held for it.
    pub(crate) fn limited(&self, asked: Option<u64>) -> Option<u64> {
        let most = self.most_output.unwrap_or(u64::MAX);
        asked.map(|asked| asked.min(most))
    }

    /// The output limit where the protocol demands one.
    pub(crate) fn output_limit(&self, request: &Request) -> u64 {
        let asked = request.max_output.unwrap_or(self.default_output);
        self.most_output
            .map_or(asked, |most| asked.min(most))
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_the_price_table_or_by_its_name() {
        use Thinking::{Adaptive, Always, Budget, Never};
        let table: &[(&str, &[&str], Thinking, bool)] = &[
            ("M", &[], Adaptive, false),
            ("claude-opus-4-8", &[], Adaptive, false),
            ("claude-opus-4-6", &[], Adaptive, true),
            ("anthropic/claude-sonnet-4-5-20250929", &[], Budget, true),
            ("claude-sonnet-4-20250514", &[], Budget, true),
            ("claude-3-5-haiku-20241022", &[], Never, true),
            ("gpt-4o-mini", &[], Never, true),
            ("claude-x", &["reasoning"], Budget, true),
            ("claude-x", &["vision"], Never, true),
            (
                "claude-x",
                &["reasoning", "adaptive_thinking"],
                Adaptive,
                false,
            ),
            (
                "claude-x",
                &["adaptive_thinking", "thinking_always_on"],
                Always,
                false,
            ),
            (
                "claude-x",
                &["adaptive_thinking", "legacy_thinking"],
                Adaptive,
                true,
            ),
        ];

        for (name, words, thinking, samples) in table {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let traits = Traits::of(Protocol::Messages, name, &words);
            assert_eq!(
                (traits.thinking, traits.samples),
                (*thinking, *samples),
                "{name} {words:?}"
            );
        }
    }
}
