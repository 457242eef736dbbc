//! What a model costs, as people list it: credits by class.

use crate::rating::{Classes, LongContext, Tiers};
use entity::Credits;

/// Credits per 1,000,000 tokens of each class, and for one search; a class without a price falls back as
/// [`crate::rating`] says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListPrice {
    /// Input that no cache held.
    pub input: Credits,
    /// Input read from a cache.
    pub cache_read: Option<Credits>,
    /// Input written to a cache for minutes.
    pub cache_write_short: Option<Credits>,
    /// Input written to a cache for hours.
    pub cache_write_long: Option<Credits>,
    /// Output.
    pub output: Credits,
    /// Output that is reasoning.
    pub reasoning: Option<Credits>,
    /// Input that is sound.
    pub input_audio: Option<Credits>,
    /// Input that is pictures.
    pub input_image: Option<Credits>,
    /// Output that is sound.
    pub output_audio: Option<Credits>,
    /// Output that is pictures.
    pub output_image: Option<Credits>,
    /// One search of the web.
    pub web_search: Option<Credits>,
    /// One search of files.
    pub file_search: Option<Credits>,
}

/// All prices of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceSheet {
    /// What holds for prompts of any length.
    pub base: ListPrice,
    /// Prompts of more tokens than this take the other price, for all their tokens.
    pub long_prompt: Vec<(u64, ListPrice)>,
    /// For the call itself.
    pub per_request: Credits,
}

impl ListPrice {
    /// The stated prices.
    pub fn classes(&self) -> impl Iterator<Item = Credits> + use<> {
        [
            Some(self.input),
            self.cache_read,
            self.cache_write_short,
            self.cache_write_long,
            Some(self.output),
            self.reasoning,
            self.input_audio,
            self.input_image,
            self.output_audio,
            self.output_image,
            self.web_search,
            self.file_search,
        ]
        .into_iter()
        .flatten()
    }

    /// The classes that not every model has, as they are stored.
    pub(crate) fn further(&self) -> Classes {
        let nanos = |class: Option<Credits>| class.map(Credits::nanos);
        Classes {
            reasoning: nanos(self.reasoning),
            input_audio: nanos(self.input_audio),
            input_image: nanos(self.input_image),
            output_audio: nanos(self.output_audio),
            output_image: nanos(self.output_image),
            web_search: nanos(self.web_search),
            file_search: nanos(self.file_search),
        }
    }

    /// As stored, with the five classes that have columns given apart: input, output, and those of the cache.
    pub fn stored(
        [input, output]: [i64; 2],
        [cache_read, cache_write_short, cache_write_long]: [Option<i64>; 3],
        further: Classes,
    ) -> Self {
        let credits = |class: Option<i64>| class.map(Credits::from_nanos);
        Self {
            input: Credits::from_nanos(input),
            cache_read: credits(cache_read),
            cache_write_short: credits(cache_write_short),
            cache_write_long: credits(cache_write_long),
            output: Credits::from_nanos(output),
            reasoning: credits(further.reasoning),
            input_audio: credits(further.input_audio),
            input_image: credits(further.input_image),
            output_audio: credits(further.output_audio),
            output_image: credits(further.output_image),
            web_search: credits(further.web_search),
            file_search: credits(further.file_search),
        }
    }
}

impl From<LongContext> for ListPrice {
    fn from(tier: LongContext) -> Self {
        Self::stored(
            [tier.input, tier.output],
            [
                tier.cache_read,
                tier.cache_write_short,
                tier.cache_write_long,
            ],
            tier.classes,
        )
    }
}

impl PriceSheet {
    /// One price for prompts of any length.
    pub fn plain(base: ListPrice) -> Self {
        Self {
            base,
            ..Self::default()
        }
    }

    /// The prices past prompt lengths, as they are stored.
    pub(crate) fn tiers(&self) -> Tiers {
        let nanos = |class: Option<Credits>| class.map(Credits::nanos);
        let tiers = self.long_prompt.iter().map(|(above, price)| LongContext {
            above: *above,
            input: price.input.nanos(),
            output: price.output.nanos(),
            cache_read: nanos(price.cache_read),
            cache_write_short: nanos(price.cache_write_short),
            cache_write_long: nanos(price.cache_write_long),
            classes: price.further(),
        });
        Tiers {
            long_context: tiers.collect(),
        }
    }
}
