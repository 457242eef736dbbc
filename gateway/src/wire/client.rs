//! Which program calls, by what its headers say: a word for usage pages and group policies, never a security check.

use actix_web::http::header::HeaderMap;
use entity::group::client::Version;

/// What is known of the program behind a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its kind, as stored with holds, usage and rejections.
    pub(crate) kind: &'static str,
    /// Its version, where it says one.
    pub(crate) version: Option<Version>,
    /// Kinds that say no more of themselves than this, so that it may be one of them.
    also: &'static [&'static str],
}

impl Seen {
    /// Whether a policy for this kind means the program.
    pub(crate) fn may_be(&self, kind: &str) -> bool {
        self.kind == kind || self.also.contains(&kind)
    }

    /// As messages name it.
    pub(crate) fn named(&self) -> String {
        let name = entity::group::client::name(self.kind);
        match self.version {
            Some(version) => format!("{name} {version}"),
            None => name.to_owned(),
        }
    }
}

/// Recognises the program of a request. Its prompt is never looked at.
pub(crate) fn recognise(headers: &HeaderMap) -> Seen {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .trim()
    };
    let has = |name: &str| headers.contains_key(name);
    let seen = by_agent(text("user-agent"));
    if seen.kind == "claude_code" || seen.kind == "codex" {
        return seen;
    }
    // Its probes go by random names, and are told by what else they send.
    let claude_code = has("x-claude-code-session-id")
        || (text("x-app") == "cli" && text("anthropic-beta").contains("claude-code-"));
    if claude_code {
        return Seen::of("claude_code");
    }
    if starts_with(text("originator"), "codex") {
        return Seen::of("codex");
    }
    let factory = text("x-factory-client").to_ascii_lowercase();
    if factory.contains("droid") || factory.contains("factory-cli") {
        return Seen::of("droid");
    }
    let title = text("x-title");
    if let Some((_, kind)) = TITLES
        .iter()
        .find(|(name, _)| title.eq_ignore_ascii_case(name))
    {
        return Seen::of(kind);
    }
    seen
}

impl Seen {
    const fn of(kind: &'static str) -> Self {
        Self {
            kind,
            version: None,
            also: &[],
        }
    }
}

fn by_agent(agent: &str) -> Seen {
    let agent = agent.trim();
    let known = PREFIXES
        .iter()
        .find(|(prefix, _)| starts_with(agent, prefix));
    let (kind, rest) = match known {
        Some((prefix, kind)) => (*kind, agent.get(prefix.len()..).unwrap_or_default()),
        None => inside(agent),
    };
    let also = LIKE
        .iter()
        .find(|(prefix, _)| starts_with(agent, prefix))
        .map_or(&[][..], |(_, kinds)| *kinds);
    Seen {
        kind,
        version: version_in(rest),
        also,
    }
}

/// The first version in what follows a name: up to a space or a bracket, `0.169.0` in `exec/0.169.0 (Debian 12)`.
fn version_in(text: &str) -> Option<Version> {
    let text = text.split(['(', ')', ',']).next().unwrap_or_default();
    text.split(['/', ' ', ';']).find_map(|word| {
        let plain = word.split(['-', '+']).next().unwrap_or_default();
        plain.parse().ok()
    })
}

/// Longer prefixes first where one holds another.
const PREFIXES: &[(&str, &str)] = &[
    ("claude-cli/", "claude_code"),
    ("claude-code/", "claude_code"),
    ("codex_", "codex"),
    ("codex-tui", "codex"),
    ("codex ", "codex"),
    ("opencode/", "opencode"),
    ("openclaw", "openclaw"),
    ("undici", "openclaw"),
    ("qwencode/", "qwen_code"),
    ("geminicli/", "gemini_cli"),
    ("factory-cli/", "droid"),
    ("cc-switch/", "cc_switch"),
    ("cline/", "cline"),
    ("roocode/", "roo_code"),
    ("roo-code/", "roo_code"),
    ("kilo-code/", "kilo_code"),
    ("aider/", "aider"),
    ("litellm/", "litellm"),
    ("ai-sdk", "ai_sdk"),
    ("openai/python", "openai_sdk"),
    ("openai/js", "openai_sdk"),
    ("openai/", "openai_sdk"),
    ("asyncopenai/python", "openai_sdk"),
    ("asyncopenai/", "openai_sdk"),
    ("anthropic/python", "anthropic_sdk"),
    ("anthropic/js", "anthropic_sdk"),
    ("anthropic/", "anthropic_sdk"),
    ("asyncanthropic/python", "anthropic_sdk"),
    ("asyncanthropic/", "anthropic_sdk"),
    ("curl/", "curl"),
    ("python-requests/", "http_library"),
    ("python-httpx/", "http_library"),
    ("axios/", "http_library"),
    ("node-fetch/", "http_library"),
    ("postmanruntime/", "http_library"),
    ("mozilla/", "browser"),
];

/// Programs that are built on a library and call by its name.
const LIKE: &[(&str, &[&str])] = &[
    ("openai/js", &["openclaw"]),
    ("openai/python", &["aider"]),
    ("litellm/", &["aider"]),
    ("ai-sdk/", &["cline"]),
];

/// Editors' plug-ins that name themselves in a title.
const TITLES: &[(&str, &str)] = &[
    ("cline", "cline"),
    ("roo code", "roo_code"),
    ("kilo code", "kilo_code"),
];

