//! Calls that leave in another protocol than they came in: what can be carried, how it is written for a channel, and
//! the way back.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use entity::{Protocol, TenantId};
use outbound::provider::Kind;
use serde_json::Value;

use super::{Call, admit::Request as Incoming, apart, memory::Memory, pause, secret::Secrets};
use crate::{
    catalog::{Channel, Model, Upstream},
    error::{Code, Refusal},
    gateway::Gateway,
    translate::{
        self, Carriers, Compaction, Names, Reject, Target, Traits, Translation, Voice, Written,
        answer::Fault,
        neutral::{Part, Request},
        strict,
    },
    wire::tap::Failure,
};

/// A request as channels of other protocols see it. Read when the first of them is looked at.
pub(super) struct Foreign<'a> {
    incoming: &'a Incoming,
    read: OnceLock<Result<Request, Reject>>,
    reject: OnceLock<Reject>,
    strict: Option<Strict<'a>>,
}

/// What it takes to see beforehand what a translation will leave out.
struct Strict<'a> {
    gateway: &'a Gateway,
    output_limit: u64,
    /// The request as it will be written.
    request: OnceLock<Request>,
}

impl<'a> Foreign<'a> {
    /// `strict` for a group that rather refuses a request than leaves out what its answer depends on, with the call's
    /// output limit.
    pub(super) fn new(incoming: &'a Incoming, strict: Option<(&'a Gateway, u64)>) -> Self {
        Self {
            incoming,
            read: OnceLock::new(),
            reject: OnceLock::new(),
            strict: strict.map(|(gateway, output_limit)| Strict {
                gateway,
                output_limit,
                request: OnceLock::new(),
            }),
        }
    }

    /// Whether the channel can serve the call, and if so, whether the call has to be translated for it.
    pub(super) fn translates(&self, channel: &Channel, model: &Model) -> Option<bool> {
        let incoming = self.incoming;
        let upstream = way(channel, incoming.protocol, model, incoming.compaction)?;
        if upstream == incoming.protocol {
            return Some(false);
        }
        let read = self.read.get_or_init(|| {
            let mut request = translate::read(incoming.protocol, &incoming.body)?;
            if incoming.compaction == Some(Compaction::Endpoint) {
                request.compaction = incoming.compaction;
            }
            Ok(request)
        });
        let fits = match read {
            Ok(request) => request
                .fits(upstream)
                .and_then(|()| self.carries(request, (channel, upstream), model)),
            Err(reject) => Err(reject.clone()),
        };
        fits.map_err(|reject| self.reject.get_or_init(|| reject))
            .is_ok()
            .then_some(true)
    }

    /// Whether all goes along that a strict group misses: the request is written for the channel to see it, for what a
    /// model takes depends on whether it will think.
    fn carries(
        &self,
        request: &Request,
        (channel, upstream): (&Channel, Protocol),
        model: &Model,
    ) -> Result<(), Reject> {
        let (Some(strict), Some(upstream_model)) = (&self.strict, channel.models.get(&model.id))
        else {
            return Ok(());
        };
        if request.compaction.is_some() || !request.may_be_missed() {
            return Ok(());
        }
        let incoming = self.incoming;
        let tenant = incoming.caller.key.tenant_id;
        let request = strict.request.get_or_init(|| {
            let mut request = request.clone();
            if incoming.protocol == Protocol::Chat {
                strict.gateway.inner.memory.recall(tenant, &mut request);
            }
            request
        });
        let way = Way {
            channel,
            upstream,
            upstream_model,
            model,
        };
        let carriers = way.carriers(strict.gateway, tenant);
        let (written, _) = way.write(request, &carriers, strict.output_limit, false);
        let ends = (incoming.protocol, upstream);
        match strict::refusal(ends, &written.dropped, &incoming.body) {
            Some(reject) => Err(reject),
            None => Ok(()),
        }
    }

    /// Why a channel that is there cannot serve this request, for its caller to mend.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        Some(refusal_of(self.reject.get()?))
    }

    /// The request itself, if any channel needs it, with the thoughts that its caller could not send back.
    pub(super) fn into_request(self, memory: &Memory) -> Option<Arc<Request>> {
        let mut request = self.read.into_inner()?.ok()?;
        let tenant = self.incoming.caller.key.tenant_id;
        request.session.clone_from(&self.incoming.session);
        let names = [
            &mut request.cache_key,
            &mut request.session,
            &mut request.user,
        ];
        for told in names {
            *told = told.take().map(|told| apart::name(tenant, &told));
        }
        if self.incoming.protocol == Protocol::Chat {
            memory.recall(tenant, &mut request);
        }
        Some(Arc::new(request))
    }
}

