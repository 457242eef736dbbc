//! Thoughts that a chat answer begins with, between `<think>` and `</think>`, taken apart from its words.

use crate::translate::answer::Opening;

const BEGIN: &str = "<think>";
const END: &str = "</think>";
/// Bytes of white space that are kept back at most, for a mark that may follow.
const MOST_KEPT: usize = 1_024;

/// Takes the text of one answer apart, piece by piece. What may be the beginning of a mark is kept back until it is clear.
#[derive(Debug, Default)]
pub(super) struct Split {
    place: Place,
    kept: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the first letter.
    #[default]
    Start,
    /// Before the first letter of the thoughts.
    Opened,
    Thoughts,
    /// Between the thoughts and the words.
    Between,
    Words,
}

impl Split {
    /// The next piece of text as pieces of thoughts and words; some may be empty.
    pub(super) fn take(&mut self, text: String) -> Vec<(Opening, String)> {
        if self.place == Place::Words {
            return vec![(Opening::Text, text)];
        }
        self.kept.push_str(&text);
        let mut pieces = Vec::new();
        loop {
            match self.place {
                Place::Start => {
                    let begun = self.kept.trim_start();
                    if let Some(thoughts) = begun.strip_prefix(BEGIN) {
                        self.kept = thoughts.to_owned();
                        self.place = Place::Opened;
                    } else if BEGIN.starts_with(begun) && self.kept.len() <= MOST_KEPT {
                        return pieces;
                    } else {
                        self.place = Place::Words;
                    }
                }
                Place::Opened | Place::Between => {
                    self.kept = self.kept.trim_start().to_owned();
                    if self.kept.is_empty() {
                        return pieces;
                    }
                    self.place = if self.place == Place::Opened {
                        Place::Thoughts
                    } else {
                        Place::Words
                    };
                }
                Place::Thoughts => {
                    let Some((thoughts, rest)) = self.kept.split_once(END) else {
                        let clear = clear(&self.kept);
                        let later = self.kept.split_off(clear);
                        pieces.push((Opening::Thought, std::mem::replace(&mut self.kept, later)));
                        return pieces;
                    };
                    pieces.push((Opening::Thought, thoughts.trim_end().to_owned()));
                    self.kept = rest.to_owned();
                    self.place = Place::Between;
                }
                Place::Words => {
                    pieces.push((Opening::Text, std::mem::take(&mut self.kept)));
                    return pieces;
                }
            }
        }
    }

    /// What was kept back, at the end of the text.
    pub(super) fn end(&mut self) -> (Opening, String) {
        let kept = std::mem::take(&mut self.kept);
        match self.place {
            Place::Thoughts => (Opening::Thought, kept),
            Place::Start | Place::Opened | Place::Between | Place::Words => (Opening::Text, kept),
        }
    }

    /// Whether all that follows are words.
    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Words
    }
}

/// Thoughts and words as one text.
pub(super) fn joined(thoughts: &str, words: &str) -> String {
    if thoughts.is_empty() {
        words.to_owned()
    } else {
        format!("{BEGIN}\n{thoughts}\n{END}\n\n{words}")
    }
}

/// How much of the thoughts goes on: all but white space at their end and what may be the beginning of their end.
fn clear(thoughts: &str) -> usize {
    let begun = (1..END.len())
        .rev()
        .find(|length| thoughts.ends_with(&END[..*length]))
        .unwrap_or(0);
    let (before, _) = thoughts.split_at(thoughts.len() - begun);
    let clear = before.trim_end().len();
    if thoughts.len() - clear > MOST_KEPT {
        before.len()
    } else {
        clear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thoughts and words of a text that comes in these pieces.
    fn told<'a>(pieces: impl Iterator<Item = &'a str>) -> (String, String) {
        let mut split = Split::default();
        let mut all = Vec::new();
        for piece in pieces {
            all.extend(split.take(piece.to_owned()));
        }
        all.push(split.end());
        let of = |wanted: &Opening| {
            let texts = all.iter().filter(|(opening, _)| opening == wanted);
            texts.map(|(_, text)| text.as_str()).collect()
        };
        (of(&Opening::Thought), of(&Opening::Text))
    }

    #[test]
    fn white_space_without_end_is_not_kept_back() {
        let space = " ".repeat(MOST_KEPT);
        let mut before = Split::default();
        let mut within = Split::default();
        within.take(format!("{BEGIN}so"));

        for split in [&mut before, &mut within] {
            for _ in 0..3 {
                split.take(space.clone());
            }
            assert!(split.kept.len() <= MOST_KEPT, "{:?}", split.place);
        }
    }

    #[test]
    fn what_is_joined_is_told_apart_again() {
        for (thoughts, words) in [("so it is", "Yes."), ("so", ""), ("", "Yes.")] {
            let text = joined(thoughts, words);
            assert_eq!(
                told([&*text].into_iter()),
                (thoughts.to_owned(), words.to_owned())
            );
        }
    }

    #[test]
    fn thoughts_are_told_from_words_wherever_the_text_is_cut() {
        let table = [
            ("<think>\nso it is\n</think>\n\nYes.", "so it is", "Yes."),
            (
                " \n<think>wörd a < b </thin </think>No </think>",
                "wörd a < b </thin",
                "No </think>",
            ),
            ("<think></think>Yes", "", "Yes"),
            ("<think>\n\n</think>", "", ""),
            ("<think>cut </thi", "cut </thi", ""),
            (
                "Plain <think>words</think>",
                "",
                "Plain <think>words</think>",
            ),
            ("<thing>", "", "<thing>"),
            ("  <thi", "", "  <thi"),
            ("", "", ""),
        ];

        for (text, thoughts, words) in table {
            let expected = (thoughts.to_owned(), words.to_owned());
            let each = text
                .char_indices()
                .map(|(at, letter)| &text[at..at + letter.len_utf8()]);
            assert_eq!(told(each), expected, "{text:?} by letters");
            for (at, _) in text.char_indices() {
                let (one, other) = text.split_at(at);
                assert_eq!(
                    told([one, other].into_iter()),
                    expected,
                    "{text:?} cut at {at}"
                );
            }
        }
    }
}
