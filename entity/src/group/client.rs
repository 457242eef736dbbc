//! The programs that call, as policies name them: kinds, versions, and the rules a group has for them.
//!
//! A kind is recognised by what a program says of itself. It keeps honest users on the right shelf and is no security
//! check: anybody can write the same header.

use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt, str::FromStr};

/// A kind of program that a policy may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its word, as stored with holds, usage and rejections.
    pub word: &'static str,
    /// Its own name.
    pub name: &'static str,
    /// Whether it says its version.
    pub versioned: bool,
}

const fn known(word: &'static str, name: &'static str) -> Known {
    Known {
        word,
        name,
        versioned: true,
    }
}

/// Every kind, as forms list them.
pub static KINDS: &[Known] = &[
    known("claude_code", "Claude Code"),
    known("codex", "Codex"),
    known("opencode", "OpenCode"),
    Known {
        word: "openclaw",
        name: "OpenClaw",
        versioned: false,
    },
    known("cline", "Cline"),
    known("roo_code", "Roo Code"),
    known("kilo_code", "Kilo Code"),
    known("qwen_code", "Qwen Code"),
    known("gemini_cli", "Gemini CLI"),
    Known {
        word: "aider",
        name: "aider",
        versioned: false,
    },
    known("droid", "Droid"),
    known("cursor", "Cursor"),
    known("trae", "Trae"),
    known("jetbrains", "JetBrains"),
    known("cc_switch", "cc-switch"),
    known("litellm", "LiteLLM"),
    known("ai_sdk", "Vercel AI SDK"),
    known("openai_sdk", "OpenAI SDK"),
    known("anthropic_sdk", "Anthropic SDK"),
    known("curl", "curl"),
    known("http_library", "HTTP library"),
    Known {
        word: "browser",
        name: "Browser",
        versioned: false,
    },
    Known {
        word: "other",
        name: "Other",
        versioned: false,
    },
];

/// What a kind is called; its word where it is not known here.
pub fn name(word: &str) -> &str {
    KINDS
        .iter()
        .find(|known| known.word == word)
        .map_or(word, |known| known.name)
}

/// A version: up to four numbers. `2.1` and `2.1.0` are one.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    numbers: [u32; 4],
    /// How many were written, for printing.
    written: u8,
}

/// A text that is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version is up to four numbers with dots between them")]
pub struct VersionFault;

impl FromStr for Version {
    type Err = VersionFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut version = Self::default();
        for part in text.trim().trim_start_matches(['v', 'V']).split('.') {
            let place = version
                .numbers
                .get_mut(usize::from(version.written))
                .ok_or(VersionFault)?;
            let plain =
                (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            *place = plain
                .then(|| part.parse().ok())
                .flatten()
                .ok_or(VersionFault)?;
            version.written += 1;
        }
        Ok(version)
    }
}

impl TryFrom<String> for Version {
    type Error = VersionFault;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = self.numbers.iter().take(usize::from(self.written.max(1)));
        let parts: Vec<String> = written.map(u32::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.numbers == other.numbers
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers)
    }
}

/// One clause of a group's client policy: a kind, between two versions where they are set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Rule {
    /// The kind's word.
    pub kind: String,
    /// The least version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<Version>,
    /// The newest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<Version>,
}

/// A rule as a row has it: a bare kind, or one with versions.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Kind(String),
    Full {
        kind: String,
        least: Option<Version>,
        most: Option<Version>,
    },
}

impl From<Written> for Rule {
    fn from(written: Written) -> Self {
        match written {
            Written::Kind(kind) => Self {
                kind,
                least: None,
                most: None,
            },
            Written::Full { kind, least, most } => Self { kind, least, most },
        }
    }
}

/// As refusals print it: `Claude Code 2.0 or later`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name(&self.kind))?;
        match (&self.least, &self.most) {
            (None, None) => Ok(()),
            (Some(least), None) => write!(f, " {least} or later"),
            (None, Some(most)) => write!(f, " up to {most}"),
            (Some(least), Some(most)) => write!(f, " {least} to {most}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    #[test]
    fn versions_compare_by_number_and_missing_ones_are_zero() {
        assert!(version("2.1.329") > version("2.1.39"));
        assert!(version("0.10") > version("0.9.9"));
        assert_eq!(version("v2.1"), version("2.1.0"));
        assert_eq!(version("2.1.0").to_string(), "2.1.0");
        for text in ["", "x", "1..2", "1.2.3.4.5", "1.-2", "1.12345678901"] {
            assert_eq!(text.parse::<Version>(), Err(VersionFault), "{text}");
        }
    }

    #[test]
    fn a_policy_of_bare_words_still_reads() {
        let rules: Vec<Rule> =
            serde_json::from_str(r#"["codex", {"kind": "claude_code", "least": "2.0"}]"#)
                .expect("rules");

        let texts: Vec<String> = rules.iter().map(Rule::to_string).collect();
        assert_eq!(texts, ["Codex", "Claude Code 2.0 or later"]);
        let again: Vec<Rule> = serde_json::from_str(&serde_json::json!(rules).to_string())
            .expect("what was written reads");
        assert_eq!(again, rules);
    }
}
