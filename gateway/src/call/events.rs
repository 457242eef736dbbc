//! An upstream's stream as events, with the fault that ended it.

use std::time::Duration;

use bytes::Bytes;
use entity::{Protocol, TenantId};
use futures_util::StreamExt;
use outbound::{BodyStream, SendError};
use tokio::time::timeout;

use super::memory::Memory;
use crate::{
    translate::{Collecting, Kept, Stream, Translation},
    wire::{
        gather::Gathered,
        sse::{Frame, Splitter},
    },
};

/// No event is longer: generated pictures come in pieces below this.
const LONGEST_EVENT: usize = 16 << 20;
/// No answer that does not stream is longer.
pub(super) const LONGEST_ANSWER: usize = 64 << 20;

/// Puts events into the caller's protocol.
struct Translator {
    put: Put,
    /// How the upstream's protocol says that an answer is over.
    end: &'static [u8],
    memory: Memory,
    tenant: TenantId,
}

impl Translator {
    /// Keeps the thoughts of an answer that has ended.
    fn keep(&mut self) {
        if let Some(kept) = self.put.kept() {
            self.memory.keep(self.tenant, kept);
        }
    }
}

/// How events get into the caller's protocol.
enum Put {
    Each(Box<Stream>),
    Last(Box<Collecting>),
}

impl Put {
    fn translate(&mut self, data: &[u8]) -> Bytes {
        match self {
            Self::Each(stream) => stream.translate(data),
            Self::Last(collecting) => collecting.take(data),
        }
    }

    fn kept(&mut self) -> Option<Kept> {
        match self {
            Self::Each(stream) => stream.kept(),
            Self::Last(collecting) => collecting.kept(),
        }
    }

    fn end(&mut self) -> (Bytes, bool) {
        match self {
            Self::Each(stream) => stream.end(),
            Self::Last(collecting) => collecting.end(),
        }
    }
}

/// The events of one upstream answer.
pub(super) struct Events {
    body: BodyStream,
    splitter: Splitter,
    ended: bool,
    /// Puts the events into the caller's protocol, with how the upstream's own ends.
    translator: Option<Translator>,
}

impl Events {
    pub(super) fn new(body: BodyStream) -> Self {
        Self {
            body,
            splitter: Splitter::new(LONGEST_EVENT),
            ended: false,
            translator: None,
        }
    }

    /// The same events, their bytes as the caller reads them and their data as the upstream wrote it.
    pub(super) fn translated(mut self, translation: &Translation, memory: &Memory) -> Self {
        let end: &[u8] = match translation.upstream {
            Protocol::Messages => br#"{"type":"message_stop"}"#,
            Protocol::Chat | Protocol::Responses | Protocol::Embeddings => b"[DONE]",
        };
        self.translator = Some(Translator {
            put: Put::Each(Box::new(translation.stream())),
            end,
            memory: memory.clone(),
            tenant: translation.voice.carriers.tenant,
        });
        self
    }

    /// The same events without bytes, but for the last, which has the whole answer.
    pub(super) fn collected(self, translation: &Translation, memory: &Memory) -> Self {
        let mut events = self.translated(translation, memory);
        if let Some(translator) = &mut events.translator {
            translator.put = Put::Last(Box::new(translation.collector()));
        }
        events
    }

    /// The next event; `None` at the end. Loses nothing when it is dropped before it is done.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, String> {
        loop {
            let frame = self
                .splitter
                .next_frame()
                .map_err(|error| error.to_string())?;
            if let Some(frame) = frame {
                return Ok(Some(self.put(frame)));
            }
            if self.ended {
                return Ok(match self.splitter.finish() {
                    Some(frame) => Some(self.put(closed(frame))),
                    None => self.close(),
                });
            }
            match self.body.next().await {
                Some(Ok(piece)) => self.splitter.push(&piece),
                Some(Err(error)) => return Err(error.to_string()),
                None => self.ended = true,
            }
        }
    }

    fn put(&mut self, frame: Frame) -> Frame {
        let Some(translator) = &mut self.translator else {
            return frame;
        };
        let raw = translator.put.translate(&frame.data);
        translator.keep();
        Frame { raw, ..frame }
    }

    /// The end that an upstream leaves out which closes the stream after its last word.
    fn close(&mut self) -> Option<Frame> {
        let mut translator = self.translator.take()?;
        let (raw, complete) = translator.put.end();
        translator.keep();
        complete.then(|| Frame {
            raw,
            event: Bytes::new(),
            data: Bytes::from_static(translator.end),
        })
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
    let mut all = Gathered::expecting(0);
    loop {
        let next = timeout(idle, body.next())
            .await
            .map_err(|_| SendError::Silent)?;
        let Some(piece) = next else {
            return Ok(all.whole());
        };
        all.add(&piece?);
        if all.len() > LONGEST_ANSWER {
            return Err(SendError::TooLarge {
                limit: LONGEST_ANSWER,
            });
        }
    }
}
