//! One id type a table over UUIDv7, so that ids of two tables cannot be mixed up and sort by the time they
//! were made. They are made by the caller of an operation, so a retry can carry the same one.

use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, DeriveValueType)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, later in order than every id this process made before.
            #[expect(clippy::disallowed_methods, reason = "this is the one place that makes ids")]
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id written as this UUID.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID, for hashing and for raw statements.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, DbErr> {
                Err(DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    )+};
}

ids! {
    /// A paying organisation.
    TenantId,
    /// A person who signs in.
    PersonId,
    /// A person in one tenant.
    MemberId,
    /// One signed-in browser.
    SessionId,
    /// A link sent by mail.
    EmailTokenId,
    /// An API key.
    KeyId,
    /// A shelf of the shop.
    GroupId,
    /// One upstream account.
    ChannelId,
    /// A public model name.
    ModelId,
    /// The price of a model from one moment on.
    PriceVersionId,
    /// A tenant's credits.
    WalletId,
    /// A lot of credits.
    GrantId,
    /// One model call: the hold while it runs, the usage row ever after, and the request id its caller sees.
    HoldId,
    /// A balanced set of ledger entries.
    LedgerTransactionId,
    /// A product for sale.
    PlanId,
    /// One immutable version of a plan.
    PlanVersionId,
    /// A tenant's copy of a plan version.
    SubscriptionId,
    /// Redemption codes made together.
    CodeBatchId,
    /// One redemption code.
    CodeId,
    /// One use of a code.
    RedemptionId,
    /// One purchase at the payment provider.
    OrderId,
    /// One line of the audit trail.
    AuditId,
    /// Credits given back of a call.
    UsageAdjustmentId,
    /// One side effect that waits to be carried out.
    OutboxId,
    /// One refused call.
    RejectionId,
    /// A further key of an upstream account.
    ChannelKeyId,
    /// One try at a channel that brought nothing.
    AttemptId,
    /// One clause of a plan (or of a key, tenant or member) that counts.
    RuleId,
}
