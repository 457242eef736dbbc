//! The task that makes a call: hold, channels in turn, answer, settlement. No connection owns it, so nobody can stop
//! it half-way by hanging up.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use billing::{
    admission::HoldRefusal,
    lane::Hold,
    rating::{PPM_ONE, charge_ceil},
    shop::channel::{SwitchError, refuse_key},
};
use bytes::Bytes;
use entity::{AttemptId, ChannelKeyId, attempt, usage::Finish};
use tokio::time::{Instant, timeout};

use super::{
    Call,
    attempt::{Failed, Outcome, attempt},
    client::{Client, Head},
    cooldown::{Cooldowns, Severity, Subject},
    cover::{self, Backing},
    once,
    policy::{Asked, with_other_group},
    refusal::{draining, of_hold, upstreams_limited},
    relay::relay,
    route::cooling,
    settle::{self, Ended},
    tally::tally,
};
use crate::{
    catalog::{Channel, Credential},
    error::{Code, Refusal},
    gateway::Gateway,
    wire::tap::Tap,
};

/// How often a call that waits for its upstream says that it is alive, so that its hold lasts.
const SIGN_OF_LIFE: Duration = Duration::from_mins(1);

/// Makes the call.
pub(super) async fn run(gateway: Gateway, mut call: Call, mut client: Client) {
    let inner = &gateway.inner;
    if let Err(refusal) = once::claim(&gateway, &call, &client).await {
        if let Some(refusal) = refusal {
            refuse(&gateway, &call, &mut client, refusal);
        }
        return;
    }
    let Some(mut hold) = held(&gateway, &call, &mut client).await else {
        return;
    };
    inner.lanes.touch(call.caller.key.id, inner.clock.now());
    if client.is_gone() {
        void(&call, hold, Finish::ClientGone).await;
        return;
    }
    if let Err(error) = cover::fit(&mut call, hold.amount()) {
        tracing::error!(request.id = %call.visit.id, %error, "an output limit could not be lowered");
        void(&call, hold, Finish::UpstreamError).await;
        let refusal = Refusal::new(
            Code::InternalError,
            "The call could not be fitted to the credits that are left. Nothing was charged for it.",
        );
        refuse(&gateway, &call, &mut client, refusal);
        return;
    }

    let (charge, tokens) = settle::sent(&call, hold.amount());
    hold.left(charge, tokens);
    inner.budget.earn();
    let mut tries = Tries::new(&call);
    while let Some(channel) = tries.next(&gateway) {
        let Some(_place) = inner
            .loads
            .enter(channel, call.input_expected, inner.clock.now())
        else {
            continue;
        };
        let credential = drawn(&gateway, &call, channel);
        let key = credential.and_then(|credential| credential.key);
        let begun = Instant::now();
        let to = (channel, credential);
        let outcome = tried(&gateway, &call, to, &client, &mut hold).await;
        match outcome {
            Outcome::Stream(opened) => {
                works(&gateway, channel, credential);
                relay(
                    &gateway,
                    &call,
                    &mut client,
                    hold,
                    (channel.id, key),
                    *opened,
                )
                .await;
                return;
            }
            Outcome::Whole { body, tap } => {
                works(&gateway, channel, credential);
                deliver(
                    &gateway,
                    &call,
                    &mut client,
                    hold,
                    (channel, key),
                    (body, *tap),
                )
                .await;
                return;
            }
            Outcome::CallerFault(refusal) => {
                void(&call, hold, Finish::UpstreamError).await;
                refuse(&gateway, &call, &mut client, refusal);
                return;
            }
            Outcome::Abandoned(heard) => {
                abandon(&gateway, &call, &mut client, hold, (channel, heard)).await;
                return;
            }
            Outcome::Failed(failed) => {
                note_failure(&gateway, &call, (channel, credential), &failed, begun);
                tries.failed(channel, &failed, &inner.cooldowns);
            }
        }
        if client.is_gone() {
            void(&call, hold, Finish::ClientGone).await;
            return;
        }
    }
    void(&call, hold, Finish::UpstreamError).await;
    let refusal = all_failed(&gateway, &call, tries.sent > 0 && tries.all_limited);
    refuse(&gateway, &call, &mut client, refusal);
}

/// The credits that the call is made with; none where they are refused, or nobody waits for them any more.
async fn held(gateway: &Gateway, call: &Call, client: &mut Client) -> Option<Hold> {
    let inner = &gateway.inner;
    let held = tokio::select! {
        held = inner.lanes.hold_within(call.order.clone(), inner.config.patience) => held,
        () = client.gone_for(Duration::ZERO) => {
            once::release(gateway, call).await;
            return None;
        }
        () = inner.stopping.cancelled() => Err(HoldRefusal::Draining),
    };
    match held {
        Ok(hold) if once::is_late(gateway, call) => {
            tracing::warn!(request.id = %call.visit.id, "a hold came too long after its idempotency key was claimed");
            void(call, hold, Finish::UpstreamError).await;
            let refusal = of_hold(&HoldRefusal::Overloaded, &call.model, inner.clock.now());
            refuse(gateway, call, client, refusal);
            None
        }
        Ok(hold) => Some(hold),
        Err(refused) => {
            once::release(gateway, call).await;
            let refusal = unheld(gateway, call, &refused).await;
            if matches!(refusal.code, Code::Overloaded) {
                tracing::error!(request.id = %call.visit.id, error = %refused, "a call could not be held for");
            }
            refuse(gateway, call, client, refusal);
            None
        }
    }
}

