//! The life of a call, in the order it happens: accept, admit, run (attempt, relay), settle.

mod accept;
mod admit;
mod answer;
mod apart;
mod attempt;
mod batch;
mod block;
mod budget;
mod client;
mod cooldown;
mod count;
mod cover;
mod events;
mod fault;
mod foreign;
mod handle;
mod load;
mod memory;
mod once;
mod pause;
mod pin;
mod policy;
mod quirk;
mod rate;
mod refusal;
mod relay;
mod repeat;
mod route;
mod run;
mod secret;
mod settle;
mod stranger;
mod tally;

pub(crate) use budget::Budget;
pub(crate) use cooldown::Cooldowns;
pub(crate) use count::count;
pub(crate) use handle::answer;
pub(crate) use load::Loads;
pub(crate) use memory::Memory;
pub(crate) use once::Claims;
use once::Once;
use pin::Pin;
pub(crate) use pin::Pins;
pub(crate) use policy::{fallback_for, protocols_of};
pub(crate) use rate::Rates;
pub(crate) use refusal::not_read;
pub(crate) use repeat::Repeats;
pub(crate) use route::Turns;
pub(crate) use stranger::Strangers;

use std::{sync::Arc, time::Duration};

use billing::{admission::HoldOrder, plan::RateOf};
use bytes::Bytes;
use identity::key::CallerRow;
use outbound::HeaderMap;

use crate::{
    catalog::{Channel, Model, Price},
    reply::Visit,
    translate::{Compaction, neutral},
    wire::{reading::Reading, tap::Count},
};
use entity::{Credits, Protocol};

/// A call that may be made: everything is decided but the hold.
pub(crate) struct Call {
    visit: Visit,
    protocol: Protocol,
    caller: Arc<CallerRow>,
    reading: Reading,
    /// The decoded body as it came.
    body: Bytes,
    /// The request free of its protocol, where a channel of another one may serve it.
    foreign: Option<Arc<neutral::Request>>,
    /// Whether the conversation is to be made short.
    compaction: Option<Compaction>,
    /// Headers of the caller that the upstream has to see.
    forwarded: HeaderMap,
    model: Arc<Model>,
    price: Price,
    multiplier_ppm: i64,
    /// What is counted where the upstream does not say what it used.
    count: Count,
    /// Output tokens of one answer at most, and the limit sent where a protocol demands one.
    output_limit: u64,
    /// Input tokens that the hold covers.
    input_expected: u64,
    /// What its tokens count against in the minute.
    rates: Vec<RateOf>,
    /// The most that the call can cost.
    bound: Credits,
    /// As `bound`, were all that it sends text to the model: a report of more is not believed.
    believable: Credits,
    /// The output limit is lower than what the caller asked for, since no more could be paid.
    lowered: bool,
    /// Channels in the order they are tried.
    channels: Vec<Arc<Channel>>,
    /// The key of the one channel that knows the response which this request goes on from.
    pinned: Option<Pin>,
    /// What makes a request that is sent again the same as this one, where its caller said so.
    once: Option<Once>,
    /// How long the answer is read on for its usage after its client has gone.
    drain: Duration,
    order: HoldOrder,
}
