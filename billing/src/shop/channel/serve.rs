//! Which models a channel serves. A name that is new here becomes a model: priced where the price table lists it,
//! hidden until an operator prices it where it does not.

use std::collections::BTreeMap;

use entity::{
    Actor, ChannelId, Database, ModelId, Platform, Timestamp, Tx,
    audit_trail::{self, Entry},
    channel, channel_model, model,
};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, Set};

use crate::shop::{
    import::{ImportError, import_in},
    model::{AddModel, AddModelError, add_in},
    price_table::{Line, PriceTable},
};

/// The most models one channel serves.
pub const MODELS_MAX: usize = 200;

/// One model that a channel serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The name callers send.
    pub name: String,
    /// The upstream's name for it.
    pub upstream_name: String,
}

/// Why a channel's models stayed as they were.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is no such channel.
    #[error("no such channel")]
    NoChannel,
    /// More than [`MODELS_MAX`].
    #[error("a channel serves at most {MODELS_MAX} models")]
    TooMany,
    /// A name cannot be a model's.
    #[error("{0:?} cannot be a model's name")]
    Name(String),
    /// A listed price could not be taken over.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Makes `models` all that the channel serves; of two lines with one public name the last counts.
pub async fn serve(
    db: &Database,
    channel: ChannelId,
    models: Vec<Served>,
    actor: Actor,
    now: Timestamp,
) -> Result<(), ServeError> {
    if models.len() > MODELS_MAX {
        return Err(ServeError::TooMany);
    }
    let models: BTreeMap<String, String> = models
        .into_iter()
        .map(|served| (served.name, served.upstream_name))
        .collect();
    let table = PriceTable::shipped();
    let listed: Vec<Line> = models
        .keys()
        .filter_map(|name| table.line(name).cloned())
        .collect();
    let note = table.retrieved.map(|day| day.to_string());

    db.write(move |tx| {
        Box::pin(async move {
            let known = channel::Entity::every()
                .filter(channel::Column::Id.eq(channel))
                .one(tx)
                .await?;
            if known.is_none() {
                return Err(ServeError::NoChannel);
            }
            import_in(
                tx,
                &unknown(tx, listed).await?,
                note.as_deref(),
                &actor,
                now,
            )
            .await?;
            channel_model::Entity::remove()
                .filter(channel_model::Column::ChannelId.eq(channel))
                .exec(tx)
                .await?;
            for (name, upstream_name) in &models {
                let row = channel_model::ActiveModel {
                    channel_id: Set(channel),
                    model_id: Set(find_or_add(tx, name, &actor, now).await?),
                    upstream_name: Set(upstream_name.clone()),
                };
                channel_model::Entity::insert(row)
                    .exec_without_returning(tx)
                    .await?;
            }
            let entry = Entry {
                actor,
                action: "channel.serve",
                subject: ("channel", channel.to_string()),
                tenant: None,
                reason: None,
                detail: Some(serde_json::json!({ "models": models })),
            };
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}

/// The listed lines whose models are not here yet: a channel that starts to serve a model never moves its price.
async fn unknown(tx: &Tx, listed: Vec<Line>) -> Result<Vec<Line>, DbErr> {
    let names = listed.iter().map(|line| line.model.as_str());
    let known: Vec<String> = model::Entity::every()
        .filter(model::Column::Name.is_in(names))
        .all(tx)
        .await?
        .into_iter()
        .map(|model| model.name)
        .collect();

    Ok(listed
        .into_iter()
        .filter(|line| !known.contains(&line.model))
        .collect())
}

async fn find_or_add(
    tx: &Tx,
    name: &str,
    actor: &Actor,
    now: Timestamp,
) -> Result<ModelId, ServeError> {
    let found = model::Entity::every()
        .filter(model::Column::Name.eq(name))
        .one(tx)
        .await?;
    if let Some(found) = found {
        return Ok(found.id);
    }

    let kind = if name.contains("embed") {
        model::Kind::Embedding
    } else {
        model::Kind::Chat
    };
    let order = AddModel {
        name: name.to_owned(),
        kind,
        context_window: None,
        max_output: None,
        capabilities: Vec::new(),
    };
    add_in(tx, &order, actor, now)
        .await
        .map_err(|error| match error {
            AddModelError::Name | AddModelError::Taken => ServeError::Name(name.to_owned()),
            AddModelError::Store(error) => ServeError::Store(error),
        })
}
