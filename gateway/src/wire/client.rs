//! Which program calls, by its User-Agent: a word for usage pages and group policies, never a security check.

/// The kind of client behind a User-Agent, as stored with holds, usage and rejections.
pub(crate) fn kind(user_agent: &str) -> &'static str {
    let agent = user_agent.trim();
    PREFIXES
        .iter()
        .find(|(prefix, _)| starts_with(agent, prefix))
        .map_or_else(|| inside(agent), |(_, kind)| kind)
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
    ("litellm/", "litellm"),
    ("ai-sdk", "ai_sdk"),
    ("openai/python", "openai_sdk"),
    ("openai/js", "openai_sdk"),
    ("openai/", "openai_sdk"),
    ("asyncopenai/", "openai_sdk"),
    ("anthropic/", "anthropic_sdk"),
    ("asyncanthropic/", "anthropic_sdk"),
    ("curl/", "curl"),
    ("python-requests/", "http_library"),
    ("python-httpx/", "http_library"),
    ("axios/", "http_library"),
    ("node-fetch/", "http_library"),
    ("postmanruntime/", "http_library"),
    ("mozilla/", "browser"),
];

/// Codex keeps its name in the last parenthesis when its originator is overridden; JetBrains and Trae put theirs anywhere.
fn inside(agent: &str) -> &'static str {
    let lower = agent.to_ascii_lowercase();
    [
        ("codex", "codex"),
        ("jetbrains", "jetbrains"),
        ("intellij", "jetbrains"),
        ("trae", "trae"),
        ("cursor", "cursor"),
    ]
    .into_iter()
    .find(|(part, _)| lower.contains(part))
    .map_or("other", |(_, kind)| kind)
}

fn starts_with(agent: &str, prefix: &str) -> bool {
    agent
        .as_bytes()
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_known_by_what_they_send() {
        let table = [
            ("claude-cli/2.1.329 (external, sdk-cli)", "claude_code"),
            ("claude-code/2.1.329", "claude_code"),
            ("codex_exec/0.169.0 (Debian 12; x86_64)", "codex"),
            ("codex_cli_rs/0.156.0", "codex"),
            ("Codex Desktop/1.0", "codex"),
            ("my-tool/1.0 (codex-tui; 0.156.0)", "codex"),
            ("opencode/1.18.33 ai-sdk/provider-utils/4", "opencode"),
            ("QwenCode/0.24.4 (linux; x64)", "qwen_code"),
            ("ai-sdk/openai-compatible/3.0.37", "ai_sdk"),
            ("ai-sdk-openai/4.0.118", "ai_sdk"),
            ("OpenAI/Python 3.52.0", "openai_sdk"),
            ("AsyncOpenAI/Python 3.52.0", "openai_sdk"),
            ("Anthropic/Python 2.11.0", "anthropic_sdk"),
            ("undici", "openclaw"),
            ("curl/8.9.1", "curl"),
            ("Dmi/JS 0.94.0", "other"),
            ("", "other"),
        ];

        for (agent, expected) in table {
            assert_eq!(kind(agent), expected, "{agent}");
        }
    }
}
