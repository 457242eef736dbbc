//! Lists of vendors' prices, read without a float: the one that comes with the product, and the table that the community
//! keeps, in its own form.
//!
//! One credit is one US dollar of list price, so a list's text becomes credits unchanged.

mod community;
mod decimal;
mod sheet;
mod shipped;

use chrono::NaiveDate;

pub use sheet::{ListPrice, PriceSheet};

/// The vendor's word for the models that this process answers itself.
pub const SANDBOX_VENDOR: &str = "sandbox";

/// A table, with the day on which it was read from its source where it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceTable {
    /// Day of the facts, as `YYYY-MM-DD`.
    pub retrieved: Option<NaiveDate>,
    /// One line a model, in the order of the table.
    pub lines: Vec<Line>,
    /// Entries that are no models of ours to sell, such as those that draw or speak.
    pub skipped: usize,
}

/// What one model is listed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The public name of the model.
    pub model: String,
    /// The vendor's word, such as `openai`.
    pub vendor: String,
    /// Whether the model answers or embeds.
    pub embeds: bool,
    /// The prices; `None` where the vendor's cannot be said in our classes and an operator has to choose.
    pub price: Option<PriceSheet>,
    /// Prices of the vendor's that are not charged apart, by the names of their fields; `*_flex` is every price of that
    /// service tier.
    pub uncharged: Vec<String>,
    /// Most tokens of input and output together, where known.
    pub context_window: Option<i64>,
    /// Most tokens of one answer, where known.
    pub output_limit: Option<i64>,
    /// The vendor's word on what the model can do, such as `vision`.
    pub capabilities: Vec<String>,
    /// The day on which the vendor switches the model off.
    pub shutdown: Option<NaiveDate>,
}

/// Why a text is not a price table.
#[derive(Debug, thiserror::Error)]
pub enum PriceTableError {
    /// Not JSON of either form.
    #[error("the price table cannot be read: {0}")]
    Form(#[from] serde_json::Error),
    /// No entry of a model that could be sold.
    #[error("the price table has no model that answers or embeds")]
    Empty,
    /// A price that is not decimal, below zero, or past every price.
    #[error("the {class} price of {model} is {text:?}, which is no price")]
    Price {
        /// The line's model.
        model: String,
        /// The field.
        class: String,
        /// What stood there.
        text: String,
    },
}

impl PriceTable {
    /// The table that comes with this build: the vendors' models, then those of the sandbox.
    pub fn shipped() -> Self {
        shipped::tables()
    }

    /// Reads a table of either form; fails on the first price that is not exact.
    ///
    /// # Errors
    /// [`PriceTableError`].
    pub fn parse(text: &str) -> Result<Self, PriceTableError> {
        let table = if shipped::is_of_form(text) {
            shipped::parse(text)?
        } else {
            community::parse(text)?
        };
        if table.lines.is_empty() {
            return Err(PriceTableError::Empty);
        }
        Ok(table)
    }

    /// The vendors of the table, each once, in alphabetical order.
    pub fn vendors(&self) -> Vec<&str> {
        let mut vendors: Vec<&str> = self.lines.iter().map(|line| line.vendor.as_str()).collect();
        vendors.sort_unstable();
        vendors.dedup();
        vendors
    }

    /// The names of one vendor's models, in the order of the table.
    pub fn names_of(&self, vendor: &str) -> Vec<String> {
        let lines = self.lines.iter().filter(|line| line.vendor == vendor);
        lines.map(|line| line.model.clone()).collect()
    }

    /// The line of a model, by its public name.
    pub fn line(&self, model: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.model == model)
    }
}

impl Line {
    /// Whether the vendor has switched the model off on or before `today`.
    pub fn is_shut_down(&self, today: NaiveDate) -> bool {
        self.shutdown.is_some_and(|day| day <= today)
    }
}
