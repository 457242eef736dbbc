//! What a call used, as counts.

use serde::{Deserialize, Serialize};

/// The tokens of one call in disjoint classes, except that sound and pictures are parts of `input` and `output`, and
/// `reasoning` is a part of `output`; and what is counted by the piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Input that no cache knew, sound and pictures included.
    pub input: u64,
    /// How much of the fresh input was sound.
    pub input_audio: u64,
    /// How much of the fresh input was pictures.
    pub input_image: u64,
    /// Input read from a cache.
    pub cache_read: u64,
    /// Input written to a cache of minutes.
    pub cache_write_short: u64,
    /// Input written to a cache of hours.
    pub cache_write_long: u64,
    /// All output, reasoning, sound and pictures included.
    pub output: u64,
    /// How much of the output was reasoning.
    pub reasoning: u64,
    /// How much of the output was sound.
    pub output_audio: u64,
    /// How much of the output was pictures.
    pub output_image: u64,
    /// Searches of the web that the upstream made.
    pub web_searches: u64,
    /// Searches of files that the upstream made.
    pub file_searches: u64,
    /// How many requests the per-request price is due for; one for a call that was answered.
    pub requests: u64,
}

/// A count of tokens past this is a fault of the upstream, not a bill.
pub const MAX_TOKENS: u64 = 10_000_000_000;

impl Tokens {
    /// Every input token, whatever a cache made of it; `None` past the range of a `u64`.
    pub fn prompt(&self) -> Option<u64> {
        self.input
            .checked_add(self.cache_read)?
            .checked_add(self.cache_write_short)?
            .checked_add(self.cache_write_long)
    }

    /// Whether every count could be true.
    pub fn is_plausible(&self) -> bool {
        [
            self.input,
            self.input_audio,
            self.input_image,
            self.cache_read,
            self.cache_write_short,
            self.cache_write_long,
            self.output,
            self.reasoning,
            self.output_audio,
            self.output_image,
            self.web_searches,
            self.file_searches,
            self.requests,
        ]
        .into_iter()
        .all(|count| count <= MAX_TOKENS)
    }
}
