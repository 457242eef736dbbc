//! What a request sent that decides whether it is served, for its owner to see when it is not. Never a credential, never
//! a body.

use actix_web::{HttpRequest, http::header::HeaderMap};

/// Path and headers of one request, cut short.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) path: String,
    /// The headers that matter, by name; of a credential only its form.
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// Letters kept of a path and of a header.
const LONGEST: usize = 200;

/// Headers whose text is kept.
const PLAIN: [&str; 6] = [
    "user-agent",
    "originator",
    "x-app",
    "x-title",
    "anthropic-version",
    "content-type",
];

/// Headers that carry credentials.
const SECRET: [&str; 2] = ["authorization", "x-api-key"];

impl Evidence {
    pub(crate) fn of(request: &HttpRequest) -> Self {
        Self {
            path: cut(request.path()),
            headers: kept(request.headers()),
        }
    }

    /// As the table has it.
    pub(crate) fn headers_json(&self) -> String {
        serde_json::json!(self.headers).to_string()
    }
}

fn kept(headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let mut kept = Vec::new();
    for name in SECRET {
        for value in headers.get_all(name) {
            kept.push((name, form_of(&String::from_utf8_lossy(value.as_bytes()))));
        }
    }
    for name in PLAIN {
        if let Some(value) = headers.get(name) {
            kept.push((name, cut(&String::from_utf8_lossy(value.as_bytes()))));
        }
    }
    kept
}

/// How a credential is written, without any of it.
fn form_of(value: &str) -> String {
    let value = value.trim();
    if value.is_empty() {
        return "(empty)".to_owned();
    }
    let letters = |text: &str| format!("({} characters)", text.trim().chars().count());
    match value.split_once(char::is_whitespace) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => {
            format!("Bearer {}", letters(key))
        }
        Some((scheme, rest)) if scheme.chars().all(char::is_alphabetic) && scheme.len() <= 10 => {
            format!("{scheme} {}", letters(rest))
        }
        _ if value.eq_ignore_ascii_case("bearer") => "Bearer (empty)".to_owned(),
        _ => letters(value),
    }
}

fn cut(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(LONGEST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_credential_only_its_form_is_kept() {
        let table = [
            ("Bearer sk-tg-secret", "Bearer (12 characters)"),
            ("bearer  k ", "Bearer (1 characters)"),
            ("Bearer", "Bearer (empty)"),
            ("", "(empty)"),
            ("Basic dXNlcg==", "Basic (8 characters)"),
            ("sk-tg-secret", "(12 characters)"),
            ("sk-tg-part one", "(14 characters)"),
        ];

        for (value, form) in table {
            assert_eq!(form_of(value), form, "{value}");
        }
    }
}
