//! A sentence of the catalog with its arguments, not yet in any language.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The id of a sentence and what fills its blanks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Phrase {
    id: Cow<'static, str>,
    arguments: Vec<(Cow<'static, str>, Argument)>,
}

/// What fills a blank: a number chooses plural forms, a text does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Argument {
    Number(i64),
    Text(String),
}

/// The sentence `id` of the catalog.
pub(crate) const fn phrase(id: &'static str) -> Phrase {
    Phrase {
        id: Cow::Borrowed(id),
        arguments: Vec::new(),
    }
}

impl Phrase {
    /// Fills the blank `name` with a text.
    pub(crate) fn with(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.arguments
            .push((Cow::Borrowed(name), Argument::Text(text.into())));
        self
    }

    /// Fills the blank `name` with a number, which chooses the plural form.
    pub(crate) fn count(mut self, name: &'static str, number: i64) -> Self {
        self.arguments
            .push((Cow::Borrowed(name), Argument::Number(number)));
        self
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn arguments(&self) -> &[(Cow<'static, str>, Argument)] {
        &self.arguments
    }
}
