//! Names that people give: to themselves and to their keys.

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing was typed.
    #[error("empty")]
    Empty,
    /// More characters than such a name may have.
    #[error("too long")]
    TooLong,
    /// Holds a control character, or one that turns the text around it or shows nothing at all.
    #[error("holds a character that is not shown")]
    Unprintable,
}

/// A name of 1 to `most_chars` characters; spaces around it are cut.
pub(crate) fn parse(text: &str, most_chars: usize) -> Result<String, NameFault> {
    let text = text.trim();
    let chars = text.chars().count();
    if chars == 0 {
        Err(NameFault::Empty)
    } else if chars > most_chars {
        Err(NameFault::TooLong)
    } else if text.chars().any(is_unseen) {
        Err(NameFault::Unprintable)
    } else {
        Ok(text.to_owned())
    }
}

/// Control characters, marks that change the direction of text (Unicode `Bidi_Control`), and spaces without width: a name
/// with one reads as another name. Joiners stay, for Persian and family pictures need them.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'
                ..='\u{2069}' | '\u{feff}'
        )
}
