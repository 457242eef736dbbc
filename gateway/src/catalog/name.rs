//! Model names as people write them: spellings that mean one model, and the nearest ones to a slip.

/// What a name may mean, most literal first: itself, then without each prefix that ends in a slash.
pub(super) fn spellings(asked: &str) -> impl Iterator<Item = String> {
    let asked = asked.trim();
    let tails = asked
        .match_indices('/')
        .filter_map(move |(slash, _)| asked.get(slash + 1..));
    std::iter::once(asked)
        .chain(tails)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// How many names an answer offers.
const OFFERED: usize = 3;

/// The names nearest to what was asked, nearest first; names with nothing in common are left out.
pub(super) fn nearest<'a>(asked: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let asked = asked.trim().to_lowercase();
    let mut ranked: Vec<(usize, &str)> = names
        .map(|name| (distance(&asked, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance * 2 <= name.len().max(asked.len()))
        .collect();
    ranked.sort_unstable();
    ranked
        .into_iter()
        .take(OFFERED)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// Levenshtein's distance over bytes; names are ASCII but for mistakes. Long names are cut, for anybody may send one.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 128;
    let b: Vec<u8> = b.bytes().take(LONGEST).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().take(LONGEST).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = *cell;
            *cell = replaced.min(*cell + 1).min(left + 1);
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_prefix_may_stand_before_a_name() {
        let found: Vec<_> = spellings(" openrouter/openai/gpt-5 ").collect();

        assert_eq!(found, ["openrouter/openai/gpt-5", "openai/gpt-5", "gpt-5"]);
        assert_eq!(spellings("  ").count(), 0);
    }

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("gpt-4o", "gpt-4o", 0),
            ("gpt4o", "gpt-4o", 1),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn a_slip_is_offered_the_nearest_names() {
        let names = [
            "claude-sonnet-5",
            "claude-opus-5",
            "gpt-5.4",
            "gpt-5.4-mini",
            "sandbox/echo",
        ];

        let offered = nearest("GPT-54", names.into_iter());

        assert_eq!(offered.first().map(String::as_str), Some("gpt-5.4"));
        assert_eq!(
            nearest("completely-different-thing", names.into_iter()),
            Vec::<String>::new()
        );
    }
}