/// The key that a channel is asked with: the one that made the response which the call goes on from, or the next in turn.
fn drawn<'a>(gateway: &Gateway, call: &Call, channel: &'a Channel) -> Option<&'a Credential> {
    let inner = &gateway.inner;
    let pin = call.pinned.filter(|pin| pin.channel == channel.id);
    pin.and_then(|pin| channel.keys().iter().find(|known| known.key == pin.key))
        .or_else(|| {
            inner
                .turns
                .draw(channel.id, channel.keys(), &inner.cooldowns)
        })
}

/// Tries a channel, and says now and then that the call is alive.
async fn tried(
    gateway: &Gateway,
    call: &Call,
    to: (&Channel, Option<&Credential>),
    client: &Client,
    hold: &mut Hold,
) -> Outcome {
    let backing = Backing::new(client, hold);
    let mut attempt = std::pin::pin!(attempt(gateway, call, to, &backing));
    loop {
        match timeout(SIGN_OF_LIFE, &mut attempt).await {
            Ok(outcome) => return outcome,
            Err(_) => backing.is_alive(),
        }
    }
}

/// Why credits are not held; where a plan leaves the model out, with the group in which one has it.
async fn unheld(gateway: &Gateway, call: &Call, refused: &HoldRefusal) -> Refusal {
    let refusal = of_hold(refused, &call.model, gateway.inner.clock.now());
    if refusal.code != Code::ModelNotInPlan {
        return refusal;
    }
    let asked = Asked {
        caller: &call.caller,
        group: call.order.group,
        model: &call.model,
        protocol: call.protocol,
        client: &call.visit.client,
    };
    with_other_group(gateway, refusal, asked).await
}

/// A whole answer: charged first, then handed over.
async fn deliver(
    gateway: &Gateway,
    call: &Call,
    client: &mut Client,
    hold: Hold,
    (channel, key): (&Channel, Option<ChannelKeyId>),
    (body, mut tap): (Bytes, Tap),
) {
    let cut = call.lowered && tap.truncated();
    let ended = Ended {
        finish: match (client.is_gone(), cut) {
            (true, _) => Finish::ClientGone,
            (false, true) => Finish::CreditExhausted,
            (false, false) => Finish::Complete,
        },
        abandoned: false,
        channel: channel.id,
        key,
        first_byte_at: Some(gateway.inner.clock.now()),
    };
    tally(call, &mut tap).await;
    settle::end(gateway, call, hold, &tap, ended).await;
    let body = if cut {
        cover::marked(call.protocol, &body)
    } else {
        body
    };
    client.begin(Head::Whole(body));
}

/// Nobody waits for the call any more, or the process ends, and nothing of an answer was handed on yet.
async fn abandon(
    gateway: &Gateway,
    call: &Call,
    client: &mut Client,
    hold: Hold,
    (channel, heard): (&Channel, Option<Box<Tap>>),
) {
    if client.is_gone() {
        let ended = Ended {
            finish: Finish::ClientGone,
            abandoned: true,
            channel: channel.id,
            key: None,
            first_byte_at: None,
        };
        let mut tap = heard.map_or_else(|| Tap::new(call.protocol), |heard| *heard);
        tally(call, &mut tap).await;
        settle::end(gateway, call, hold, &tap, ended).await;
    } else {
        void(call, hold, Finish::Shutdown).await;
        refuse(gateway, call, client, draining());
    }
}

async fn void(call: &Call, hold: Hold, finish: Finish) {
    match hold.void(finish).await {
        Ok(_) => {
            tracing::info!(request.id = %call.visit.id, ?finish, "call ended without a charge");
        }
        Err(error) => {
            tracing::error!(request.id = %call.visit.id, %error, "a hold was not released; the sweeper will");
        }
    }
}

fn refuse(gateway: &Gateway, call: &Call, client: &mut Client, refusal: Refusal) {
    call.visit
        .keep(gateway, &call.caller, Some(&call.reading.model), &refusal);
    client.begin(Head::Refused(refusal));
}

/// What is forgiven a channel, and the key that worked.
fn works(gateway: &Gateway, channel: &Channel, credential: Option<&Credential>) {
    let cooldowns = &gateway.inner.cooldowns;
    cooldowns.succeeded(Subject::Channel(channel.id));
    if let Some(credential) = credential {
        cooldowns.succeeded(Subject::Key(channel.id, credential.key));
    }
}

