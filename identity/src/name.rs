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
    /// Holds a control character.
    #[error("holds a control character")]
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
    } else if text.chars().any(char::is_control) {
        Err(NameFault::Unprintable)
    } else {
        Ok(text.to_owned())
    }
}
