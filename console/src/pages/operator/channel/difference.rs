//! What a provider lists and a channel serves: names that are new, and names that have gone.

use entity::channel_check;

/// The names in a stored list.
pub(super) fn names(json: Option<&str>) -> Vec<String> {
    json.and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}

/// Listed, neither served nor ignored. Nothing before the channel serves its first model, for then all are new.
pub(in crate::pages::operator) fn new(
    check: &channel_check::Model,
    served: &[&str],
) -> Vec<String> {
    if served.is_empty() {
        return Vec::new();
    }
    let ignored = names(Some(&check.ignored));
    let mut new = names(check.listed.as_deref());
    new.retain(|name| !served.contains(&name.as_str()) && !ignored.contains(name));
    new
}

/// Served, and listed no more. A provider that lists nothing says nothing.
pub(super) fn gone(listed: &[String], served: &[&str]) -> Vec<String> {
    if listed.is_empty() {
        return Vec::new();
    }
    served
        .iter()
        .filter(|name| !listed.iter().any(|listed| listed == *name))
        .map(|name| (*name).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::{ChannelId, Timestamp};

    #[test]
    fn a_difference_names_what_came_and_what_went() {
        let check = channel_check::Model {
            channel_id: ChannelId::fresh(),
            checked_at: Timestamp::from_micros(0),
            took_ms: 1,
            failures: 0,
            fault: None,
            listed: Some(r#"["a", "b", "c"]"#.to_owned()),
            listed_at: None,
            ignored: r#"["c"]"#.to_owned(),
        };

        assert_eq!(new(&check, &["a", "z"]), ["b"]);
        assert_eq!(new(&check, &[]), Vec::<String>::new());
        assert_eq!(gone(&names(check.listed.as_deref()), &["a", "z"]), ["z"]);
        assert_eq!(gone(&[], &["a"]), Vec::<String>::new());
    }
}
