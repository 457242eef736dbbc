//! One request, one answer, between chat, responses and messages: three readers and three writers around one neutral
//! form ([`neutral`], [`answer`]). Pure: no clock, no network, no chance but the nonce of a sealed carrier.
//!
//! What a protocol cannot say is emulated, dropped with its name noted, or refused with the field to mend ([`fit`] and
//! the readers). The same conversation, grown longer, is written with the same beginning, so that prompt caches and
//! bound thoughts stay good.

pub(crate) mod answer;
mod carrier;
mod chat;
mod compact;
pub(crate) mod fault;
mod filter;
mod fit;
#[cfg(test)]
mod golden;
mod keep;
mod lenient;
mod logprob;
mod mark;
mod media;
mod messages;
mod names;
pub(crate) mod neutral;
#[cfg(test)]
mod random;
mod reject;
mod responses;
mod schema;
mod stream;
pub(crate) mod strict;
mod strip;
mod target;
mod turns;
mod usage;
mod voice;

pub(crate) use carrier::Carriers;
pub(crate) use compact::{Compaction, open_summaries};
pub(crate) use keep::Kept;
pub(crate) use names::Names;
pub(crate) use reject::Reject;
pub(crate) use stream::{Collecting, Stream};
pub(crate) use strip::without_carriers;
pub(crate) use target::{Target, Traits};
pub(crate) use voice::Voice;

use answer::{Answer, Collector, Event, Fault};
use bytes::Bytes;
use entity::Protocol;
use filter::Filter;
use neutral::Request;
use serde_json::{Map, Value};
use stream::Keeping;

/// Reads a request. Fails with the field that no other protocol could carry, or that is malformed.
pub(crate) fn read(protocol: Protocol, body: &[u8]) -> Result<Request, Reject> {
    let parsed: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        let cause = error.to_string();
        // A body that goes on as it is may be as deep as its upstream likes.
        let too_deep = cause.starts_with("recursion limit exceeded");
        Reject::new(
            "",
            if too_deep {
                "the body is nested too deeply to be translated for the channels of this model"
                    .to_owned()
            } else {
                format!("the body is not a JSON object: {cause}")
            },
        )
    })?;
    let mut request = match protocol {
        Protocol::Chat => chat::read(&parsed),
        Protocol::Responses => responses::read(&parsed),
        Protocol::Messages => messages::read(&parsed),
        Protocol::Embeddings => Err(Reject::unsupported("input")),
    }?;
    // A choice among nothing means nothing; one among tools that were dropped is still the caller's to mend.
    let lists_tools = ["tools", "functions"].iter().any(|name| {
        let listed = parsed.get(*name).and_then(Value::as_array);
        listed.is_some_and(|listed| !listed.is_empty())
    });
    let has_tools = lists_tools || !request.tools.is_empty() || request.web_search.is_some();
    if !has_tools && request.choice.take().is_some() {
        request.dropped.push("tool_choice".to_owned());
    }
    Ok(request)
}

impl Request {
    /// Whether the request can be written for an upstream of this protocol; if not, the field to mend.
    pub(crate) fn fits(&self, upstream: Protocol) -> Result<(), Reject> {
        fit::fits(self, upstream)
    }

    /// The request as the upstream reads it. Ask [`Request::fits`] first.
    pub(crate) fn write(&self, target: &Target<'_>) -> Written {
        let mut dropped = self.dropped.clone();
        if target.protocol != Protocol::Responses {
            dropped.extend(self.shared.keys().cloned());
        }
        let body = match target.protocol {
            Protocol::Responses => responses::write(self, target, &mut dropped),
            Protocol::Messages => messages::write(self, target, &mut dropped),
            Protocol::Chat | Protocol::Embeddings => chat::write(self, target, &mut dropped),
        };
        Written {
            beta: messages::beta(&body),
            body: Value::Object(body).to_string().into(),
            dropped,
        }
    }
}

/// A request as an upstream reads it.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) body: Bytes,
    /// The names of what had no place.
    pub(crate) dropped: Vec<String>,
    /// The name of what Anthropic has to be told in a header that the body makes use of.
    pub(crate) beta: Option<&'static str>,
}

