//! What the hold pays for: the output limit is lowered to it before the call leaves, and while the answer streams the
//! hold grows ahead of it.

use std::{sync::Arc, time::Duration};

use billing::{
    admission::ExtendRefusal,
    lane::Hold,
    rating::{Tokens, Upper, affordable_output, bound_ceil, charge_ceil, expected_ceil},
};
use bytes::Bytes;
use entity::{Credits, Protocol};
use outbound::provider;
use serde_json::Value;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{Call, client::Client, pause::Pause, refusal::minute, settle::bill};
use crate::{
    catalog::Upstream,
    error::{Code, Refusal},
    wire::{
        reading::{self, BadRequest},
        tap::{Metered, Tap},
    },
};

/// How much of a hold is used when more is asked for, in hundredths.
const ASK_AT: i64 = 80;
/// What a hold grows to where the cost has overtaken it, in hundredths of the cost: it is not asked for more at once.
const ROOM: i64 = 150;
/// A hold that was refused more does not ask again before this.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long a stream waits for its hold to grow.
const GROWN_WITHIN: Duration = Duration::from_secs(3);
/// Where the hold covers the output limit that the upstream was told, that limit is the guard: our own count goes by
/// letters and may be wrong. Where the limit was lowered to the last credits, it counts past this much of the hold, in
/// hundredths, in case the upstream does not heed it.
const TOLD_SLACK: i64 = 200;
/// The least worth a commit is this part of what is held.
const LEAST_PART: i64 = 64;

/// Lowers the output limit of a call to what its hold pays for, where that is less than was wished.
pub(super) fn fit(call: &mut Call, held: Credits) -> Result<(), BadRequest> {
    if held >= call.order.amount {
        return Ok(());
    }
    let paid = affordable_output(
        &call.price.sale,
        call.input_expected,
        held,
        call.multiplier_ppm,
    );
    let limit = (paid.unwrap_or(0) / call.reading.choices.max(1)).max(1);
    if limit >= call.output_limit {
        return Ok(());
    }
    let chat_name = match call.channels.first().map(|channel| &channel.upstream) {
        Some(Upstream::Provider {
            kind: provider::Kind::OpenAi,
            ..
        }) => "max_completion_tokens",
        _ => "max_tokens",
    };
    call.body = call
        .reading
        .lowered(call.protocol, &call.body, limit, chat_name);
    call.reading = reading::read(call.protocol, &call.body)?;
    // What is written for another protocol was read before the hold, and may have named no limit.
    if let Some(request) = &mut call.foreign {
        let request = Arc::make_mut(request);
        request.max_output = Some(request.max_output.map_or(limit, |asked| asked.min(limit)));
    }
    call.output_limit = limit;
    call.lowered = true;
    Ok(())
}

/// What an answer has cost so far, where that comes near to all that is held for it.
pub(super) fn near(call: &Call, hold: &Hold, tap: &Tap) -> Option<Credits> {
    if hold.amount() >= call.bound {
        return None;
    }
    let tokens = tap.metered(call.count).tokens;
    let cost = charge_ceil(&call.price.sale, &tokens, call.multiplier_ppm).ok()?;
    (cost >= part(hold.amount(), ASK_AT)).then_some(cost)
}

/// Output tokens that it is worth sending a paused turn again for.
const LEAST_MORE: u64 = 256;

/// What it takes to send a paused turn again.
pub(super) struct More {
    /// Output tokens of the next answer at most.
    pub(super) output: u64,
    /// What the call will have cost by the time that answer has begun.
    pub(super) cost: Credits,
    /// What it will have cost at most when that answer is whole.
    whole: Credits,
}

/// Whether a paused turn can be sent again within the most that the call may cost.
pub(super) fn more(call: &Call, pause: Pause) -> Option<More> {
    if call.lowered {
        return None;
    }
    let (price, ppm) = (&call.price.sale, call.multiplier_ppm);
    let next = Upper {
        input: pause.next_input,
        output: 0,
        searches: call.reading.searches.min(1),
    };
    let spent = charge_ceil(price, &pause.used, ppm).ok()?;
    let dearest = bound_ceil(price, &next, ppm).ok()?;
    let cost = spent.checked_add(dearest)?;
    let plain = |input| expected_ceil(price, input, 0, ppm).ok();
    let (before, input) = (plain(pause.used.prompt()?)?, plain(pause.next_input)?);
    // Requests are billed in one sum: not where that is dearer than each for itself.
    let together = plain(pause.used.prompt()?.checked_add(pause.next_input)?)?;
    let apart = before.checked_add(input)?;
    if together > apart || apart.nanos() > together.nanos().saturating_add(1) {
        return None;
    }
    let left = call.bound.checked_sub(cost)?.checked_add(input)?;
    let output = affordable_output(price, pause.next_input, left, ppm)?
        .min(call.output_limit.saturating_sub(pause.used.output));
    let all = bound_ceil(price, &Upper { output, ..next }, ppm).ok()?;
    let whole = spent.checked_add(all)?.min(call.bound);
    (output >= LEAST_MORE).then_some(More {
        output,
        cost,
        whole,
    })
}

