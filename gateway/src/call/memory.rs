//! What a chat caller cannot send back: the thoughts before its calls, for the upstream that had them. Sealed, for an
//! hour, in this process; an upstream does without them where they are gone.

use std::{sync::Arc, time::Duration};

use entity::TenantId;
use moka::sync::Cache;

use crate::translate::{
    Kept,
    neutral::{Part, Request, Role, Thought},
};

/// How long a conversation may pause.
const KEPT_FOR: Duration = Duration::from_hours(1);
/// Bytes of carriers at most.
const MOST_BYTES: u64 = 64 << 20;

/// Carriers by tenant and first call of the answer.
#[derive(Clone, Debug)]
pub(crate) struct Memory(Cache<(TenantId, String), Arc<[String]>>);

impl Default for Memory {
    fn default() -> Self {
        let weigh = |(_, call): &(TenantId, String), carriers: &Arc<[String]>| {
            let bytes: usize = carriers.iter().map(String::len).sum();
            u32::try_from(bytes + call.len() + 64).unwrap_or(u32::MAX)
        };
        Self(
            Cache::builder()
                .max_capacity(MOST_BYTES)
                .weigher(weigh)
                .time_to_live(KEPT_FOR)
                .build(),
        )
    }
}

impl Memory {
    /// Keeps the thoughts of one answer.
    pub(super) fn keep(&self, tenant: TenantId, kept: Kept) {
        let Kept { call, carriers } = kept;
        self.0.insert((tenant, call), carriers.into());
    }

    /// Puts the thoughts back that stood before the calls of a conversation.
    pub(super) fn recall(&self, tenant: TenantId, request: &mut Request) {
        for turn in &mut request.turns {
            if turn.role != Role::Assistant {
                continue;
            }
            let first = turn.parts.iter().find_map(|part| match part {
                Part::Call(call) => Some(call.id.clone()),
                _ => None,
            });
            let Some(first) = first else { continue };
            let Some(carriers) = self.0.get(&(tenant, first)) else {
                continue;
            };
            let thoughts = carriers.iter().map(|carrier| {
                Part::Thought(Thought {
                    text: String::new(),
                    carrier: Some(carrier.clone()),
                })
            });
            turn.parts.splice(0..0, thoughts);
        }
    }
}
