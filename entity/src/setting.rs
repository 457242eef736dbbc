//! One setting of the installation, changed while it runs.

use crate::{Platform, Timestamp};
use sea_orm::{ConnectionTrait, Set, entity::prelude::*, sea_query::OnConflict};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "setting")]
pub struct Model {
    /// Which setting.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// JSON.
    pub value: String,
    /// When it was last set.
    pub updated_at: Timestamp,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}

/// The setting of this name, if it was ever set.
///
/// # Errors
/// When the database does not answer, or the stored text is not what `T` reads.
pub async fn read<T: serde::de::DeserializeOwned>(
    db: &impl ConnectionTrait,
    name: &str,
) -> Result<Option<T>, DbErr> {
    let row = Entity::every()
        .filter(Column::Name.eq(name))
        .one(db)
        .await?;
    row.map(|row| {
        serde_json::from_str(&row.value)
            .map_err(|fault| DbErr::Type(format!("setting.value of {name}: {fault}")))
    })
    .transpose()
}

/// Sets the setting of this name.
///
/// # Errors
/// When the database refuses it.
pub async fn write<T: serde::Serialize + Sync>(
    tx: &impl ConnectionTrait,
    name: &str,
    value: &T,
    now: Timestamp,
) -> Result<(), DbErr> {
    let value = serde_json::to_string(value)
        .map_err(|fault| DbErr::Type(format!("setting.value of {name}: {fault}")))?;
    let row = ActiveModel {
        name: Set(name.to_owned()),
        value: Set(value),
        updated_at: Set(now),
    };
    Entity::insert(row)
        .on_conflict(
            OnConflict::column(Column::Name)
                .update_columns([Column::Value, Column::UpdatedAt])
                .to_owned(),
        )
        .exec_without_returning(tx)
        .await?;
    Ok(())
}
