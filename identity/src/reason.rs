//! Why an operator did it, in their own words.

/// What an operator gives as reason for acting on somebody else's account; kept in the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

/// Why a text is not a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReasonFault {
    /// Nothing was typed.
    #[error("empty")]
    Empty,
    /// More than 500 characters.
    #[error("too long")]
    TooLong,
}

const MAX_CHARS: usize = 500;

impl Reason {
    /// Reads a reason of 1 to 500 characters; spaces around it are cut.
    ///
    /// # Errors
    /// When there is none, or it is a treatise.
    pub fn parse(text: &str) -> Result<Self, ReasonFault> {
        let text = text.trim();
        match text.chars().count() {
            0 => Err(ReasonFault::Empty),
            1..=MAX_CHARS => Ok(Self(text.to_owned())),
            _ => Err(ReasonFault::TooLong),
        }
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_words() {
        let long = "x".repeat(501);
        for (typed, fault) in [
            ("  ", Some(ReasonFault::Empty)),
            (" chargeback ", None),
            (&long, Some(ReasonFault::TooLong)),
        ] {
            assert_eq!(Reason::parse(typed).err(), fault, "{typed}");
        }
    }
}
