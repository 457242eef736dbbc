//! The relay: events from the upstream to the client as they come, metered, in a task that no connection owns.

use std::time::Duration;

use billing::{lane::Hold, rating::Tokens};
use bytes::Bytes;
use entity::{ChannelId, ChannelKeyId, Credits, Protocol, Timestamp, usage::Finish};
use futures_util::FutureExt;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::{
    Call,
    accept::sentence,
    answer::patience,
    attempt::Opened,
    batch::Batch,
    block::Blocks,
    client::{Client, Head},
    cover::{self, Cover},
    events::Events,
    fault::is_account_fault,
    pause::Pause,
    refusal::draining,
    secret::Secrets,
    settle::{self, Ended, bill},
    tally::tally,
};
use crate::{
    error::{Code, Refusal, stream_event},
    gateway::Gateway,
    wire::{
        sse::Frame,
        tap::{Failure, Seen, Tap},
    },
};

/// How often a running call notes what it has cost, in case the process dies.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// How long the last event may wait for the commit that charges the call.
const COMMIT_WITHIN: Duration = Duration::from_secs(3);
/// How long a finished upstream is given to close its stream in order.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Events that go on together at most; then it is looked whether anything else has happened.
const MOST_TOGETHER: usize = 128;

/// What came of asking for the next event.
type Next = Result<Option<Frame>, String>;

/// One stream on its way.
struct Relay<'a> {
    gateway: &'a Gateway,
    call: &'a Call,
    client: &'a mut Client,
    /// What came together and has not been handed on yet.
    batch: Batch,
    hold: Hold,
    tap: Tap,
    /// What no word of the upstream may repeat.
    secrets: Secrets,
    first_byte_at: Option<Timestamp>,
    /// The response object that a Responses client has seen, for an error event to name.
    opened: Option<Value>,
    /// Blocks that a Messages client has seen begin and not end.
    blocks: Blocks,
    /// When the client last got anything.
    spoke_at: Instant,
    noted_at: Instant,
    cover: Cover,
}

/// Why the relay stops, and the last thing the client gets.
struct Stop {
    finish: Finish,
    last: Option<Bytes>,
    abandoned: bool,
}

impl Stop {
    fn with(finish: Finish, last: Option<Bytes>) -> Self {
        Self {
            finish,
            last,
            abandoned: false,
        }
    }
}

/// Relays a stream to its end and settles the call.
pub(super) async fn relay(
    gateway: &Gateway,
    call: &Call,
    client: &mut Client,
    hold: Hold,
    (channel, key): (ChannelId, Option<ChannelKeyId>),
    opened: Opened,
) {
    let Opened {
        mut events,
        tap,
        first,
        secrets,
    } = opened;
    let mut relay = Relay {
        gateway,
        call,
        client,
        batch: Batch::default(),
        hold,
        tap,
        secrets,
        first_byte_at: None,
        opened: None,
        blocks: Blocks::default(),
        spoke_at: Instant::now(),
        noted_at: Instant::now(),
        cover: Cover::new(),
    };

    let mut at_once = None;
    let mut first = first.into_iter().peekable();
    while let Some((frame, seen)) = first.next()
        && at_once.is_none()
    {
        at_once = if first.peek().is_some() {
            relay.take(frame, seen).await
        } else {
            relay.take_all(frame, seen, &mut events).await
        };
    }
    relay.client.begin(Head::Stream);
    let stop = match at_once {
        Some(stop) => stop,
        None => relay.run(&mut events).await,
    };

    let Relay {
        client,
        hold,
        mut tap,
        first_byte_at,
        ..
    } = relay;
    if matches!(
        stop.finish,
        Finish::UpstreamError | Finish::UpstreamCut | Finish::Stalled
    ) {
        gateway.inner.repeats.failed(call);
    }
    events.account(&mut tap, stop.abandoned);
    // Nobody waits for what is left, so the upstream is cut off before anything else is done.
    let events = (!stop.abandoned).then_some(events);
    let ended = Ended {
        finish: stop.finish,
        abandoned: stop.abandoned,
        channel,
        key,
        first_byte_at,
    };
    tally(call, &mut tap).await;
    let mut settled = std::pin::pin!(settle::end(gateway, call, hold, &tap, ended));
    // Whoever has the last event has been charged: the balance read after an answer is the true one.
    let committed = tokio::time::timeout(COMMIT_WITHIN, &mut settled).await;
    if let Some(last) = stop.last {
        client.send(last).await;
    }
    if committed.is_err() {
        settled.await;
    }
    if stop.finish == Finish::Complete
        && let Some(events) = events
    {
        drop(tokio::time::timeout(CLOSE_WITHIN, events.finish()).await);
    }
}

