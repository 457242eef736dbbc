//! Whether a call may be made, where to, and how much to hold for it. No commit yet: a refusal here is cheap.

use std::{sync::Arc, time::Duration};

use billing::{
    admission::HoldOrder,
    plan::{Payer, RateOf},
    rating::{RatingError, Tokens, Upper, bound_ceil, charge_ceil, expected_ceil},
};
use bytes::Bytes;
use entity::{Credits, Protocol, model, rejection::Fix};
use identity::key::CallerRow;
use outbound::HeaderMap;

use super::{
    Call,
    foreign::Foreign,
    once::Once,
    pin,
    policy::{group_for, no_channel},
    refusal::{model_blocked, not_read, upstreams_limited},
    route::{self, Conversation},
};
use crate::{
    catalog::{Channel, Group, Model, Price, Snapshot},
    error::{Code, Refusal},
    gateway::Gateway,
    reply::{Visit, readable_by},
    translate::Compaction,
    wire::{path, reading::Reading, tap::Count},
};

/// A request that was read, by a caller who is known.
pub(super) struct Request {
    pub(super) visit: Visit,
    pub(super) protocol: Protocol,
    pub(super) caller: Arc<CallerRow>,
    pub(super) reading: Reading,
    pub(super) body: Bytes,
    pub(super) compaction: Option<Compaction>,
    pub(super) forwarded: HeaderMap,
    /// The session that the caller's headers name.
    pub(super) session: Option<String>,
    pub(super) once: Option<Once>,
}

/// Output that is held for where neither the caller nor the catalog names a limit.
const UNKNOWN_OUTPUT: u64 = 32_768;
/// Input that is held for where a request leans on state kept upstream and the model's window is not known.
const UNKNOWN_WINDOW: u64 = 400_000;
/// The fewest output tokens that a call is worth making for; and where tools or thinking are asked for, for half a
/// tool call is broken JSON.
const FLOOR: u64 = 256;
const DEMANDING_FLOOR: u64 = 4_096;
/// Searches that a call with such a tool is expected to make; most make none or one.
const EXPECTED_SEARCHES: u64 = 1;
/// What providers add of their own to a prompt: chat markers, and the prompt that explains tools.
const MARKERS: u64 = 64;
const TOOL_PROMPT: u64 = 512;
/// The model of an embeddings call that names none and whose group has no default.
const EMBEDDING_MODEL: &str = "text-embedding-3-small";

/// Decides everything but the hold.
pub(super) async fn admit(gateway: &Gateway, request: Request) -> Result<Call, Refusal> {
    let inner = &gateway.inner;
    let snapshot = inner
        .catalog
        .current()
        .await
        .map_err(|error| not_read(&error))?;
    let place = group_for(gateway, &snapshot, &request).await?;
    let model = model_of(&snapshot, place.group, &request)
        .map_err(|refusal| readable_by(&request.visit.client, refusal))?;
    let group = place.serving(gateway, &snapshot, &model, &request).await?;
    let price = price_of(&model)?;
    let pinned = inner.pins.of(&request)?;
    let output_limit = output_limit(&request, &model);
    let foreign = Foreign::new(&request, group.strict.then_some((gateway, output_limit)));
    let channels = route::channels(
        group,
        model.id,
        |channel| foreign.translates(channel, &model),
        conversation(&request),
        &inner.cooldowns,
    );
    if channels.is_empty() {
        return Err(match foreign.refusal() {
            Some(refusal) => refusal,
            None => no_channel(gateway, &snapshot, group, &model, &request).await,
        });
    }
    let channels = open_channels(gateway, pin::only(pinned, channels), &model)?;
    let foreign = foreign.into_request(&inner.memory);

    let (multiplier_ppm, rates) = deal(gateway, &request, group, &model).await?;
    let output_cap = output_limit.saturating_mul(request.reading.choices);
    let counts = counts(gateway, &request, &model, output_cap).await;
    let amounts = amounts(&price, &request.reading, counts, multiplier_ppm);
    let Amounts {
        bound,
        believable,
        amount,
        least,
    } = amounts.map_err(|error| unrated(&model, error))?;

    inner
        .rates
        .admit(&rates, counts.input_expected, inner.clock.now())?;

    let key = &request.caller.key;
    let order = HoldOrder {
        id: request.visit.id,
        tenant: key.tenant_id,
        member: key.member_id,
        key: key.id,
        group: group.id,
        model: model.id,
        price_version: price.version,
        multiplier_ppm,
        channel: channels.first().map(|channel| channel.id),
        amount,
        least,
        expected_output: counts.expected_output,
        input_tokens: request.reading.size.estimate,
        output_cap,
        protocol: request.protocol,
        client_kind: request.visit.client.kind.to_owned(),
        streamed: request.reading.streamed,
        ttl: inner.config.hold,
        now: inner.clock.now(),
    };
    let count = Count {
        input: request.reading.size.estimate,
        ppm: group.counted_ppm,
    };
    Ok(Call {
        visit: request.visit,
        protocol: request.protocol,
        caller: request.caller,
        reading: request.reading,
        body: request.body,
        compaction: request.compaction,
        foreign,
        forwarded: request.forwarded,
        multiplier_ppm,
        count,
        model,
        price,
        output_limit,
        input_expected: counts.input_expected,
        rates,
        bound,
        believable,
        lowered: false,
        channels,
        pinned,
        once: request.once,
        drain: if group.stops_when_left {
            Duration::ZERO
        } else {
            inner.config.drain
        },
        order,
    })
}

