//! Draws the picture from the tables.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use billing::rating;
use entity::{
    ChannelId, Database, GroupId, ModelId, Platform, Timestamp,
    channel::{self, Options},
    channel_key, channel_model, group, group_channel, model, price_version,
};
use identity::seal::{MasterKey, Sealed, open_channel_secret};
use outbound::{HeaderMap, HeaderName, HeaderValue, Url, provider};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder};

use super::shelf::{Channel, Credential, Group, Model, Price, Snapshot, Upstream, provider_kind};

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The database failed.
    #[error("the catalog could not be read")]
    Store(#[from] DbErr),
}

/// Reads the shop as it is at `now`. A row that cannot be used is left out and named in the log.
pub(super) async fn load(
    db: &Database,
    master: &MasterKey,
    now: Timestamp,
) -> Result<Snapshot, LoadError> {
    let models = models(db, now).await?;
    let by_id: HashMap<ModelId, Arc<Model>> = models
        .iter()
        .map(|model| (model.id, Arc::clone(model)))
        .collect();
    let channels = channels(db, master).await?;
    let groups = groups(db, &channels, &by_id).await?;
    Ok(Snapshot {
        groups,
        folded: models
            .iter()
            .map(|model| (model.name.to_lowercase(), model.name.clone()))
            .collect(),
        models: models
            .into_iter()
            .map(|model| (model.name.clone(), model))
            .collect(),
    })
}

async fn models(db: &Database, now: Timestamp) -> Result<Vec<Arc<Model>>, DbErr> {
    let rows = model::Entity::every().all(db.read()).await?;
    let mut prices: HashMap<ModelId, price_version::Model> = HashMap::new();
    let in_force = price_version::Entity::every()
        .filter(price_version::Column::EffectiveAt.lte(now))
        .order_by_asc(price_version::Column::EffectiveAt)
        .all(db.read())
        .await?;
    for version in in_force {
        prices.insert(version.model_id, version);
    }
    Ok(rows
        .into_iter()
        .map(|row| {
            let price = prices.get(&row.id).and_then(price);
            Arc::new(Model {
                id: row.id,
                name: row.name,
                title: row.title,
                kind: row.kind,
                status: row.status,
                status_reason: row.status_reason,
                context_window: row.context_window.and_then(|size| size.try_into().ok()),
                max_output: row.max_output.and_then(|size| size.try_into().ok()),
                words: words(&row.capabilities),
                created_at: row.created_at,
                price,
            })
        })
        .collect())
}

/// What a model can do, as words; a list that cannot be read says nothing.
fn words(json: &str) -> BTreeSet<String> {
    let said: HashMap<String, bool> = serde_json::from_str(json).unwrap_or_default();
    said.into_iter()
        .filter_map(|(word, can)| can.then_some(word))
        .collect()
}

/// A price that does not compute is no price: the model is refused rather than given away.
fn price(version: &price_version::Model) -> Option<Price> {
    let sale = rating::Price::of(version)
        .inspect_err(|error| {
            tracing::error!(price.id = %version.id, model.id = %version.model_id, %error, "a price cannot be used");
        })
        .ok()?;
    Some(Price {
        version: version.id,
        sale,
        cost: rating::Price::upstream(version).ok().flatten(),
    })
}

async fn channels(
    db: &Database,
    master: &MasterKey,
) -> Result<HashMap<ChannelId, Arc<Channel>>, DbErr> {
    let mut models: HashMap<ChannelId, HashMap<ModelId, String>> = HashMap::new();
    for row in channel_model::Entity::every().all(db.read()).await? {
        models
            .entry(row.channel_id)
            .or_default()
            .insert(row.model_id, row.upstream_name);
    }
    let rows = channel::Entity::every()
        .filter(channel::Column::Status.eq(channel::Status::Active))
        .all(db.read())
        .await?;
    let mut further: HashMap<ChannelId, Vec<channel_key::Model>> = HashMap::new();
    let keys = channel_key::Entity::every()
        .filter(channel_key::Column::Status.eq(channel_key::Status::Active))
        .order_by_asc(channel_key::Column::Id)
        .all(db.read())
        .await?;
    for key in keys {
        further.entry(key.channel_id).or_default().push(key);
    }
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let options = Options::parse(&row.options);
            let further = further.remove(&row.id).unwrap_or_default();
            let upstream = upstream(&row, &options, further, master)?;
            let proxy = options.proxy.as_deref().map(Url::parse).transpose();
            let Ok(proxy) = proxy else {
                tracing::error!(channel.id = %row.id, channel.name = %row.name, "a channel cannot be used: its proxy is malformed");
                return None;
            };
            let channel = Channel {
                extra: extra(&options),
                proxy,
                options,
                id: row.id,
                name: row.name,
                upstream,
                priority: row.priority,
                weight: row.weight.try_into().unwrap_or(1),
                models: models.remove(&row.id).unwrap_or_default(),
            };
            Some((row.id, Arc::new(channel)))
        })
        .collect())
}

