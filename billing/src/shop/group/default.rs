//! The one group of a fresh installation: open to every protocol and client, so that nobody meets a mismatch before
//! they made one.

use entity::{
    Actor, Database, GroupId, Platform, Timestamp,
    audit_trail::{self, Entry},
    group,
};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, Set};

use crate::rating::PPM_ONE;

const NAME: &str = "default";

/// The group that new keys and new channels get; made where there is none.
pub async fn ensure_default(db: &Database, now: Timestamp) -> Result<GroupId, DbErr> {
    if let Some(group) = present(db.read()).await? {
        return Ok(group);
    }
    db.write(move |tx| Box::pin(async move { ensure_default_in(tx, now).await }))
        .await
}

/// As [`ensure_default`], in the caller's transaction.
pub async fn ensure_default_in(
    tx: &impl ConnectionTrait,
    now: Timestamp,
) -> Result<GroupId, DbErr> {
    if let Some(group) = present(tx).await? {
        return Ok(group);
    }
    let id = GroupId::fresh();
    let row = group::ActiveModel {
        id: Set(id),
        name: Set(NAME.to_owned()),
        title: Set("Default".to_owned()),
        status: Set(group::Status::Active),
        is_default: Set(true),
        multiplier_ppm: Set(PPM_ONE),
        default_model_id: Set(None),
        protocols: Set("[]".to_owned()),
        clients: Set("[]".to_owned()),
        fallback_group_id: Set(None),
        stops_when_left: Set(false),
        counted_ppm: Set(PPM_ONE),
        strict_translation: Set(false),
        created_at: Set(now),
    };
    group::Entity::insert(row)
        .exec_without_returning(tx)
        .await?;
    let entry = Entry {
        actor: Actor::System,
        action: "group.add",
        subject: ("group", id.to_string()),
        tenant: None,
        reason: None,
        detail: Some(serde_json::json!({ "name": NAME })),
    };
    audit_trail::append(tx, entry, now).await?;
    Ok(id)
}

async fn present(db: &impl ConnectionTrait) -> Result<Option<GroupId>, DbErr> {
    let found = group::Entity::every()
        .filter(group::Column::IsDefault.eq(true))
        .order_by_asc(group::Column::Id)
        .one(db)
        .await?;
    Ok(found.map(|group| group.id))
}
