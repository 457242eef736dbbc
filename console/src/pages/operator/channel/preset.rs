//! The well-known providers: what they speak and where they are.

use crate::words::{Phrase, phrase};
use entity::channel::Kind;

/// A provider to choose from.
pub(super) struct Preset {
    /// Its word in the form.
    pub word: &'static str,
    /// Its own name, or none where the catalog names it.
    name: Option<&'static str>,
    /// What it speaks.
    pub kind: Kind,
    /// Where it is; empty where an operator has to say.
    pub base_url: &'static str,
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
    }
}

const fn other(word: &'static str, kind: Kind) -> Preset {
    Preset {
        word,
        name: None,
        kind,
        base_url: "",
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
    known(
        "deepseek",
        "DeepSeek",
        OpenaiCompatible,
        "https://api.deepseek.com/v1",
    ),
    known("xai", "xAI", OpenaiCompatible, "https://api.x.ai/v1"),
    known(
        "mistral",
        "Mistral",
        OpenaiCompatible,
        "https://api.mistral.ai/v1",
    ),
    known(
        "moonshot",
        "Moonshot",
        OpenaiCompatible,
        "https://api.moonshot.cn/v1",
    ),
    known(
        "zhipu",
        "Zhipu GLM",
        OpenaiCompatible,
        "https://open.bigmodel.cn/api/paas/v4",
    ),
    known(
        "alibaba",
        "Alibaba Qwen",
        OpenaiCompatible,
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
    ),
    known(
        "minimax",
        "MiniMax",
        OpenaiCompatible,
        "https://api.minimax.io/v1",
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
            assert_eq!(preset.own_name().is_some(), !preset.base_url.is_empty());
            if !preset.base_url.is_empty() {
                let url = url::Url::parse(preset.base_url).expect("an address");
                assert_eq!(url.scheme(), "https");
            }
        }
    }
}
