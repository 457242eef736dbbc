//! The lines that connect a client with a new key: what to paste, where, and the cc-switch links.
//!
//! Each client wants its own base URL: Claude Code and the Anthropic SDKs without `/v1`, everybody else with it.

use crate::words::{Phrase, phrase};
use serde_json::json;
use url::form_urlencoded;

/// What stands in the lines where nothing is on sale yet.
const EXAMPLE_MODEL: &str = "model-name";

/// What the lines are made of.
pub(super) struct Target<'a> {
    /// The installation's address without `/v1`.
    pub base_url: &'a str,
    /// What the installation is called.
    pub site: &'a str,
    /// The key in plain text.
    pub key: &'a str,
    /// Names of the chat models on sale to this key, the best first.
    pub models: &'a [String],
}

/// One client's tab.
pub(super) struct Client {
    pub id: &'static str,
    pub label: &'static str,
    pub note: Phrase,
    pub blocks: Vec<Block>,
}

/// One thing to paste.
pub(super) struct Block {
    pub id: String,
    pub title: &'static str,
    pub text: String,
}

/// A link that fills in cc-switch.
pub(super) struct SwitchLink {
    pub label: &'static str,
    pub href: String,
}

impl Target<'_> {
    fn v1(&self) -> String {
        format!("{}/v1", self.base_url)
    }

    fn model(&self) -> &str {
        self.models.first().map_or(EXAMPLE_MODEL, String::as_str)
    }

    /// A Claude model where one is on sale, for clients made for them.
    fn claude(&self) -> &str {
        self.named("claude", "haiku")
            .unwrap_or_else(|| self.model())
    }

    /// The small model such clients use in the background.
    fn claude_small(&self) -> &str {
        self.named("haiku", "nano").unwrap_or_else(|| self.claude())
    }

    /// An OpenAI model where one is on sale.
    fn gpt(&self) -> &str {
        self.named("gpt", "mini").unwrap_or_else(|| self.model())
    }

    /// The first model of a family, one that is not its small sister where there is one.
    fn named(&self, family: &str, small: &str) -> Option<&str> {
        let mut family = self
            .models
            .iter()
            .map(String::as_str)
            .filter(|name| name.contains(family));
        family
            .clone()
            .find(|name| !name.contains(small))
            .or_else(|| family.next())
    }
}

/// All tabs, in the order they are shown.
pub(super) fn clients(target: &Target<'_>) -> Vec<Client> {
    vec![
        client(
            "claude-code",
            "Claude Code",
            phrase("connect-claude-code"),
            claude_code(target),
        ),
        client("codex", "Codex", phrase("connect-codex"), codex(target)),
        client(
            "opencode",
            "OpenCode",
            phrase("connect-opencode"),
            opencode(target),
        ),
        client(
            "openclaw",
            "OpenClaw",
            phrase("connect-openclaw"),
            openclaw(target),
        ),
        client(
            "openai-sdk",
            "OpenAI SDK",
            phrase("connect-openai-sdk"),
            openai_sdk(target),
        ),
        client(
            "anthropic-sdk",
            "Anthropic SDK",
            phrase("connect-anthropic-sdk"),
            anthropic_sdk(target),
        ),
        client("curl", "curl", phrase("connect-curl"), curl(target)),
    ]
}

