//! `prices import`: takes prices over from a table of a file, and reports what came of each line.

use billing::shop::{
    import::{self, ImportError, Proposal, Verdict},
    price_table::{Line, PriceTable, PriceTableError},
};
use entity::{Actor, Database, DbErr, Timestamp};
use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

/// What to import.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The table; the one that comes with the product where none is given.
    pub file: Option<PathBuf>,
    /// Every model of these vendors.
    pub vendors: Vec<String>,
    /// These models.
    pub models: Vec<String>,
    /// Whether nothing is to be done but said.
    pub dry_run: bool,
}

/// Why prices are not imported.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    /// The file is not there, or is no text.
    #[error("{file} cannot be read")]
    File {
        /// Which.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no price table.
    #[error(transparent)]
    Table(#[from] PriceTableError),
    /// No line of the table is of this vendor.
    #[error("the table has no vendor {vendor}; it has {known}")]
    NoVendor {
        /// Who was named.
        vendor: String,
        /// Whom it has.
        known: String,
    },
    /// No line of the table is of this model.
    #[error("the table has no model {model}")]
    NoModel {
        /// Which was named.
        model: String,
    },
    /// A line cannot be taken over; those before it were.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The database failed.
    #[error("the store failed")]
    Store(#[from] DbErr),
}

/// Imports what is wished, and answers with the report.
///
/// # Errors
/// [`PricesError`].
pub async fn import(db: &Database, wish: &Wish, now: Timestamp) -> Result<String, PricesError> {
    let table = match &wish.file {
        None => PriceTable::shipped(),
        Some(file) => {
            let text = tokio::fs::read_to_string(file).await;
            PriceTable::parse(&text.map_err(|source| PricesError::File {
                file: file.display().to_string(),
                source,
            })?)?
        }
    };
    let lines = chosen(&table, wish)?;
    carry_out(db, &table, lines, (wish, now)).await
}

/// The lines that the wish names; all where it names none.
fn chosen(table: &PriceTable, wish: &Wish) -> Result<Vec<Line>, PricesError> {
    for vendor in &wish.vendors {
        if !table.lines.iter().any(|line| line.vendor == *vendor) {
            return Err(PricesError::NoVendor {
                vendor: vendor.clone(),
                known: table.vendors().join(", "),
            });
        }
    }
    for model in &wish.models {
        if table.line(model).is_none() {
            return Err(PricesError::NoModel {
                model: model.clone(),
            });
        }
    }
    let all = wish.vendors.is_empty() && wish.models.is_empty();
    let lines = table.lines.iter().filter(|line| {
        all || wish.vendors.contains(&line.vendor) || wish.models.contains(&line.model)
    });
    Ok(lines.cloned().collect())
}

async fn carry_out(
    db: &Database,
    table: &PriceTable,
    lines: Vec<Line>,
    (wish, now): (&Wish, Timestamp),
) -> Result<String, PricesError> {
    let named = !wish.vendors.is_empty() || !wish.models.is_empty();
    let mut proposals = import::preview(db.read(), &lines, now).await?;
    // Nobody wants to sell every model of the world: what is not here is added when it is asked for by name.
    proposals.retain(|proposal| {
        named
            || !matches!(
                proposal.verdict,
                Verdict::Add | Verdict::ShutDown | Verdict::Unpriced
            )
    });
    let models: Vec<String> = proposals
        .iter()
        .filter(|proposal| {
            matches!(
                proposal.verdict,
                Verdict::Add | Verdict::Price | Verdict::Reprice
            )
        })
        .map(|proposal| proposal.line.model.clone())
        .collect();
    if !wish.dry_run {
        import::import(db, table, &models, Actor::System, now).await?;
    }
    Ok(report(&proposals, table, wish.dry_run))
}

fn report(proposals: &[Proposal], table: &PriceTable, dry_run: bool) -> String {
    let mut text = String::new();
    let mut sums: BTreeMap<&str, usize> = BTreeMap::new();
    let mut uncharged: BTreeMap<&str, usize> = BTreeMap::new();
    for proposal in proposals {
        let line = &proposal.line;
        let word = word(proposal.verdict);
        *sums.entry(word).or_default() += 1;
        let price = line.price.as_ref().map_or_else(String::new, |sheet| {
            format!("{} in, {} out", sheet.base.input, sheet.base.output)
        });
        let _ = writeln!(text, "{word:<12} {:<48} {price}", line.model);
        for field in &line.uncharged {
            *uncharged.entry(field).or_default() += 1;
        }
    }
    if !uncharged.is_empty() {
        text.push_str("\nPrices of the table that are not charged apart:\n");
        for (field, models) in &uncharged {
            let _ = writeln!(text, "  {field:<56} {models} models");
        }
    }
    let sums: Vec<String> = sums
        .iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    let said = if sums.is_empty() {
        "nothing to take over".to_owned()
    } else {
        sums.join(", ")
    };
    let skipped = match table.skipped {
        0 => String::new(),
        count => format!(" ({count} entries of other kinds left out)"),
    };
    let done = if dry_run { "Would be: " } else { "" };
    let _ = writeln!(text, "\n{done}{said}{skipped}");
    text
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Add => "added",
        Verdict::Price => "priced",
        Verdict::Reprice => "repriced",
        Verdict::Same => "unchanged",
        Verdict::KeepManual => "by hand",
        Verdict::Unpriced => "unpriced",
        Verdict::ShutDown => "shut down",
    }
}
