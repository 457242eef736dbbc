//! The sandbox's embeddings: a unit vector drawn from the text itself, so equal texts have equal vectors.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::question::words;

const DIMENSIONS: usize = 256;
const MOST_DIMENSIONS: usize = 4_096;

/// The whole answer; `None` where the input is neither text nor tokens.
pub(super) fn answer(body: &Value) -> Option<Value> {
    let inputs = inputs(&body["input"])?;
    let dimensions = body["dimensions"]
        .as_u64()
        .and_then(|asked| usize::try_from(asked).ok())
        .unwrap_or(DIMENSIONS)
        .clamp(1, MOST_DIMENSIONS);
    let in_base64 = body["encoding_format"] == "base64";
    let tokens: usize = inputs.iter().map(|(_, tokens)| tokens).sum();
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, (text, _))| {
            let vector = vector(text, dimensions);
            let embedding = if in_base64 {
                packed(&vector).into()
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    Some(json!({
        "object": "list",
        "data": data,
        "model": body["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }))
}

/// Each input as text, with its number of tokens.
fn inputs(input: &Value) -> Option<Vec<(String, usize)>> {
    match input {
        Value::String(text) => Some(vec![(text.clone(), words(text))]),
        Value::Array(list) if list.iter().all(Value::is_number) => {
            Some(vec![(input.to_string(), list.len())])
        }
        Value::Array(list) => list
            .iter()
            .map(|one| match one {
                Value::String(text) => Some((text.clone(), words(text))),
                Value::Array(tokens) => Some((one.to_string(), tokens.len())),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    // FNV-1a seeds an xorshift; neither needs to be strong, both must be stable for ever.
    let mut state = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
        .max(1);
    let raw: Vec<f32> = (0..dimensions)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let [low, high, ..] = state.to_le_bytes();
            f32::from(i16::from_le_bytes([low, high])) / 32_768.0
        })
        .collect();
    let length = raw.iter().map(|value| value * value).sum::<f32>().sqrt();
    raw.iter().map(|value| value / length.max(1e-6)).collect()
}

/// Little-endian float32 in base64, as SDKs ask for by default.
fn packed(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    BASE64_STANDARD.encode(bytes)
}
