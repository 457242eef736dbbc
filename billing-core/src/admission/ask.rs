//! What is asked of a wallet, and what it answers.

use crate::{plan, rating::Tokens};
use entity::DbErr;
use entity::{
    ChannelId, Credits, GroupId, HoldId, KeyId, MemberId, ModelId, PriceVersionId, Protocol,
    TenantId, Timestamp, usage,
};
use std::time::Duration;

/// Credits asked for one call before it leaves for the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldOrder {
    /// Made by the caller, so that a retry carries the same one; the usage row will have it too.
    pub id: HoldId,
    /// Who pays.
    pub tenant: TenantId,
    /// Who calls.
    pub member: MemberId,
    /// With which key.
    pub key: KeyId,
    /// From which shelf.
    pub group: GroupId,
    /// Which model.
    pub model: ModelId,
    /// At which price, to the end of the call.
    pub price_version: PriceVersionId,
    /// Times which factor, in millionths.
    pub multiplier_ppm: i64,
    /// To which upstream first, where that is known.
    pub channel: Option<ChannelId>,
    /// What the call is expected to cost: so much is held where it is there.
    pub amount: Credits,
    /// How little will do. Where there is less than `amount`, all there is is held, down to this; a caller that
    /// takes all or a refusal says `amount` again.
    pub least: Credits,
    /// The output tokens that `amount` rests on, where it is an expectation and not the call's bound.
    pub expected_output: Option<u64>,
    /// Input tokens expected.
    pub input_tokens: u64,
    /// Output tokens at most.
    pub output_cap: u64,
    /// In which protocol.
    pub protocol: Protocol,
    /// By which client.
    pub client_kind: String,
    /// Whether the answer streams.
    pub streamed: bool,
    /// How long the hold lasts without a sign of life; then the sweeper ends it.
    pub ttl: Duration,
    /// When it is asked.
    pub now: Timestamp,
}

/// What a finished call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// What it used.
    pub tokens: Tokens,
    /// What that costs; may be more than was held.
    pub charge: Credits,
    /// How the usage is known.
    pub quality: usage::Quality,
    /// How the call ended.
    pub finish: usage::Finish,
    /// Which upstream answered.
    pub channel: Option<ChannelId>,
    /// What the upstream takes, in nano-dollars, where known.
    pub provider_cost: Option<i64>,
    /// When the first byte of the answer came.
    pub first_byte_at: Option<Timestamp>,
    /// When the call ended.
    pub ended_at: Timestamp,
}

/// Why a call is not charged.
pub type VoidReason = usage::Finish;

/// How a hold ended. A second ending of the same hold gets the first one's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Settled, voided or expired.
    pub outcome: usage::Outcome,
    /// What was charged.
    pub charge: Credits,
    /// How the usage is known.
    pub quality: usage::Quality,
}

impl From<&usage::Model> for Settled {
    fn from(row: &usage::Model) -> Self {
        Self {
            outcome: row.outcome,
            charge: row.charge,
            quality: row.quality,
        }
    }
}

/// Whose limit refuses a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A plan's.
    Plan,
    /// The tenant's.
    Tenant,
    /// The member's.
    Member,
    /// The key's.
    Key,
}

