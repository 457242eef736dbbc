//! The languages of the console and how a reader's is found.

use super::{catalog, phrase::Phrase};

/// A language with a full catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locale {
    /// English.
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Locale {
    /// All of them, as choices are listed.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// Its tag: `en`, `zh-CN`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// Its own name for itself, which is never translated.
    pub const fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "简体中文",
        }
    }

    /// The language of a tag such as `zh-Hans`, `zh_CN` or `en-GB`.
    pub fn parse(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
        if primary.eq_ignore_ascii_case("zh") {
            Some(Self::Chinese)
        } else if primary.eq_ignore_ascii_case("en") {
            Some(Self::English)
        } else {
            None
        }
    }

    /// The best language for an `Accept-Language` header (RFC 9110 12.5.4); English when none fits.
    pub fn accepted(header: &str) -> Self {
        let mut best = (Self::English, 0.0_f32);
        for part in header.split(',').take(16) {
            let mut pieces = part.split(';');
            let tag = pieces.next().unwrap_or_default();
            let weight = pieces
                .find_map(|piece| piece.trim().strip_prefix("q=")?.parse::<f32>().ok())
                .unwrap_or(1.0);
            if let Some(locale) = Self::parse(tag)
                && weight > best.1
            {
                best = (locale, weight);
            }
        }
        best.0
    }

    /// The sentence of this id.
    pub fn say(self, id: &str) -> String {
        catalog::look_up(self, id, None)
    }

    /// The sentence of this phrase, with its arguments filled in.
    pub fn say_phrase(self, phrase: &Phrase) -> String {
        catalog::look_up(self, phrase.id(), Some(phrase.arguments()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_is_answered_in_the_language_they_like_best() {
        let table = [
            ("", Locale::English),
            ("fr-FR, de;q=0.5", Locale::English),
            ("zh-CN,zh;q=0.9,en;q=0.8", Locale::Chinese),
            ("en-GB,en;q=0.9,zh;q=0.8", Locale::English),
            ("fr, en;q=0.3, zh-Hans;q=0.7", Locale::Chinese),
            ("zh;q=nonsense", Locale::Chinese),
        ];
        for (header, locale) in table {
            assert_eq!(Locale::accepted(header), locale, "{header}");
        }
    }
}
