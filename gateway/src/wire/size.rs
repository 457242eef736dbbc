//! How many input tokens a body can stand for: a bound for the hold, and an estimate for upstreams that do not count.

use super::text::{self, Text};

/// Input tokens of a request body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Never less than what the upstream will count, up to the allowances below.
    pub(crate) upper: u64,
    /// As `upper`, were every picture and document text after all: no true report says more.
    pub(crate) most: u64,
    /// What it will count, about.
    pub(crate) estimate: u64,
}

/// What providers add of their own: chat markers and the prompt that explains tools to the model.
const ENVELOPE_TOKENS: u64 = 1_024;
/// More than any provider counts for one picture.
const IMAGE_TOKENS: u64 = 12_000;
/// A document of a hundred dense pages is more; the model's context window bounds that.
const DOCUMENT_TOKENS: u64 = 100_000;
/// Text of a body that is weighed; more counts in proportion.
const WEIGHED: usize = 256 << 10;
/// Shorter strings are not looked at as pictures.
const BLOB_BYTES: usize = 256;
/// Measures a JSON body in one pass over its strings.
///
/// A token stands for at least one byte, so text costs its length at most. Pictures and documents are counted by
/// allowance and not by their base64 text, which no tokenizer sees.
pub(crate) fn measure(body: &[u8]) -> Size {
    walk(body, text::by_letters)
}

/// What the upstream will count, about, by the tokenizer: as slow as [`Text::by_tokenizer`].
pub(crate) fn weigh(body: &[u8]) -> u64 {
    let mut text = Text::keeping(WEIGHED);
    let beside = walk(body, |string| {
        text.add_apart(string);
        0
    });
    beside.estimate + text.by_tokenizer()
}

/// Measures a body of whose strings somebody else says what they are.
fn walk(body: &[u8], mut tokens_in: impl FnMut(&[u8]) -> u64) -> Size {
    let mut most = count(body.len()) + ENVELOPE_TOKENS;
    let mut unread = 0;
    let mut estimate = 0;
    let mut key: &[u8] = b"";
    let mut strings = Strings { body, at: 0 };
    while let Some(found) = strings.next_string() {
        estimate += found.commas_before;
        if found.is_key {
            key = found.text;
            continue;
        }
        if carries_media(key) && is_blob(found.text) {
            unread += count(found.text.len());
            continue;
        }
        let media = if key == b"type" {
            allowance(found.text)
        } else {
            0
        };
        most += media;
        estimate += media.min(IMAGE_TOKENS) / 8 + tokens_in(found.text);
    }
    Size {
        upper: most - unread,
        most,
        estimate: estimate + strings.commas_left(),
    }
}

/// Shows the string values of a JSON text, as they stand between their quotes, but for names of types, pictures, and what is
/// sealed or cited: no model writes them.
pub(crate) fn string_values(json: &[u8], mut show: impl FnMut(&[u8])) {
    let mut strings = Strings { body: json, at: 0 };
    let mut key: &[u8] = b"";
    while let Some(found) = strings.next_string() {
        if found.is_key {
            key = found.text;
        } else if !(is_unwritten(key) || carries_media(key) && is_blob(found.text)) {
            show(found.text);
        }
    }
}

fn is_unwritten(key: &[u8]) -> bool {
    matches!(
        key,
        b"type"
            | b"id"
            | b"call_id"
            | b"role"
            | b"status"
            | b"signature"
            | b"encrypted_content"
            | b"encrypted_index"
            | b"cited_text"
    )
}

fn allowance(media_type: &[u8]) -> u64 {
    match media_type {
        b"image" | b"image_url" | b"input_image" => IMAGE_TOKENS,
        b"document" | b"file" | b"input_file" | b"input_audio" | b"video_url" | b"input_video" => {
            DOCUMENT_TOKENS
        }
        _ => 0,
    }
}

/// Whether a field of this name may hold a picture or a document. The same letters anywhere else are text to the model,
/// a program's output for one.
fn carries_media(key: &[u8]) -> bool {
    matches!(
        key,
        b"data" | b"url" | b"image_url" | b"file_data" | b"result" | b"b64_json"
    )
}

