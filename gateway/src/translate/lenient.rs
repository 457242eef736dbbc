//! An upstream's JSON object, read though a character in it is cut in half.
//!
//! Servers that cut text between the two `\u` escapes of one character send halves that stand for nothing. What is left
//! of the event is good, and charged for.

use serde_json::{Map, Value};

/// Length of an escape such as `\ud83d`.
const ESCAPE: usize = 6;
/// What stands for a half; as long as the half itself.
const REPLACEMENT: &[u8; ESCAPE] = b"\\ufffd";

/// Reads an object; halves of characters become U+FFFD. Nothing where it is no object.
pub(super) fn object(data: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(data)
        .ok()
        .or_else(|| serde_json::from_slice(&without_halves(data)?).ok())
}

/// The same JSON with every lone half replaced; nothing where there is none.
fn without_halves(data: &[u8]) -> Option<Vec<u8>> {
    let mut mended = None;
    let mut at = 0;
    while let Some(found) = data.get(at..).and_then(next_escape) {
        at += found;
        at += match (unit(data, at), unit(data, at + ESCAPE)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 2 * ESCAPE,
            (Some(0xD800..=0xDFFF), _) => {
                let mended = mended.get_or_insert_with(|| data.to_vec());
                mended.splice(at..at + ESCAPE, *REPLACEMENT);
                ESCAPE
            }
            // Any other escape is two bytes or goes on without a backslash.
            _ => 2,
        };
    }
    mended
}

fn next_escape(data: &[u8]) -> Option<usize> {
    data.iter().position(|byte| *byte == b'\\')
}

/// The UTF-16 unit of the escape that stands at this place, if one does.
fn unit(data: &[u8], at: usize) -> Option<u16> {
    let digits = data.get(at..at + ESCAPE)?.strip_prefix(b"\\u")?;
    let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// What closes an object whose last brackets are missing; nothing where it is whole or lacks more than these. A text
/// that was cut is not closed: nobody knows its end.
pub(super) fn closing(text: &str) -> Option<String> {
    let mut open = Vec::new();
    let mut in_text = false;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if in_text => {
                letters.next();
            }
            '"' => in_text = !in_text,
            _ if in_text => {}
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' if open.pop() != Some(letter) => return None,
            _ => {}
        }
    }
    if in_text || open.is_empty() {
        return None;
    }
    let closing: String = open.into_iter().rev().collect();
    object(format!("{text}{closing}").as_bytes()).map(|_| closing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_closed_where_nothing_but_brackets_is_missing() {
        let table = [
            (r#"{"a":{"b":[1,{"c":"}"}"#, Some("]}}")),
            (r#"{"a":"\"{","b":2"#, Some("}")),
            ("{", Some("}")),
            (r#"{"a":"rm -rf /tm"#, None),
            (r#"{"a":1,"#, None),
            (r#"{"a":"#, None),
            (r#"{"a":1}"#, None),
            (r#"{"a":1}}"#, None),
            (r#"{"a":[1}"#, None),
            ("[1", None),
            ("a", None),
            ("", None),
        ];

        for (text, expected) in table {
            assert_eq!(closing(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn halves_of_characters_are_replaced_and_nothing_else() {
        let table = [
            (r#"{"a":"hi \ud83d"}"#, Some("hi \u{fffd}")),
            (r#"{"a":"\ude00 bye"}"#, Some("\u{fffd} bye")),
            (
                r#"{"a":"\uD83D\uD83D\uDE00\ude00"}"#,
                Some("\u{fffd}\u{1f600}\u{fffd}"),
            ),
            (r#"{"a":"\ud83d\n\u00e9"}"#, Some("\u{fffd}\n\u{e9}")),
            // An escaped backslash begins no escape.
            (r#"{"a":"\\ud83d\ud83d"}"#, Some("\\ud83d\u{fffd}")),
            (r#"{"a":"\ud83d\ude00"}"#, Some("\u{1f600}")),
            (r#"{"a":"\ud83d"#, None),
            (r#"{"a":"\ud8"#, None),
            ("<html>", None),
            (r#"["\ud83d"]"#, None),
        ];

        for (data, expected) in table {
            let read = object(data.as_bytes());
            let text = read.as_ref().and_then(|read| read.get("a")?.as_str());
            assert_eq!(text, expected, "{data}");
        }
    }
}
