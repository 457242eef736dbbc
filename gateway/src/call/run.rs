//! The task that makes a call: hold, channels in turn, answer, settlement. No connection owns it, so nobody can stop
//! it half-way by hanging up.

use std::{sync::Arc, time::Duration};

use billing::{admission::HoldRefusal, lane::Hold, rating::Tokens};
use bytes::Bytes;
use entity::{Actor, Credits, usage::Finish};
use tokio::time::timeout;

use super::{
    Call,
    attempt::{Failed, Outcome, attempt},
    client::{Client, Head},
    cover,
    refusal::{draining, of_hold},
    relay::relay,
    settle::{self, Ended},
};
use crate::{
    catalog::Channel,
    error::{Code, Refusal},
    gateway::Gateway,
    wire::tap::Tap,
};

/// How often a call that waits for its upstream says that it is alive, so that its hold lasts.
const SIGN_OF_LIFE: Duration = Duration::from_mins(1);

/// Makes the call.
pub(super) async fn run(gateway: Gateway, mut call: Call, mut client: Client) {
    let inner = &gateway.inner;
    let held = tokio::select! {
        held = inner.lanes.hold_within(call.order.clone(), inner.config.patience) => held,
        () = client.gone_for(Duration::ZERO) => return,
        () = inner.stopping.cancelled() => Err(HoldRefusal::Draining),
    };
    let mut hold = match held {
        Ok(hold) => hold,
        Err(refused) => {
            let refusal = of_hold(&refused, &call.model, inner.clock.now());
            if matches!(refusal.code, Code::Overloaded) {
                tracing::error!(request.id = %call.visit.id, error = %refused, "a call could not be held for");
            }
            refuse(&gateway, &call, &mut client, refusal);
            return;
        }
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

    hold.dispatched();
    for channel in call.channels.iter().take(inner.config.attempts) {
        let outcome = {
            let mut attempt = std::pin::pin!(attempt(&gateway, &call, channel, &client));
            loop {
                match timeout(SIGN_OF_LIFE, &mut attempt).await {
                    Ok(outcome) => break outcome,
                    Err(_) => hold.checkpoint(Credits::ZERO, Tokens::default()),
                }
            }
        };
        match outcome {
            Outcome::Stream(opened) => {
                inner.cooldowns.succeeded(channel.id);
                relay(&gateway, &call, &mut client, hold, channel.id, *opened).await;
                return;
            }
            Outcome::Whole { body, tap } => {
                inner.cooldowns.succeeded(channel.id);
                deliver(&gateway, &call, &mut client, hold, channel, (body, tap)).await;
                return;
            }
            Outcome::CallerFault(refusal) => {
                void(&call, hold, Finish::UpstreamError).await;
                refuse(&gateway, &call, &mut client, refusal);
                return;
            }
            Outcome::Abandoned => {
                abandon(&gateway, &call, &mut client, hold, channel).await;
                return;
            }
            Outcome::Failed(failed) => note_failure(&gateway, &call, channel, &failed),
        }
        if client.is_gone() {
            void(&call, hold, Finish::ClientGone).await;
            return;
        }
    }
    void(&call, hold, Finish::UpstreamError).await;
    let refusal = all_failed(&gateway, &call);
    refuse(&gateway, &call, &mut client, refusal);
}

/// A whole answer: charged first, then handed over.
async fn deliver(
    gateway: &Gateway,
    call: &Call,
    client: &mut Client,
    hold: Hold,
    channel: &Channel,
    (body, tap): (Bytes, Tap),
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
        first_byte_at: Some(gateway.inner.clock.now()),
    };
    settle::end(gateway, call, hold, &tap, ended).await;
    let body = if cut {
        cover::marked(call.protocol, &body)
    } else {
        body
    };
    client.begin(Head::Whole(body));
}

/// Nobody waits for the call any more, or the process ends, and the upstream has said nothing yet.
async fn abandon(
    gateway: &Gateway,
    call: &Call,
    client: &mut Client,
    hold: Hold,
    channel: &Channel,
) {
    if client.is_gone() {
        let ended = Ended {
            finish: Finish::ClientGone,
            abandoned: true,
            channel: channel.id,
            first_byte_at: None,
        };
        settle::end(gateway, call, hold, &Tap::new(call.protocol), ended).await;
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

fn note_failure(gateway: &Gateway, call: &Call, channel: &Channel, failed: &Failed) {
    tracing::warn!(
        request.id = %call.visit.id,
        channel.id = %channel.id,
        channel.name = %channel.name,
        model.name = %call.model.name,
        "a channel failed: {}",
        failed.why
    );
    gateway.inner.cooldowns.failed(channel.id, failed.severity);
    if failed.secret_refused {
        switch_off(gateway, channel);
    }
}

/// A secret that the upstream does not know will not be known at the next call either. Switched off in a task of its
/// own; the call goes on with another channel.
fn switch_off(gateway: &Gateway, channel: &Channel) {
    let inner = Arc::clone(&gateway.inner);
    let (id, name) = (channel.id, channel.name.clone());
    let work = async move {
        let reason = "The upstream refused the channel's secret (401).".to_owned();
        let now = inner.clock.now();
        tracing::error!(channel.id = %id, channel.name = %name, "a channel is switched off: its secret was refused");
        if let Err(error) =
            billing::shop::channel::disable(&inner.db, id, Some(reason), Actor::System, now).await
        {
            tracing::error!(channel.id = %id, %error, "a channel could not be switched off");
        }
    };
    gateway
        .inner
        .db
        .tracker()
        .spawn_on(work, gateway.inner.db.handle());
}

fn all_failed(gateway: &Gateway, call: &Call) -> Refusal {
    let soonest = call
        .channels
        .iter()
        .map(|channel| gateway.inner.cooldowns.left(channel.id))
        .min()
        .unwrap_or_default();
    Refusal::new(
        Code::ChannelsFailed,
        format!(
            "Every upstream channel for the model `{}` failed just now. Nothing was charged. Try again in a moment.",
            call.model.name
        ),
    )
    .after(soonest)
}
