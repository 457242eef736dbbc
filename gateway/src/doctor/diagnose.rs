//! The checks themselves, in order, each with what it found and what to do.

use std::fmt;

use entity::rejection::Fix;
use serde::Serialize;

use crate::{
    caller::{Sent, judge},
    error::Code,
    wire::path,
};

/// What is checked, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The key's group has the model.
    GroupFitsModel,
    /// The base URL, with or without `/v1`.
    BaseUrl,
    /// The group takes the client.
    ClientFitsGroup,
    /// The headers that arrived.
    Headers,
    /// How the key is written in them.
    KeyFormat,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In order.
    Good,
    /// To be mended.
    Bad,
    /// Not enough is known to tell.
    Unknown,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// How it ended.
    pub state: State,
    /// What was found, as a sentence.
    pub says: String,
    /// What to do, where something is to be done.
    pub fix: Option<Fix>,
}

/// Whether the model that a request names can be had with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelFit {
    /// It names none, and its group has no default.
    Missing,
    /// There is no such model.
    Unknown {
        /// What was asked for.
        name: String,
        /// Names near to it.
        near: Vec<String>,
    },
    /// The key's group lacks it.
    Elsewhere {
        /// What was asked for.
        name: String,
        /// A group that has it and takes the request.
        group: Option<String>,
    },
    /// The key's group has it, or the fallback that serves in its place.
    Fits {
        /// Its name.
        name: String,
        /// The title of the fallback, where it is that which has it.
        fallback: Option<String>,
    },
}

/// Why the group does not take the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// What to do.
    pub fix: Fix,
    /// Another group that takes it.
    pub group: Option<String>,
}

/// One request, and what its key's group is for. What depends on the key is not there where no known key was sent.
#[derive(Default)]
pub struct Case {
    /// The title of the key's group.
    pub group: Option<String>,
    /// What the group takes; empty takes every client.
    pub accepts: Vec<String>,
    /// The client, by name and version.
    pub client: String,
    /// Why the client does not fit.
    pub misfit: Option<Misfit>,
    /// The title of the group's fallback, where that takes the client in its place.
    pub stand_in: Option<String>,
    /// The model.
    pub model: Option<ModelFit>,
    /// The path that was asked.
    pub path: String,
    /// The installation's address.
    pub public_url: String,
    /// Whether it is a client of Anthropic's protocol, whose base URL has no `/v1`.
    pub anthropic: bool,
    /// Every `Authorization` header.
    pub authorization: Vec<String>,
    /// Every `x-api-key` header.
    pub x_api_key: Vec<String>,
}

/// It holds credentials; a log says only that it is there.
impl fmt::Debug for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Case").finish_non_exhaustive()
    }
}

/// Checks everything, in the order in which it is worth looking.
pub fn diagnose(case: &Case) -> Vec<Finding> {
    vec![
        group_fits_model(case),
        base_url(case),
        client_fits_group(case),
        headers(case),
        key_format(case),
    ]
}

fn found(check: Check, state: State, says: impl Into<String>, fix: Option<Fix>) -> Finding {
    Finding {
        check,
        state,
        says: says.into(),
        fix,
    }
}

fn group_fits_model(case: &Case) -> Finding {
    let check = Check::GroupFitsModel;
    let (Some(group), Some(model)) = (&case.group, &case.model) else {
        let says = "No known key arrived, so its group cannot be looked at.";
        return found(check, State::Unknown, says, None);
    };
    match model {
        ModelFit::Missing => found(
            check,
            State::Unknown,
            format!(
                "No model was named, and the group `{group}` has no default. Ask again with ?model=<name>."
            ),
            Some(Fix::NameModel),
        ),
        ModelFit::Unknown { name, near } => found(
            check,
            State::Bad,
            format!("There is no model named `{name}` here."),
            Some(Fix::PickModel {
                near: near.join(", "),
            }),
        ),
        ModelFit::Elsewhere {
            name,
            group: Some(other),
        } => found(
            check,
            State::Bad,
            format!(
                "The group `{group}` of this key does not have `{name}`; the group `{other}` has."
            ),
            Some(Fix::UseGroup {
                group: other.clone(),
            }),
        ),
        ModelFit::Elsewhere { name, group: None } => found(
            check,
            State::Bad,
            format!("Neither the group `{group}` of this key nor another one serves `{name}` now."),
            Some(Fix::OtherModel),
        ),
        ModelFit::Fits { name, fallback } => found(
            check,
            State::Good,
            match fallback {
                None => format!("The group `{group}` of this key serves `{name}`."),
                Some(other) => format!(
                    "The group `{group}` of this key does not have `{name}`; its fallback, the group `{other}`, serves it in its place."
                ),
            },
            None,
        ),
    }
}

