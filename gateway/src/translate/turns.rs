//! A conversation put in the order that every upstream takes: sides in turn, each call answered once and at once.
//!
//! What comes out for the beginning of a conversation does not change when it grows, so that prompt caches and bound
//! thoughts stay good.

use super::{
    names::call_id,
    neutral::{Call, CallResult, Part, Role, Turn},
};

/// What a tool is said to have answered whose result is not in the conversation.
const NO_OUTPUT: &str = "(no output)";

/// The turns in order: consecutive ones of a side are one, results stand first in the turn after their calls, in
/// their order, each once; empty texts are gone.
pub(super) fn in_order(turns: &[Turn]) -> Vec<Turn> {
    let mut ordered: Vec<Turn> = Vec::new();
    let mut blank_end = false;
    for turn in turns {
        let parts = turn.parts.iter().filter(|part| !is_blank(part)).cloned();
        let mut parts: Vec<Part> = parts.map(with_legal_ids).collect();
        blank_end = turn.role == Role::User && parts.is_empty();
        match ordered.last_mut() {
            Some(last) if last.role == turn.role && turn.role != Role::System => {
                last.parts.append(&mut parts);
            }
            _ if parts.is_empty() => {}
            _ => ordered.push(Turn::new(turn.role, parts)),
        }
    }
    answer_calls(&mut ordered);
    ordered.retain(|turn| !turn.parts.is_empty());
    let ends_with_user = ordered.last().is_some_and(|turn| turn.role == Role::User);
    if ordered.is_empty() || (blank_end && !ends_with_user) {
        ordered.push(Turn::new(Role::User, vec![Part::Text(".".to_owned())]));
    }
    ordered
}

fn is_blank(part: &Part) -> bool {
    matches!(part, Part::Text(text) | Part::Refusal(text) if text.trim().is_empty())
}

fn with_legal_ids(part: Part) -> Part {
    match part {
        Part::Call(call) => Part::Call(Call {
            id: call_id(&call.id),
            ..call
        }),
        Part::Result(result) => Part::Result(CallResult {
            call: call_id(&result.call),
            ..result
        }),
        other => other,
    }
}

/// Puts the results of every turn's calls at the head of the user turn that follows it.
fn answer_calls(turns: &mut Vec<Turn>) {
    let mut at = 0;
    while at < turns.len() {
        if turns[at].role != Role::Assistant {
            orphans_to_text(&mut turns[at]);
            at += 1;
            continue;
        }
        dedupe_calls(&mut turns[at]);
        let end = (at + 1..turns.len())
            .find(|next| turns[*next].role == Role::Assistant)
            .unwrap_or(turns.len());
        let answers = take_answers(turns, at, end);
        for turn in turns.get_mut(at + 1..end).unwrap_or_default() {
            orphans_to_text(turn);
        }
        if answers.is_empty() {
            at = end;
            continue;
        }
        let user = (at + 1..end).find(|place| turns[*place].role == Role::User);
        if let Some(place) = user {
            turns[place].parts.splice(0..0, answers);
            // A word of the system between a call and its result would part them.
            let turn = turns.remove(place);
            turns.insert(at + 1, turn);
            at = end;
        } else {
            turns.insert(at + 1, Turn::new(Role::User, answers));
            at = end + 1;
        }
    }
}

/// Two calls of one id cannot be told apart; the first stays.
fn dedupe_calls(turn: &mut Turn) {
    let mut seen: Vec<String> = Vec::new();
    turn.parts.retain(|part| match part {
        Part::Call(call) => {
            let fresh = !seen.contains(&call.id);
            if fresh {
                seen.push(call.id.clone());
            }
            fresh
        }
        _ => true,
    });
}

