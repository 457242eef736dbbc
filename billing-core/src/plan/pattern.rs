//! A model name with `*` in it: what plans write where they mean many models.

use std::fmt;

/// Longest pattern a document may hold, in bytes.
const LENGTH_MAX: usize = 128;

/// Matches model names; `*` stands for any run of characters, everything else for itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(String);

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// Nothing to match.
    #[error("a pattern is empty")]
    Empty,
    /// Longer than any model name.
    #[error("a pattern is longer than {LENGTH_MAX} characters")]
    TooLong,
    /// Spaces and control characters stand in no model name.
    #[error("a pattern holds a space or a control character")]
    Blank,
}

impl Pattern {
    /// Reads a pattern; runs of `*` count as one.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        if text.is_empty() {
            return Err(PatternFault::Empty);
        }
        if text.len() > LENGTH_MAX {
            return Err(PatternFault::TooLong);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(PatternFault::Blank);
        }
        let mut kept = String::with_capacity(text.len());
        for c in text.chars() {
            if c != '*' || !kept.ends_with('*') {
                kept.push(c);
            }
        }
        Ok(Self(kept))
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name of a model fits.
    pub fn matches(&self, model: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|head| model.strip_prefix(head)) else {
            return false;
        };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        true
    }

    /// Whether every name that fits `other` fits this one too. Never wrongly yes: a `*` of `other` counts as a
    /// character that only a `*` here takes in.
    pub fn covers(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("a pattern")
    }

    #[test]
    fn a_star_stands_for_any_run_and_the_rest_for_itself() {
        let table = [
            ("gpt-5", "gpt-5", true),
            ("gpt-5", "gpt-5-mini", false),
            ("gpt-5*", "gpt-5-mini", true),
            ("gpt-5*", "gpt-5", true),
            ("*", "anything", true),
            ("*-mini", "gpt-5-mini", true),
            ("*-mini", "gpt-5-minimal", false),
            ("claude-*-4*", "claude-opus-4-1", true),
            ("claude-*-4*", "claude-4", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a**b", "a-b", true),
            ("*ab*ab", "ab", false),
            ("*ab*ab", "abab", true),
        ];

        for (text, model, fits) in table {
            assert_eq!(pattern(text).matches(model), fits, "{text} on {model}");
        }
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        let table = [
            ("gpt-*", "gpt-5", true),
            ("gpt-*", "gpt-5*", true),
            ("gpt-5*", "gpt-*", false),
            ("*", "*", true),
            ("gpt-5", "gpt-*", false),
        ];

        for (wide, narrow, covers) in table {
            assert_eq!(
                pattern(wide).covers(&pattern(narrow)),
                covers,
                "{wide} over {narrow}"
            );
        }
    }

    #[test]
    fn what_no_model_is_called_is_no_pattern() {
        assert_eq!(Pattern::parse(""), Err(PatternFault::Empty));
        assert_eq!(Pattern::parse("gpt 5"), Err(PatternFault::Blank));
        assert_eq!(Pattern::parse(&"a".repeat(129)), Err(PatternFault::TooLong));
    }

    /// What a pattern means, said the slow way.
    fn fits(pattern: &[char], name: &[char]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some(('*', rest)) => (0..=name.len()).any(|cut| fits(rest, &name[cut..])),
            Some((c, rest)) => name.first() == Some(c) && fits(rest, &name[1..]),
        }
    }

    proptest::proptest! {
        #[test]
        fn the_quick_way_says_what_the_slow_way_says(text in "[ab*]{1,8}", name in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();

            proptest::prop_assert_eq!(pattern(&text).matches(&name), fits(&chars(&text), &chars(&name)));
        }

        #[test]
        fn what_a_pattern_covers_it_matches(wide in "[ab*]{1,6}", narrow in "[ab*]{1,6}", name in "[ab]{0,8}") {
            let (wide, narrow) = (pattern(&wide), pattern(&narrow));

            if wide.covers(&narrow) && narrow.matches(&name) {
                proptest::prop_assert!(wide.matches(&name));
            }
        }
    }
}
