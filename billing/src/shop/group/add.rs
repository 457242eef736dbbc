//! A new group, open to every protocol and client.

use entity::{
    Actor, Database, GroupId, Platform, Timestamp,
    audit_trail::{self, Entry},
    group,
};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, Set};

use crate::rating::PPM_ONE;

/// A group to add.
#[derive(Clone, Debug)]
pub struct AddGroup {
    /// Its short name: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// What members read.
    pub title: String,
}

/// Why a group was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddGroupError {
    /// The name has other characters than it may, or too many.
    #[error("a group's name has 1 to 40 lower-case letters, digits, - and _")]
    Name,
    /// The title is empty or too long.
    #[error("a group's title has 1 to 80 characters")]
    Title,
    /// There is a group of this name.
    #[error("there is a group of this name")]
    Taken,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbErr),
}

/// Adds an active group without channels, at multiplier 1.
pub async fn add(
    db: &Database,
    order: AddGroup,
    actor: Actor,
    now: Timestamp,
) -> Result<GroupId, AddGroupError> {
    let name = order.name.trim().to_owned();
    let title = order.title.trim().to_owned();
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
    };
    if name.is_empty() || name.len() > 40 || !name.bytes().all(plain) {
        return Err(AddGroupError::Name);
    }
    if title.is_empty() || title.chars().count() > 80 {
        return Err(AddGroupError::Title);
    }

    db.write(move |tx| {
        Box::pin(async move {
            let taken = group::Entity::every()
                .filter(group::Column::Name.eq(name.as_str()))
                .one(tx)
                .await?;
            if taken.is_some() {
                return Err(AddGroupError::Taken);
            }
            let id = GroupId::fresh();
            let row = group::ActiveModel {
                id: Set(id),
                name: Set(name.clone()),
                title: Set(title),
                status: Set(group::Status::Active),
                is_default: Set(false),
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
                actor,
                action: "group.add",
                subject: ("group", id.to_string()),
                tenant: None,
                reason: None,
                detail: Some(serde_json::json!({ "name": name })),
            };
            audit_trail::append(tx, entry, now).await?;
            Ok(id)
        })
    })
    .await
}
