//! An upstream's stream as events, with the fault that ended it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use outbound::{BodyStream, SendError};
use tokio::time::timeout;

use crate::wire::sse::{Frame, Splitter};

/// No event is longer: generated pictures come in pieces below this.
const LONGEST_EVENT: usize = 16 << 20;
/// No answer that does not stream is longer.
pub(super) const LONGEST_ANSWER: usize = 64 << 20;

/// The events of one upstream answer.
pub(super) struct Events {
    body: BodyStream,
    splitter: Splitter,
    ended: bool,
}

impl Events {
    pub(super) fn new(body: BodyStream) -> Self {
        Self {
            body,
            splitter: Splitter::new(LONGEST_EVENT),
            ended: false,
        }
    }

    /// The next event; `None` at the end. Loses nothing when it is dropped before it is done.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, String> {
        loop {
            let frame = self
                .splitter
                .next_frame()
                .map_err(|error| error.to_string())?;
            if frame.is_some() {
                return Ok(frame);
            }
            if self.ended {
                return Ok(self.splitter.finish().map(closed));
            }
            match self.body.next().await {
                Some(Ok(piece)) => self.splitter.push(&piece),
                Some(Err(error)) => return Err(error.to_string()),
                None => self.ended = true,
            }
        }
    }

    /// Reads to the end, so that the connection can be used again.
    pub(super) async fn finish(mut self) {
        while !self.ended {
            match self.body.next().await {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => self.ended = true,
            }
        }
    }
}

/// A last event that lacks its blank line; a client would wait for it.
fn closed(frame: Frame) -> Frame {
    let raw = [&*frame.raw, b"\n\n"].concat().into();
    Frame { raw, ..frame }
}

/// The whole of a body, at most [`LONGEST_ANSWER`], with pauses of at most `idle`.
pub(super) async fn whole(mut body: BodyStream, idle: Duration) -> Result<Bytes, SendError> {
    let mut all = bytes::BytesMut::new();
    loop {
        let next = timeout(idle, body.next())
            .await
            .map_err(|_| SendError::Silent)?;
        let Some(piece) = next else {
            return Ok(all.freeze());
        };
        all.extend_from_slice(&piece?);
        if all.len() > LONGEST_ANSWER {
            return Err(SendError::TooLarge {
                limit: LONGEST_ANSWER,
            });
        }
    }
}
