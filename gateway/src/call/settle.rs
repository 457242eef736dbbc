//! The end of a call: charged for what it used, or not at all. Every call comes through here once.

use billing::{
    admission::{EndRefusal, Settled, Settlement},
    lane::Hold,
    rating::{PPM_ONE, Tokens, charge_ceil},
};
use entity::{
    ChannelId, Credits, Timestamp,
    usage::{Finish, Quality},
};

use super::Call;
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
    pub(super) first_byte_at: Option<Timestamp>,
}

/// What a call comes to: tokens, charge, and how well they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bill {
    pub(super) tokens: Tokens,
    pub(super) charge: Credits,
    pub(super) quality: Quality,
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
    // A call that failed before it brought anything costs nothing. One that was left at work costs what was counted,
    // its input at least: hanging up is no way to save.
    let ending: Ending = if tap.delivered() || ended.abandoned {
        let bill = bill(
            call,
            &tap.metered(call.reading.size.estimate),
            hold.amount(),
        );
        let now = gateway.inner.clock.now();
        gateway
            .inner
            .rates
            .note(&call.rates, bill.tokens.output, now);
        if bill.quality == Quality::Exact && ended.finish == Finish::Complete && !call.lowered {
            gateway.inner.expectations.note(
                call.model.id,
                call.visit.client_kind,
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

type Ending = std::pin::Pin<Box<dyn Future<Output = Result<Settled, EndRefusal>> + Send>>;

/// Rates what was metered. What was only counted here never comes to more than was held.
pub(super) fn bill(call: &Call, metered: &Metered, held: Credits) -> Bill {
    let charge = charge_ceil(&call.price.sale, &metered.tokens, call.multiplier_ppm);
    let incredible = call.bound.nanos().saturating_mul(INCREDIBLE).max(1);
    match charge {
        Ok(charge) if metered.exact && charge.nanos() <= incredible => Bill {
            tokens: metered.tokens,
            charge,
            quality: Quality::Exact,
        },
        Ok(charge) => {
            if metered.exact {
                tracing::error!(request.id = %call.visit.id, reported_nanos = charge.nanos(), "the upstream reports more than the call can have used");
            }
            Bill {
                tokens: metered.tokens,
                charge: charge.min(held),
                quality: Quality::Counted,
            }
        }
        Err(error) => {
            tracing::error!(request.id = %call.visit.id, %error, "a call cannot be rated; the hold is charged");
            Bill {
                tokens: metered.tokens,
                charge: held,
                quality: Quality::Counted,
            }
        }
    }
}
