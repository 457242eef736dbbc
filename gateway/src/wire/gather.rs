//! Bytes whose number is not known before they are there: kept in blocks, so that what grows is never copied on its way and
//! takes no more memory than it is long.

use bytes::{Bytes, BytesMut};

/// What is made room for at a time.
const BLOCK: usize = 1 << 20;

/// Bytes so far.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// Never empty; all but the last are full.
    blocks: Vec<BytesMut>,
    length: usize,
}

impl Gathered {
    /// Nothing yet, with room for as much as was announced.
    pub(crate) fn expecting(announced: usize) -> Self {
        Self {
            blocks: vec![BytesMut::with_capacity(announced)],
            length: 0,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Adds some.
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.length += piece.len();
        let mut rest = piece;
        while !rest.is_empty() {
            let Some(last) = self.blocks.last_mut() else {
                return;
            };
            let room = last.capacity() - last.len();
            let (fits, over) = rest.split_at(rest.len().min(room));
            last.extend_from_slice(fits);
            if !over.is_empty() {
                self.blocks.push(BytesMut::with_capacity(BLOCK));
            }
            rest = over;
        }
    }

    /// All of them. Each block goes as soon as it has been copied; a single one is not copied at all.
    pub(crate) fn whole(mut self) -> Bytes {
        if self.blocks.len() == 1
            && let Some(only) = self.blocks.pop()
        {
            return only.freeze();
        }
        let mut whole = BytesMut::with_capacity(self.length);
        for block in self.blocks {
            whole.extend_from_slice(&block);
        }
        whole.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gathered_is_what_was_added_whatever_was_announced() {
        let text: Vec<u8> = (0..3 * BLOCK)
            .map(|place| u8::try_from(place % 251).expect("small"))
            .collect();
        for announced in [0, 5, BLOCK, text.len(), 2 * text.len()] {
            for size in [7_001, BLOCK + 1, text.len()] {
                let mut gathered = Gathered::expecting(announced);
                for piece in text.chunks(size) {
                    gathered.add(piece);
                }
                assert_eq!(gathered.len(), text.len());
                assert!(gathered.whole() == text, "{announced} {size}");
            }
        }
        assert!(Gathered::expecting(0).whole().is_empty());
    }
}
