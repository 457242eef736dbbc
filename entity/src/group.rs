//! A shelf of the shop: which channels, protocols and clients, at which multiplier. A key belongs to exactly
//! one.

use crate::{GroupId, ModelId, Platform, Timestamp};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

pub mod client;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "group")]
pub struct Model {
    /// Which group.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: GroupId,
    /// Its short name.
    #[sea_orm(unique)]
    pub name: String,
    /// What members read.
    pub title: String,
    /// Whether keys may be made in it and used.
    pub status: Status,
    /// Whether a new key gets it when none is chosen.
    pub is_default: bool,
    /// Factor on every price, in millionths.
    pub multiplier_ppm: i64,
    /// The model of a call that names none.
    pub default_model_id: Option<ModelId>,
    /// JSON list of protocols it takes; `[]` takes all.
    pub protocols: String,
    /// JSON list of client kinds it takes; `[]` takes all.
    pub clients: String,
    /// Where its calls go when it has no channel.
    pub fallback_group_id: Option<GroupId>,
    /// Whether its calls stop at once when their client hangs up, instead of being read on for their usage.
    pub stops_when_left: bool,
    /// Factor on tokens that had to be counted, since the upstream did not say them, in millionths.
    pub counted_ppm: i64,
    /// Whether what a translation would have to leave out is refused, where the answer may depend on it.
    pub strict_translation: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Whether a group is open.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// `active`
    Active,
    /// `disabled`
    Disabled,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Platform for Entity {}
