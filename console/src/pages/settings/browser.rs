//! A browser's name for the list of sessions, from what it says of itself.

use crate::words::{Phrase, phrase};

/// Name in the User-Agent header and what people call it; the first that fits wins, for most claim to be several.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];

const SYSTEMS: &[(&str, &str)] = &[
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

/// Such as `Firefox on Linux`.
pub(super) fn name(user_agent: &str) -> Phrase {
    let known = |table: &[(&str, &'static str)]| {
        table
            .iter()
            .find(|(mark, _)| user_agent.contains(mark))
            .map(|(_, name)| *name)
    };
    match (known(BROWSERS), known(SYSTEMS)) {
        (Some(browser), Some(system)) => phrase("browser-on")
            .with("browser", browser)
            .with("system", system),
        (Some(only), None) | (None, Some(only)) => phrase("browser-only").with("name", only),
        (None, None) => phrase("browser-unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_called_by_their_own_name() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0 Safari/537.36";
        let on = |browser, system| {
            phrase("browser-on")
                .with("browser", browser)
                .with("system", system)
        };
        let table = [
            (chrome.to_owned(), on("Chrome", "Linux")),
            (format!("{chrome} Edg/150.0"), on("Edge", "Linux")),
            (
                "curl/8.5.0".to_owned(),
                phrase("browser-only").with("name", "curl"),
            ),
            (String::new(), phrase("browser-unknown")),
        ];
        for (header, expected) in table {
            assert_eq!(name(&header), expected, "{header}");
        }
    }
}