/// What makes two requests one conversation.
fn conversation(request: &Request) -> Conversation<'_> {
    Conversation {
        key: request.caller.key.id,
        // Stored responses and sealed reasoning belong to one upstream account, so all of a key's stay with it.
        body: match request.protocol {
            Protocol::Responses => &[],
            Protocol::Chat | Protocol::Messages | Protocol::Embeddings => &request.body,
        },
    }
}

/// The channels that may be asked now: not those whose upstream said when to come back, nor those that are full. Before
/// anything is held, so that a refusal stays cheap.
fn open_channels(
    gateway: &Gateway,
    channels: Vec<Arc<Channel>>,
    model: &Model,
) -> Result<Vec<Arc<Channel>>, Refusal> {
    let inner = &gateway.inner;
    let now = inner.clock.now();
    let wait = |channel: &Channel| {
        route::barred(channel, &inner.cooldowns).max(inner.loads.wait(channel, now))
    };
    let mut soonest = Duration::MAX;
    let mut all_limited = true;
    let open: Vec<_> = channels
        .into_iter()
        .filter(|channel| {
            let wait = wait(channel);
            let is_open = wait.is_zero();
            if !is_open {
                soonest = soonest.min(wait);
                all_limited &= route::limited(channel, &inner.cooldowns);
            }
            is_open
        })
        .collect();
    if open.is_empty() && all_limited {
        return Err(upstreams_limited(model, soonest));
    }
    if open.is_empty() {
        return Err(Refusal::new(
            Code::Overloaded,
            format!(
                "Every upstream channel for the model `{}` is at its limit just now. Nothing was charged.",
                model.name
            ),
        )
        .after(soonest));
    }
    Ok(open)
}

/// What a call may count and is expected to.
#[derive(Clone, Copy)]
struct Counts {
    input_upper: u64,
    input_most: u64,
    input_expected: u64,
    output_cap: u64,
    expected_output: Option<u64>,
}

async fn counts(gateway: &Gateway, request: &Request, model: &Model, output_cap: u64) -> Counts {
    let input_upper = input_upper(&request.reading, model);
    Counts {
        input_upper,
        input_most: input_most(&request.reading, model),
        input_expected: input_expected(&request.reading, input_upper),
        output_cap,
        expected_output: expected_output(gateway, request, model, output_cap).await,
    }
}

/// What is held for a call: at most, as expected, and how little will do; and what it may cost at the very most.
struct Amounts {
    bound: Credits,
    believable: Credits,
    amount: Credits,
    least: Credits,
}

fn amounts(
    price: &Price,
    reading: &Reading,
    counts: Counts,
    multiplier_ppm: i64,
) -> Result<Amounts, RatingError> {
    let output = counts.expected_output.unwrap_or(counts.output_cap);
    let floor = if reading.demanding {
        DEMANDING_FLOOR
    } else {
        FLOOR
    };
    let least_output = output.min(floor.saturating_mul(reading.choices));
    let expected =
        |output| expected_ceil(&price.sale, counts.input_expected, output, multiplier_ppm);
    let upper = Upper {
        input: counts.input_upper,
        output: counts.output_cap,
        searches: reading.searches,
    };
    let bound = bound_ceil(&price.sale, &upper, multiplier_ppm)?;
    let most = Upper {
        input: counts.input_most.max(counts.input_upper),
        ..upper
    };
    let believable = bound_ceil(&price.sale, &most, multiplier_ppm)?;
    let search = Tokens {
        web_searches: reading.searches.min(EXPECTED_SEARCHES),
        ..Tokens::default()
    };
    let search = charge_ceil(&price.sale, &search, multiplier_ppm)?;
    let amount = expected(output)?;
    Ok(Amounts {
        bound,
        believable,
        amount: amount
            .checked_add(search)
            .map_or(bound, |amount| amount.min(bound)),
        least: expected(least_output)?,
    })
}

fn unrated(model: &Model, error: RatingError) -> Refusal {
    tracing::error!(%error, model.id = %model.id, "a call cannot be rated");
    Refusal::new(
        Code::InvalidRequest,
        "The request asks for more tokens than can be charged. Ask for fewer output tokens (max_tokens).",
    )
}

/// The group's multiplier times that of the plan which has a say, and what may pass in a minute.
async fn deal(
    gateway: &Gateway,
    request: &Request,
    group: &Group,
    model: &Model,
) -> Result<(i64, Vec<RateOf>), Refusal> {
    let key = &request.caller.key;
    let now = gateway.inner.clock.now();
    let deal = gateway
        .inner
        .deals
        .of(key.tenant_id, now)
        .await
        .map_err(|error| not_read(&error))?;
    let multiplier =
        deal.multiplier_ppm(&model.name, group.id, key.pay_order, group.multiplier_ppm);
    let payer = Payer {
        tenant: key.tenant_id,
        member: key.member_id,
        key: key.id,
        pay_order: key.pay_order,
    };
    Ok((multiplier, deal.rates(&model.name, group.id, &payer)))
}

