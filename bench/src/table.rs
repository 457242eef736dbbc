//! How results are printed: a table for people, or one JSON object a row.

use serde::Serialize;

/// Prints rows as they come.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    json: bool,
}

/// A row that knows its columns.
pub trait Row: Serialize {
    /// What stands above each column.
    const TITLES: &'static [&'static str];
    /// The row's cells, one a title.
    fn cells(&self) -> Vec<String>;
}

impl Printer {
    /// Prints the head of a table, unless JSON is wanted.
    pub fn start<R: Row>(json: bool) -> Self {
        if !json {
            println!("| {} |", R::TITLES.join(" | "));
            let lines: Vec<&str> = R::TITLES.iter().map(|_| "--:").collect();
            println!("|{}|", lines.join("|"));
        }
        Self { json }
    }

    /// Prints a row.
    pub fn print<R: Row>(self, row: &R) {
        if self.json {
            let text = serde_json::to_string(row).expect("a row of words and numbers");
            println!("{text}");
        } else {
            println!("| {} |", row.cells().join(" | "));
        }
    }
}

/// Micros as milliseconds, to a hundredth.
pub fn millis(micros: u64) -> String {
    format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10)
}

/// Tenths, as a number with one place.
pub fn tenths(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The middle of several figures.
pub fn median(mut figures: Vec<u64>) -> u64 {
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied().unwrap_or(0)
}

/// The figure that so many of a hundred do not pass.
pub fn quantile(figures: &mut [u64], percent: usize) -> u64 {
    figures.sort_unstable();
    let place = (figures.len() * percent / 100).min(figures.len().saturating_sub(1));
    figures.get(place).copied().unwrap_or(0)
}
