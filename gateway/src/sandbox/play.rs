//! What a sandbox model says, where it fails, and how the pieces leave.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use outbound::{BodyStream, SendError};
use serde_json::Value;

use super::{Reply, question::Question};

/// The words of an answer, and what goes wrong with it.
pub(super) struct Play {
    pub(super) words: Vec<String>,
    /// Whether the limit cut the answer short.
    pub(super) cut_short: bool,
    pub(super) input_words: usize,
    pub(super) fault: Option<Fault>,
}

/// What goes wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Status(u16),
    Stall,
    Cut,
    Garbage,
    NoUsage,
    NegativeUsage,
}

/// One thing an upstream does.
pub(super) enum Step {
    Say(Bytes),
    Stall,
    Cut,
}

const STORY_WORDS: usize = 400;
const LONGEST_STORY: usize = 4_000;
const STORY: &str = "Once there was a gate on an old road, and a keeper who counted every traveller by the light of one \
     small lamp. Some came with coins and some with letters, and some came only to ask the way. ";

impl Play {
    /// The answer of the model that is asked.
    pub(super) fn of(question: &Question) -> Self {
        let fault = fault(&question.model);
        let story = question.model == "sandbox/story";
        let said = if question.said.trim().is_empty() {
            "The sandbox hears you."
        } else {
            question.said.trim()
        };
        let limit = question
            .limit
            .unwrap_or(if story { STORY_WORDS } else { usize::MAX });
        let source: Box<dyn Iterator<Item = &str>> = if story {
            Box::new(STORY.split_inclusive(' ').cycle().take(LONGEST_STORY))
        } else {
            Box::new(said.split_inclusive(char::is_whitespace))
        };
        let mut source = source.filter(|word| !word.trim().is_empty());
        let words: Vec<String> = source.by_ref().take(limit).map(str::to_owned).collect();
        Self {
            words,
            cut_short: source.next().is_some(),
            input_words: question.input_words,
            fault,
        }
    }

    /// The usage numbers to report: input and output.
    pub(super) fn usage(&self) -> Option<(i64, i64)> {
        let count = |words: usize| i64::try_from(words).unwrap_or(i64::MAX);
        let (input, output) = (count(self.input_words), count(self.words.len()));
        match self.fault {
            Some(Fault::NoUsage) => None,
            Some(Fault::NegativeUsage) => Some((-input - 1, -output - 1)),
            _ => Some((input, output)),
        }
    }

    /// The events of a stream, with the fault at its middle.
    pub(super) fn perform(&self, events: Vec<Bytes>, pace: Duration) -> Reply {
        let middle = events.len() / 2;
        let mut steps: Vec<Step> = events.into_iter().map(Step::Say).collect();
        match self.fault {
            Some(Fault::Stall) => {
                steps.truncate(middle);
                steps.push(Step::Stall);
            }
            Some(Fault::Cut) => {
                steps.truncate(middle);
                steps.push(Step::Cut);
            }
            Some(Fault::Garbage) => {
                steps = vec![Step::Say(Bytes::from_static(b"data: {{ not JSON\n\n"))];
            }
            _ => {}
        }
        Reply {
            status: 200,
            body: stream(steps, pace),
        }
    }

    /// A body in one piece, with the fault in its middle.
    pub(super) fn perform_whole(&self, body: &Value) -> Reply {
        let text = body.to_string();
        let half =
            Bytes::copy_from_slice(text.as_bytes().get(..text.len() / 2).unwrap_or_default());
        let steps = match self.fault {
            Some(Fault::Stall) => vec![Step::Stall],
            Some(Fault::Cut) => vec![Step::Say(half), Step::Cut],
            Some(Fault::Garbage) => vec![Step::Say(Bytes::from_static(b"<html>not JSON</html>"))],
            _ => vec![Step::Say(text.into())],
        };
        Reply {
            status: 200,
            body: stream(steps, Duration::ZERO),
        }
    }
}

/// `sandbox/error-503` fails with that status; the other faults have names.
fn fault(model: &str) -> Option<Fault> {
    let name = model.strip_prefix("sandbox/")?;
    if let Some(status) = name.strip_prefix("error-") {
        return status.parse().ok().map(Fault::Status);
    }
    match name {
        "stall" => Some(Fault::Stall),
        "cut" => Some(Fault::Cut),
        "garbage" => Some(Fault::Garbage),
        "no-usage" => Some(Fault::NoUsage),
        "negative-usage" => Some(Fault::NegativeUsage),
        _ => None,
    }
}

/// The steps as a body; each waits its pace first, so that a story takes its time.
pub(super) fn stream(steps: Vec<Step>, pace: Duration) -> BodyStream {
    stream::iter(steps)
        .then(move |step| async move {
            if !pace.is_zero() {
                tokio::time::sleep(pace).await;
            }
            match step {
                Step::Say(piece) => Ok(piece),
                Step::Stall => std::future::pending().await,
                Step::Cut => Err(SendError::Broken("the sandbox cut the answer".to_owned())),
            }
        })
        .boxed()
}