fn client(
    id: &'static str,
    label: &'static str,
    note: Phrase,
    blocks: Vec<(&'static str, String)>,
) -> Client {
    let blocks = blocks
        .into_iter()
        .enumerate()
        .map(|(place, (title, text))| Block {
            id: format!("{id}-{place}"),
            title,
            text,
        })
        .collect();
    Client {
        id,
        label,
        note,
        blocks,
    }
}

fn claude_code(target: &Target<'_>) -> Vec<(&'static str, String)> {
    let (base, key) = (target.base_url, target.key);
    let (model, small) = (target.claude(), target.claude_small());
    let shell = format!(
        "export ANTHROPIC_BASE_URL=\"{base}\"\n\
         export ANTHROPIC_AUTH_TOKEN=\"{key}\"\n\
         export ANTHROPIC_MODEL=\"{model}\"\n\
         export ANTHROPIC_DEFAULT_HAIKU_MODEL=\"{small}\"\n\
         claude"
    );
    let settings = format!(
        "{{\n  \"env\": {{\n    \"ANTHROPIC_BASE_URL\": \"{base}\",\n    \"ANTHROPIC_AUTH_TOKEN\": \"{key}\",\n    \
         \"ANTHROPIC_MODEL\": \"{model}\",\n    \"ANTHROPIC_DEFAULT_HAIKU_MODEL\": \"{small}\"\n  }}\n}}"
    );
    vec![("sh", shell), ("~/.claude/settings.json", settings)]
}

fn codex(target: &Target<'_>) -> Vec<(&'static str, String)> {
    let config = format!(
        "model = \"{}\"\nmodel_provider = \"tollgate\"\n\n[model_providers.tollgate]\nname = \"{}\"\n\
         base_url = \"{}\"\nwire_api = \"responses\"\nenv_key = \"TOLLGATE_API_KEY\"",
        target.gpt(),
        toml_text(target.site),
        target.v1(),
    );
    let shell = format!("export TOLLGATE_API_KEY=\"{}\"\ncodex", target.key);
    vec![("~/.codex/config.toml", config), ("sh", shell)]
}

fn toml_text(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() && !matches!(c, '"' | '\\'))
        .collect()
}

fn opencode(target: &Target<'_>) -> Vec<(&'static str, String)> {
    let model = target.model();
    let config = format!(
        r#"{{
  "$schema": "https://opencode.ai/config.json",
  "model": "tollgate/{model}",
  "provider": {{
    "tollgate": {{
      "npm": "@ai-sdk/openai-compatible",
      "name": "{}",
      "options": {{
        "baseURL": "{}",
        "apiKey": "{{env:TOLLGATE_API_KEY}}"
      }},
      "models": {{
        "{model}": {{ "name": "{model}" }}
      }}
    }}
  }}
}}"#,
        toml_text(target.site),
        target.v1(),
    );
    let shell = format!("export TOLLGATE_API_KEY=\"{}\"\nopencode", target.key);
    vec![("~/.config/opencode/opencode.json", config), ("sh", shell)]
}

fn openclaw(target: &Target<'_>) -> Vec<(&'static str, String)> {
    let model = target.model();
    let config = format!(
        r#"{{
  "models": {{
    "mode": "merge",
    "providers": {{
      "tollgate": {{
        "baseUrl": "{}",
        "apiKey": "{}",
        "api": "openai-completions",
        "models": [
          {{ "id": "{model}", "name": "{model}" }}
        ]
      }}
    }}
  }},
  "agents": {{
    "defaults": {{
      "model": {{ "primary": "tollgate/{model}" }}
    }}
  }}
}}"#,
        target.v1(),
        target.key,
    );
    let shell = "openclaw agent --local --agent main --message \"Say hello.\"".to_owned();
    vec![("~/.openclaw/openclaw.json", config), ("sh", shell)]
}

fn openai_sdk(target: &Target<'_>) -> Vec<(&'static str, String)> {
    let code = format!(
        "from openai import OpenAI\n\nclient = OpenAI(base_url=\"{}\", api_key=\"{}\")\n\
         stream = client.chat.completions.create(\n    model=\"{}\",\n    \
         messages=[{{\"role\": \"user\", \"content\": \"Say hello.\"}}],\n    stream=True,\n)\n\
         for chunk in stream:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or \"\", end=\"\")",
        target.v1(),
        target.key,
        target.model(),
    );
    vec![("python", code)]
}

fn anthropic_sdk(target: &Target<'_>) -> Vec<(&'static str, String)> {
    let code = format!(
        "from anthropic import Anthropic\n\nclient = Anthropic(base_url=\"{}\", auth_token=\"{}\")\n\
         with client.messages.stream(\n    model=\"{}\",\n    max_tokens=1024,\n    \
         messages=[{{\"role\": \"user\", \"content\": \"Say hello.\"}}],\n) as stream:\n    \
         for text in stream.text_stream:\n        print(text, end=\"\")",
        target.base_url,
        target.key,
        target.claude(),
    );
    vec![("python", code)]
}

fn curl(target: &Target<'_>) -> Vec<(&'static str, String)> {
    let (v1, key) = (target.v1(), target.key);
    let body = json!({
        "model": target.model(),
        "stream": true,
        "messages": [{"role": "user", "content": "Say hello."}],
    });
    let list = format!("curl {v1}/models -H \"Authorization: Bearer {key}\"");
    let ask = format!(
        "curl -N {v1}/chat/completions \\\n  -H \"Authorization: Bearer {key}\" \\\n  \
         -H \"Content-Type: application/json\" \\\n  -d '{body}'"
    );
    vec![("sh", list), ("sh", ask)]
}