/// The way back: from an upstream's protocol to its caller's.
#[derive(Clone, Debug)]
pub(crate) struct Translation {
    pub(crate) upstream: Protocol,
    pub(crate) client: Protocol,
    pub(crate) voice: Voice,
    pub(crate) names: Names,
    /// Whether the upstream's text begins with its thoughts.
    pub(crate) splits: bool,
    /// Stop texts that the upstream was not told.
    pub(crate) stop: Vec<String>,
    /// The answer is a summary, to be sealed.
    pub(crate) compaction: Option<Compaction>,
}

impl Translation {
    /// The way back of this request from an upstream of this protocol.
    pub(crate) fn new(
        request: &Request,
        upstream: Protocol,
        client: Protocol,
        voice: Voice,
        names: Names,
    ) -> Self {
        let knows = |stop: &str| match upstream {
            Protocol::Responses => false,
            // White space is none there.
            Protocol::Messages => !stop.trim().is_empty(),
            Protocol::Chat | Protocol::Embeddings => true,
        };
        let unknown = request.stop.iter().filter(|stop| !knows(stop));
        Self {
            upstream,
            client,
            voice,
            names,
            splits: false,
            compaction: request.compaction,
            stop: unknown.cloned().collect(),
        }
    }

    /// A translator of one stream.
    pub(crate) fn stream(&self) -> Stream {
        Stream::new(self)
    }

    /// A whole answer in the caller's protocol, and the thoughts to keep for them; the upstream's failure where it is
    /// one; nothing where it is neither.
    pub(crate) fn whole(&self, body: &[u8]) -> Option<Result<(Bytes, Option<Kept>), Fault>> {
        let mut filter = self.filter();
        let mut all = Collector::default();
        let mut keeping = Keeping::new(self);
        let mut passed = Vec::new();
        for event in whole(self.upstream, self.splits, body)? {
            filter.pass(event, &mut passed);
            for event in passed.drain(..) {
                keeping.see(&event);
                all.add(event);
            }
        }
        let answer = all.finish()?;
        Some(answer.map(|answer| (self.written(&answer), keeping.kept())))
    }

    /// What puts a stream together for a caller who wants the answer whole.
    pub(crate) fn collector(&self) -> Collecting {
        Collecting::new(self)
    }

    fn written(&self, answer: &Answer) -> Bytes {
        let body = match self.client {
            Protocol::Responses => {
                let response = responses::answer(answer, &self.voice);
                match self.compaction {
                    Some(Compaction::Endpoint) => compact::endpoint_answer(response),
                    Some(Compaction::Trigger) | None => response,
                }
            }
            Protocol::Messages => messages::answer(answer, &self.voice),
            Protocol::Chat | Protocol::Embeddings => chat::answer(answer, &self.voice),
        };
        body.to_string().into()
    }

    fn filter(&self) -> Filter {
        Filter::new(self.names.clone(), &self.stop, self.compaction.is_some())
    }
}

/// A whole answer as the events that a stream of it would be. Nothing where it is no answer.
fn whole(protocol: Protocol, splits: bool, body: &[u8]) -> Option<Vec<Event>> {
    let parsed = lenient::object(body)?;
    match protocol {
        Protocol::Chat => chat::whole(&parsed, splits),
        Protocol::Responses => responses::whole(&parsed),
        Protocol::Messages => messages::whole(&parsed),
        Protocol::Embeddings => None,
    }
}

/// An upstream's error in the body that a caller of this protocol reads.
pub(crate) fn error_body(client: Protocol, fault: &Fault, request: &str) -> Bytes {
    let body = match client {
        Protocol::Messages => serde_json::json!({
            "type": "error",
            "error": fault::anthropic(fault),
            "request_id": request,
        }),
        Protocol::Chat | Protocol::Responses | Protocol::Embeddings => {
            serde_json::json!({"error": fault::openai(fault)})
        }
    };
    body.to_string().into()
}
