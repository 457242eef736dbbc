//! How an answer is taken: a stream up to its first part, or all of it, collected or read whole.

use std::time::Duration;

use billing::rating::Tokens;
use entity::Protocol;
use outbound::SendError;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Call,
    attempt::{Failed, Opened, Outcome, Reply},
    cooldown::Severity,
    cover::Backing,
    events::{Events, whole},
    foreign::Crossing,
    pause::continued,
    secret::Secrets,
};
use crate::{
    gateway::{Config, Gateway},
    wire::{
        tap::{Failure, Seen, Tap},
        vector,
    },
};

/// Events before the first part of an answer that are kept back; no upstream sends as many.
const MOST_OPENINGS: usize = 64;
/// How long what may still follow is waited for, once an answer has said why it stops: its usage, and the end of the stream.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(5);

/// How long a stream may be silent.
pub(super) fn patience(config: &Config, tap: &Tap) -> Duration {
    if tap.seems_finished() {
        LAST_WORDS_WITHIN.min(config.idle)
    } else {
        config.idle
    }
}

/// Waits for the first part of the answer, for a failure before it can still be another channel's success, and costs
/// nothing. A long silence is let through, so that the client gets its signs of life.
pub(super) async fn open(
    gateway: &Gateway,
    call: &Call,
    crossing: Option<&Crossing>,
    reply: Reply,
    secrets: Secrets,
) -> Outcome {
    let events = Events::new(reply.body).pausing(reply.pauses);
    let mut opened = match crossing {
        Some(crossing) => Opened {
            events: events.translated(&crossing.translation, &gateway.inner.memory),
            tap: Tap::new(crossing.upstream),
            first: Vec::new(),
            secrets,
        },
        None => Opened {
            events,
            tap: Tap::new(call.protocol).awaiting(call.reading.choices),
            first: Vec::new(),
            secrets,
        },
    };
    let first = &mut opened.first;
    let begun = timeout(gateway.inner.config.heartbeat, async {
        loop {
            let frame = match opened.events.next().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return Err("the answer ended before it began".to_owned()),
                Err(error) => return Err(error),
            };
            match opened.tap.see(&frame) {
                Seen::Idle => {}
                Seen::Garbage => return Err("the answer is not in the protocol".to_owned()),
                Seen::Failure(failure) => return Err(wording(&failure)),
                Seen::Opening if first.len() < MOST_OPENINGS => first.push((frame, Seen::Opening)),
                seen => {
                    first.push((frame, seen));
                    return Ok(());
                }
            }
        }
    })
    .await;
    if let Ok(Err(why)) = begun {
        return Outcome::Failed(passing(why));
    }
    Outcome::Stream(Box::new(opened))
}

