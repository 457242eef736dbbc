//! The client's end of a call, as the task that makes the call sees it: it may be gone at any moment.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::error::Refusal;

/// How an answer begins.
#[derive(Debug)]
pub(super) enum Head {
    /// A stream; its pieces follow.
    Stream,
    /// All of it.
    Whole(Bytes),
    /// None.
    Refused(Refusal),
}

/// How an answer begins, and what of the request it knows nothing of.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) head: Head,
    pub(super) dropped: Vec<String>,
}

/// Pieces that may wait for the client before the upstream is made to wait; a piece is all that came at once.
const WAITING_PIECES: usize = 8;

/// Where a call's answer goes.
#[derive(Debug)]
pub(super) struct Client {
    head: Option<oneshot::Sender<Opening>>,
    /// What of the request could not be carried to the upstream that answers.
    dropped: Mutex<Vec<String>>,
    pieces: mpsc::Sender<Bytes>,
    unread: Duration,
    stopping: CancellationToken,
    gone: bool,
    /// When it was first seen that the client has gone.
    gone_at: OnceLock<Instant>,
}

/// The other end, which the connection holds.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) head: oneshot::Receiver<Opening>,
    pub(super) pieces: mpsc::Receiver<Bytes>,
}

impl Client {
    /// The two ends. A client that leaves its answer unread for `unread` counts as gone; while the process stops,
    /// nobody is waited for.
    pub(super) fn pair(unread: Duration, stopping: CancellationToken) -> (Self, Connection) {
        let (head, head_end) = oneshot::channel();
        let (pieces, pieces_end) = mpsc::channel(WAITING_PIECES);
        let client = Self {
            head: Some(head),
            dropped: Mutex::default(),
            pieces,
            unread,
            stopping,
            gone: false,
            gone_at: OnceLock::new(),
        };
        let connection = Connection {
            head: head_end,
            pieces: pieces_end,
        };
        (client, connection)
    }

    /// Whether the client has gone, as far as is known.
    pub(super) fn is_gone(&self) -> bool {
        self.gone || self.pieces.is_closed()
    }

    /// Begins the answer.
    pub(super) fn begin(&mut self, head: Head) {
        let dropped = std::mem::take(
            self.dropped
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if let Some(sender) = self.head.take()
            && sender.send(Opening { head, dropped }).is_err()
        {
            self.gone = true;
        }
    }

    /// Notes what could not be carried to the channel that is tried now.
    pub(super) fn note_dropped(&self, names: &[String]) {
        names.clone_into(&mut *self.dropped.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Hands on a piece; waits while the client is slow, up to its limit.
    pub(super) async fn send(&mut self, piece: Bytes) {
        // A piece of nothing would end a chunked body.
        if self.is_gone() || piece.is_empty() {
            return;
        }
        // Most clients keep up, and then nobody's clock is needed.
        let piece = match self.pieces.try_send(piece) {
            Ok(()) => return,
            Err(TrySendError::Full(piece)) => piece,
            Err(TrySendError::Closed(_)) => {
                self.gone = true;
                return;
            }
        };
        tokio::select! {
            biased;
            place = timeout(self.unread, self.pieces.reserve()) => match place {
                Ok(Ok(place)) => place.send(piece),
                Ok(Err(_)) | Err(_) => self.gone = true,
            },
            () = self.stopping.cancelled() => {}
        }
    }

    /// Ends when the client has been gone for `grace`; never while it is there.
    pub(super) async fn gone_for(&self, grace: Duration) {
        if !self.gone {
            self.pieces.closed().await;
        }
        let gone_at = *self.gone_at.get_or_init(Instant::now);
        sleep_until(gone_at + grace).await;
    }
}
