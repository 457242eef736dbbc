//! Several speakers on one side of a conversation, whom only chat has a field for.

use crate::translate::neutral::{Part, Role, Turn};

/// Who has spoken so far.
#[derive(Debug, Default)]
pub(super) struct Speakers {
    users: Side,
    assistants: Side,
}

/// The speakers of one side.
#[derive(Debug, Default)]
struct Side {
    first: Option<String>,
    spoken: bool,
    several: bool,
}

impl Speakers {
    /// Puts a speaker's name before the words, from where a second speaker joins on: what was written before is not
    /// written anew.
    pub(super) fn introduce(&mut self, name: Option<&str>, turn: &mut Turn) {
        let side = match turn.role {
            Role::User => &mut self.users,
            Role::Assistant => &mut self.assistants,
            Role::System => return,
        };
        let name = name.filter(|name| !name.trim().is_empty());
        if side.spoken {
            side.several |= side.first.as_deref() != name;
        } else {
            side.spoken = true;
            side.first = name.map(str::to_owned);
        }
        if let Some(name) = name
            && side.several
        {
            prefix(name, &mut turn.parts);
        }
    }
}

fn prefix(name: &str, parts: &mut Vec<Part>) {
    let said = parts.iter_mut().find_map(|part| match part {
        Part::Text(text) if !text.trim().is_empty() => Some(text),
        _ => None,
    });
    let shows = |part: &Part| matches!(part, Part::Image(_) | Part::File(_) | Part::Audio(_));
    if let Some(text) = said {
        *text = format!("{name}: {text}");
    } else if parts.iter().any(shows) {
        parts.insert(0, Part::Text(format!("{name}:")));
    }
}

#[cfg(test)]
mod tests {
    use entity::Protocol;
    use serde_json::{Value, json};

    use crate::translate::{golden::written, neutral::Part, read};

    fn said(role: &str, name: Option<&str>, text: &str) -> Value {
        let mut message = json!({"role": role, "content": text});
        if let Some(name) = name {
            message["name"] = name.into();
        }
        message
    }

    /// What is read of a conversation, word by word.
    fn texts(messages: &[Value]) -> Vec<String> {
        let body = json!({"model": "M", "messages": messages});
        let request = read(Protocol::Chat, body.to_string().as_bytes()).expect("a good request");
        let parts = request.turns.into_iter().flat_map(|turn| turn.parts);
        parts
            .filter_map(|part| match part {
                Part::Text(text) => Some(text),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn several_speakers_are_told_apart_from_where_the_second_joins() {
        let (ann, bob) = (Some("ann"), Some("bob"));
        let table = [
            (vec![("user", ann, "a"), ("user", ann, "b")], vec!["a", "b"]),
            (
                vec![
                    ("user", ann, "a"),
                    ("assistant", None, "hi"),
                    ("user", bob, "b"),
                    ("user", ann, "c"),
                    ("user", None, "d"),
                ],
                vec!["a", "hi", "bob: b", "ann: c", "d"],
            ),
            (
                vec![("user", None, "a"), ("user", bob, "b")],
                vec!["a", "bob: b"],
            ),
            (
                vec![
                    ("user", ann, "a"),
                    ("assistant", bob, "b"),
                    ("assistant", Some("eve"), "c"),
                    ("user", ann, "d"),
                ],
                vec!["a", "b", "eve: c", "d"],
            ),
            (
                vec![("user", ann, "a"), ("user", Some(" "), "b")],
                vec!["a", "b"],
            ),
        ];

        for (given, expected) in table {
            let given: Vec<Value> = given
                .into_iter()
                .map(|(role, name, text)| said(role, name, text))
                .collect();
            assert_eq!(texts(&given), expected, "{given:?}");
            // A conversation that grows is written with the same beginning.
            for so_far in 1..given.len() {
                assert_eq!(texts(&given[..so_far]), expected[..so_far], "{given:?}");
            }
        }
    }

    #[test]
    fn a_speaker_without_words_is_named_before_what_is_shown() {
        let picture = json!({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}});
        let body = json!({"model": "M", "max_tokens": 9, "messages": [
            said("user", Some("ann"), "look"),
            {"role": "user", "name": "bob", "content": [picture]}]});

        let written = written(Protocol::Chat, Protocol::Messages, &body);

        let blocks = &written["messages"][0]["content"];
        assert_eq!(blocks[1], json!({"type": "text", "text": "bob:"}));
        assert_eq!(blocks[2]["type"], "image");
    }
}