fn base_url(case: &Case) -> Finding {
    let url = &case.public_url;
    let right = if case.anthropic {
        format!("{url} (without /v1), for the client adds /v1 itself")
    } else {
        format!("{url}/v1")
    };
    let parts: Vec<&str> = case
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let versions = parts.iter().take_while(|part| **part == "v1").count();
    if path::endpoint(&case.path).is_none() {
        return found(
            Check::BaseUrl,
            State::Bad,
            format!(
                "{} is no endpoint here. The base URL is {right}.",
                case.path
            ),
            Some(Fix::BaseUrl),
        );
    }
    let says = match versions {
        0 => format!("It arrived without /v1, which is forgiven. The base URL is {right}."),
        1 => "The base URL is right.".to_owned(),
        _ => format!("It arrived with /v1 twice, which is forgiven. The base URL is {right}."),
    };
    found(Check::BaseUrl, State::Good, says, None)
}

fn client_fits_group(case: &Case) -> Finding {
    let check = Check::ClientFitsGroup;
    let Some(group) = &case.group else {
        let says = format!("The client is {}; no known key arrived.", case.client);
        return found(check, State::Unknown, says, None);
    };
    if let Some(other) = &case.stand_in {
        let says = format!(
            "The group `{other}`, on which the group `{group}` falls back, takes this client, {}.",
            case.client
        );
        return found(check, State::Good, says, None);
    }
    let Some(misfit) = &case.misfit else {
        let says = format!("The group `{group}` takes this client, {}.", case.client);
        return found(check, State::Good, says, None);
    };
    let other = misfit
        .group
        .as_ref()
        .map(|other| format!(" The group `{other}` takes it."))
        .unwrap_or_default();
    let says = format!(
        "The group `{group}` is for {} only, and this client is {}, by its User-Agent.{other}",
        case.accepts.join(", "),
        case.client
    );
    found(check, State::Bad, says, Some(misfit.fix.clone()))
}

fn headers(case: &Case) -> Finding {
    let check = Check::Headers;
    let said = |values: &[String], name: &str| {
        let empty = |value: &String| {
            let bare = value.trim();
            bare.is_empty() || bare.eq_ignore_ascii_case("bearer")
        };
        match values {
            [] => None,
            values if values.iter().all(empty) => Some((name.to_owned(), true)),
            _ => Some((name.to_owned(), false)),
        }
    };
    let arrived: Vec<(String, bool)> = [
        said(&case.authorization, "Authorization"),
        said(&case.x_api_key, "x-api-key"),
    ]
    .into_iter()
    .flatten()
    .collect();
    match arrived.as_slice() {
        [] => found(
            check,
            State::Bad,
            "Neither `Authorization` nor `x-api-key` arrived.",
            Some(Fix::SendKey),
        ),
        all if all.iter().all(|(_, empty)| *empty) => {
            let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
            found(
                check,
                State::Bad,
                format!(
                    "`{}` arrived empty: the client has no key set, or an empty variable.",
                    names.join("` and `")
                ),
                Some(Fix::SendKey),
            )
        }
        [(name, _)] => found(check, State::Good, format!("`{name}` arrived."), None),
        [(first, false), (second, false), ..] if differ(case) => found(
            check,
            State::Bad,
            format!(
                "`{first}` and `{second}` arrived with different keys. An older log-in or variable of the client may be left over; remove one."
            ),
            Some(Fix::SendKey),
        ),
        [(first, _), (second, _), ..] => found(
            check,
            State::Good,
            format!("`{first}` and `{second}` arrived; one key is enough."),
            None,
        ),
    }
}

/// Whether the two headers carry different keys.
fn differ(case: &Case) -> bool {
    let bare = |value: &String| {
        let value = value.trim();
        let key = value
            .split_once(char::is_whitespace)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map_or(value, |(_, key)| key.trim());
        key.to_owned()
    };
    let mut keys: Vec<String> = case
        .authorization
        .iter()
        .chain(&case.x_api_key)
        .map(bare)
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys.len() > 1
}

