//! One finished model call: what it used, what it cost and how that is known. Its id is the hold's. Never
//! changed.

use crate::{
    ChannelId, Credits, GroupId, HoldId, KeyId, LedgerTransactionId, MemberId, ModelId,
    PriceVersionId, Protocol, Scoped, TenantId, Timestamp, WalletId,
};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage")]
pub struct Model {
    /// Which call.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: HoldId,
    /// Who paid.
    pub tenant_id: TenantId,
    /// From which wallet.
    pub wallet_id: WalletId,
    /// Who called.
    pub member_id: MemberId,
    /// With which key.
    pub key_id: KeyId,
    /// From which shelf.
    pub group_id: GroupId,
    /// Which model.
    pub model_id: ModelId,
    /// Which upstream answered.
    pub channel_id: Option<ChannelId>,
    /// At which price.
    pub price_version_id: PriceVersionId,
    /// Times which factor, in millionths.
    pub multiplier_ppm: i64,
    /// The ledger transaction that booked it; none where nothing was charged.
    pub transaction_id: Option<LedgerTransactionId>,
    /// How the hold ended.
    pub outcome: Outcome,
    /// How the usage is known.
    pub quality: Quality,
    /// How the call ended.
    pub finish: Finish,
    /// In which protocol.
    pub protocol: Protocol,
    /// By which client.
    pub client_kind: String,
    /// Whether the answer streamed.
    pub streamed: bool,
    /// Fresh input tokens.
    pub input_tokens: i64,
    /// Input tokens read from cache.
    pub cache_read_tokens: i64,
    /// Input tokens written to the short cache.
    pub cache_write_short_tokens: i64,
    /// Input tokens written to the long cache.
    pub cache_write_long_tokens: i64,
    /// Output tokens, reasoning included.
    pub output_tokens: i64,
    /// How many of those were reasoning.
    pub reasoning_tokens: i64,
    /// How many of the fresh input tokens were sound.
    pub input_audio_tokens: i64,
    /// How many of the fresh input tokens were pictures.
    pub input_image_tokens: i64,
    /// How many of the output tokens were sound.
    pub output_audio_tokens: i64,
    /// How many of the output tokens were pictures.
    pub output_image_tokens: i64,
    /// Searches of the web that the upstream made.
    pub web_searches: i64,
    /// Searches of files that the upstream made.
    pub file_searches: i64,
    /// What was charged.
    pub charge: Credits,
    /// What the upstream takes, in nano-dollars, where known.
    pub provider_cost: Option<i64>,
    /// What had been held.
    pub hold_amount: Credits,
    /// When the hold was made.
    pub started_at: Timestamp,
    /// When the first byte of the answer came.
    pub first_byte_at: Option<Timestamp>,
    /// When it was settled.
    pub ended_at: Timestamp,
}

/// How a hold ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// `settled`
    Settled,
    /// `voided`
    Voided,
    /// `expired`
    Expired,
}

/// How a call's usage is known.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// `exact`
    Exact,
    /// `counted`
    Counted,
    /// `checkpoint`
    Checkpoint,
    /// `none`
    None,
}

/// How a call ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// `complete`
    Complete,
    /// `client_gone`
    ClientGone,
    /// `upstream_cut`
    UpstreamCut,
    /// `upstream_error`
    UpstreamError,
    /// `stalled`
    Stalled,
    /// `credit_exhausted`
    CreditExhausted,
    /// `shutdown`
    Shutdown,
    /// `lost`
    Lost,
}

/// Rows are joined by hand where a page needs it.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Scoped for Entity {
    fn tenant_column() -> Column {
        Column::TenantId
    }
}
