//! Which articles there are, and how the menu groups them.

use crate::words::{Phrase, phrase};

/// One page of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Article {
    Start,
    Authentication,
    BaseUrl,
    Endpoints,
    Errors,
    Sdk,
    ClaudeCode,
    Codex,
    OpenCode,
    OpenClaw,
}

/// A heading of the menu and the articles under it.
pub(super) struct Part {
    pub title: Phrase,
    pub articles: &'static [Article],
}

pub(super) static MENU: &[Part] = &[
    Part {
        title: phrase("docs-part-start"),
        articles: &[Article::Start, Article::Authentication, Article::BaseUrl],
    },
    Part {
        title: phrase("docs-part-clients"),
        articles: &[
            Article::ClaudeCode,
            Article::Codex,
            Article::OpenCode,
            Article::OpenClaw,
            Article::Sdk,
        ],
    },
    Part {
        title: phrase("docs-part-reference"),
        articles: &[Article::Endpoints, Article::Errors],
    },
];

impl Article {
    /// The article at `/docs/{slug}`.
    pub(super) fn at(slug: &str) -> Option<Self> {
        MENU.iter()
            .flat_map(|part| part.articles)
            .copied()
            .find(|article| article.slug() == slug)
    }

    /// Its last part of the address.
    pub(super) const fn slug(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Authentication => "authentication",
            Self::BaseUrl => "base-url",
            Self::Endpoints => "endpoints",
            Self::Errors => "errors",
            Self::Sdk => "sdk",
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::OpenCode => "opencode",
            Self::OpenClaw => "openclaw",
        }
    }

    /// Its whole address; the first article is the documentation's own.
    pub(super) fn address(self) -> String {
        match self {
            Self::Start => "/docs".to_owned(),
            other => format!("/docs/{}", other.slug()),
        }
    }

    /// Its heading.
    pub(super) const fn title(self) -> Phrase {
        match self {
            Self::Start => phrase("docs-start"),
            Self::Authentication => phrase("docs-authentication"),
            Self::BaseUrl => phrase("docs-base-url"),
            Self::Endpoints => phrase("docs-endpoints"),
            Self::Errors => phrase("docs-errors"),
            Self::Sdk => phrase("docs-sdk"),
            Self::ClaudeCode => phrase("docs-claude-code"),
            Self::Codex => phrase("docs-codex"),
            Self::OpenCode => phrase("docs-opencode"),
            Self::OpenClaw => phrase("docs-openclaw"),
        }
    }
}
