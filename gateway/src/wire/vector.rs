//! Vectors of an embeddings answer in the form that was asked for. Some upstreams know one form only; clients decode what they
//! asked for.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::reading::Vectors;

/// Bytes of a float32.
const WIDTH: usize = 4;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Vec<Row<'a>>,
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    embedding: &'a RawValue,
}

/// The answer with its vectors in this form and everything else byte for byte; none where nothing has to change or can be.
pub(crate) fn in_form(body: &Bytes, form: Option<Vectors>) -> Option<Bytes> {
    let form = form?;
    let text = std::str::from_utf8(body).ok()?;
    let answer: Answer<'_> = serde_json::from_str(text).ok()?;
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for row in answer.data {
        let raw = row.embedding.get();
        let Some(changed) = changed(raw, form) else {
            continue;
        };
        let start = raw.as_ptr().addr() - text.as_ptr().addr();
        out.push_str(text.get(at..start)?);
        out.push_str(&changed);
        at = start + raw.len();
    }
    if at == 0 {
        return None;
    }
    out.push_str(text.get(at..)?);
    Some(out.into())
}

/// One vector in the other form; none where it has this one, or is no vector.
fn changed(raw: &str, form: Vectors) -> Option<String> {
    match form {
        Vectors::Base64 => {
            let floats: Vec<f32> = serde_json::from_str(raw).ok()?;
            let bytes: Vec<u8> = floats
                .iter()
                .flat_map(|float| float.to_le_bytes())
                .collect();
            Some(format!("\"{}\"", BASE64_STANDARD.encode(bytes)))
        }
        Vectors::Floats => {
            let packed: String = serde_json::from_str(raw).ok()?;
            let bytes = BASE64_STANDARD.decode(packed).ok()?;
            let (floats, rest) = bytes.as_chunks::<WIDTH>();
            let floats: Vec<f32> = floats
                .iter()
                .map(|float| f32::from_le_bytes(*float))
                .collect();
            let is_vector = rest.is_empty() && floats.iter().all(|float| float.is_finite());
            is_vector
                .then(|| serde_json::to_string(&floats).ok())
                .flatten()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_change_their_form_and_nothing_else_does() {
        let floats = r#"{ "data":[{"index":0,"embedding":[1.0,-0.5]},{"embedding":[0.1,2.0] ,"x":1}],"usage":{"prompt_tokens":3}}"#;
        let packed = r#"{ "data":[{"index":0,"embedding":"AACAPwAAAL8="},{"embedding":"zczMPQAAAEA=" ,"x":1}],"usage":{"prompt_tokens":3}}"#;
        let table = [
            (floats, Some(Vectors::Base64), Some(packed)),
            (packed, Some(Vectors::Floats), Some(floats)),
            (floats, Some(Vectors::Floats), None),
            (packed, Some(Vectors::Base64), None),
            (floats, None, None),
            (
                r#"{"data":[{"embedding":"AAA="}]}"#,
                Some(Vectors::Floats),
                None,
            ),
            (
                r#"{"data":[{"embedding":["x"]}]}"#,
                Some(Vectors::Base64),
                None,
            ),
            ("{}", Some(Vectors::Base64), None),
        ];

        for (body, form, expected) in table {
            let found = in_form(&Bytes::from_static(body.as_bytes()), form);
            assert_eq!(
                found.as_deref(),
                expected.map(str::as_bytes),
                "{body} {form:?}"
            );
        }
    }
}
