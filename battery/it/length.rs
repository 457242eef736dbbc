//! How long to look: a slice as it stands, longer where the environment says so.

use std::time::{Duration, Instant};

/// When a test that goes on for as long as it may has to stop; none for the slice.
pub fn until() -> Option<Instant> {
    let seconds = number("BATTERY_SECONDS")?;
    Some(Instant::now() + Duration::from_secs(seconds))
}

/// So many times in the slice, and so many in the long form.
pub fn times(slice: usize, long: usize) -> usize {
    if number("BATTERY_SECONDS").is_some() {
        long
    } else {
        slice
    }
}

/// The first seed, the same every time unless the environment says another.
pub fn seed() -> u64 {
    number("BATTERY_SEED").unwrap_or(1)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the environment says how long to look"
)]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}