/// One link an application that cc-switch configures.
pub(super) fn switch_links(target: &Target<'_>) -> Vec<SwitchLink> {
    let small = target.claude_small();
    let models = [
        ("haikuModel", small),
        ("sonnetModel", target.claude()),
        ("opusModel", target.claude()),
    ];
    vec![
        link(
            target,
            ("Claude Code", "claude"),
            target.base_url,
            target.claude(),
            &models,
        ),
        link(target, ("Codex", "codex"), &target.v1(), target.gpt(), &[]),
        link(
            target,
            ("OpenCode", "opencode"),
            &target.v1(),
            target.model(),
            &[],
        ),
        link(
            target,
            ("OpenClaw", "openclaw"),
            &target.v1(),
            target.model(),
            &[],
        ),
    ]
}

fn link(
    target: &Target<'_>,
    (label, app): (&'static str, &'static str),
    endpoint: &str,
    model: &str,
    more: &[(&str, &str)],
) -> SwitchLink {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("resource", "provider")
        .append_pair("app", app)
        .append_pair("name", target.site)
        .append_pair("endpoint", endpoint)
        .append_pair("apiKey", target.key)
        .append_pair("homepage", target.base_url)
        .append_pair("model", model)
        .extend_pairs(more)
        .append_pair("enabled", "true")
        .finish();
    SwitchLink {
        label,
        href: format!("ccswitch://v1/import?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    const KEY: &str = "sk-tg-example";

    fn target(models: &[String]) -> Target<'_> {
        Target {
            base_url: "https://tollgate.example",
            site: "Tollgate & Co",
            key: KEY,
            models,
        }
    }

    fn models() -> Vec<String> {
        [
            "gpt-5.5-mini",
            "gpt-5.5",
            "claude-haiku-5",
            "claude-sonnet-5",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    #[test]
    fn every_client_gets_the_key_and_the_base_url_it_wants() {
        let models = models();
        for client in clients(&target(&models)) {
            let text: String = client
                .blocks
                .iter()
                .map(|block| block.text.as_str())
                .collect();
            let wants_v1 = !matches!(client.id, "claude-code" | "anthropic-sdk");
            assert!(text.contains(KEY), "{}", client.id);
            assert_eq!(
                text.contains("tollgate.example/v1"),
                wants_v1,
                "{}",
                client.id
            );
        }
    }

    #[test]
    fn configuration_files_parse() {
        let models = models();
        for client in clients(&target(&models)) {
            for block in client.blocks {
                if std::path::Path::new(block.title)
                    .extension()
                    .is_some_and(|e| e == "json")
                {
                    let parsed: Result<serde_json::Value, _> = serde_json::from_str(&block.text);
                    assert!(parsed.is_ok(), "{}", block.text);
                }
            }
        }
    }

    #[test]
    fn claude_code_gets_claude_models_and_codex_an_openai_one() {
        let models = models();
        let target = target(&models);

        assert_eq!(target.claude(), "claude-sonnet-5");
        assert_eq!(target.claude_small(), "claude-haiku-5");
        assert_eq!(target.gpt(), "gpt-5.5");
    }

    #[test]
    fn a_switch_link_reads_back_as_what_was_meant() {
        let models = models();
        let links = switch_links(&target(&models));

        for (link, endpoint) in links.iter().zip(["", "/v1", "/v1", "/v1"]) {
            let url = Url::parse(&link.href).expect("a link");
            let fields: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
            assert_eq!(
                (url.scheme(), url.host_str(), url.path()),
                ("ccswitch", Some("v1"), "/import")
            );
            assert_eq!(fields["resource"], "provider");
            assert_eq!(fields["name"], "Tollgate & Co");
            assert_eq!(fields["apiKey"], KEY);
            assert_eq!(
                fields["endpoint"],
                format!("https://tollgate.example{endpoint}")
            );
            assert_eq!(fields["enabled"], "true");
        }
    }

    #[test]
    fn an_empty_shop_still_shows_how_the_lines_look() {
        assert_eq!(target(&[]).model(), EXAMPLE_MODEL);
    }
}
