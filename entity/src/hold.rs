//! Credits reserved for one running call. Only open holds have a row: ending one deletes it, which is the
//! claim.

use crate::{
    ChannelId, Credits, GroupId, HoldId, KeyId, MemberId, ModelId, PriceVersionId, Protocol,
    Scoped, TenantId, Timestamp, WalletId,
};
use sea_orm::entity::prelude::*;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hold")]
pub struct Model {
    /// Which call.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: HoldId,
    /// Who pays.
    pub tenant_id: TenantId,
    /// From which wallet.
    pub wallet_id: WalletId,
    /// Who calls.
    pub member_id: MemberId,
    /// With which key.
    pub key_id: KeyId,
    /// From which shelf.
    pub group_id: GroupId,
    /// Which model.
    pub model_id: ModelId,
    /// At which price.
    pub price_version_id: PriceVersionId,
    /// Times which factor, in millionths.
    pub multiplier_ppm: i64,
    /// To which upstream first.
    pub channel_id: Option<ChannelId>,
    /// How much is reserved.
    pub amount: Credits,
    /// How much of that the credit line backs.
    pub debt_amount: Credits,
    /// Input tokens expected.
    pub input_tokens: i64,
    /// Output tokens at most.
    pub output_cap: i64,
    /// Output tokens expected, where the amount rests on it.
    pub expected_output: Option<i64>,
    /// In which protocol.
    pub protocol: Protocol,
    /// By which client.
    pub client_kind: String,
    /// Whether the answer streams.
    pub streamed: bool,
    /// When the call left for the upstream.
    pub dispatched_at: Option<Timestamp>,
    /// What the call has cost so far.
    pub checkpoint_charge: Credits,
    /// Output tokens counted so far.
    pub checkpoint_output: i64,
    /// When that was noted.
    pub checkpoint_at: Option<Timestamp>,
    /// When it was reserved.
    pub created_at: Timestamp,
    /// When the sweeper may end it.
    pub expires_at: Timestamp,
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
