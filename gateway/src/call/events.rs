//! An upstream's stream as events, with the fault that ended it.

use std::{collections::VecDeque, task::Poll, time::Duration};

use bytes::Bytes;
use entity::{Protocol, TenantId};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use outbound::{BodyStream, SendError};
use tokio::time::timeout;

use super::{
    memory::Memory,
    pause::{Pause, Pauses},
};
use crate::{
    translate::{Collecting, Kept, Stream, Translation},
    wire::{
        gather::Gathered,
        sse::{Frame, Splitter},
        tap::Tap,
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
    /// What broke the body off, until it is said.
    fault: Option<SendError>,
    /// Puts the events into the caller's protocol, with how the upstream's own ends.
    translator: Option<Translator>,
    /// Watches for pauses, where the upstream may make some.
    pauses: Option<Box<Pauses>>,
    /// The next answer to a turn that is sent again.
    again: Option<BoxFuture<'static, Result<BodyStream, String>>>,
    /// Events that end an answer which stays paused.
    last: VecDeque<Frame>,
}

impl Events {
    pub(super) fn new(body: BodyStream) -> Self {
        Self {
            body,
            splitter: Splitter::new(LONGEST_EVENT),
            ended: false,
            fault: None,
            translator: None,
            pauses: None,
            again: None,
            last: VecDeque::new(),
        }
    }

    /// The same events; where the upstream pauses, they end with nothing until it is decided what to do.
    pub(super) fn pausing(mut self, pauses: Option<Pauses>) -> Self {
        self.pauses = pauses.map(Box::new);
        self
    }

    /// Where a paused answer stands.
    pub(super) fn paused(&self) -> Option<Pause> {
        let pauses = self.pauses.as_ref().filter(|pauses| pauses.is_paused())?;
        self.again.is_none().then(|| pauses.pause())
    }

    /// Sends a paused turn again, for so many tokens of output; or ends the answer where it stands. Says which.
    pub(super) fn go_on(&mut self, output: Option<u64>) -> bool {
        let pauses = self.pauses.as_mut();
        let again = pauses.and_then(|pauses| pauses.resend(output?));
        if again.is_none() {
            self.give_up();
        }
        self.again = again;
        self.again.is_some()
    }

    /// Tells the meter of an answer that is over what only several requests for it make known.
    pub(super) fn account(&self, tap: &mut Tap, abandoned: bool) {
        if let Some(pauses) = &self.pauses {
            pauses.account(tap, abandoned);
        }
    }

    fn give_up(&mut self) {
        if let Some(pauses) = &mut self.pauses {
            self.last.extend(pauses.end());
        }
    }

    /// The answer to a turn that was sent again begins, or the first one ends.
    fn went_on(&mut self, answer: Result<BodyStream, String>) {
        self.again = None;
        match (answer, &mut self.pauses) {
            (Ok(body), Some(pauses)) => {
                pauses.went_on();
                self.body = body;
                self.splitter = Splitter::new(LONGEST_EVENT);
                self.ended = false;
                self.fault = None;
            }
            (Ok(_), None) => {}
            (Err(why), _) => {
                tracing::warn!("a paused answer stays as it is: {why}");
                self.give_up();
            }
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
            if let Some(frame) = self.here()? {
                return Ok(Some(frame));
            }
            if let Some(again) = &mut self.again {
                let answer = again.await;
                self.went_on(answer);
                continue;
            }
            if self.paused().is_some() {
                return Ok(None);
            }
            if self.ended {
                return Ok(match self.splitter.finish() {
                    Some(frame) => match self.watched(closed(frame)) {
                        Some(frame) => Some(self.put(frame)),
                        None => continue,
                    },
                    None => self.close(),
                });
            }
            if let Some(fault) = self.fault.take() {
                return Err(fault.to_string());
            }
            let next = self.body.next().await;
            self.came(next);
        }
    }

    fn came(&mut self, next: Option<Result<Bytes, SendError>>) {
        match next {
            Some(Ok(piece)) => self.splitter.push(&piece),
            Some(Err(fault)) => self.fault = Some(fault),
            None => self.ended = true,
        }
    }

    /// Whether more has come meanwhile, without waiting for it. An upstream mostly sends each event as a chunk of its own,
    /// and the task that reads the connection hands chunks over one by one: it is given a turn first.
    pub(super) async fn more(&mut self) -> bool {
        let waits = self.again.is_some() || self.paused().is_some();
        if self.ended || self.fault.is_some() || waits {
            return false;
        }
        for turn in [false, true] {
            if turn {
                give_way().await;
            }
            if let Some(next) = self.body.next().now_or_never() {
                self.came(next);
                return true;
            }
        }
        false
    }

    /// The next event of those that have come already.
    pub(super) fn here(&mut self) -> Result<Option<Frame>, String> {
        if let Some(frame) = self.last.pop_front() {
            return Ok(Some(self.put(frame)));
        }
        if self
            .pauses
            .as_ref()
            .is_some_and(|pauses| pauses.is_paused())
        {
            return Ok(None);
        }
        match self.splitter.next_frame() {
            Ok(Some(frame)) => Ok(self.watched(frame).map(|frame| self.put(frame))),
            Ok(None) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn watched(&mut self, frame: Frame) -> Option<Frame> {
        match &mut self.pauses {
            Some(pauses) => pauses.see(frame),
            None => Some(frame),
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

    /// Waits for nothing more, as if the upstream had closed the stream here.
    pub(super) fn stop_waiting(&mut self) {
        self.ended = true;
    }

    /// Reads to the end, so that the connection can be used again.
    pub(super) async fn finish(mut self) {
        while !self.ended && self.fault.is_none() {
            match self.body.next().await {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => self.ended = true,
            }
        }
    }
}

/// Lets the tasks run that are ready. The runtime's own way asks the kernel for news each time, which costs more than the
/// event that is looked for.
async fn give_way() {
    let mut gave = false;
    std::future::poll_fn(|context| {
        if gave {
            return Poll::Ready(());
        }
        gave = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
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
