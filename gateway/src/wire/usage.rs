//! Usage as each protocol reports it, brought to one form with disjoint classes.
//!
//! An upstream is not trusted with arithmetic: details never exceed their total, and numbers that cannot be
//! (negative, not whole, astronomic) make the whole report an [`Anomaly`] instead of a charge.

use billing::rating::Tokens;
use serde_json::Value;

/// A number in a usage report that cannot be true.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the upstream's usage is not credible: `{field}` is {fault}")]
pub(crate) struct Anomaly {
    pub(crate) field: &'static str,
    pub(crate) fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Negative,
    Absurd,
    NotANumber,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Negative => "negative",
            Self::Absurd => "absurdly large",
            Self::NotANumber => "not a whole number",
        })
    }
}

/// More tokens than any one call can have.
const MOST_TOKENS: u64 = 1_000_000_000;

/// Usage in the form of chat, responses and embeddings. `None` where the upstream reports nothing at all.
pub(crate) fn openai(usage: &Value) -> Result<Option<Tokens>, Anomaly> {
    let prompt = first(usage, &["prompt_tokens", "input_tokens"])?.unwrap_or(0);
    let completion = first(usage, &["completion_tokens", "output_tokens"])?.unwrap_or(0);
    let total = number(usage, "total_tokens")?.unwrap_or(0);
    if prompt == 0 && completion == 0 {
        return Ok(None);
    }

    let input_details = details(usage, &["prompt_tokens_details", "input_tokens_details"]);
    let output_details = details(
        usage,
        &["completion_tokens_details", "output_tokens_details"],
    );
    let cached = match number(input_details, "cached_tokens")? {
        Some(cached) => cached,
        None => first(usage, &["prompt_cache_hit_tokens", "cached_tokens"])?.unwrap_or(0),
    };
    let written = number(input_details, "cache_write_tokens")?.unwrap_or(0);
    let written_long = number(
        details(input_details, &["cache_write_tokens_details"]),
        "ttl_12h_tokens",
    )?
    .unwrap_or(0);
    let reasoning = number(output_details, "reasoning_tokens")?.unwrap_or(0);
    let part = |details, name| Ok(number(details, name)?.unwrap_or(0));
    let input_audio = part(input_details, "audio_tokens")?;
    let input_image = part(input_details, "image_tokens")?;
    let output_audio = part(output_details, "audio_tokens")?;
    let output_image = part(output_details, "image_tokens")?;
    // Pictures that a hosted tool drew are reported beside the model's own tokens.
    let tools = details(usage, &["tool_usage"]);
    let drawn = details(tools, &["image_gen"]);
    let drawn_input = part(drawn, "input_tokens")?;
    let drawn_output = part(drawn, "output_tokens")?;
    let searches = details(tools, &["web_search"]);
    let web_searches = part(searches, "num_requests")?;

    let cache_read = cached.min(prompt);
    let written = written.min(prompt - cache_read);
    let cache_write_long = written_long.min(written);
    // Some vendors leave reasoning out of the completion; then the total is larger than its parts.
    let output = completion.max(total.saturating_sub(prompt));
    let input = prompt - cache_read - written;
    let input_audio = input_audio.min(input);
    let reasoning = reasoning.min(output);
    let output_audio = output_audio.min(output - reasoning);
    Ok(Some(Tokens {
        input: input + drawn_input,
        input_audio,
        input_image: input_image.min(input - input_audio) + drawn_input,
        cache_read,
        cache_write_short: written - cache_write_long,
        cache_write_long,
        output: output + drawn_output,
        reasoning,
        output_audio,
        output_image: output_image.min(output - reasoning - output_audio) + drawn_output,
        web_searches,
        file_searches: 0,
        requests: 1,
    }))
}

/// Usage of messages, which comes in several reports: later numbers replace earlier ones and are never added.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MessagesUsage {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_written: Option<u64>,
    cache_written_long: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
    web_searches: Option<u64>,
}

impl MessagesUsage {
    /// A report of these tokens.
    pub(crate) fn of(tokens: &Tokens) -> Self {
        let written = tokens
            .cache_write_short
            .saturating_add(tokens.cache_write_long);
        Self {
            input: Some(tokens.input),
            cache_read: Some(tokens.cache_read),
            cache_written: Some(written),
            cache_written_long: Some(tokens.cache_write_long),
            output: Some(tokens.output),
            thinking: Some(tokens.reasoning),
            web_searches: Some(tokens.web_searches),
        }
    }