/// What stands behind a try at a channel: who waits for the answer, and what is held for it.
pub(super) struct Backing<'a> {
    pub(super) client: &'a Client,
    hold: Mutex<&'a mut Hold>,
}

impl<'a> Backing<'a> {
    pub(super) fn new(client: &'a Client, hold: &'a mut Hold) -> Self {
        Self {
            client,
            hold: Mutex::new(hold),
        }
    }

    /// Says that the call is alive. A hold that just grows needs nobody to say so.
    pub(super) fn is_alive(&self) {
        if let Ok(mut hold) = self.hold.try_lock() {
            hold.checkpoint(Credits::ZERO, Tokens::default());
        }
    }

    /// The output tokens for which a paused turn is sent again; none where nobody waits for it, or it is not paid for. All
    /// that it can cost has to be held: what nobody sees come is not held for as it comes.
    pub(super) async fn more(&self, call: &Call, pause: Pause) -> Option<u64> {
        let more = more(call, pause).filter(|_| !self.client.is_gone())?;
        let mut hold = self.hold.lock().await;
        if !Cover::new().reaches(call, &mut hold, more.whole).await {
            return None;
        }
        let spent = Metered {
            tokens: pause.used,
            exact: false,
        };
        let spent = bill(call, &spent, hold.amount());
        hold.left(spent.charge, spent.tokens);
        Some(more.output)
    }
}

/// Keeps a stream within what is held for it.
#[derive(Debug)]
pub(super) struct Cover {
    ask_at: Instant,
    /// Why it was not given more when it last asked.
    refused: Option<ExtendRefusal>,
    /// No answer came in time when it last asked.
    unheard: bool,
}

impl Cover {
    pub(super) fn new() -> Self {
        Self {
            ask_at: Instant::now(),
            refused: None,
            unheard: false,
        }
    }

    /// Grows the hold of an answer that comes near its end at this cost; answers why the stream has to end, if it has.
    pub(super) async fn keep(
        &mut self,
        call: &Call,
        hold: &mut Hold,
        cost: Credits,
        client_is_gone: bool,
    ) -> Option<Refusal> {
        if !call.lowered && !client_is_gone && Instant::now() >= self.ask_at {
            self.grow(call, hold, cost).await;
        }
        if hold.amount() >= call.bound {
            return None;
        }
        let expected = call.order.expected_output.unwrap_or(call.order.output_cap);
        let end = if call.lowered {
            part(hold.amount(), TOLD_SLACK)
        } else if expected >= call.order.output_cap {
            return None;
        } else {
            hold.amount()
        };
        (cost >= end).then(|| self.exhausted())
    }

    /// Whether as much is held as an answer will have cost; the hold grows where it is less.
    pub(super) async fn reaches(&mut self, call: &Call, hold: &mut Hold, cost: Credits) -> bool {
        if hold.amount() < cost && Instant::now() >= self.ask_at {
            self.grow(call, hold, cost).await;
        }
        hold.amount() >= cost
    }

    /// By a step, or by as much more as one event has brought: an upstream may report a long input, or a whole answer, at
    /// once.
    async fn grow(&mut self, call: &Call, hold: &mut Hold, cost: Credits) {
        let held = hold.amount();
        let missing = call.bound.checked_sub(held).unwrap_or(Credits::ZERO);
        let brought = part(cost, ROOM).checked_sub(held).unwrap_or(Credits::ZERO);
        let step = call.order.amount.max(part(held, 50)).max(brought);
        let step = step.min(missing);
        let least = Credits::from_nanos(held.nanos() / LEAST_PART)
            .max(Credits::from_nanos(1))
            .min(step);
        let asked = timeout(GROWN_WITHIN, hold.grow(step, least)).await;
        self.unheard = asked.is_err();
        match asked {
            Ok(Ok(_)) => return,
            Ok(Err(refused)) => {
                tracing::debug!(hold.id = %hold.id(), %refused, "a hold does not grow");
                self.refused = Some(refused);
            }
            Err(_) => tracing::warn!(hold.id = %hold.id(), "a hold did not grow in time"),
        }
        self.ask_at = Instant::now() + ASK_AGAIN;
    }

