//! Long lists: fifty rows a page, newest first, the next page begins below the last id.

use serde::Deserialize;

/// Rows of one page.
pub(super) const PAGE_ROWS: usize = 50;

/// What a list's address may say.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Query {
    /// What is searched for.
    #[serde(default)]
    pub q: String,
    /// Rows below this id.
    #[serde(default)]
    pub before: String,
}

impl Query {
    /// The id below which rows are wanted.
    pub(super) fn before<T: std::str::FromStr>(&self) -> Option<T> {
        self.before.parse().ok()
    }

    /// The search as a pattern for `LIKE`, lower case, its own wildcards taken literally; none where it is empty.
    pub(super) fn pattern(&self) -> Option<String> {
        let plain = self.q.trim().to_lowercase();
        if plain.is_empty() {
            return None;
        }
        let mut pattern = String::from("%");
        for c in plain.chars().take(100) {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        Some(pattern)
    }
}

/// Cuts a list that was asked for one row more than a page, and gives the address of the next page.
pub(super) fn cut<T>(
    rows: &mut Vec<T>,
    path: &str,
    query: &Query,
    id: impl Fn(&T) -> String,
) -> Option<String> {
    if rows.len() <= PAGE_ROWS {
        return None;
    }
    rows.truncate(PAGE_ROWS);
    let last = rows.last().map(id)?;
    let address = url::form_urlencoded::Serializer::new(format!("{path}?"))
        .extend_pairs([("q", query.q.as_str()), ("before", last.as_str())])
        .finish();
    Some(address)
}
