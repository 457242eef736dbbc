//! What a price is for.

use super::RatingError;
use serde::{Deserialize, Serialize};

/// What a search of the web costs where its price is not stated, in nano-credits: what the large vendors list.
pub const WEB_SEARCH_FALLBACK: i64 = 10_000_000;
/// What a search of files costs where its price is not stated, in nano-credits.
pub const FILE_SEARCH_FALLBACK: i64 = 2_500_000;

/// What a line of a bill is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Fresh input.
    Input,
    /// Fresh input that was sound.
    InputAudio,
    /// Fresh input that was pictures.
    InputImage,
    /// Input read from a cache.
    CacheRead,
    /// Input written to a cache of minutes.
    CacheWriteShort,
    /// Input written to a cache of hours.
    CacheWriteLong,
    /// Output.
    Output,
    /// Output that was reasoning, where it has a price of its own.
    Reasoning,
    /// Output that was sound.
    OutputAudio,
    /// Output that was pictures.
    OutputImage,
    /// Searches of the web.
    WebSearch,
    /// Searches of files.
    FileSearch,
    /// The price of the request itself.
    Request,
}

impl Class {
    /// Whether its price is for one, and not for a million.
    pub const fn is_by_piece(self) -> bool {
        matches!(self, Self::WebSearch | Self::FileSearch | Self::Request)
    }
}

/// The JSON in `price_version.classes`: prices that not every model has. Tokens in nano-credits per million, searches in
/// nano-credits each; what is left out falls back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Classes {
    /// Output that is reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<i64>,
    /// Fresh input that is sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_audio: Option<i64>,
    /// Fresh input that is pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_image: Option<i64>,
    /// Output that is sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_audio: Option<i64>,
    /// Output that is pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_image: Option<i64>,
    /// One search of the web.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_search: Option<i64>,
    /// One search of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_search: Option<i64>,
}

impl Classes {
    /// Whether it states no price at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the stored text; `None` states nothing.
    ///
    /// # Errors
    /// [`RatingError::MalformedClasses`].
    pub fn parse(text: Option<&str>) -> Result<Self, RatingError> {
        text.map_or_else(
            || Ok(Self::default()),
            |json| serde_json::from_str(json).map_err(|_| RatingError::MalformedClasses),
        )
    }
}
