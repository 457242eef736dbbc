//! Responses that upstreams keep, and where: a request that goes on from one has to go to the account that made it. Kept in
//! this process; one that is not known any more goes where the key's calls usually go.

use std::{sync::Arc, time::Duration};

use entity::{ChannelId, ChannelKeyId, Protocol, TenantId};
use moka::sync::Cache;

use super::{Call, admit::Request, settle::Ended};
use crate::{
    catalog::Channel,
    error::{Code, Refusal},
    wire::tap::Tap,
};

/// Responses remembered at most.
const MOST: u64 = 100_000;
/// How long providers keep a response.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);
const FIELD: &str = "previous_response_id";

/// The account that made a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) channel: ChannelId,
    /// Which further key of the channel; none for its first.
    pub(super) key: Option<ChannelKeyId>,
}

/// Who made which response, and for whom.
#[derive(Clone, Debug)]
pub(crate) struct Pins(Cache<String, (TenantId, Pin)>);

impl Default for Pins {
    fn default() -> Self {
        let cache = Cache::builder().max_capacity(MOST);
        Self(cache.time_to_live(KEPT_FOR).build())
    }
}

impl Pins {
    /// Remembers a response that its upstream may keep. A translated answer has an id of our own making.
    pub(super) fn note(&self, call: &Call, tap: &Tap, ended: &Ended) {
        let is_native = call.protocol == Protocol::Responses && tap.protocol() == call.protocol;
        if let (true, Some(id)) = (is_native, tap.response()) {
            let pin = Pin {
                channel: ended.channel,
                key: ended.key,
            };
            let tenant = call.caller.key.tenant_id;
            self.0.insert(id.to_owned(), (tenant, pin));
        }
    }

    /// Where a request has to go, as far as is known.
    ///
    /// # Errors
    /// A response that was made for another tenant is none of this one's.
    pub(super) fn of(&self, request: &Request) -> Result<Option<Pin>, Refusal> {
        let asked = request.reading.previous_response.as_deref();
        let Some((tenant, pin)) = asked.and_then(|id| self.0.get(id)) else {
            return Ok(None);
        };
        if tenant != request.caller.key.tenant_id {
            let refusal = Refusal::new(
                Code::InvalidRequest,
                "There is no response of this id. Send the whole conversation in `input`.",
            );
            return Err(refusal.at(Some(FIELD)));
        }
        Ok(Some(pin))
    }
}

/// Only the channel that knows the response, where it is one of them: every other would say that there is none.
pub(super) fn only(pin: Option<Pin>, channels: Vec<Arc<Channel>>) -> Vec<Arc<Channel>> {
    let known = |channel: &&Arc<Channel>| pin.is_some_and(|pin| pin.channel == channel.id);
    match channels.iter().find(known) {
        Some(channel) => vec![Arc::clone(channel)],
        None => channels,
    }
}