    fn exhausted(&self) -> Refusal {
        let unheard = Refusal::new(
            Code::Overloaded,
            "The credits for the rest of the answer could not be held in time. What was delivered is charged. Try again.",
        );
        match &self.refused {
            _ if self.unheard => unheard,
            // What was given last was all there was.
            None | Some(ExtendRefusal::InsufficientCredits { .. }) => ran_out(),
            Some(ExtendRefusal::QuotaExhausted { resets_at }) => Refusal::new(
                Code::CreditExhausted,
                format!(
                    "A quota ran out in the middle of the answer; it is whole again at {}. What was delivered is charged.",
                    minute(*resets_at)
                ),
            ),
            Some(ExtendRefusal::WalletFrozen) => Refusal::new(
                Code::CreditExhausted,
                "The credits of this account were frozen in the middle of the answer. What was delivered is charged; the operator of this gateway can tell why.",
            ),
            Some(
                ExtendRefusal::OutOfRange
                | ExtendRefusal::Ended
                | ExtendRefusal::Overloaded
                | ExtendRefusal::Draining
                | ExtendRefusal::Store(_),
            ) => unheard,
        }
    }
}

/// The credits ended before the answer did.
pub(super) fn ran_out() -> Refusal {
    Refusal::new(
        Code::CreditExhausted,
        "The credits ran out in the middle of the answer. What was delivered is charged. Add credits to go on.",
    )
}

/// A whole answer that stopped where the credits did: it says so where else it would name the output limit, which the
/// caller did not ask for.
pub(super) fn marked(protocol: Protocol, body: &Bytes) -> Bytes {
    let Ok(mut answer) = serde_json::from_slice::<Value>(body) else {
        return body.clone();
    };
    let word = Code::CreditExhausted.as_str();
    match protocol {
        Protocol::Chat => {
            let choices = answer.get_mut("choices").and_then(Value::as_array_mut);
            for choice in choices.into_iter().flatten() {
                if choice.get("finish_reason").and_then(Value::as_str) == Some("length")
                    && let Some(choice) = choice.as_object_mut()
                {
                    choice.insert("finish_reason".to_owned(), word.into());
                }
            }
        }
        Protocol::Messages => {
            if let Some(answer) = answer.as_object_mut() {
                answer.insert("stop_reason".to_owned(), word.into());
            }
        }
        Protocol::Responses => {
            let details = answer.get_mut("incomplete_details");
            if let Some(details) = details.and_then(Value::as_object_mut) {
                details.insert("reason".to_owned(), word.into());
            }
        }
        Protocol::Embeddings => {}
    }
    answer.to_string().into()
}

/// So many hundredths of an amount.
fn part(amount: Credits, hundredths: i64) -> Credits {
    let nanos = i128::from(amount.nanos()) * i128::from(hundredths) / 100;
    Credits::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::Timestamp;
    use serde_json::json;

    #[test]
    fn the_end_of_an_answer_that_is_not_covered_says_why() {
        let at = Timestamp::from_micros(1_795_000_000_000_000);
        let few = ExtendRefusal::InsufficientCredits {
            needed: Credits::from_nanos(2),
            available: Credits::ZERO,
        };
        let table = [
            (false, None, "The credits ran out"),
            (false, Some(few), "The credits ran out"),
            (
                false,
                Some(ExtendRefusal::QuotaExhausted { resets_at: at }),
                "A quota ran out",
            ),
            (false, Some(ExtendRefusal::WalletFrozen), "were frozen"),
            (false, Some(ExtendRefusal::Overloaded), "in time"),
            (true, Some(ExtendRefusal::WalletFrozen), "in time"),
            (true, None, "in time"),
        ];
        for (unheard, refused, words) in table {
            let cover = Cover {
                refused,
                unheard,
                ..Cover::new()
            };
            let refusal = cover.exhausted();
            assert!(refusal.message.contains(words), "{}", refusal.message);
        }
    }

    #[test]
    fn an_answer_cut_for_credit_says_so_in_every_protocol() {
        let table = [
            (
                Protocol::Chat,
                json!({"choices": [{"finish_reason": "length"}, {"finish_reason": "stop"}], "n": 1.0}),
                json!({"choices": [{"finish_reason": "credit_exhausted"}, {"finish_reason": "stop"}], "n": 1.0}),
            ),
            (
                Protocol::Messages,
                json!({"stop_reason": "max_tokens", "content": []}),
                json!({"stop_reason": "credit_exhausted", "content": []}),
            ),
            (
                Protocol::Responses,
                json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}),
                json!({"status": "incomplete", "incomplete_details": {"reason": "credit_exhausted"}}),
            ),
        ];

        for (protocol, before, after) in table {
            let body = marked(protocol, &before.to_string().into());
            let marked: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(marked, after);
        }
    }
}
