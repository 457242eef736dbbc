//! The mark of a form that books: made with the form, so that sending it twice books once.

use crate::Error;
use serde::Deserialize;
use std::fmt;

/// The mark, as the form carries it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Once(String);

impl Once {
    /// The mark of a form that nobody has seen yet.
    pub(super) fn fresh() -> Self {
        Self(entity::AuditId::fresh().to_string())
    }

    /// The mark of a form that came back. Without one a second booking would pass for the first one sent again.
    pub(super) fn sent(&self) -> Result<&str, Error> {
        if self.0.trim().is_empty() {
            return Err(Self::fault());
        }
        Ok(&self.0)
    }

    /// What a form gets whose mark is missing, or stands for a booking of another kind.
    pub(super) fn fault() -> Error {
        Error::Malformed("once".to_owned())
    }
}

impl fmt::Display for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
