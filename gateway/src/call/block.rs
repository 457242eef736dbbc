//! Blocks of a messages stream that are open: clients trip over an error that comes while one is.

use std::collections::BTreeSet;

use entity::Protocol;
use memchr::memmem;
use serde::Deserialize;

/// The open blocks of one answer, as its client has seen them.
#[derive(Debug, Default)]
pub(super) struct Blocks(BTreeSet<u64>);

#[derive(Deserialize)]
struct Step<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default)]
    index: u64,
}

impl Blocks {
    /// Takes note of what the client is about to see.
    pub(super) fn see(&mut self, protocol: Protocol, piece: &[u8]) {
        const MARK: &[u8] = b"content_block_st";
        if protocol != Protocol::Messages || memmem::find(piece, MARK).is_none() {
            return;
        }
        let lines = piece.split(|byte| matches!(byte, b'\n' | b'\r'));
        for data in lines.filter_map(|line| line.strip_prefix(b"data:")) {
            let Ok(step) = serde_json::from_slice::<Step<'_>>(data.trim_ascii()) else {
                continue;
            };
            match step.kind {
                "content_block_start" => {
                    self.0.insert(step.index);
                }
                "content_block_stop" => {
                    self.0.remove(&step.index);
                }
                _ => {}
            }
        }
    }

    /// What closes those that are open, in the order they were opened.
    pub(super) fn closing(&self) -> String {
        let close = |index: &u64| {
            format!(
                "event: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":{index}}}\n\n"
            )
        };
        self.0.iter().map(close).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_opened_and_not_closed_is_closed() {
        let mut blocks = Blocks::default();
        let events: [&[u8]; 4] = [
            b"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{}}\n\n",
            b"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"text\":\"content_block_stop\"}}\n\n",
            b"data: {\"type\":\"content_block_stop\",\"index\":0}\r\n\r\ndata: {\"type\":\"content_block_start\",\"index\":1}\n\n",
            b": content_block_stop\n\n",
        ];
        for event in events {
            blocks.see(Protocol::Messages, event);
        }

        assert_eq!(
            blocks.closing(),
            "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
        );
        assert_eq!(Blocks::default().closing(), "");
    }
}