/// What is wrong with a request, in words for its caller.
pub(super) fn refusal_of(reject: &Reject) -> Refusal {
    let words: String = reject.message.chars().take(LONGEST_WORDS).collect();
    let refusal = Refusal::new(Code::InvalidRequest, format!("{words}."));
    refusal.at((!reject.field.is_empty()).then(|| reject.field.clone()))
}

/// The protocol in which a channel is asked. The sandbox has no compaction of its own.
fn way(
    channel: &Channel,
    protocol: Protocol,
    model: &Model,
    compaction: Option<Compaction>,
) -> Option<Protocol> {
    if compaction.is_some() && matches!(channel.upstream, Upstream::Sandbox) {
        return Some(Protocol::Chat);
    }
    channel.way(protocol, model)
}

/// Where a translated call goes.
#[derive(Clone, Copy)]
struct Way<'a> {
    channel: &'a Channel,
    upstream: Protocol,
    upstream_model: &'a str,
    model: &'a Model,
}

impl Way<'_> {
    /// What seals thoughts for the tenant, and opens those that came from here.
    fn carriers(self, gateway: &Gateway, tenant: TenantId) -> Carriers {
        Carriers {
            master: gateway.inner.config.master.clone(),
            tenant,
            origin: format!(
                "{:?}|{}|{}",
                self.upstream, self.channel.id, self.upstream_model
            ),
        }
    }

    /// The request as the channel reads it, and the names it gives to tools.
    fn write(
        self,
        request: &Request,
        carriers: &Carriers,
        output_limit: u64,
        streamed: bool,
    ) -> (Written, Names) {
        let Self {
            channel,
            upstream,
            upstream_model,
            model,
        } = self;
        let usual = Traits::of(upstream, upstream_model, &model.words);
        let quirks = &channel.options.quirks;
        let traits = Traits {
            echoes: quirks.echo_reasoning.unwrap_or(usual.echoes),
            splits: quirks.split_think,
            binds: is_anthropic_itself(channel),
            caches: quirks.auto_cache,
            is_openai: matches!(
                channel.upstream,
                Upstream::Provider {
                    kind: Kind::OpenAi,
                    ..
                }
            ),
            ..usual
        };
        let names = if traits.binds {
            Names::at_anthropic(request)
        } else {
            Names::of(request, upstream)
        };
        let names = match request.compaction {
            // A summary has no form.
            Some(_) => names,
            None => names.with_output(request, traits),
        };
        let target = Target {
            protocol: upstream,
            model: upstream_model,
            default_output: output_limit.min(DEFAULT_OUTPUT),
            most_output: Some(output_limit),
            streamed,
            traits,
            carriers,
            names: &names,
        };
        let written = match request.compaction {
            Some(_) => request.summarising().write(&target),
            None => request.write(&target),
        };
        (written, names)
    }
}

/// A call written for one channel, and the way back from there.
pub(super) struct Crossing {
    pub(super) upstream: Protocol,
    pub(super) body: Bytes,
    /// Whether the upstream is asked for a stream.
    pub(super) streamed: bool,
    pub(super) translation: Translation,
    /// What of the request could not be carried.
    pub(super) dropped: Vec<String>,
    /// What Anthropic has to be told in a header, for the body makes use of it.
    pub(super) beta: Option<&'static str>,
    /// Whether thoughts of earlier answers went along.
    pub(super) has_thoughts: bool,
    /// Whether the upstream may pause its answer.
    pub(super) may_pause: bool,
}

/// What an upstream has refused of a call that was written for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Without {
    /// Thoughts of earlier answers, which it does not know any more.
    pub(super) thoughts: bool,
    /// A whole answer: it only streams.
    pub(super) whole: bool,
}