/// The model that the request means.
pub(super) fn model_of(
    snapshot: &Snapshot,
    group: &Group,
    request: &Request,
) -> Result<Arc<Model>, Refusal> {
    let asked = request.reading.model.trim();
    let found = if asked.is_empty() {
        default_model(snapshot, group, request.protocol)?
    } else {
        snapshot
            .model(asked)
            .map(Arc::clone)
            .ok_or_else(|| not_found(snapshot, group, asked))?
    };

    let embeds = request.protocol == Protocol::Embeddings;
    if embeds != (found.kind == model::Kind::Embedding) {
        let right = if embeds {
            "/v1/chat/completions, /v1/responses or /v1/messages"
        } else {
            path::of(Protocol::Embeddings)
        };
        return Err(Refusal::new(
            Code::InvalidRequest,
            format!("The model `{}` is called at {right}.", found.name),
        )
        .at(Some("model")));
    }
    match found.status {
        model::Status::Active => Ok(found),
        model::Status::Blocked | model::Status::Hidden => Err(model_blocked(&found)),
    }
}

fn default_model(
    snapshot: &Snapshot,
    group: &Group,
    protocol: Protocol,
) -> Result<Arc<Model>, Refusal> {
    let embeds = protocol == Protocol::Embeddings;
    let of_group = group
        .default_model
        .as_ref()
        .filter(|model| embeds == (model.kind == model::Kind::Embedding));
    let usual = || embeds.then(|| snapshot.model(EMBEDDING_MODEL)).flatten();
    of_group.or_else(usual).map(Arc::clone).ok_or_else(|| {
        Refusal::new(
            Code::ModelRequired,
            "The request names no model, and the group of this API key has no default. Set `model`.",
        )
        .at(Some("model"))
    })
}

fn not_found(snapshot: &Snapshot, group: &Group, asked: &str) -> Refusal {
    let near = snapshot.names_near(asked, group);
    let hint = if near.is_empty() {
        "GET /v1/models lists what this key may use.".to_owned()
    } else {
        format!("Did you mean {}?", near.join(", "))
    };
    let asked: String = asked.chars().take(100).collect();
    Refusal::new(
        Code::ModelNotFound,
        format!("There is no model named `{asked}`. {hint}"),
    )
    .at(Some("model"))
    .mended_by(Fix::PickModel {
        near: near.join(", "),
    })
}

fn price_of(model: &Model) -> Result<Price, Refusal> {
    model.price.clone().ok_or_else(|| {
        Refusal::new(
            Code::NoChannel,
            format!(
                "The model `{}` has no price yet, so it cannot be called.",
                model.name
            ),
        )
    })
}

/// Input tokens at most: what the body can hold, and never more than the model's window.
fn input_upper(reading: &Reading, model: &Model) -> u64 {
    let window = model.context_window;
    if reading.stateful {
        return window.unwrap_or(UNKNOWN_WINDOW).max(reading.size.estimate);
    }
    window.map_or(reading.size.upper, |window| reading.size.upper.min(window))
}

/// Input tokens that a report may say: what looks like a picture may have been read as text.
fn input_most(reading: &Reading, model: &Model) -> u64 {
    let most = reading.size.most;
    model.context_window.map_or(most, |window| most.min(window))
}

/// Input tokens to hold for: the estimate and half as much again. State kept upstream does not show, so it counts as
/// a part of the window.
fn input_expected(reading: &Reading, upper: u64) -> u64 {
    let own = if reading.demanding {
        MARKERS + TOOL_PROMPT
    } else {
        MARKERS
    };
    let estimate = reading.size.estimate;
    let expected = estimate.saturating_add(estimate / 2).saturating_add(own);
    let state = if reading.stateful { upper / 8 } else { 0 };
    expected.max(state).min(upper)
}

/// Output tokens that recent calls of this kind stayed within; none where the output cannot be metered as it comes,
/// so that the hold must cover its bound.
async fn expected_output(
    gateway: &Gateway,
    request: &Request,
    model: &Model,
    output_cap: u64,
) -> Option<u64> {
    if !request.reading.streamed {
        return None;
    }
    let recent = gateway
        .inner
        .expectations
        .of(model.id, request.visit.client.kind);
    Some(recent.await.min(output_cap))
}

/// Output tokens of one answer at most.
fn output_limit(request: &Request, model: &Model) -> u64 {
    if request.protocol == Protocol::Embeddings {
        return 0;
    }
    match (request.reading.max_output, model.max_output) {
        (Some(asked), Some(most)) => asked.min(most),
        (Some(asked), None) => asked,
        (None, Some(most)) => most,
        (None, None) => UNKNOWN_OUTPUT,
    }
}