/// Whether a string is a picture or a PDF in base64, by the first bytes of the format.
fn is_blob(text: &[u8]) -> bool {
    if text.len() < BLOB_BYTES {
        return false;
    }
    let data = match text.strip_prefix(b"data:") {
        Some(rest) => rest
            .iter()
            .position(|byte| *byte == b',')
            .and_then(|comma| rest.get(comma + 1..))
            .unwrap_or_default(),
        None => text,
    };
    let known: [&[u8]; 5] = [b"iVBORw0KGgo", b"/9j/", b"R0lGOD", b"UklGR", b"JVBERi0"];
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    known.iter().any(|magic| data.starts_with(magic)) && data.iter().all(base64)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX / 4)
}

/// Walks over the strings of a JSON text that is known to be well-formed.
struct Strings<'a> {
    body: &'a [u8],
    at: usize,
}

struct Found<'a> {
    text: &'a [u8],
    is_key: bool,
    commas_before: u64,
}

impl<'a> Strings<'a> {
    fn next_string(&mut self) -> Option<Found<'a>> {
        let ahead = self.body.get(self.at..)?;
        let open = ahead.iter().position(|byte| *byte == b'"')?;
        let commas_before = commas(ahead.get(..open)?);
        let start = self.at + open + 1;
        let mut end = start;
        loop {
            match self.body.get(end)? {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        self.at = end + 1;
        let after = self.body.get(self.at..)?;
        let next = after.iter().find(|byte| !byte.is_ascii_whitespace());
        Some(Found {
            text: self.body.get(start..end)?,
            is_key: next == Some(&b':'),
            commas_before,
        })
    }

    /// Lists of numbers have no strings; each of their commas is a token.
    fn commas_left(&self) -> u64 {
        commas(self.body.get(self.at..).unwrap_or_default())
    }
}

fn commas(text: &[u8]) -> u64 {
    count(text.split(|byte| *byte == b',').count() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded_by_its_bytes_and_estimated_by_its_letters() {
        let body = br#"{"messages":[{"role":"user","content":"say \"hello\" to me"}]}"#;

        let size = measure(body);

        assert_eq!(size.upper, 62 + ENVELOPE_TOKENS);
        assert_eq!(size.estimate, 1 + 1 + 5);
        assert_eq!(weigh(body), 1 + 1 + 6);
    }

    #[test]
    fn a_picture_counts_by_allowance_and_not_by_its_base64() {
        let picture = format!("iVBORw0KGgo{}", "A".repeat(100_000));
        let anthropic = format!(
            r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{picture}"}}}}"#
        );
        let openai = format!(
            r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{picture}"}}}}"#
        );
        let as_text = format!(r#"{{"type":"text","text":"{}"}}"#, "A".repeat(100_000));

        for body in [anthropic, openai] {
            let upper = measure(body.as_bytes()).upper;
            assert!((12_000..14_000).contains(&upper), "{upper}");
        }
        assert!(measure(as_text.as_bytes()).upper > 100_000);
    }

    #[test]
    fn what_no_model_writes_is_not_shown() {
        let picture = format!("iVBORw0KGgo{}", "A".repeat(1_000));
        let json = format!(
            r#"{{"type":"a","id":"b","text":"one","result":"{picture}","signature":"c","more":[{{"encrypted_content":"d","data":"two"}},{{"cited_text":"e","encrypted_index":"f","name":"three"}}]}}"#
        );

        let mut shown = Vec::new();
        string_values(json.as_bytes(), |text| {
            shown.push(String::from_utf8_lossy(text).into_owned());
        });

        assert_eq!(shown, ["one", "two", "three"]);
    }

    #[test]
    fn text_that_begins_like_a_picture_is_text() {
        let letters = format!("iVBORw0KGgo{}", "A".repeat(100_000));
        for body in [
            format!(r#"{{"messages":[{{"role":"user","content":"{letters}"}}]}}"#),
            format!(r#"{{"type":"tool_result","content":[{{"type":"text","text":"{letters}"}}]}}"#),
            format!(r#"{{"input":["{letters}"]}}"#),
        ] {
            let size = measure(body.as_bytes());
            assert!(size.upper > 100_000 && size.estimate > 25_000, "{size:?}");
        }

        let hidden = format!(r#"{{"type":"tool_use","input":{{"data":"{letters}"}}}}"#);
        assert!(measure(hidden.as_bytes()).most > 100_000);
    }

    #[test]
    fn lists_of_token_numbers_count() {
        assert_eq!(measure(br#"{"input":[1,2,3,4]}"#).estimate, 3);
    }
}
