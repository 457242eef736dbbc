//! Changes what a group offers and at which multiplier; it binds at the next call.

use std::collections::BTreeSet;

use entity::{
    Actor, ChannelId, Database, GroupId, ModelId, Platform, Protocol, Timestamp, Tx,
    audit_trail::{self, Entry},
    channel,
    group::{
        self,
        client::{KINDS, Rule},
    },
    group_channel, model,
};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, Set, sea_query::Expr};

/// The largest multiplier a group may have: a thousand times the price.
const MULTIPLIER_MAX_PPM: i64 = 1_000_000_000;

/// A group as it shall be.
#[derive(Clone, Debug)]
pub struct ChangeGroup {
    /// Which group.
    pub group: GroupId,
    /// What members read.
    pub title: String,
    /// Factor on every price, in millionths; above zero.
    pub multiplier_ppm: i64,
    /// The model of a call that names none.
    pub default_model: Option<ModelId>,
    /// The channels that serve it, all of them.
    pub channels: BTreeSet<ChannelId>,
    /// Protocols it takes; none takes all.
    pub protocols: BTreeSet<Protocol>,
    /// Clients it takes; none takes all.
    pub clients: Vec<Rule>,
    /// Where calls go that it does not take or has no channel for.
    pub fallback: Option<GroupId>,
    /// Whether its calls stop at once when their client hangs up.
    pub stops_when_left: bool,
    /// Factor on tokens that had to be counted, since the upstream did not say them, in millionths; above zero.
    pub counted_ppm: i64,
    /// Whether what a translation would have to leave out is refused, where the answer may depend on it.
    pub strict_translation: bool,
}

/// Why a group stayed as it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeGroupError {
    /// There is no such group.
    #[error("no such group")]
    NoGroup,
    /// The title is empty or too long.
    #[error("a group's title has 1 to 80 characters")]
    Title,
    /// The multiplier is not above zero, or above a thousand.
    #[error("a multiplier lies above 0 and up to 1000")]
    Multiplier,
    /// The factor on counted tokens is not above zero, or above a thousand.
    #[error("a factor on counted tokens lies above 0 and up to 1000")]
    Counted,
    /// A client kind is unknown or named twice, or its least version lies above its newest.
    #[error("a client is named once, with its least version not above its newest")]
    Clients,
    /// The fallback is the group itself, or is not there.
    #[error("a group falls back on another one")]
    Fallback,
    /// A channel or the default model is not there.
    #[error("a channel or model is not there any more")]
    Unknown,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Makes the group what `wish` says.
pub async fn change(
    db: &Database,
    wish: ChangeGroup,
    actor: Actor,
    now: Timestamp,
) -> Result<(), ChangeGroupError> {
    let title = wish.title.trim().to_owned();
    if title.is_empty() || title.chars().count() > 80 {
        return Err(ChangeGroupError::Title);
    }
    if !(1..=MULTIPLIER_MAX_PPM).contains(&wish.multiplier_ppm) {
        return Err(ChangeGroupError::Multiplier);
    }
    if !(1..=MULTIPLIER_MAX_PPM).contains(&wish.counted_ppm) {
        return Err(ChangeGroupError::Counted);
    }
    if !are_in_order(&wish.clients) {
        return Err(ChangeGroupError::Clients);
    }
    if wish.fallback == Some(wish.group) {
        return Err(ChangeGroupError::Fallback);
    }

    db.write(move |tx| {
        Box::pin(async move {
            check(tx, &wish).await?;
            let touched = group::Entity::change()
                .col_expr(group::Column::Title, Expr::value(title.as_str()))
                .col_expr(
                    group::Column::MultiplierPpm,
                    Expr::value(wish.multiplier_ppm),
                )
                .col_expr(
                    group::Column::DefaultModelId,
                    Expr::value(wish.default_model),
                )
                .col_expr(
                    group::Column::Protocols,
                    Expr::value(serde_json::json!(wish.protocols).to_string()),
                )
                .col_expr(
                    group::Column::Clients,
                    Expr::value(serde_json::json!(wish.clients).to_string()),
                )
                .col_expr(group::Column::FallbackGroupId, Expr::value(wish.fallback))
                .col_expr(
                    group::Column::StopsWhenLeft,
                    Expr::value(wish.stops_when_left),
                )
                .col_expr(group::Column::CountedPpm, Expr::value(wish.counted_ppm))
                .col_expr(
                    group::Column::StrictTranslation,
                    Expr::value(wish.strict_translation),
                )
                .filter(group::Column::Id.eq(wish.group))
                .exec(tx)
                .await?
                .rows_affected;
            if touched != 1 {
                return Err(ChangeGroupError::NoGroup);
            }
            shelve(tx, &wish).await?;
            let entry = Entry {
                actor,
                action: "group.change",
                subject: ("group", wish.group.to_string()),
                tenant: None,
                reason: None,
                detail: Some(serde_json::json!({
                    "title": title,
                    "multiplier_ppm": wish.multiplier_ppm,
                    "default_model": wish.default_model,
                    "channels": wish.channels,
                    "protocols": wish.protocols,
                    "clients": wish.clients,
                    "fallback": wish.fallback,
                    "stops_when_left": wish.stops_when_left,
                    "counted_ppm": wish.counted_ppm,
                    "strict_translation": wish.strict_translation,
                })),
            };
            audit_trail::append(tx, entry, now).await?;
            Ok(())
        })
    })
    .await
}

/// Each kind is known and named once, and its versions are in order.
fn are_in_order(rules: &[Rule]) -> bool {
    let mut seen = BTreeSet::new();
    rules.iter().all(|rule| {
        let known = KINDS.iter().any(|known| known.word == rule.kind);
        let ordered = match (rule.least, rule.most) {
            (Some(least), Some(most)) => least <= most,
            _ => true,
        };
        known && ordered && seen.insert(rule.kind.as_str())
    })
}

async fn check(tx: &Tx, wish: &ChangeGroup) -> Result<(), ChangeGroupError> {
    let channels = channel::Entity::every()
        .filter(channel::Column::Id.is_in(wish.channels.iter().copied()))
        .count(tx)
        .await?;
    let all_there = u64::try_from(wish.channels.len()).is_ok_and(|wanted| wanted == channels);
    let model_there = match wish.default_model {
        None => true,
        Some(model) => model::Entity::every()
            .filter(model::Column::Id.eq(model))
            .one(tx)
            .await?
            .is_some(),
    };

    if let Some(fallback) = wish.fallback {
        let there = group::Entity::every()
            .filter(group::Column::Id.eq(fallback))
            .one(tx)
            .await?;
        if there.is_none() {
            return Err(ChangeGroupError::Fallback);
        }
    }

    if all_there && model_there {
        Ok(())
    } else {
        Err(ChangeGroupError::Unknown)
    }
}

async fn shelve(tx: &Tx, wish: &ChangeGroup) -> Result<(), DbErr> {
    group_channel::Entity::remove()
        .filter(group_channel::Column::GroupId.eq(wish.group))
        .exec(tx)
        .await?;
    for channel in &wish.channels {
        let row = group_channel::ActiveModel {
            group_id: Set(wish.group),
            channel_id: Set(*channel),
        };
        group_channel::Entity::insert(row)
            .exec_without_returning(tx)
            .await?;
    }
    Ok(())
}
