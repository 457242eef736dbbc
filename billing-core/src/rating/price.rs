//! A price that can be charged: every class has a rate.

use super::{
    Classes, RatingError, Tokens,
    class::{Class, FILE_SEARCH_FALLBACK, WEB_SEARCH_FALLBACK},
};
use entity::price_version;
use serde::{Deserialize, Deserializer, Serialize};

/// Nano-credits per million tokens of each class, for one request length. Parts of input and output without a rate of
/// their own are counted with what they are a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) input: i64,
    pub(super) input_audio: Option<i64>,
    pub(super) input_image: Option<i64>,
    pub(super) cache_read: i64,
    pub(super) cache_write_short: i64,
    pub(super) cache_write_long: i64,
    pub(super) output: i64,
    pub(super) reasoning: Option<i64>,
    pub(super) output_audio: Option<i64>,
    pub(super) output_image: Option<i64>,
}

/// A price that can be charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub(super) rates: Rates,
    /// By prompt length, the shortest first.
    pub(super) tiers: Vec<(u64, Rates)>,
    pub(super) per_request: i64,
    pub(super) web_search: i64,
    pub(super) file_search: i64,
}

/// The JSON in `price_version.tiers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tiers {
    /// Prices of a request whose whole prompt (cached and written tokens too) is longer than a threshold;
    /// they then hold for all of its tokens. The longest threshold that is passed decides.
    #[serde(default, deserialize_with = "one_or_many")]
    pub long_context: Vec<LongContext>,
}

/// Prices past a prompt length, in nano-credits per million tokens; a class left out falls back as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongContext {
    /// Prompts of more tokens than this take these prices.
    pub above: u64,
    /// Fresh input.
    pub input: i64,
    /// Output.
    pub output: i64,
    /// Cache reads.
    #[serde(default)]
    pub cache_read: Option<i64>,
    /// Writes to the short cache.
    #[serde(default)]
    pub cache_write_short: Option<i64>,
    /// Writes to the long cache.
    #[serde(default)]
    pub cache_write_long: Option<i64>,
    /// Further classes of tokens; searches cost the same at every length.
    #[serde(default, skip_serializing_if = "Classes::is_empty")]
    pub classes: Classes,
}

/// Earlier versions hold one tier, and not a list of them.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<LongContext>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        None(()),
        One(LongContext),
        Many(Vec<LongContext>),
    }
    Ok(match Stored::deserialize(from)? {
        Stored::None(()) => Vec::new(),
        Stored::One(tier) => vec![tier],
        Stored::Many(tiers) => tiers,
    })
}

impl Tiers {
    /// Reads the stored text; `None` has no tier.
    ///
    /// # Errors
    /// [`RatingError::MalformedTiers`].
    pub fn parse(text: Option<&str>) -> Result<Self, RatingError> {
        text.map_or_else(
            || Ok(Self::default()),
            |json| serde_json::from_str(json).map_err(|_| RatingError::MalformedTiers),
        )
    }
}

/// What a price version states for one request length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stated {
    pub(super) input: i64,
    pub(super) output: i64,
    pub(super) cache_read: Option<i64>,
    pub(super) cache_write_short: Option<i64>,
    pub(super) cache_write_long: Option<i64>,
    pub(super) classes: Classes,
}

impl From<LongContext> for Stated {
    fn from(tier: LongContext) -> Self {
        Self {
            input: tier.input,
            output: tier.output,
            cache_read: tier.cache_read,
            cache_write_short: tier.cache_write_short,
            cache_write_long: tier.cache_write_long,
            classes: tier.classes,
        }
    }
}

impl Price {
    /// The sale price of a price version.
    ///
    /// # Errors
    /// [`RatingError`]: such a version must not be sold.
    pub fn of(version: &price_version::Model) -> Result<Self, RatingError> {
        let base = Stated {
            input: version.input,
            output: version.output,
            cache_read: version.cache_read,
            cache_write_short: version.cache_write_short,
            cache_write_long: version.cache_write_long,
            classes: Classes::parse(version.classes.as_deref())?,
        };
        let tiers = Tiers::parse(version.tiers.as_deref())?;
        Self::stated(base, &tiers, version.per_request)
    }