/// The answers to the calls of one turn, in their order, taken out of the turns up to `end`.
fn take_answers(turns: &mut [Turn], at: usize, end: usize) -> Vec<Part> {
    let ids: Vec<String> = turns[at]
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Call(call) => Some(call.id.clone()),
            _ => None,
        })
        .collect();
    let mut found: Vec<Option<CallResult>> = vec![None; ids.len()];
    for turn in turns.get_mut(at + 1..end).unwrap_or_default() {
        turn.parts.retain_mut(|part| {
            let Part::Result(result) = part else {
                return true;
            };
            let Some(place) = ids.iter().position(|id| *id == result.call) else {
                return true;
            };
            if let Some(slot) = found.get_mut(place)
                && slot.is_none()
            {
                *slot = Some(std::mem::take(result));
            }
            false
        });
    }
    ids.into_iter()
        .zip(found)
        .map(|(id, answer)| {
            Part::Result(answer.unwrap_or_else(|| CallResult {
                call: id,
                parts: vec![Part::Text(NO_OUTPUT.to_owned())],
                failed: true,
            }))
        })
        .collect()
}

/// A result that no call asked for is told as text.
fn orphans_to_text(turn: &mut Turn) {
    let parts = std::mem::take(&mut turn.parts);
    for part in parts {
        match part {
            Part::Result(result) => {
                let mut text = format!("[tool result {}]", result.call);
                let mut media = Vec::new();
                for part in result.parts {
                    match part {
                        Part::Text(more) => {
                            text.push(' ');
                            text.push_str(&more);
                        }
                        other => media.push(other),
                    }
                }
                turn.parts.push(Part::Text(text));
                turn.parts.append(&mut media);
            }
            other => turn.parts.push(other),
        }
    }
}

/// The texts of parts, each on a line of its own.
pub(super) fn joined_text(parts: &[Part]) -> String {
    let texts: Vec<&str> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) | Part::Refusal(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    texts.join("\n")
}

/// A failed result says so in its text, where the protocol has no other place for it.
pub(super) fn result_text(result: &CallResult) -> String {
    let text = joined_text(&result.parts);
    let text = if text.is_empty() && result.parts.is_empty() {
        NO_OUTPUT.to_owned()
    } else {
        text
    };
    if result.failed && !text.starts_with("Error") && text != NO_OUTPUT {
        return format!("Error: {text}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    fn call(id: &str) -> Part {
        Part::Call(Call {
            id: id.to_owned(),
            name: "f".to_owned(),
            ..Call::default()
        })
    }

    fn result(id: &str, said: &str) -> Part {
        Part::Result(CallResult {
            call: id.to_owned(),
            parts: vec![text(said)],
            failed: false,
        })
    }

    fn missing(id: &str) -> Part {
        Part::Result(CallResult {
            call: id.to_owned(),
            parts: vec![text(NO_OUTPUT)],
            failed: true,
        })
    }

    #[test]
    fn every_call_is_answered_once_and_at_once() {
        use Role::{Assistant, System, User};
        let table = [
            (
                vec![
                    (User, vec![text("q"), text(" ")]),
                    (Assistant, vec![text("a")]),
                    (Assistant, vec![call("1"), call("2"), call("1")]),
                    (User, vec![text("more"), result("2", "two")]),
                    (System, vec![text("hint")]),
                    (User, vec![result("1", "one"), result("1", "again")]),
                ],
                vec![
                    (User, vec![text("q")]),
                    (Assistant, vec![text("a"), call("1"), call("2")]),
                    (
                        User,
                        vec![result("1", "one"), result("2", "two"), text("more")],
                    ),
                    (System, vec![text("hint")]),
                ],
            ),
            (
                vec![
                    (User, vec![result("9", "lost"), text("q")]),
                    (Assistant, vec![call("1")]),
                ],
                vec![
                    (User, vec![text("[tool result 9] lost"), text("q")]),
                    (Assistant, vec![call("1")]),
                    (User, vec![missing("1")]),
                ],
            ),
            (
                vec![(Assistant, vec![text("hi")]), (User, vec![text("  ")])],
                vec![(Assistant, vec![text("hi")]), (User, vec![text(".")])],
            ),
        ];

        for (given, expected) in table {
            let turns = |list: Vec<(Role, Vec<Part>)>| -> Vec<Turn> {
                list.into_iter()
                    .map(|(role, parts)| Turn::new(role, parts))
                    .collect()
            };
            assert_eq!(in_order(&turns(given)), turns(expected));
        }
    }
}