/// Reads a stream to its end for a caller who wants the answer whole: what streams is metered as it comes, and does not
/// die of a silence that is none. Nothing was shown yet, so a failure here too can be another channel's success.
pub(super) async fn collect(
    gateway: &Gateway,
    call: &Call,
    crossing: &Crossing,
    reply: Reply,
    (backing, heard): (&Backing<'_>, &mut Option<Box<Tap>>),
) -> Outcome {
    let config = &gateway.inner.config;
    let mut events = Events::new(reply.body)
        .pausing(reply.pauses)
        .collected(&crossing.translation, &gateway.inner.memory);
    let tap = heard.insert(Box::new(Tap::new(crossing.upstream)));
    let reading = async {
        // One timer, set anew when it rings and not at each event.
        let mut silence = std::pin::pin!(sleep(config.idle));
        let mut last = Instant::now();
        loop {
            let frame = tokio::select! {
                biased;
                next = events.next() => match next? {
                    Some(frame) => frame,
                    None if let Some(pause) = events.paused() => {
                        let more = backing.more(call, pause).await;
                        if events.go_on(more) {
                            tap.goes_on(&pause.on_its_way());
                        }
                        last = Instant::now();
                        continue;
                    }
                    None => return Err("the answer ended early".to_owned()),
                },
                () = &mut silence => {
                    if last.elapsed() >= patience(config, tap) {
                        if !tap.finished() {
                            return Err("the upstream went silent".to_owned());
                        }
                        events.stop_waiting();
                    }
                    silence.as_mut().reset(last + config.idle);
                    continue;
                }
            };
            last = Instant::now();
            let seen = tap.see(&frame);
            if tap.finished() {
                silence.as_mut().reset(last + patience(config, tap));
            }
            match seen {
                Seen::Idle | Seen::Opening | Seen::Content | Seen::UsageOnly => {}
                Seen::End => {
                    events.account(tap, false);
                    return Ok(frame.raw);
                }
                Seen::Failure(failure) => return Err(wording(&failure)),
                Seen::Garbage => return Err("an event is not in the protocol".to_owned()),
            }
        }
    };
    let why = match timeout(config.whole_answer, reading).await {
        Ok(Ok(body)) if body.is_empty() => "the answer is too large".to_owned(),
        Ok(Ok(body)) => {
            let fresh = Box::new(Tap::new(crossing.upstream));
            let tap = std::mem::replace(tap, fresh);
            return Outcome::Whole { body, tap };
        }
        Ok(Err(why)) => why,
        Err(_) => "no whole answer in time".to_owned(),
    };
    Outcome::Failed(Failed {
        used: used(call, tap),
        ..passing(why)
    })
}

/// What a stream that failed had used, as far as its upstream said so.
fn used(call: &Call, tap: &Tap) -> Option<Tokens> {
    let metered = tap.metered(call.count);
    metered.exact.then_some(metered.tokens)
}

pub(super) async fn read_whole(
    gateway: &Gateway,
    call: &Call,
    crossing: Option<&Crossing>,
    reply: Reply,
    (backing, heard): (&Backing<'_>, &mut Option<Box<Tap>>),
) -> Outcome {
    let config = &gateway.inner.config;
    let body = match timeout(config.whole_answer, whole(reply.body, config.idle)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return Outcome::Failed(unsent(&error)),
        Err(_) => return Outcome::Failed(passing("no whole answer in time".to_owned())),
    };
    let mut pauses = reply.pauses;
    let body = match &mut pauses {
        Some(pauses) => continued(config, call, pauses, (body, backing, heard)).await,
        None => body,
    };
    let mut tap = Tap::new(crossing.map_or(call.protocol, |crossing| crossing.upstream));
    let seen = tap.see_whole(&body);
    if let Some(pauses) = pauses {
        pauses.account(&mut tap, false);
    }
    let body = match crossing {
        Some(crossing) if seen == Seen::End => match crossing.translation.whole(&body) {
            Some(Ok((translated, kept))) => {
                if let Some(kept) = kept {
                    let tenant = call.caller.key.tenant_id;
                    gateway.inner.memory.keep(tenant, kept);
                }
                translated
            }
            Some(Err(fault)) => return Outcome::Failed(passing(fault.message)),
            None => {
                return Outcome::Failed(passing("the answer is not in the protocol".to_owned()));
            }
        },
        None if call.protocol == Protocol::Embeddings => {
            vector::in_form(&body, call.reading.vectors).unwrap_or(body)
        }
        _ => body,
    };
    match seen {
        Seen::Failure(failure) => Outcome::Failed(passing(wording(&failure))),
        Seen::Garbage => Outcome::Failed(passing("the answer is not in the protocol".to_owned())),
        Seen::Idle | Seen::Opening | Seen::Content | Seen::UsageOnly | Seen::End => {
            Outcome::Whole {
                body,
                tap: Box::new(tap),
            }
        }
    }
}

pub(super) fn unsent(error: &SendError) -> Failed {
    Failed {
        status: None,
        sent: !error.never_sent(),
        ..passing(error.to_string())
    }
}

pub(super) fn passing(why: String) -> Failed {
    Failed {
        severity: Severity::Passing,
        why,
        secret_refused: false,
        status: Some(200),
        sent: true,
        used: None,
    }
}

pub(super) fn wording(failure: &Failure) -> String {
    let message: String = failure.message.chars().take(300).collect();
    format!("{} {message}", failure.code).trim().to_owned()
}