fn note_failure(
    gateway: &Gateway,
    call: &Call,
    (channel, credential): (&Channel, Option<&Credential>),
    failed: &Failed,
    begun: Instant,
) {
    let inner = &gateway.inner;
    tracing::warn!(
        request.id = %call.visit.id,
        channel.id = %channel.id,
        channel.name = %channel.name,
        model.name = %call.model.name,
        "a channel failed: {}",
        failed.why
    );
    let subject = match credential {
        Some(credential) if channel.keys().len() > 1 && failed.severity.is_of_the_key() => {
            Subject::Key(channel.id, credential.key)
        }
        _ => Subject::Channel(channel.id),
    };
    inner.cooldowns.failed(subject, failed.severity);
    if failed.sent {
        let price = call.price.cost.as_ref();
        let cost = price.zip(failed.used.as_ref());
        inner.lanes.attempt(attempt::Model {
            id: AttemptId::fresh(),
            call_id: call.visit.id,
            channel_id: channel.id,
            model_id: call.model.id,
            status: failed.status.map(i64::from),
            fault: failed.why.chars().take(LONGEST_FAULT).collect(),
            took_ms: i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX),
            cost: cost.and_then(|(price, used)| charge_ceil(price, used, PPM_ONE).ok()),
            created_at: inner.clock.now(),
        });
    }
    if failed.secret_refused {
        put_aside(gateway, channel, credential);
    }
}

/// Letters of an upstream's words that are kept.
const LONGEST_FAULT: usize = 300;

/// A secret that the upstream does not know will not be known at the next call either. Put aside in a task of its own;
/// the call goes on with another key or channel.
fn put_aside(gateway: &Gateway, channel: &Channel, credential: Option<&Credential>) {
    let inner = Arc::clone(&gateway.inner);
    let (id, name) = (channel.id, channel.name.clone());
    let key = credential.and_then(|credential| credential.key);
    let secret = credential.and_then(|credential| credential.sealed.clone());
    let work = async move {
        let reason = "The upstream refused the channel's secret (401).".to_owned();
        let now = inner.clock.now();
        tracing::error!(channel.id = %id, channel.name = %name, "a key of a channel is put aside: its upstream refused it");
        match refuse_key(&inner.db, id, secret, reason, now).await {
            // Its place is another's now, or nobody's; another call may have been as unlucky, and faster.
            Ok(()) | Err(SwitchError::NothingToChange) => {
                inner.cooldowns.succeeded(Subject::Key(id, key));
            }
            Err(SwitchError::Store(error)) => {
                tracing::error!(channel.id = %id, %error, "a key of a channel could not be put aside");
            }
        }
    };
    gateway
        .inner
        .db
        .tracker()
        .spawn_on(work, gateway.inner.db.handle());
}

/// The channels of a call in turn, within what may be tried again.
struct Tries<'a> {
    left: VecDeque<&'a Channel>,
    /// Tries that reached an upstream.
    sent: usize,
    /// Tries in all, for what never left costs nobody but our own time.
    made: usize,
    /// The last one may have reached its upstream, so that the next one is a second request.
    is_retry: bool,
    /// No try found anything in its way but a rate limit.
    all_limited: bool,
}

/// Tries in all, those included that reached nobody.
const TRIES_MAX: usize = 5;

impl<'a> Tries<'a> {
    fn new(call: &'a Call) -> Self {
        Self {
            left: call.channels.iter().map(|channel| &**channel).collect(),
            sent: 0,
            made: 0,
            is_retry: false,
            all_limited: true,
        }
    }

    fn next(&mut self, gateway: &Gateway) -> Option<&'a Channel> {
        let inner = &gateway.inner;
        if self.sent >= inner.config.attempts || self.made >= TRIES_MAX {
            return None;
        }
        let channel = self.left.pop_front()?;
        if self.is_retry && !inner.budget.spend() {
            tracing::warn!(channel.id = %channel.id, "a failed call is not tried again: too many are");
            return None;
        }
        self.is_retry = false;
        self.made += 1;
        Some(channel)
    }

    /// A key's fault is tried again at the same channel, where another key waits.
    fn failed(&mut self, channel: &'a Channel, failed: &Failed, cooldowns: &Cooldowns) {
        self.sent += usize::from(failed.sent);
        self.is_retry = failed.sent;
        self.all_limited &= matches!(failed.severity, Severity::Limited(_));
        let keys = channel.keys();
        let another = keys.len() > 1
            && failed.severity.is_of_the_key()
            && keys.iter().any(|credential| {
                let subject = Subject::Key(channel.id, credential.key);
                cooldowns.left(subject).is_zero()
            });
        if another {
            self.left.push_front(channel);
        }
    }
}

/// `limited` where a rate limit was all that stood in the way.
fn all_failed(gateway: &Gateway, call: &Call, limited: bool) -> Refusal {
    let soonest = call
        .channels
        .iter()
        .map(|channel| cooling(channel, &gateway.inner.cooldowns))
        .min()
        .unwrap_or_default();
    if limited {
        return upstreams_limited(&call.model, soonest);
    }
    Refusal::new(
        Code::ChannelsFailed,
        format!(
            "Every upstream channel for the model `{}` failed just now. Nothing was charged. Try again in a moment.",
            call.model.name
        ),
    )
    .after(soonest)
}
