//! What came from the upstream together goes on together: one piece, one wake-up, one write for many events.

use bytes::{Bytes, BytesMut};

/// A piece that grew this long waits for no more.
const LONG: usize = 16 << 10;

/// Events on their way to the client. One alone is handed on as it is; several are put together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    first: Bytes,
    all: BytesMut,
}

impl Batch {
    /// Adds the bytes of an event, and says whether it is time to hand them on.
    pub(super) fn add(&mut self, piece: Bytes) -> bool {
        if self.first.is_empty() && self.all.is_empty() {
            self.first = piece;
            return self.first.len() >= LONG;
        }
        if self.all.is_empty() {
            self.all.reserve((self.first.len() + piece.len()) * 2);
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&piece);
        self.all.len() >= LONG
    }

    /// All of it, in the order it came; empty where nothing waits.
    pub(super) fn take(&mut self) -> Bytes {
        if self.all.is_empty() {
            return std::mem::take(&mut self.first);
        }
        std::mem::take(&mut self.all).freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_leave_in_their_order_and_once() {
        let mut batch = Batch::default();
        assert!(batch.take().is_empty());

        assert!(!batch.add(Bytes::from_static(b"one")));
        assert_eq!(batch.take(), "one");
        for piece in ["two", "", "three"] {
            assert!(!batch.add(Bytes::from_static(piece.as_bytes())));
        }
        assert_eq!(batch.take(), "twothree");
        assert!(batch.take().is_empty());
    }

    #[test]
    fn a_batch_that_grew_long_is_due() {
        let mut batch = Batch::default();
        let half = Bytes::from(vec![b'x'; LONG / 2]);

        assert!(!batch.add(half.clone()));
        assert!(batch.add(half));
        assert_eq!(batch.take().len(), LONG);
        assert!(batch.add(Bytes::from(vec![b'x'; LONG])), "one alone too");
    }
}