/// Why credits are not held. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum HoldRefusal {
    /// Buy credits, redeem a code, or ask for less.
    #[error("{needed} credits needed, {available} available")]
    InsufficientCredits {
        /// What the call needs.
        needed: Credits,
        /// What it could have had.
        available: Credits,
        /// What running calls hold, some of which may come free.
        held: Credits,
    },
    /// An earlier call cost more than there was; the next credits repay it first.
    #[error("{debt} credits owed")]
    InDebt {
        /// How much.
        debt: Credits,
    },
    /// An operator froze or closed the wallet.
    #[error("the wallet is frozen")]
    WalletFrozen,
    /// The member was banned or left.
    #[error("the member is banned")]
    MemberBanned,
    /// The tenant was suspended or closed.
    #[error("the tenant is suspended")]
    TenantSuspended,
    /// The key is switched off.
    #[error("the key is disabled")]
    KeyDisabled,
    /// The key was given up for good, or is not this member's.
    #[error("the key is revoked")]
    KeyRevoked,
    /// The key is past its date.
    #[error("the key is expired")]
    KeyExpired,
    /// An operator blocked the model.
    #[error("the model is blocked")]
    ModelBlocked,
    /// No plan of the tenant pays for this model from this group, and nothing else can.
    #[error("the plan {plan} does not serve this model: {why}")]
    ModelNotInPlan {
        /// The plan that comes first.
        plan: String,
        /// The clause that decided, with its words.
        why: String,
    },
    /// Wait for a running call to end.
    #[error("{limit} calls run already")]
    ConcurrencyLimit {
        /// How many may.
        limit: u32,
    },
    /// Wait for the window, or use other credits.
    #[error("{used} of {limit} used in the window {window}, until {resets_at}")]
    QuotaExhausted {
        /// Whose limit it is.
        of: Whose,
        /// What the plan calls it, or how long it is.
        window: String,
        /// How much it lets through.
        limit: plan::Quantity,
        /// How much is used or held.
        used: plan::Quantity,
        /// How much of that running calls hold, some of which may come free.
        held: plan::Quantity,
        /// How much the call needs.
        needed: plan::Quantity,
        /// When it is whole again.
        resets_at: Timestamp,
    },
    /// Wait for the window, or have the key's or member's own cap raised.
    #[error("{used} of {limit} spent in the window {window}, until {resets_at}")]
    SpendCapReached {
        /// Whose cap it is.
        of: Whose,
        /// How long the window is.
        window: String,
        /// How much it lets through.
        limit: plan::Quantity,
        /// How much is used or held.
        used: plan::Quantity,
        /// How much of that running calls hold, some of which may come free.
        held: plan::Quantity,
        /// How much the call needs.
        needed: plan::Quantity,
        /// When it is whole again.
        resets_at: Timestamp,
    },
    /// An amount below zero or past every balance, or a token count out of range.
    #[error("the order's numbers are out of range")]
    OutOfRange,
    /// The id has been used for another call, or this call has ended.
    #[error("the id is in use")]
    IdInUse,
    /// The lane's queue is full; try again in a moment.
    #[error("too many calls wait for admission")]
    Overloaded,
    /// The process is shutting down; ask another one.
    #[error("the process is shutting down")]
    Draining,
    /// The database failed. The hold may exist; then it ends by itself.
    #[error("the store failed")]
    Store(#[from] DbErr),
}

impl HoldRefusal {
    /// Whether nothing but calls that run now is in the way, so that it may pass when one of them ends.
    pub fn passes_soon(&self) -> bool {
        match self {
            Self::ConcurrencyLimit { .. } => true,
            Self::InsufficientCredits {
                needed,
                available,
                held,
            } => {
                held.is_positive()
                    && available
                        .checked_add(*held)
                        .is_none_or(|all| all >= *needed)
            }
            Self::QuotaExhausted {
                limit,
                used,
                held,
                needed,
                ..
            }
            | Self::SpendCapReached {
                limit,
                used,
                held,
                needed,
                ..
            } => {
                let settled = used.units().saturating_sub(held.units());
                held.units() > 0 && settled.saturating_add(needed.units()) <= limit.units()
            }
            Self::InDebt { .. }
            | Self::WalletFrozen
            | Self::MemberBanned
            | Self::TenantSuspended
            | Self::KeyDisabled
            | Self::KeyRevoked
            | Self::KeyExpired
            | Self::ModelBlocked
            | Self::ModelNotInPlan { .. }
            | Self::OutOfRange
            | Self::IdInUse
            | Self::Overloaded
            | Self::Draining
            | Self::Store(_) => false,
        }
    }
}

/// How far a hold is to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// How much more; so much is held where it is there.
    pub extra: Credits,
    /// How little more will do.
    pub least: Credits,
    /// When it is asked.
    pub now: Timestamp,
    /// Until when the hold then lives without another sign.
    pub expires_at: Timestamp,
}

/// Why a hold does not grow. It stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum ExtendRefusal {
    /// End the answer and settle.
    #[error("{needed} credits needed, {available} available")]
    InsufficientCredits {
        /// What was asked.
        needed: Credits,
        /// What there is.
        available: Credits,
    },
    /// A window of the plan that serves the call has no more room.
    #[error("the window is exhausted until {resets_at}")]
    QuotaExhausted {
        /// When it is whole again.
        resets_at: Timestamp,
    },
    /// An operator froze or closed the wallet.
    #[error("the wallet is frozen")]
    WalletFrozen,
    /// An amount of nothing, below zero or past every balance.
    #[error("the amount is out of range")]
    OutOfRange,
    /// The hold has ended already.
    #[error("the hold has ended")]
    Ended,
    /// The lane's queue is full.
    #[error("too many calls wait for admission")]
    Overloaded,
    /// The process is shutting down.
    #[error("the process is shutting down")]
    Draining,
    /// The database failed.
    #[error("the store failed")]
    Store(#[from] DbErr),
}

/// Why a hold is not ended by this call of settle or void.
#[derive(Debug, thiserror::Error)]
pub enum EndRefusal {
    /// A charge below zero or past every balance, or a token count out of range: a fault of the caller. The hold stays.
    #[error("the settlement's numbers are out of range")]
    OutOfRange,
    /// No call has this id.
    #[error("no such hold")]
    Unknown,
    /// The database failed. The hold stays and the sweeper ends it by its last checkpoint.
    #[error("the store failed")]
    Store(#[from] DbErr),
}
