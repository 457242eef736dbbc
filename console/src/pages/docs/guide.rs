//! What fills the blanks of the documentation: this installation's address, and models that it serves.

use crate::{Console, Error};
use entity::{Platform, channel, channel_model, model};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashSet;

const MODELS_MAX: u64 = 500;

/// The blanks.
pub(super) struct Guide {
    /// Base URL of the Anthropic protocol.
    pub base: String,
    /// Base URL of the `OpenAI` protocols.
    pub v1: String,
    /// What stands where a reader's key goes.
    pub key: String,
    /// How every key begins.
    pub key_prefix: String,
    /// A model that chats.
    pub model: String,
    /// A model for Claude Code.
    pub claude: String,
    /// A small model for Claude Code's background work.
    pub claude_small: String,
    /// A model that embeds.
    pub embedding: String,
}

impl Guide {
    /// The blanks filled for this installation.
    pub(super) async fn of(console: &Console) -> Result<Self, Error> {
        let served = served(console).await?;
        let base = console.config.base_url().to_owned();
        let key_prefix = console.keys.form().prefix().to_owned();

        Ok(Self {
            v1: format!("{base}/v1"),
            base,
            key: format!("{key_prefix}YOUR_KEY"),
            key_prefix,
            model: pick(&served, model::Kind::Chat, &["gpt-", "sandbox/"], "gpt-5.5"),
            claude: pick(
                &served,
                model::Kind::Chat,
                &["claude-sonnet", "claude-"],
                "claude-sonnet-5-5",
            ),
            claude_small: pick(
                &served,
                model::Kind::Chat,
                &["claude-haiku", "claude-"],
                "claude-haiku-5-5",
            ),
            embedding: pick(
                &served,
                model::Kind::Embedding,
                &["text-embedding-"],
                "text-embedding-3-small",
            ),
        })
    }
}

/// The first served model whose name begins as wished, else the first of the kind, else the usual name.
fn pick(served: &[model::Model], kind: model::Kind, wishes: &[&str], usual: &str) -> String {
    let mut of_kind = served.iter().filter(|model| model.kind == kind).peekable();
    let first = of_kind.peek().map(|model| model.name.clone());
    let all: Vec<&model::Model> = of_kind.collect();
    wishes
        .iter()
        .find_map(|wish| all.iter().find(|model| model.name.starts_with(wish)))
        .map(|model| model.name.clone())
        .or(first)
        .unwrap_or_else(|| usual.to_owned())
}

/// The models that some active channel serves now, the newest first.
async fn served(console: &Console) -> Result<Vec<model::Model>, Error> {
    let db = console.db.read();
    let channels = channel::Entity::every()
        .filter(channel::Column::Status.eq(channel::Status::Active))
        .all(db)
        .await?;
    let on_channels: HashSet<_> = channel_model::Entity::every()
        .filter(channel_model::Column::ChannelId.is_in(channels.iter().map(|channel| channel.id)))
        .all(db)
        .await?
        .into_iter()
        .map(|row| row.model_id)
        .collect();
    let models = model::Entity::every()
        .filter(model::Column::Status.eq(model::Status::Active))
        .order_by_desc(model::Column::Id)
        .limit(MODELS_MAX)
        .all(db)
        .await?;

    Ok(models
        .into_iter()
        .filter(|model| on_channels.contains(&model.id))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::{ModelId, Timestamp};

    fn model(name: &str, kind: model::Kind) -> model::Model {
        model::Model {
            id: ModelId::fresh(),
            name: name.to_owned(),
            title: name.to_owned(),
            kind,
            status: model::Status::Active,
            status_reason: None,
            context_window: None,
            max_output: None,
            capabilities: "{}".to_owned(),
            created_at: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn the_documentation_names_models_that_are_served() {
        let served = [
            model("embedder", model::Kind::Embedding),
            model("other", model::Kind::Chat),
            model("claude-haiku-5-5", model::Kind::Chat),
        ];
        let wish = |wishes: &[&str]| pick(&served, model::Kind::Chat, wishes, "usual");

        assert_eq!(wish(&["claude-sonnet", "claude-"]), "claude-haiku-5-5");
        assert_eq!(wish(&["gpt-"]), "other");
        assert_eq!(
            pick(&served[..1], model::Kind::Chat, &["gpt-"], "usual"),
            "usual"
        );
    }
}
