//! Answers that name another model than the one that was asked for. The charge is that of the model that was routed, whatever
//! the answer says; an operator is told once.

use entity::{ChannelId, ModelId};
use moka::sync::Cache;

use super::Call;

/// Names remembered at most.
const MOST: u64 = 10_000;

/// What channels called their models, as far as it was told already.
#[derive(Clone, Debug)]
pub(crate) struct Strangers(Cache<(ChannelId, ModelId, String), ()>);

impl Default for Strangers {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl Strangers {
    /// The doubt about an answer that names a stranger; none for one that was told of before.
    pub(super) fn doubt(&self, call: &Call, channel: ChannelId, named: &str) -> Option<String> {
        let channel = call.channels.iter().find(|known| known.id == channel)?;
        let asked = channel.models.get(&call.model.id)?;
        if is_same(asked, named) {
            return None;
        }
        let known = (channel.id, call.model.id, named.to_owned());
        let is_news = self.0.entry(known).or_insert(()).is_fresh();
        is_news.then(|| format!("the upstream was asked for `{asked}` and answered as `{named}`"))
    }
}

/// Whether two names are of one model: providers put their own name before it and a date behind it.
fn is_same(asked: &str, named: &str) -> bool {
    let bare = |name: &str| {
        let last = name.rsplit('/').next().unwrap_or_default();
        last.to_ascii_lowercase()
    };
    let (asked, named) = (bare(asked), bare(named));
    asked.contains(&named) || named.contains(&asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_a_date_or_another_case_is_no_stranger() {
        let table = [
            ("gpt-4o", "gpt-4o-2024-08-06", true),
            ("openai/gpt-4o", "GPT-4o", true),
            (
                "claude-opus-4-1",
                "anthropic/claude-opus-4-1-20250805",
                true,
            ),
            ("gpt-4o", "gpt-4.1", false),
            ("claude-opus-4-1", "claude-haiku-4-5", false),
        ];

        for (asked, named, same) in table {
            assert_eq!(is_same(asked, named), same, "{asked} {named}");
        }
    }
}
