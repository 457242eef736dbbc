//! Orders and the payment provider's events as operators see them.

pub(crate) mod inbox;
pub(crate) mod list;
pub(crate) mod show;

/// An amount of a currency as pages print it: `19.90 USD`.
pub(super) fn money(minor: i64, currency: &str) -> String {
    let sign = if minor < 0 { "\u{2212}" } else { "" };
    let minor = minor.unsigned_abs();
    format!(
        "{sign}{}.{:02} {}",
        minor / 100,
        minor % 100,
        currency.to_uppercase()
    )
}