    /// What the upstream takes, in nano-dollars, where the price version says so.
    ///
    /// # Errors
    /// As [`Price::of`].
    pub fn upstream(version: &price_version::Model) -> Result<Option<Self>, RatingError> {
        let (Some(input), Some(output)) = (version.cost_input, version.cost_output) else {
            return Ok(None);
        };
        let base = Stated {
            input,
            output,
            cache_read: version.cost_cache_read,
            cache_write_short: version.cost_cache_write_short,
            cache_write_long: version.cost_cache_write_long,
            classes: Classes::parse(version.cost_classes.as_deref())?,
        };
        let tiers = Tiers::parse(version.cost_tiers.as_deref())?;
        Self::stated(base, &tiers, version.cost_per_request.unwrap_or(0)).map(Some)
    }

    pub(super) fn stated(
        base: Stated,
        tiers: &Tiers,
        per_request: i64,
    ) -> Result<Self, RatingError> {
        let rates = Rates::with_fallbacks(&base, None)?;
        let mut longer = Vec::with_capacity(tiers.long_context.len());
        for tier in &tiers.long_context {
            if tier.classes.web_search.is_some() || tier.classes.file_search.is_some() {
                return Err(RatingError::MalformedTiers);
            }
            let rates = Rates::with_fallbacks(&Stated::from(*tier), Some(&base))?;
            longer.push((tier.above, rates));
        }
        longer.sort_by_key(|(above, _)| *above);
        let twice = longer.windows(2).any(|pair| match pair {
            [(one, _), (other, _)] => one == other,
            _ => false,
        });
        if twice {
            return Err(RatingError::MalformedTiers);
        }
        let web_search = base.classes.web_search.unwrap_or(WEB_SEARCH_FALLBACK);
        let file_search = base.classes.file_search.unwrap_or(FILE_SEARCH_FALLBACK);
        if per_request < 0 || web_search < 0 || file_search < 0 {
            return Err(RatingError::NegativePrice);
        }
        Ok(Self {
            rates,
            tiers: longer,
            per_request,
            web_search,
            file_search,
        })
    }

    /// The rates a prompt of this many tokens takes: strictly past a threshold, the longer ones.
    pub(super) fn rates_for(&self, prompt: u64) -> &Rates {
        self.tiers
            .iter()
            .rev()
            .find(|(above, _)| prompt > *above)
            .map_or(&self.rates, |(_, rates)| rates)
    }

    /// The rates that prompts of up to this many tokens may take.
    pub(super) fn rates_up_to(&self, prompt: u64) -> impl Iterator<Item = &Rates> {
        let longer = self.tiers.iter().filter(move |(above, _)| prompt > *above);
        std::iter::once(&self.rates).chain(longer.map(|(_, rates)| rates))
    }