impl Relay<'_> {
    /// Until the answer ends, the upstream fails, or nobody waits for it any more.
    async fn run(&mut self, events: &mut Events) -> Stop {
        let config = &self.gateway.inner.config;
        let mut silent_until = Instant::now() + config.idle;
        let ends_at = Instant::now() + config.longest;
        // One timer for whatever is due first. Events only put off what it waits for, so it is set anew when it rings
        // and not at each of them.
        let mut timer = std::pin::pin!(sleep_until(self.spoke_at + config.heartbeat));
        loop {
            let stop = tokio::select! {
                biased;
                () = self.gateway.inner.stopping.cancelled() => {
                    return self.broken(Finish::Shutdown, &draining());
                }
                () = self.client.gone_for(self.call.drain) => return Stop {
                    finish: Finish::ClientGone,
                    last: None,
                    abandoned: true,
                },
                () = &mut timer => {
                    let now = Instant::now();
                    if now >= ends_at {
                        return self.stalled();
                    }
                    let stop = if now < silent_until {
                        None
                    } else {
                        if self.tap.seems_finished() {
                            events.stop_waiting();
                        }
                        // What came while nobody looked still counts.
                        let Some(next) = events.next().now_or_never() else {
                            return self.stalled();
                        };
                        silent_until = now + patience(config, &self.tap);
                        self.go_on(next, events).await
                    };
                    let mut due = silent_until.min(ends_at);
                    if !self.client.is_gone() {
                        if Instant::now() >= self.spoke_at + config.heartbeat {
                            self.beat().await;
                        }
                        due = due.min(self.spoke_at + config.heartbeat);
                    }
                    timer.as_mut().reset(due);
                    stop
                }
                next = events.next() => {
                    let stop = self.go_on(next, events).await;
                    silent_until = Instant::now() + patience(config, &self.tap);
                    if self.tap.seems_finished() {
                        timer.as_mut().reset(silent_until);
                    }
                    stop
                }
            };
            if let Some(stop) = stop {
                return stop;
            }
        }
    }

    async fn go_on(&mut self, next: Next, events: &mut Events) -> Option<Stop> {
        match next {
            Ok(Some(frame)) => {
                let seen = self.tap.see(&frame);
                self.take_all(frame, seen, events).await
            }
            Ok(None) if let Some(pause) = events.paused() => {
                let output = self.more(pause).await;
                if events.go_on(output) {
                    self.tap.goes_on(&pause.on_its_way());
                }
                None
            }
            Ok(None) => Some(self.at_end()),
            Err(why) => Some(self.cut(&why)),
        }
    }

    /// The output tokens for which a paused turn is sent again; none where nobody waits for it, or it is not paid for.
    async fn more(&mut self, pause: Pause) -> Option<u64> {
        let more = cover::more(self.call, pause).filter(|_| !self.client.is_gone())?;
        let paid = self
            .cover
            .reaches(self.call, &mut self.hold, more.cost)
            .await;
        paid.then_some(more.output)
    }

    /// Hands on an event and all that came together with it, as one piece.
    async fn take_all(&mut self, frame: Frame, seen: Seen, events: &mut Events) -> Option<Stop> {
        self.note();
        let mut stop = self.take(frame, seen).await;
        let mut left = MOST_TOGETHER;
        while stop.is_none() && left > 0 {
            left -= 1;
            stop = match events.here() {
                Ok(Some(frame)) => {
                    let seen = self.tap.see(&frame);
                    self.take(frame, seen).await
                }
                Ok(None) if events.more().await => None,
                Ok(None) => break,
                Err(why) => Some(self.cut(&why)),
            };
        }
        self.flush().await;
        stop
    }

    /// Hands one event on, or stops at it.
    async fn take(&mut self, frame: Frame, seen: Seen) -> Option<Stop> {
        match seen {
            Seen::UsageOnly if !self.call.reading.usage_asked => None,
            // The upstream stopped where we told it to, for want of credits; the client is told that, once the usage is
            // known.
            Seen::Opening | Seen::Content | Seen::UsageOnly if self.is_cut() => None,
            Seen::End if self.is_cut() => Some(self.ran_out()),
            Seen::Idle | Seen::Opening | Seen::Content | Seen::UsageOnly => {
                if matches!(seen, Seen::Opening | Seen::Content) && self.first_byte_at.is_none() {
                    self.first_byte_at = Some(self.gateway.inner.clock.now());
                    self.remember_opening(&frame);
                }
                self.say(frame.raw).await;
                self.cover().await
            }
            Seen::End => Some(Stop::with(self.finish(Finish::Complete), Some(frame.raw))),
            Seen::Failure(failure) => Some(self.failed(&frame, &failure)),
            Seen::Garbage => Some(self.cut("an event is not in the protocol")),
        }
    }

    fn is_cut(&self) -> bool {
        self.call.lowered && self.tap.truncated() && self.call.reading.choices == 1
    }

    fn ran_out(&self) -> Stop {
        self.broken(Finish::CreditExhausted, &cover::ran_out())
    }

    /// Keeps what is held ahead of what the answer costs; where that cannot be, the answer ends here.
    async fn cover(&mut self) -> Option<Stop> {
        if !self.tap.delivered() || self.tap.finished() {
            return None;
        }
        let cost = cover::near(self.call, &self.hold, &self.tap)?;
        self.flush().await;
        let gone = self.client.is_gone();
        let refusal = self
            .cover
            .keep(self.call, &mut self.hold, cost, gone)
            .await?;
        Some(self.broken(Finish::CreditExhausted, &refusal))
    }

    async fn say(&mut self, piece: Bytes) {
        self.blocks.see(self.call.protocol, &piece);
        if self.batch.add(piece) {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        let piece = self.batch.take();
        if !piece.is_empty() {
            self.client.send(piece).await;
            // After the first piece, so that both leave in one packet.
            self.client.begin(Head::Stream);
            self.spoke_at = Instant::now();
        }
    }

    /// A sign of life in the protocol's own form. Codex's timer hears no comments, so Responses gets an event, but not
    /// before the first one, which must be `response.created`.
    async fn beat(&mut self) {
        self.note();
        let sign: &'static [u8] = match self.call.protocol {
            Protocol::Messages => b"event: ping\ndata: {\"type\":\"ping\"}\n\n",
            Protocol::Responses if self.first_byte_at.is_some() => {
                b"event: keepalive\ndata: {\"type\":\"keepalive\",\"sequence_number\":0}\n\n"
            }
            Protocol::Responses | Protocol::Chat | Protocol::Embeddings => b": keep-alive\n\n",
        };
        self.say(Bytes::from_static(sign)).await;
        self.flush().await;
    }

    /// Notes the cost so far now and then, which also keeps the hold alive.
    fn note(&mut self) {
        if self.noted_at.elapsed() < NOTE_EVERY {
            return;
        }
        self.noted_at = Instant::now();
        if !self.tap.delivered() {
            self.hold.checkpoint(Credits::ZERO, Tokens::default());
            return;
        }
        let metered = self.tap.metered(self.call.count);
        let so_far = bill(self.call, &metered, self.hold.amount());
        self.hold.checkpoint(so_far.charge, so_far.tokens);
    }

    fn remember_opening(&mut self, frame: &Frame) {
        if self.call.protocol == Protocol::Responses {
            let event: Option<Value> = serde_json::from_slice(&frame.data).ok();
            self.opened = event.and_then(|mut event| event.get_mut("response").map(Value::take));
        }
    }

    /// The upstream closed the stream. A chat stream may do so after its finish reason, without `[DONE]`, and a message
    /// after its reason to stop.
    fn at_end(&mut self) -> Stop {
        let native = self.tap.protocol() == self.call.protocol;
        if native {
            self.tap.close();
        }
        if self.tap.finished() && self.is_cut() {
            return self.ran_out();
        }
        if self.tap.finished() {
            let done: Option<&'static [u8]> = match self.call.protocol {
                Protocol::Chat => Some(b"data: [DONE]\n\n"),
                Protocol::Messages if native => {
                    Some(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
                }
                Protocol::Messages | Protocol::Responses | Protocol::Embeddings => None,
            };
            return Stop::with(self.finish(Finish::Complete), done.map(Bytes::from_static));
        }
        self.cut("the answer ended early")
    }

    fn cut(&mut self, why: &str) -> Stop {
        tracing::warn!(request.id = %self.call.visit.id, "an upstream broke off: {why}");
        self.broken(
            Finish::UpstreamCut,
            &Refusal::new(
                Code::UpstreamError,
                "The upstream broke off in the middle of the answer. What was delivered is charged. Try again.",
            ),
        )
    }

    fn stalled(&mut self) -> Stop {
        tracing::warn!(request.id = %self.call.visit.id, "an upstream went silent");
        self.broken(
            Finish::Stalled,
            &Refusal::new(
                Code::UpstreamError,
                "The upstream went silent in the middle of the answer. What was delivered is charged. Try again.",
            ),
        )
    }

    /// The upstream reports a failure in its stream. Its own words pass, for clients act on them, unless they speak of
    /// the account behind the channel, and without its secret.
    fn failed(&mut self, frame: &Frame, failure: &Failure) -> Stop {
        let told = self.secrets.clean_text(&failure.message);
        tracing::warn!(request.id = %self.call.visit.id, code = %failure.code, "an upstream failed: {told}");
        let words = self.secrets.clean_event(&frame.raw, failure);
        let (false, Some(words)) = (is_account_fault(failure), words) else {
            let message = sentence(&"the upstream failed in the middle of the answer");
            return self.broken(
                Finish::UpstreamError,
                &Refusal::new(Code::UpstreamError, message),
            );
        };
        Stop::with(self.finish(Finish::UpstreamError), Some(words))
    }

    fn broken(&self, finish: Finish, refusal: &Refusal) -> Stop {
        let event = stream_event(
            self.call.protocol,
            refusal,
            self.call.visit.id,
            &self.gateway.inner.links,
            self.opened.as_ref(),
        );
        let closing = self.blocks.closing();
        let last = if closing.is_empty() {
            event
        } else {
            [closing.as_bytes(), &event].concat().into()
        };
        Stop::with(self.finish(finish), Some(last))
    }

    /// A client that has gone is the reason, whatever the upstream did after that.
    fn finish(&self, finish: Finish) -> Finish {
        if self.client.is_gone() {
            Finish::ClientGone
        } else {
            finish
        }
    }
}
