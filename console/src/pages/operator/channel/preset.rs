//! The well-known providers: what they speak and where they are.

use crate::words::{Phrase, phrase};
use entity::channel::{Kind, Options, OutputLimit, Quirks};

/// A provider to choose from.
#[derive(Clone, Copy)]
pub(super) struct Preset {
    /// Its word in the form.
    pub word: &'static str,
    /// Its own name, or none where the catalog names it.
    name: Option<&'static str>,
    /// What it speaks.
    pub kind: Kind,
    /// Where it is; empty where an operator has to say.
    pub base_url: &'static str,
    /// Whether it answers without a key.
    pub is_open: bool,
    /// What it does otherwise than its protocol has it.
    quirks: Quirk,
}

/// What a preset sets beside its address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quirk {
    None,
    /// The key in a header of its own, a version in the address, and only the new name of the output limit.
    Azure,
    /// Only the old name of the output limit.
    MaxTokens,
    /// As `MaxTokens`, and no `stream_options`.
    Plain,
    /// As `MaxTokens`, and thoughts within the text, where they are wanted back.
    ThinksAloud,
}

const fn known(
    word: &'static str,
    name: &'static str,
    kind: Kind,
    base_url: &'static str,
) -> Preset {
    Preset {
        word,
        name: Some(name),
        kind,
        base_url,
        is_open: false,
        quirks: Quirk::None,
    }
}

const fn with(preset: Preset, quirks: Quirk) -> Preset {
    Preset { quirks, ..preset }
}

/// A server of one's own, which may want no key.
const fn own(word: &'static str, name: &'static str, quirks: Quirk) -> Preset {
    Preset {
        is_open: true,
        quirks,
        ..known(word, name, OpenaiCompatible, "")
    }
}

const fn other(word: &'static str, kind: Kind) -> Preset {
    Preset {
        word,
        name: None,
        kind,
        base_url: "",
        is_open: true,
        quirks: Quirk::None,
    }
}

use Kind::{Anthropic, Openai, OpenaiCompatible, Sandbox};

pub(super) static PRESETS: &[Preset] = &[
    known("openai", "OpenAI", Openai, "https://api.openai.com/v1"),
    known(
        "anthropic",
        "Anthropic",
        Anthropic,
        "https://api.anthropic.com",
    ),
    known(
        "gemini",
        "Google Gemini",
        OpenaiCompatible,
        "https://generativelanguage.googleapis.com/v1beta/openai",
    ),
    with(
        known(
            "deepseek",
            "DeepSeek",
            OpenaiCompatible,
            "https://api.deepseek.com/v1",
        ),
        Quirk::MaxTokens,
    ),
    known("xai", "xAI", OpenaiCompatible, "https://api.x.ai/v1"),
    with(
        known(
            "mistral",
            "Mistral",
            OpenaiCompatible,
            "https://api.mistral.ai/v1",
        ),
        Quirk::Plain,
    ),
    with(
        known(
            "moonshot",
            "Moonshot",
            OpenaiCompatible,
            "https://api.moonshot.cn/v1",
        ),
        Quirk::MaxTokens,
    ),
    with(
        known(
            "zhipu",
            "Zhipu GLM",
            OpenaiCompatible,
            "https://open.bigmodel.cn/api/paas/v4",
        ),
        Quirk::MaxTokens,
    ),
    with(
        known(
            "alibaba",
            "Alibaba Qwen",
            OpenaiCompatible,
            "https://dashscope.aliyuncs.com/compatible-mode/v1",
        ),
        Quirk::MaxTokens,
    ),
    with(
        known(
            "minimax",
            "MiniMax",
            OpenaiCompatible,
            "https://api.minimax.io/v1",
        ),
        Quirk::ThinksAloud,
    ),
    known(
        "openrouter",
        "OpenRouter",
        OpenaiCompatible,
        "https://openrouter.ai/api/v1",
    ),
    known(
        "groq",
        "Groq",
        OpenaiCompatible,
        "https://api.groq.com/openai/v1",
    ),
    with(
        known("azure", "Azure OpenAI", OpenaiCompatible, ""),
        Quirk::Azure,
    ),
    own("ollama", "Ollama", Quirk::MaxTokens),
    own("vllm", "vLLM", Quirk::None),
    other("compatible", OpenaiCompatible),
    other("anthropic_compatible", Anthropic),
    other("sandbox", Sandbox),
];

impl Preset {
    /// The preset of this word.
    pub(super) fn at(word: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.word == word)
    }

    /// Its own name, where it has one.
    pub(super) fn own_name(&self) -> Option<&'static str> {
        self.name
    }

    /// How its channels are asked at first; an operator may change it.
    pub(super) fn options(&self) -> Options {
        let limit = |name| Quirks {
            output_limit: Some(name),
            ..Quirks::default()
        };
        let quirks = match self.quirks {
            Quirk::None => Quirks::default(),
            Quirk::MaxTokens => limit(OutputLimit::MaxTokens),
            Quirk::Plain => Quirks {
                no_stream_options: true,
                ..limit(OutputLimit::MaxTokens)
            },
            Quirk::ThinksAloud => Quirks {
                split_think: true,
                echo_reasoning: Some(true),
                ..limit(OutputLimit::MaxTokens)
            },
            Quirk::Azure => Quirks {
                api_key_header: true,
                api_version: Some("preview".to_owned()),
                ..limit(OutputLimit::MaxCompletionTokens)
            },
        };
        Options {
            quirks,
            ..Options::default()
        }
    }

    /// What the catalog calls one without a name of its own.
    pub(super) fn label(&self) -> Phrase {
        match self.kind {
            Sandbox => phrase("op-channel-preset-sandbox"),
            Anthropic => phrase("op-channel-preset-other-anthropic"),
            Openai | OpenaiCompatible => phrase("op-channel-preset-other"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_an_address_that_reads_and_a_word_of_its_own() {
        for preset in PRESETS {
            assert!(std::ptr::eq(
                Preset::at(preset.word).expect("its own word"),
                preset
            ));
            if !preset.base_url.is_empty() {
                let url = url::Url::parse(preset.base_url).expect("an address");
                assert_eq!(url.scheme(), "https");
            }
        }
    }
}
