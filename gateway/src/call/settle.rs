//! The end of a call: charged for what it used, or not at all. Every call comes through here once.

use billing::{
    admission::{EndRefusal, Settled, Settlement},
    lane::Hold,
    rating::{PPM_ONE, Tokens, charge_ceil},
};
use entity::{
    ChannelId, ChannelKeyId, Credits, Protocol, Timestamp,
    usage::{Finish, Quality},
    usage_doubt,
};
use sea_orm::{ActiveModelTrait, DbErr, IntoActiveModel};

use super::{Call, repeat};
use crate::{
    gateway::Gateway,
    wire::tap::{Metered, Tap},
};

/// How a call came to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) finish: Finish,
    /// Whether the upstream was still at work when nobody waited for it any more.
    pub(super) abandoned: bool,
    pub(super) channel: ChannelId,
    /// Which further key of the channel; none for its first.
    pub(super) key: Option<ChannelKeyId>,
    pub(super) first_byte_at: Option<Timestamp>,
}

/// What a call comes to: tokens, charge, and how well they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bill {
    pub(super) tokens: Tokens,
    pub(super) charge: Credits,
    pub(super) quality: Quality,
    /// Why the upstream's own report was not believed.
    pub(super) doubt: Option<String>,
}

/// A report that comes to more than this many times the most that was thought possible is not believed.
const INCREDIBLE: i64 = 4;

/// Ends the hold. The lane has the ending when this returns; the future waits for the commit.
pub(super) fn end(
    gateway: &Gateway,
    call: &Call,
    hold: Hold,
    tap: &Tap,
    ended: Ended,
) -> impl Future<Output = ()> + Send + use<> {
    let request = call.visit.id;
    if let Some(anomaly) = tap.anomaly() {
        tracing::error!(request.id = %request, channel.id = %ended.channel, %anomaly, "usage was counted here instead");
    }
    repeat::note(gateway, call);
    gateway.inner.pins.note(call, tap, &ended);
    // A call that failed before it brought anything costs nothing. One that was left at work costs what was counted,
    // its input at least: hanging up is no way to save.
    let ending: Ending = if tap.delivered() || ended.abandoned {
        let bill = bill(call, &metered(call, tap), hold.amount());
        let now = gateway.inner.clock.now();
        let doubt = tap
            .anomaly()
            .map(|anomaly| anomaly.to_string())
            .or_else(|| bill.doubt.clone())
            .or_else(|| {
                let strangers = &gateway.inner.strangers;
                strangers.doubt(call, ended.channel, tap.named()?)
            });
        if let Some(reason) = doubt {
            keep_doubt(gateway, call, ended.channel, bill.charge, reason);
        }
        gateway
            .inner
            .rates
            .note(&call.rates, bill.tokens.output, now);
        let channel = call
            .channels
            .iter()
            .find(|channel| channel.id == ended.channel);
        if let Some(channel) = channel {
            gateway.inner.loads.note(channel, bill.tokens.output, now);
        }
        if bill.quality == Quality::Exact && ended.finish == Finish::Complete && !call.lowered {
            gateway.inner.expectations.note(
                call.model.id,
                call.visit.client.kind,
                bill.tokens.output,
            );
        }
        let cost = call
            .price
            .cost
            .as_ref()
            .and_then(|cost| charge_ceil(cost, &bill.tokens, PPM_ONE).ok());
        Box::pin(hold.settle(Settlement {
            tokens: bill.tokens,
            charge: bill.charge,
            quality: bill.quality,
            finish: ended.finish,
            channel: Some(ended.channel),
            provider_cost: cost.map(Credits::nanos),
            first_byte_at: ended.first_byte_at,
            ended_at: gateway.inner.clock.now(),
        }))
    } else {
        Box::pin(hold.void(ended.finish))
    };
    async move {
        match ending.await {
            Ok(settled) => tracing::info!(
                request.id = %request,
                outcome = ?settled.outcome,
                cost_nanos = settled.charge.nanos(),
                finish = ?ended.finish,
                "call ended"
            ),
            Err(error) => {
                tracing::error!(request.id = %request, %error, "a call was not settled; the sweeper will end its hold");
            }
        }
    }
}

/// What was metered. In chat no report tells searches, so one that was asked for counts as one; a search tool of another
/// protocol does not come along to a chat upstream.
fn metered(call: &Call, tap: &Tap) -> Metered {
    let mut metered = tap.metered(call.count);
    let passed = call.protocol == Protocol::Chat && tap.protocol() == Protocol::Chat;
    if passed && call.reading.searches > 0 {
        metered.tokens.web_searches = metered.tokens.web_searches.max(1);
    }
    metered
}

/// Keeps a report that cannot be for an operator to look at, in a task of its own: nothing waits for it.
fn keep_doubt(
    gateway: &Gateway,
    call: &Call,
    channel: ChannelId,
    charged: Credits,
    reason: String,
) {
    let inner = &gateway.inner;
    let row = usage_doubt::Model {
        id: call.visit.id,
        tenant_id: call.caller.key.tenant_id,
        channel_id: channel,
        model_id: call.model.id,
        reason,
        charged,
        created_at: inner.clock.now(),
    };
    let (db, tracker) = (inner.db.clone(), inner.db.tracker().clone());
    let work = async move {
        let id = row.id;
        let row = row.into_active_model();
        let stored: Result<usage_doubt::Model, DbErr> =
            db.write(move |tx| Box::pin(row.insert(tx))).await;
        if let Err(error) = stored {
            tracing::error!(request.id = %id, %error, "a doubtful report was not kept");
        }
    };
    tracker.spawn_on(inner.calls.track_future(work), inner.db.handle());
}

type Ending = std::pin::Pin<Box<dyn Future<Output = Result<Settled, EndRefusal>> + Send>>;

/// What a call costs that is lost with its process after it left: its input, which the upstream has taken by then.
pub(super) fn sent(call: &Call, held: Credits) -> (Credits, Tokens) {
    let tokens = Tokens {
        input: call.count.scaled(call.count.input),
        requests: 1,
        ..Tokens::default()
    };
    let charge = charge_ceil(&call.price.sale, &tokens, call.multiplier_ppm);
    (charge.map_or(held, |charge| charge.min(held)), tokens)
}

/// Rates what was metered. What was only counted here never comes to more than was held.
pub(super) fn bill(call: &Call, metered: &Metered, held: Credits) -> Bill {
    let charge = charge_ceil(&call.price.sale, &metered.tokens, call.multiplier_ppm);
    let incredible = call.believable.nanos().saturating_mul(INCREDIBLE).max(1);
    match charge {
        Ok(charge) if metered.exact && charge.nanos() <= incredible => Bill {
            tokens: metered.tokens,
            charge,
            quality: Quality::Exact,
            doubt: None,
        },
        Ok(charge) => {
            if metered.exact {
                tracing::error!(request.id = %call.visit.id, reported_nanos = charge.nanos(), "the upstream reports more than the call can have used");
            }
            Bill {
                tokens: metered.tokens,
                charge: charge.min(held),
                quality: Quality::Counted,
                doubt: metered.exact.then(|| {
                    format!("the upstream's usage comes to {charge} credits, more than the call can have cost")
                }),
            }
        }
        Err(error) => {
            tracing::error!(request.id = %call.visit.id, %error, "a call cannot be rated; the hold is charged");
            Bill {
                tokens: metered.tokens,
                charge: held,
                quality: Quality::Counted,
                doubt: Some(format!("the upstream's usage cannot be rated: {error}")),
            }
        }
    }
}