    /// Takes one report; what it leaves out, and what cannot be, stays as it was.
    ///
    /// # Errors
    /// The first number that cannot be.
    pub(crate) fn merge(&mut self, usage: &Value) -> Result<(), Anomaly> {
        let mut fault = None;
        let mut sound = |usage: &Value, field| {
            number(usage, field).unwrap_or_else(|anomaly| {
                fault.get_or_insert(anomaly);
                None
            })
        };
        let split = details(usage, &["cache_creation"]);
        let long = sound(split, "ephemeral_1h_input_tokens");
        let short = sound(split, "ephemeral_5m_input_tokens");
        let in_parts = short
            .or(long)
            .map(|_| short.unwrap_or(0) + long.unwrap_or(0));
        let written = sound(usage, "cache_creation_input_tokens").max(in_parts);
        let thinking = sound(
            details(usage, &["output_tokens_details"]),
            "thinking_tokens",
        );
        // Programs between fill what they do not know with zeros, and nothing that was told shrinks to nothing.
        let input = sound(usage, "input_tokens");
        let output = sound(usage, "output_tokens");
        let cache_read = sound(usage, "cache_read_input_tokens");
        let is_blank = [input, cache_read, written]
            .iter()
            .all(|part| part.unwrap_or(0) == 0);
        let told = |part: Option<u64>| part.filter(|_| !is_blank);
        let next = Self {
            input: told(input).or(self.input).or(input),
            cache_read: told(cache_read).or(self.cache_read).or(cache_read),
            cache_written: told(written).or(self.cache_written).or(written),
            cache_written_long: told(long).or(self.cache_written_long).or(long),
            output: output.filter(|count| *count > 0).or(self.output).or(output),
            thinking: thinking.or(self.thinking),
            web_searches: sound(details(usage, &["server_tool_use"]), "web_search_requests")
                .or(self.web_searches),
        };
        match next.with_iterations(usage) {
            Ok(next) => *self = next,
            Err(anomaly) => {
                *self = next;
                fault.get_or_insert(anomaly);
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// Whether the input was told.
    pub(crate) fn has_input(&self) -> bool {
        self.input.is_some()
    }

    /// Whether the output was told.
    pub(crate) fn has_output(&self) -> bool {
        self.output.is_some()
    }

    /// Top-level totals leave compaction and advisor turns out; the list of iterations has them all.
    fn with_iterations(self, usage: &Value) -> Result<Self, Anomaly> {
        let Some(iterations) = usage.get("iterations").and_then(Value::as_array) else {
            return Ok(self);
        };
        let sum = |name| -> Result<Option<u64>, Anomaly> {
            iterations.iter().try_fold(None, |sum: Option<u64>, one| {
                Ok(number(one, name)?
                    .map(|count| sum.unwrap_or(0) + count)
                    .or(sum))
            })
        };
        Ok(Self {
            input: self.input.max(sum("input_tokens")?),
            cache_read: self.cache_read.max(sum("cache_read_input_tokens")?),
            cache_written: self.cache_written.max(sum("cache_creation_input_tokens")?),
            output: self.output.max(sum("output_tokens")?),
            ..self
        })
    }

    /// The report so far; `None` where there was none.
    pub(crate) fn tokens(&self) -> Option<Tokens> {
        if self.input.is_none() && self.output.is_none() {
            return None;
        }
        let written = self.cache_written.unwrap_or(0);
        let long = self.cache_written_long.unwrap_or(0).min(written);
        let output = self.output.unwrap_or(0);
        Some(Tokens {
            input: self.input.unwrap_or(0),
            cache_read: self.cache_read.unwrap_or(0),
            cache_write_short: written - long,
            cache_write_long: long,
            output,
            reasoning: self.thinking.unwrap_or(0).min(output),
            web_searches: self.web_searches.unwrap_or(0),
            requests: 1,
            ..Tokens::default()
        })
    }
}

/// Whether a report says this number, and one that can be.
pub(crate) fn says(usage: &Value, field: &'static str) -> bool {
    matches!(number(usage, field), Ok(Some(_)))
}

fn first(usage: &Value, names: &[&'static str]) -> Result<Option<u64>, Anomaly> {
    names.iter().try_fold(None, |found: Option<u64>, name| {
        Ok(found.or(number(usage, name)?))
    })
}

fn details<'a>(usage: &'a Value, names: &[&str]) -> &'a Value {
    names
        .iter()
        .find_map(|name| usage.get(name).filter(|value| value.is_object()))
        .unwrap_or(&Value::Null)
}

fn number(usage: &Value, field: &'static str) -> Result<Option<u64>, Anomaly> {
    let fault = match usage.get(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => match number.as_u64() {
            Some(count) if count <= MOST_TOKENS => return Ok(Some(count)),
            Some(_) => Fault::Absurd,
            None if number.as_f64().is_some_and(|value| value < 0.0) => Fault::Negative,
            None => Fault::NotANumber,
        },
        Some(_) => Fault::NotANumber,
    };
    Err(Anomaly { field, fault })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tokens(classes: [u64; 6]) -> Tokens {
        let [
            input,
            cache_read,
            cache_write_short,
            cache_write_long,
            output,
            reasoning,
        ] = classes;
        Tokens {
            input,
            cache_read,
            cache_write_short,
            cache_write_long,
            output,
            reasoning,
            requests: 1,
            ..Tokens::default()
        }
    }

    #[test]
    fn sound_pictures_and_searches_are_told_apart_and_never_exceed_their_whole() {
        let chat = json!({"prompt_tokens": 100, "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 20, "audio_tokens": 30, "image_tokens": 10},
            "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 40}});
        let expected = Tokens {
            input_audio: 30,
            input_image: 10,
            output_audio: 40,
            ..tokens([80, 20, 0, 0, 50, 5])
        };
        assert_eq!(openai(&chat), Ok(Some(expected)));

        let boasting = json!({"prompt_tokens": 10, "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 99, "image_tokens": 99},
            "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 99, "image_tokens": 99}});
        let clamped = Tokens {
            input_audio: 6,
            output_audio: 3,
            ..tokens([6, 4, 0, 0, 5, 2])
        };
        assert_eq!(openai(&boasting), Ok(Some(clamped)));

        let responses = json!({"input_tokens": 10, "output_tokens": 5,
            "tool_usage": {"web_search": {"num_requests": 3}, "image_gen": {"input_tokens": 7, "output_tokens": 900}}});
        let drawn = Tokens {
            input_image: 7,
            output_image: 900,
            web_searches: 3,
            ..tokens([17, 0, 0, 0, 905, 0])
        };
        assert_eq!(openai(&responses), Ok(Some(drawn)));

        let mut messages = MessagesUsage::default();
        for report in [
            json!({"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"web_search_requests": 1}}),
            json!({"output_tokens": 9, "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 5}}),
            json!({"output_tokens": 9}),
        ] {
            messages.merge(&report).expect("credible");
        }
        assert_eq!(messages.tokens().map(|tokens| tokens.web_searches), Some(2));
        let negative = json!({"prompt_tokens": 1, "prompt_tokens_details": {"audio_tokens": -1}});
        assert_eq!(
            openai(&negative).map_err(|anomaly| anomaly.fault),
            Err(Fault::Negative)
        );
    }

    #[test]
    fn usage_of_the_openai_family_becomes_disjoint_classes() {
        let table = [
            (
                json!({"prompt_tokens": 10_000, "completion_tokens": 500, "total_tokens": 10_500,
                       "prompt_tokens_details": {"cached_tokens": 8_000},
                       "completion_tokens_details": {"reasoning_tokens": 300}}),
                [2_000, 8_000, 0, 0, 500, 300],
            ),
            (
                json!({"input_tokens": 12_000, "output_tokens": 1_000,
                       "input_tokens_details": {"cached_tokens": 4_000, "cache_write_tokens": 6_000}}),
                [2_000, 4_000, 6_000, 0, 1_000, 0],
            ),
            (
                json!({"input_tokens": 100, "output_tokens": 1,
                       "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 60,
                                                "cache_write_tokens_details": {"ttl_12h_tokens": 40}}}),
                [40, 0, 20, 40, 1, 0],
            ),
            // Details beyond their total: the total stands.
            (
                json!({"prompt_tokens": 10, "completion_tokens": 5,
                       "prompt_tokens_details": {"cached_tokens": 50, "cache_write_tokens": 50},
                       "completion_tokens_details": {"reasoning_tokens": 99}}),
                [0, 10, 0, 0, 5, 5],
            ),
            // Reasoning left out of the completion.
            (
                json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}),
                [10, 0, 0, 0, 30, 0],
            ),
            (
                json!({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4}),
                [6, 4, 0, 0, 5, 0],
            ),
            (
                json!({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 3}),
                [7, 3, 0, 0, 5, 0],
            ),
            (
                json!({"prompt_tokens": 2, "total_tokens": 2}),
                [2, 0, 0, 0, 0, 0],
            ),
        ];

        for (usage, classes) in table {
            assert_eq!(openai(&usage), Ok(Some(tokens(classes))), "{usage}");
        }
        assert_eq!(
            openai(&json!({"prompt_tokens": 0, "completion_tokens": 0})),
            Ok(None)
        );
        assert_eq!(openai(&json!({})), Ok(None));
    }

    #[test]
    fn zeros_of_a_later_report_do_not_make_what_was_told_free() {
        let mut usage = MessagesUsage::default();
        for report in [
            json!({"input_tokens": 10, "cache_read_input_tokens": 5_000, "output_tokens": 1,
                   "cache_creation": {"ephemeral_1h_input_tokens": 40}}),
            json!({"input_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0,
                   "output_tokens": 7}),
            json!({"output_tokens": 0}),
        ] {
            usage.merge(&report).expect("credible");
        }
        assert_eq!(usage.tokens(), Some(tokens([10, 5_000, 0, 40, 7, 0])));

        let mut all_cached = MessagesUsage::default();
        for report in [
            json!({"input_tokens": 10, "output_tokens": 1}),
            json!({"input_tokens": 0, "cache_read_input_tokens": 10, "output_tokens": 7}),
        ] {
            all_cached.merge(&report).expect("credible");
        }
        assert_eq!(all_cached.tokens(), Some(tokens([0, 10, 0, 0, 7, 0])));
    }

    #[test]
    fn later_reports_of_messages_replace_earlier_ones() {
        let mut usage = MessagesUsage::default();
        let reports = [
            json!({"input_tokens": 3, "cache_creation_input_tokens": 12_304, "cache_read_input_tokens": 50_000,
                   "cache_creation": {"ephemeral_5m_input_tokens": 10_000, "ephemeral_1h_input_tokens": 2_304},
                   "output_tokens": 1}),
            json!({"output_tokens": 200, "input_tokens": null}),
            json!({"output_tokens": 550, "output_tokens_details": {"thinking_tokens": 30}}),
        ];

        for report in &reports {
            usage.merge(report).expect("credible");
        }

        assert_eq!(
            usage.tokens(),
            Some(tokens([3, 50_000, 10_000, 2_304, 550, 30]))
        );
        assert_eq!(MessagesUsage::default().tokens(), None);
    }

    #[test]
    fn turns_that_the_totals_leave_out_are_counted() {
        let mut usage = MessagesUsage::default();
        let report = json!({"input_tokens": 10, "output_tokens": 20, "iterations": [
            {"type": "compaction", "input_tokens": 1_000, "output_tokens": 100},
            {"type": "message", "input_tokens": 10, "output_tokens": 20}]});

        usage.merge(&report).expect("credible");

        assert_eq!(usage.tokens(), Some(tokens([1_010, 0, 0, 0, 120, 0])));
    }

    #[test]
    fn numbers_that_cannot_be_are_anomalies() {
        let table = [
            (
                json!({"prompt_tokens": -5}),
                "prompt_tokens",
                Fault::Negative,
            ),
            (
                json!({"prompt_tokens": 1, "completion_tokens": 1_000_000_000_000_u64}),
                "completion_tokens",
                Fault::Absurd,
            ),
            (
                json!({"prompt_tokens": "9"}),
                "prompt_tokens",
                Fault::NotANumber,
            ),
            (
                json!({"prompt_tokens": 1.5}),
                "prompt_tokens",
                Fault::NotANumber,
            ),
            (
                json!({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": -1}}),
                "cached_tokens",
                Fault::Negative,
            ),
        ];

        for (usage, field, fault) in table {
            assert_eq!(openai(&usage), Err(Anomaly { field, fault }), "{usage}");
        }
        let negative = MessagesUsage::default().merge(&json!({"output_tokens": -1}));
        assert_eq!(negative.map_err(|found| found.fault), Err(Fault::Negative));
    }
}
