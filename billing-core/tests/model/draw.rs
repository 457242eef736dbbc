//! Which lots pay, in which order.

use super::Lot;

/// Takes `amount` from the lots that may pay, what no call holds of them, best first: parts, and what is missing.
pub fn from(lots: &[Lot], amount: i64, may_pay: impl Fn(&Lot) -> bool) -> (Vec<(usize, i64)>, i64) {
    let mut places: Vec<usize> = (0..lots.len()).collect();
    places.sort_by(|a, b| first(&lots[*a], &lots[*b]).then(a.cmp(b)));
    let mut parts = Vec::new();
    let mut left = amount;
    for place in places {
        let lot = &lots[place];
        let part = left.min(lot.remaining - lot.held);
        if part > 0 && may_pay(lot) {
            left -= part;
            parts.push((place, part));
        }
    }
    (parts, left)
}

/// Priority; the sooner end, none last; the narrower scope; the free before the bought; the earlier start.
fn first(a: &Lot, b: &Lot) -> std::cmp::Ordering {
    let end = |lot: &Lot| lot.until.unwrap_or(i64::MAX);
    let breadth = |lot: &Lot| match lot.scope.len() {
        0 => usize::MAX,
        some => some,
    };
    a.priority
        .cmp(&b.priority)
        .then(end(a).cmp(&end(b)))
        .then(breadth(a).cmp(&breadth(b)))
        .then(a.bought.cmp(&b.bought))
        .then(a.from.cmp(&b.from))
}