fn upstream(
    row: &channel::Model,
    options: &Options,
    further: Vec<channel_key::Model>,
    master: &MasterKey,
) -> Option<Upstream> {
    let Some(kind) = provider_kind(row.kind) else {
        return Some(Upstream::Sandbox);
    };
    let unusable = |why: &str| {
        tracing::error!(channel.id = %row.id, channel.name = %row.name, "a channel or a key of it cannot be used: {why}");
    };
    let Ok(base) = Url::parse(&row.base_url) else {
        unusable("its base URL is malformed");
        return None;
    };
    let host = base.host_str().unwrap_or_default();
    let opened = |bytes: Vec<u8>| {
        let opened = open_channel_secret(master, row.id, host, &Sealed::from_bytes(bytes))
            .inspect_err(|error| unusable(&error.to_string()))
            .ok()?;
        let headers = if options.quirks.api_key_header {
            provider::api_key(opened.expose())
        } else {
            provider::credential(kind, opened.expose())
        };
        if headers.is_none() {
            unusable("its secret cannot stand in a header");
        }
        headers
    };
    let first = match row.secret.clone() {
        None => Some(HeaderMap::new()),
        Some(bytes) => opened(bytes),
    };
    let first = first.map(|headers| Credential {
        key: None,
        headers,
        sealed: row.secret.clone(),
    });
    let further = further.into_iter().filter_map(|key| {
        Some(Credential {
            key: Some(key.id),
            headers: opened(key.secret.clone())?,
            sealed: Some(key.secret),
        })
    });
    let keys: Vec<Credential> = first.into_iter().chain(further).collect();
    (!keys.is_empty()).then_some(Upstream::Provider { kind, base, keys })
}

/// The headers that an operator gave the channel. One that could carry a secret or steer the connection was refused when
/// it was saved and is left out here again.
fn extra(options: &Options) -> HeaderMap {
    options
        .headers
        .iter()
        .filter(|(name, _)| provider::may_be_set(name))
        .filter_map(|(name, value)| {
            let name = HeaderName::try_from(name.as_str()).ok()?;
            Some((name, HeaderValue::try_from(value.as_str()).ok()?))
        })
        .collect()
}

async fn groups(
    db: &Database,
    channels: &HashMap<ChannelId, Arc<Channel>>,
    models: &HashMap<ModelId, Arc<Model>>,
) -> Result<HashMap<GroupId, Group>, DbErr> {
    let mut members: HashMap<GroupId, Vec<Arc<Channel>>> = HashMap::new();
    for row in group_channel::Entity::every().all(db.read()).await? {
        if let Some(channel) = channels.get(&row.channel_id) {
            members
                .entry(row.group_id)
                .or_default()
                .push(Arc::clone(channel));
        }
    }
    let rows = group::Entity::every().all(db.read()).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let group = Group {
                id: row.id,
                active: row.status == group::Status::Active,
                multiplier_ppm: row.multiplier_ppm,
                default_model: row
                    .default_model_id
                    .and_then(|id| models.get(&id).map(Arc::clone)),
                protocols: list(&row, &row.protocols),
                clients: list(&row, &row.clients),
                fallback: row.fallback_group_id,
                stops_when_left: row.stops_when_left,
                counted_ppm: row.counted_ppm,
                strict: row.strict_translation,
                channels: members.remove(&row.id).unwrap_or_default(),
                title: row.title,
            };
            (row.id, group)
        })
        .collect())
}

/// A policy that cannot be read takes nothing away; the page that wrote it checks it.
fn list<T: serde::de::DeserializeOwned>(row: &group::Model, json: &str) -> Vec<T> {
    serde_json::from_str(json)
        .inspect_err(
            |error| tracing::error!(group.id = %row.id, %error, "a group's policy is malformed"),
        )
        .unwrap_or_default()
}