    /// What of these tokens is charged at which rate, in disjoint classes.
    pub(super) fn lines(&self, tokens: &Tokens) -> [(Class, u64, i64); 13] {
        let rates = self.rates_for(tokens.prompt().unwrap_or(u64::MAX));
        let mut input = tokens.input;
        let mut output = tokens.output;
        // A part is never more than what is left of its whole, whatever an upstream reports.
        let part = |whole: &mut u64, count: u64, rate: Option<i64>| match rate {
            Some(rate) => {
                let count = count.min(*whole);
                *whole = whole.saturating_sub(count);
                (count, rate)
            }
            None => (0, 0),
        };
        let input_audio = part(&mut input, tokens.input_audio, rates.input_audio);
        let input_image = part(&mut input, tokens.input_image, rates.input_image);
        let reasoning = part(&mut output, tokens.reasoning, rates.reasoning);
        let output_audio = part(&mut output, tokens.output_audio, rates.output_audio);
        let output_image = part(&mut output, tokens.output_image, rates.output_image);
        let line = |class, (count, rate): (u64, i64)| (class, count, rate);
        [
            line(Class::Input, (input, rates.input)),
            line(Class::InputAudio, input_audio),
            line(Class::InputImage, input_image),
            line(Class::CacheRead, (tokens.cache_read, rates.cache_read)),
            line(
                Class::CacheWriteShort,
                (tokens.cache_write_short, rates.cache_write_short),
            ),
            line(
                Class::CacheWriteLong,
                (tokens.cache_write_long, rates.cache_write_long),
            ),
            line(Class::Output, (output, rates.output)),
            line(Class::Reasoning, reasoning),
            line(Class::OutputAudio, output_audio),
            line(Class::OutputImage, output_image),
            line(Class::WebSearch, (tokens.web_searches, self.web_search)),
            line(Class::FileSearch, (tokens.file_searches, self.file_search)),
            line(Class::Request, (tokens.requests, self.per_request)),
        ]
    }
}

impl Rates {
    /// Every class its rate. Where `base` is given these are the rates of a longer prompt: what they leave out costs its
    /// fallback here or what the base states, whichever is more.
    pub(super) fn with_fallbacks(
        stated: &Stated,
        base: Option<&Stated>,
    ) -> Result<Self, RatingError> {
        let of_base = |class: fn(&Stated) -> Option<i64>| base.and_then(class);
        let or = |own: Option<i64>, fallback: i64, of_base: Option<i64>| {
            own.unwrap_or_else(|| of_base.map_or(fallback, |rate| rate.max(fallback)))
        };
        // A part that neither states stays with its whole.
        let part = |own: Option<i64>, whole: i64, of_base: Option<i64>| {
            own.or_else(|| of_base.map(|rate| rate.max(whole)))
        };
        let Stated {
            input,
            output,
            classes,
            ..
        } = *stated;
        let short = or(
            stated.cache_write_short,
            input,
            of_base(|base| base.cache_write_short),
        );
        let rates = Self {
            input,
            input_audio: part(
                classes.input_audio,
                input,
                of_base(|base| base.classes.input_audio),
            ),
            input_image: part(
                classes.input_image,
                input,
                of_base(|base| base.classes.input_image),
            ),
            cache_read: or(stated.cache_read, input, of_base(|base| base.cache_read)),
            cache_write_short: short,
            cache_write_long: or(
                stated.cache_write_long,
                short,
                of_base(|base| base.cache_write_long),
            ),
            output,
            reasoning: part(
                classes.reasoning,
                output,
                of_base(|base| base.classes.reasoning),
            ),
            output_audio: part(
                classes.output_audio,
                output,
                of_base(|base| base.classes.output_audio),
            ),
            output_image: part(
                classes.output_image,
                output,
                of_base(|base| base.classes.output_image),
            ),
        };
        let lowest = rates.inputs().chain(rates.outputs()).min().unwrap_or(0);
        if lowest < 0 {
            return Err(RatingError::NegativePrice);
        }
        Ok(rates)
    }

    fn inputs(&self) -> impl Iterator<Item = i64> + use<> {
        let parts = [self.input_audio, self.input_image].into_iter().flatten();
        [
            self.input,
            self.cache_read,
            self.cache_write_short,
            self.cache_write_long,
        ]
        .into_iter()
        .chain(parts)
    }

    fn outputs(&self) -> impl Iterator<Item = i64> + use<> {
        let parts = [self.reasoning, self.output_audio, self.output_image];
        std::iter::once(self.output).chain(parts.into_iter().flatten())
    }

    pub(super) fn dearest_input(&self) -> i64 {
        self.inputs().max().unwrap_or(self.input)
    }

    pub(super) fn dearest_output(&self) -> i64 {
        self.outputs().max().unwrap_or(self.output)
    }
}