/// Codex keeps its name in the last parenthesis when its originator is overridden; JetBrains and Trae put theirs anywhere.
fn inside(agent: &str) -> (&'static str, &str) {
    let lower = agent.to_ascii_lowercase();
    [
        ("codex", "codex"),
        ("jetbrains", "jetbrains"),
        ("intellij", "jetbrains"),
        ("trae", "trae"),
        ("cursor", "cursor"),
    ]
    .into_iter()
    .find_map(|(part, kind)| {
        let at = lower.find(part)?;
        Some((kind, agent.get(at + part.len()..).unwrap_or_default()))
    })
    .unwrap_or(("other", ""))
}

fn starts_with(agent: &str, prefix: &str) -> bool {
    agent
        .as_bytes()
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn clients_are_known_by_what_they_send() {
        let table = [
            (
                "claude-cli/2.1.329 (external, sdk-cli)",
                "claude_code",
                "2.1.329",
            ),
            ("claude-code/2.1.329", "claude_code", "2.1.329"),
            ("codex_exec/0.169.0 (Debian 12; x86_64)", "codex", "0.169.0"),
            ("codex_cli_rs/0.156.0", "codex", "0.156.0"),
            ("codex_cli_rs/0.157.0-alpha.3 (Mac)", "codex", "0.157.0"),
            ("Codex Desktop/1.0", "codex", "1.0"),
            ("my-tool/1.0 (codex-tui; 0.156.0)", "codex", "0.156.0"),
            (
                "opencode/1.18.33 ai-sdk/provider-utils/4",
                "opencode",
                "1.18.33",
            ),
            ("QwenCode/0.24.4 (linux; x64)", "qwen_code", "0.24.4"),
            (
                "GeminiCLI/v0.9.1/gemini-2.5-pro (linux; x64)",
                "gemini_cli",
                "0.9.1",
            ),
            ("ai-sdk/openai-compatible/3.0.37", "ai_sdk", "3.0.37"),
            ("ai-sdk-openai/4.0.118", "ai_sdk", "4.0.118"),
            ("OpenAI/Python 3.52.0", "openai_sdk", "3.52.0"),
            ("AsyncOpenAI/Python 3.52.0", "openai_sdk", "3.52.0"),
            ("Anthropic/Python 2.11.0", "anthropic_sdk", "2.11.0"),
            ("undici", "openclaw", ""),
            ("curl/8.9.1", "curl", "8.9.1"),
            ("Mozilla/5.0 (X11) Cursor/1.2", "browser", "5.0"),
            ("Dmi/JS 0.94.0", "other", ""),
            ("", "other", ""),
        ];

        for (agent, kind, version) in table {
            let seen = recognise(&headers(&[("user-agent", agent)]));
            let said = seen.version.map(|version| version.to_string());
            assert_eq!(
                (seen.kind, said.unwrap_or_default().as_str()),
                (kind, version),
                "{agent}"
            );
        }
    }

    #[test]
    fn other_headers_tell_what_a_user_agent_does_not() {
        let table: [(&[(&str, &str)], &str); 6] = [
            (
                &[
                    ("user-agent", "Dmi/JS 0.94.0"),
                    ("x-claude-code-session-id", "1"),
                ],
                "claude_code",
            ),
            (
                &[
                    ("user-agent", "Qxx/JS 0.94.0"),
                    ("x-app", "cli"),
                    ("anthropic-beta", "claude-code-20250219,x"),
                ],
                "claude_code",
            ),
            (
                &[("user-agent", "Mine/1"), ("originator", "codex_cli_rs")],
                "codex",
            ),
            (&[("x-factory-client", "Droid")], "droid"),
            (
                &[("user-agent", "OpenAI/JS 4.0.0"), ("x-title", "Roo Code")],
                "roo_code",
            ),
            (
                &[("user-agent", "codex_exec/0.1"), ("x-app", "cli")],
                "codex",
            ),
        ];

        for (sent, kind) in table {
            assert_eq!(recognise(&headers(sent)).kind, kind, "{sent:?}");
        }
    }

    #[test]
    fn a_program_that_calls_by_its_librarys_name_may_be_meant() {
        let openclaw = recognise(&headers(&[("user-agent", "OpenAI/JS 7.15.0")]));
        let cline = recognise(&headers(&[(
            "user-agent",
            "ai-sdk/openai-compatible/3.0.37",
        )]));
        let vercel = recognise(&headers(&[("user-agent", "ai-sdk-openai/4.0.118")]));

        assert!(openclaw.may_be("openai_sdk") && openclaw.may_be("openclaw"));
        assert!(cline.may_be("cline") && !openclaw.may_be("cline"));
        assert!(!vercel.may_be("cline"));
    }

    #[test]
    fn every_kind_that_is_recognised_stands_in_the_list_of_kinds() {
        let listed = |kind: &str| {
            entity::group::client::KINDS
                .iter()
                .any(|known| known.word == kind)
        };
        for (_, kind) in PREFIXES.iter().chain(TITLES) {
            assert!(listed(kind), "{kind}");
        }
        for (_, kinds) in LIKE {
            assert!(kinds.iter().all(|kind| listed(kind)), "{kinds:?}");
        }
    }
}