/// Writes a call for a channel; nothing where it goes in its own protocol.
pub(super) fn cross(
    gateway: &Gateway,
    call: &Call,
    (channel, upstream_model): (&Channel, &str),
    without: Without,
) -> Option<Crossing> {
    let upstream = way(channel, call.protocol, &call.model, call.compaction)
        .filter(|upstream| *upstream != call.protocol)?;
    let request = call.foreign.as_ref()?;
    let to = Way {
        channel,
        upstream,
        upstream_model,
        model: &call.model,
    };
    if !without.thoughts {
        return Some(write(gateway, call, to, request, without.whole));
    }
    let mut request = Request::clone(request);
    for turn in &mut request.turns {
        turn.parts.retain(|part| !matches!(part, Part::Thought(_)));
    }
    Some(write(gateway, call, to, &request, without.whole))
}

fn write(
    gateway: &Gateway,
    call: &Call,
    way: Way<'_>,
    request: &Request,
    must_stream: bool,
) -> Crossing {
    let upstream = way.upstream;
    let carriers = way.carriers(gateway, call.caller.key.tenant_id);
    let streamed = must_stream
        || call.reading.streamed
        || request.compaction.is_some()
        || call.output_limit > SHORT_OUTPUT;
    let (written, names) = way.write(request, &carriers, call.output_limit, streamed);
    let voice = Voice {
        id: call.visit.id.uuid().simple().to_string(),
        model: if call.reading.model.is_empty() {
            call.model.name.clone()
        } else {
            call.reading.model.clone()
        },
        created: gateway.inner.clock.now().micros() / 1_000_000,
        usage_asked: call.reading.usage_asked,
        hides_thoughts: request.reasoning.hidden,
        input_estimate: call.reading.size.estimate,
        echo: request.echo.clone(),
        carriers,
    };
    Crossing {
        upstream,
        body: written.body,
        streamed,
        dropped: written.dropped,
        beta: written.beta,
        may_pause: pause::may_pause(upstream, request.web_search.is_some())
            && request.compaction.is_none(),
        has_thoughts: request
            .turns
            .iter()
            .flat_map(|turn| &turn.parts)
            .any(|part| matches!(part, Part::Thought(_))),
        translation: Translation {
            splits: way.channel.options.quirks.split_think,
            ..Translation::new(request, upstream, call.protocol, voice, names)
        },
    }
}

/// Whether a channel leads to Anthropic's own service, and not to another one that speaks its protocol.
fn is_anthropic_itself(channel: &Channel) -> bool {
    const HOST: &str = "api.anthropic.com";
    matches!(&channel.upstream, Upstream::Provider { kind: Kind::Anthropic, base, .. } if base.host_str() == Some(HOST))
}

/// Letters of a refusal, which may repeat what the caller wrote.
const LONGEST_WORDS: usize = 300;
/// Output tokens of an answer that is asked for whole where its caller wants it whole. A longer one comes as a stream and
/// is put together: it would be silent for so long that what lies between might take it for dead.
const SHORT_OUTPUT: u64 = 1_024;
/// The output limit of a request that names none, where the upstream's protocol demands one.
const DEFAULT_OUTPUT: u64 = 32_000;

/// Whether the upstream will not have thoughts back that it gave out: they are bound to account, model and prefix.
pub(super) fn refuses_thoughts(failure: &Failure) -> bool {
    let message = failure.message.to_ascii_lowercase();
    failure.code == "invalid_encrypted_content"
        || (message.contains("signature") && message.contains("thinking"))
        || message.contains("bound to a different conversation")
}

/// Whether an upstream that was asked for a whole answer wants to stream it: some models are served in no other way, and
/// each provider has its own words for that. A word that means something else costs one more request.
pub(super) fn refuses_whole(body: &[u8]) -> bool {
    const WORD: &[u8] = b"stream";
    body.windows(WORD.len())
        .any(|window| window.eq_ignore_ascii_case(WORD))
}

/// The upstream's refusal of a request, which is the caller's fault, in the words of the caller's protocol: what the body
/// says of code, type and place, and the message as it was read. No word of it repeats a secret.
pub(super) fn error_body(
    call: &Call,
    status: u16,
    failure: &Failure,
    (body, secrets): (&[u8], &Secrets),
) -> Bytes {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = said.get("error").filter(|error| error.is_object());
    let read = Fault::read(error.unwrap_or(&said));
    let fault = Fault {
        code: secrets.clean_text(&read.code),
        kind: secrets.clean_text(&read.kind),
        param: read.param.map(|param| secrets.clean_text(&param)),
        status: Some(status),
        message: failure.message.clone(),
    };
    translate::error_body(call.protocol, &fault, &call.visit.id.to_string())
}