fn key_format(case: &Case) -> Finding {
    let check = Check::KeyFormat;
    let sent = Sent {
        authorization: &case.authorization,
        x_api_key: &case.x_api_key,
    };
    match judge(&sent) {
        Ok(_) if case.group.is_some() => found(
            check,
            State::Good,
            "The key is written right and known.",
            None,
        ),
        Ok(_) => found(
            check,
            State::Bad,
            "The key is written right but is not in use here: it was made elsewhere, switched off, revoked, or is past its date.",
            Some(Fix::NewKey),
        ),
        Err(refusal) if refusal.code == Code::MissingKey => {
            found(check, State::Unknown, refusal.message, Some(Fix::SendKey))
        }
        Err(refusal) => found(check, State::Bad, refusal.message, Some(Fix::SendKey)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-tg-FirstKeyOfTheTest000000000000000000000000004J95a2";

    fn case() -> Case {
        Case {
            group: Some("Coding".to_owned()),
            client: "Codex 0.156.0".to_owned(),
            model: Some(ModelFit::Fits {
                fallback: None,
                name: "gpt-x".to_owned(),
            }),
            path: "/v1/doctor".to_owned(),
            public_url: "https://gate.example".to_owned(),
            authorization: vec![format!("Bearer {KEY}")],
            ..Case::default()
        }
    }

    fn state(case: &Case, check: Check) -> (State, String) {
        let found = diagnose(case);
        let finding = found
            .into_iter()
            .find(|finding| finding.check == check)
            .expect("every check is made");
        (finding.state, finding.says)
    }

    #[test]
    fn what_is_in_order_is_good_in_every_check() {
        let found = diagnose(&case());

        assert!(
            found.iter().all(|finding| finding.state == State::Good),
            "{found:?}"
        );
        let order: Vec<Check> = found.iter().map(|finding| finding.check).collect();
        assert_eq!(
            order,
            [
                Check::GroupFitsModel,
                Check::BaseUrl,
                Check::ClientFitsGroup,
                Check::Headers,
                Check::KeyFormat
            ]
        );
    }

    #[test]
    fn headers_and_keys_are_explained() {
        let key = |text: &str| vec![text.to_owned()];
        let table = [
            (vec![], vec![], Check::Headers, State::Bad, "Neither"),
            (key("Bearer"), vec![], Check::Headers, State::Bad, "empty"),
            (vec![], key(" "), Check::Headers, State::Bad, "empty"),
            (
                key(&format!("Bearer {KEY}")),
                key("sk-ant-other"),
                Check::Headers,
                State::Bad,
                "different keys",
            ),
            (
                key(&format!("Bearer {KEY}")),
                key(KEY),
                Check::Headers,
                State::Good,
                "one key is enough",
            ),
            (
                key(&format!("Bearer Bearer {KEY}")),
                vec![],
                Check::KeyFormat,
                State::Bad,
                "twice",
            ),
            (
                key(&format!("Bearer \"{KEY}\"")),
                vec![],
                Check::KeyFormat,
                State::Bad,
                "quotation marks",
            ),
            (
                key("Bearer sk-tg-First KeyOfTheTest"),
                vec![],
                Check::KeyFormat,
                State::Bad,
                "space",
            ),
            (
                vec![],
                key("sk-ant-api03-0123456789012345678901234567890123456789"),
                Check::KeyFormat,
                State::Bad,
                "Anthropic",
            ),
        ];

        for (authorization, x_api_key, check, expected, part) in table {
            let case = Case {
                authorization,
                x_api_key,
                ..case()
            };
            let (state, says) = state(&case, check);
            assert_eq!(state, expected, "{says}");
            assert!(says.contains(part), "{says}");
        }
    }

    #[test]
    fn a_base_url_is_explained_for_the_clients_own_protocol() {
        for (path, anthropic, expected, part) in [
            ("/doctor", false, State::Good, "without /v1"),
            (
                "/v1/v1/doctor",
                true,
                State::Good,
                "https://gate.example (without /v1)",
            ),
            ("/api/v1/chat", false, State::Bad, "https://gate.example/v1"),
        ] {
            let case = Case {
                path: path.to_owned(),
                anthropic,
                ..case()
            };
            let (state, says) = state(&case, Check::BaseUrl);
            assert_eq!(state, expected, "{says}");
            assert!(says.contains(part), "{says}");
        }
    }

    #[test]
    fn a_misfit_names_what_would_fit() {
        let case = Case {
            accepts: vec!["Claude Code 2.0 or later".to_owned()],
            misfit: Some(Misfit {
                fix: Fix::UseGroup {
                    group: "Open".to_owned(),
                },
                group: Some("Open".to_owned()),
            }),
            model: Some(ModelFit::Elsewhere {
                name: "gpt-x".to_owned(),
                group: Some("Open".to_owned()),
            }),
            ..case()
        };

        for check in [Check::GroupFitsModel, Check::ClientFitsGroup] {
            let (state, says) = state(&case, check);
            assert_eq!(state, State::Bad);
            assert!(
                says.contains("`Open`") && says.contains("`Coding`"),
                "{says}"
            );
        }
    }
}
