//! Text whose tokens have to be counted here: by its letters as it passes, by a tokenizer once it has ended.
//!
//! One vocabulary serves for all models, that of `OpenAI`'s present ones: no other provider gives away its own, and
//! `OpenAI` itself says what a call used. What another makes of a text differs; a group's factor makes up for that.

use std::{borrow::Cow, ops::AddAssign};

/// Text of four letters is about one token.
const LETTERS_PER_TOKEN: u64 = 4;
/// What the tokenizer is shown in one go. It is no slower than linear then, whatever a text is made of.
const PIECE: usize = 4 << 10;

/// Text, of which the beginning is kept for the tokenizer and the rest counts in proportion.
#[derive(Debug)]
pub(crate) struct Text {
    all: Letters,
    kept: Letters,
    /// As it stands in JSON strings.
    beginning: Vec<u8>,
    /// Bytes that are kept.
    most: usize,
}

impl Text {
    /// No text yet, of which so many bytes will be kept.
    pub(crate) fn keeping(most: usize) -> Self {
        Self {
            all: Letters::default(),
            kept: Letters::default(),
            beginning: Vec::new(),
            most,
        }
    }

    /// Adds what stands between the quotes of a JSON string.
    pub(crate) fn add(&mut self, text: &[u8]) {
        let letters = Letters::of(text);
        let is_all_kept = self.kept == self.all;
        self.all += letters;
        if !is_all_kept {
            return;
        }
        let room = self.most - self.beginning.len();
        let (text, letters) = match text.get(..room) {
            Some(start) if text.len() > room => {
                // A space is never part of a longer character or escape.
                let space = start.iter().rposition(|byte| *byte == b' ');
                let start = start.get(..space.unwrap_or(0)).unwrap_or_default();
                (start, Letters::of(start))
            }
            _ => (text, letters),
        };
        self.beginning.extend_from_slice(text);
        self.kept += letters;
    }

    /// Adds a string that has nothing to do with the one before.
    pub(crate) fn add_apart(&mut self, text: &[u8]) {
        if !self.beginning.is_empty() {
            self.add(b" ");
        }
        self.add(text);
    }

    /// How many letters it has.
    pub(crate) fn letters(&self) -> u64 {
        self.all.ascii + self.all.wide
    }

    /// About how many tokens it is, by its letters: four ASCII letters a token, every other character one.
    pub(crate) fn by_letters(&self) -> u64 {
        self.all.tokens()
    }

    /// How many tokens it is to the tokenizer. Takes a third of a second and some fifty megabytes the first time in a
    /// process, then some milliseconds for a hundred kilobytes: nothing for a thread that relays.
    pub(crate) fn by_tokenizer(&self) -> u64 {
        let text = spoken(&self.beginning);
        let tokens = pieces(&text).map(tokens_in).sum::<u64>();
        if self.kept == self.all {
            return tokens;
        }
        let kept = self.kept.tokens();
        if kept == 0 {
            return self.by_letters();
        }
        let whole = u128::from(tokens) * u128::from(self.all.tokens());
        u64::try_from(whole.div_ceil(u128::from(kept))).unwrap_or(u64::MAX)
    }

    /// A copy of what counting needs, for another thread.
    pub(crate) fn snapshot(&self) -> Self {
        Self {
            beginning: self.beginning.clone(),
            ..*self
        }
    }
}

/// ASCII letters and other characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Letters {
    ascii: u64,
    wide: u64,
}

impl Letters {
    fn of(text: &[u8]) -> Self {
        let ascii = text.iter().filter(|byte| byte.is_ascii()).count();
        let wide = text.iter().filter(|byte| **byte >= 0xc0).count();
        Self {
            ascii: u64::try_from(ascii).unwrap_or(u64::MAX),
            wide: u64::try_from(wide).unwrap_or(u64::MAX),
        }
    }

    fn tokens(self) -> u64 {
        self.ascii.div_ceil(LETTERS_PER_TOKEN) + self.wide
    }
}

