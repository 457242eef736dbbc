//! Usage as each protocol shows it. What a call costs is never taken from here.

use billing::rating::Tokens;
use serde_json::{Value, json};

fn written(tokens: &Tokens) -> u64 {
    tokens
        .cache_write_short
        .saturating_add(tokens.cache_write_long)
}

fn prompt(tokens: &Tokens) -> u64 {
    tokens
        .input
        .saturating_add(tokens.cache_read)
        .saturating_add(written(tokens))
}

pub(super) fn chat(tokens: &Tokens) -> Value {
    json!({
        "prompt_tokens": prompt(tokens),
        "completion_tokens": tokens.output,
        "total_tokens": prompt(tokens).saturating_add(tokens.output),
        "prompt_tokens_details": {
            "cached_tokens": tokens.cache_read,
            "cache_write_tokens": written(tokens),
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

pub(super) fn responses(tokens: &Tokens) -> Value {
    json!({
        "input_tokens": prompt(tokens),
        "input_tokens_details": {
            "cached_tokens": tokens.cache_read,
            "cache_write_tokens": written(tokens),
        },
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": prompt(tokens).saturating_add(tokens.output),
    })
}

pub(super) fn messages(tokens: &Tokens) -> Value {
    json!({
        "input_tokens": tokens.input,
        "cache_creation_input_tokens": written(tokens),
        "cache_read_input_tokens": tokens.cache_read,
        "output_tokens": tokens.output,
        "output_tokens_details": {"thinking_tokens": tokens.reasoning},
    })
}
