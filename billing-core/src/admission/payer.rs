//! Who asks, for what, and which plans of the tenant have a say.

use super::{HoldOrder, HoldRefusal, Whose};
use crate::plan::{Plan, Quantity, Reason, Refused};
use chrono_tz::Tz;
use entity::{MemberId, SubscriptionId, TenantId, Timestamp, key, member, model, person, tenant};
use std::sync::Arc;

/// The key, member, person and tenant of a call as they stand in the transaction that decides it, so that a
/// ban binds at the very next hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whose key it is.
    pub tenant: TenantId,
    /// Which member's.
    pub member: MemberId,
    /// Whether the key is served.
    pub key_status: key::Status,
    /// Until when.
    pub key_expires_at: Option<Timestamp>,
    /// What pays for its calls.
    pub pay_order: key::PayOrder,
    /// Whether the member is served.
    pub member_status: member::Status,
    /// Whether the person is.
    pub person_status: person::Status,
    /// Whether the tenant is.
    pub tenant_status: tenant::Status,
    /// The clock of its calendar windows.
    pub zone: Tz,
}

/// The model that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The name that scopes and plans speak of.
    pub name: String,
    /// Whether it may be called.
    pub status: model::Status,
}

/// A plan that the tenant has now.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// The tenant's copy of it.
    pub id: SubscriptionId,
    /// What members call it.
    pub name: String,
    /// Its rules.
    pub rules: Arc<Plan>,
    /// Whether it brings credits of its own. If so, its rules say what those credits may pay; if not, they say
    /// what the tenant may do with any credits.
    pub pays: bool,
}

impl Caller {
    /// Refuses whoever may not call at all; the widest reason first.
    pub(super) fn admit(&self, order: &HoldOrder) -> Result<(), HoldRefusal> {
        if self.tenant != order.tenant || self.member != order.member {
            return Err(HoldRefusal::KeyRevoked);
        }
        match self.tenant_status {
            tenant::Status::Active => {}
            tenant::Status::Suspended | tenant::Status::Closed => {
                return Err(HoldRefusal::TenantSuspended);
            }
        }
        if self.member_status != member::Status::Active
            || self.person_status != person::Status::Active
        {
            return Err(HoldRefusal::MemberBanned);
        }
        match self.key_status {
            key::Status::Active => {}
            key::Status::Disabled => return Err(HoldRefusal::KeyDisabled),
            key::Status::Revoked => return Err(HoldRefusal::KeyRevoked),
        }
        match self.key_expires_at {
            Some(end) if end <= order.now => Err(HoldRefusal::KeyExpired),
            _ => Ok(()),
        }
    }
}

impl Offer {
    pub(super) fn admit(&self) -> Result<(), HoldRefusal> {
        match self.status {
            model::Status::Active | model::Status::Hidden => Ok(()),
            model::Status::Blocked => Err(HoldRefusal::ModelBlocked),
        }
    }
}

impl From<&Refused> for HoldRefusal {
    fn from(refused: &Refused) -> Self {
        match &refused.refusal.reason {
            Reason::GroupNotInPlan | Reason::ModelBlocked { .. } | Reason::ModelNotInPlan => {
                Self::ModelNotInPlan {
                    plan: refused.plan.clone(),
                    why: refused.refusal.to_string(),
                }
            }
            Reason::ConcurrencyLimit { limit } => Self::ConcurrencyLimit { limit: *limit },
            Reason::QuotaExhausted {
                quota,
                limit,
                used,
                held,
                needed,
                resets_at,
            } => Self::QuotaExhausted {
                of: Whose::Plan,
                window: quota.clone(),
                limit: *limit,
                used: *used,
                held: Quantity::of(limit.metric(), *held),
                needed: *needed,
                resets_at: *resets_at,
            },
        }
    }
}
