//! Which key a request presents: one extractor for every header that clients use.

/// One key as presented. Its text is what follows the scheme, untouched, so that its own faults can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    pub(crate) header: &'static str,
    pub(crate) text: &'a str,
}

/// What a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    /// No credential header at all.
    Nothing,
    /// The header is there, with nothing in it.
    Empty { header: &'static str },
    /// An `Authorization` of another scheme.
    Scheme { name: &'a str },
    /// One key, in one header or the same in two.
    One(Candidate<'a>),
    /// Two keys that differ.
    Two(Candidate<'a>, Candidate<'a>),
}

const AUTHORIZATION: &str = "Authorization";
const X_API_KEY: &str = "x-api-key";

/// Reads every value of the two headers.
pub(crate) fn presented<'a>(
    authorization: impl Iterator<Item = &'a str>,
    x_api_key: impl Iterator<Item = &'a str>,
) -> Presented<'a> {
    let mut seen = Presented::Nothing;
    for value in authorization {
        seen = seen.and(read_authorization(value));
    }
    for value in x_api_key {
        seen = seen.and(read_bare(X_API_KEY, value));
    }
    seen
}

impl Presented<'_> {
    /// A key outweighs an empty or foreign header; a third key changes nothing.
    fn and(self, next: Self) -> Self {
        match (self, next) {
            (Self::One(first), Self::One(second)) if first.text == second.text => Self::One(first),
            (Self::One(first), Self::One(second)) => Self::Two(first, second),
            (kept @ (Self::One(_) | Self::Two(..)), _) => kept,
            (_, key @ Self::One(_)) => key,
            (Self::Nothing, next) => next,
            (kept, _) => kept,
        }
    }
}

fn read_authorization(value: &str) -> Presented<'_> {
    let value = value.trim();
    let (scheme, rest) = match value.split_once(char::is_whitespace) {
        Some((scheme, rest)) => (scheme, rest.trim_start()),
        None => (value, ""),
    };
    if scheme.eq_ignore_ascii_case("bearer") {
        return read_bare(AUTHORIZATION, rest);
    }
    // A key put there without its scheme is still plainly a key.
    if rest.is_empty() || scheme.contains(['"', '\'']) {
        return read_bare(AUTHORIZATION, value);
    }
    Presented::Scheme { name: scheme }
}

fn read_bare<'a>(header: &'static str, value: &'a str) -> Presented<'a> {
    let text = value.trim();
    if text.is_empty() {
        return Presented::Empty { header };
    }
    Presented::One(Candidate { header, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_either_header() {
        let bearer = |text| {
            Presented::One(Candidate {
                header: AUTHORIZATION,
                text,
            })
        };
        let table: &[(&[&str], &[&str], Presented<'_>)] = &[
            (&[], &[], Presented::Nothing),
            (&["Bearer k"], &[], bearer("k")),
            (&["bearer  k "], &[], bearer("k")),
            (&["k"], &[], bearer("k")),
            (&["Bearer Bearer k"], &[], bearer("Bearer k")),
            (&["Bearer \"k\""], &[], bearer("\"k\"")),
            (&["Bearer k x"], &[], bearer("k x")),
            (
                &["Bearer"],
                &[],
                Presented::Empty {
                    header: AUTHORIZATION,
                },
            ),
            (&[], &[" "], Presented::Empty { header: X_API_KEY }),
            (
                &["Basic dXNlcg=="],
                &[],
                Presented::Scheme { name: "Basic" },
            ),
            (
                &["Basic dXNlcg=="],
                &["k"],
                Presented::One(Candidate {
                    header: X_API_KEY,
                    text: "k",
                }),
            ),
            (&["Bearer k"], &["k"], bearer("k")),
            (&["Bearer k"], &[""], bearer("k")),
            (
                &["Bearer k"],
                &["other"],
                Presented::Two(
                    Candidate {
                        header: AUTHORIZATION,
                        text: "k",
                    },
                    Candidate {
                        header: X_API_KEY,
                        text: "other",
                    },
                ),
            ),
        ];

        for (authorization, x_api_key, expected) in table {
            let found = presented(authorization.iter().copied(), x_api_key.iter().copied());
            assert_eq!(found, *expected, "{authorization:?} {x_api_key:?}");
        }
    }
}