impl AddAssign for Letters {
    fn add_assign(&mut self, more: Self) {
        self.ascii += more.ascii;
        self.wide += more.wide;
    }
}

/// About how many tokens a text is, by its letters.
pub(crate) fn by_letters(text: &[u8]) -> u64 {
    Letters::of(text).tokens()
}

/// The inside of a JSON string without its escapes; as it stands, where it is none.
fn spoken(text: &[u8]) -> Cow<'_, str> {
    let plain = String::from_utf8_lossy(text);
    if plain.contains('\\')
        && let Ok(spoken) = serde_json::from_str(&format!("\"{plain}\""))
    {
        return Cow::Owned(spoken);
    }
    plain
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut left = text;
    std::iter::from_fn(move || {
        let (piece, _) = left.split_at_checked(left.floor_char_boundary(PIECE))?;
        let is_last = piece.len() == left.len();
        // A word and the space before it are one token to the vocabulary.
        let space = piece.rfind(' ').filter(|at| *at > 0 && !is_last);
        let (piece, rest) = left.split_at_checked(space.unwrap_or(piece.len()))?;
        left = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn tokens_in(piece: &str) -> u64 {
    let tokens = tiktoken_rs::o200k_base_singleton().count_ordinary(piece);
    u64::try_from(tokens).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(most: usize, parts: &[&str]) -> Text {
        let mut text = Text::keeping(most);
        for part in parts {
            text.add(part.as_bytes());
        }
        text
    }

    #[test]
    fn a_text_is_counted_by_the_vocabulary_of_openais_models() {
        let table = [
            (vec!["Hello, how are you today?"], 7, 7),
            (vec!["Hel", "lo, how", " are you tod", "ay?"], 7, 7),
            (vec![r#"fn main() {\n    println!(\"hi\");\n}"#], 10, 10),
            (vec!["\u{4f60}\u{597d}\u{ff0c}\u{4e16}\u{754c}"], 5, 3),
            (vec![r"\u4f60\u597d"], 3, 1),
            (vec!["antidisestablishmentarianism"], 7, 6),
            (vec![], 0, 0),
        ];
        for (parts, by_letters, by_tokenizer) in table {
            let text = text(1 << 10, &parts);
            let counted = (text.by_letters(), text.by_tokenizer());
            assert_eq!(counted, (by_letters, by_tokenizer), "{parts:?}");
        }
    }

    #[test]
    fn what_is_not_kept_counts_as_what_is() {
        let sentence = "Seven very quick brown foxes jump over one lazy dog. ";
        let whole = text(1 << 20, &[&sentence.repeat(1_000)]);
        let in_one = text(4_096, &[&sentence.repeat(1_000)]);
        let mut in_parts = Text::keeping(4_096);
        for _ in 0..1_000 {
            in_parts.add(sentence.as_bytes());
        }

        let exact = whole.by_tokenizer();
        assert_eq!(exact, 12_001);
        for sampled in [in_one, in_parts] {
            assert!(sampled.beginning.len() <= 4_096);
            assert!(sampled.by_tokenizer().abs_diff(exact) < exact / 100);
        }
        let endless = text(16, &[&"a".repeat(100)]);
        assert_eq!(endless.by_tokenizer(), endless.by_letters());
    }

    #[test]
    fn half_an_escape_is_counted_as_it_stands() {
        assert_eq!(text(64, &[r"\ud83d"]).by_tokenizer(), 4);
        let mut broken = Text::keeping(64);
        broken.add(&[0xff, b'a']);
        assert!(broken.by_tokenizer() > 0);
    }

    #[test]
    fn a_text_without_end_is_counted_in_pieces() {
        for unit in ["a", " ", "\u{4f60}", "!?"] {
            let long = unit.repeat(100_000);
            assert!(text(usize::MAX, &[&long]).by_tokenizer() > 0, "{unit}");
        }
    }
}
