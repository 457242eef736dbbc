//! What a handler answers: a page, a form shown again, or the way to the next page with a message.

use super::{State, Theme, cookie, cookie::Kind};
use crate::{
    Config, Console, Error,
    words::{Locale, Phrase},
};
use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    cookie::Cookie,
    http::{StatusCode, header},
    web,
};
use askama::Template;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// How a message is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tone {
    Good,
    Note,
    Warn,
    Bad,
}

impl Tone {
    /// The word the stylesheet knows.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A message for the next page, carried once in a signed cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flash {
    /// How it is meant.
    pub tone: Tone,
    /// What it says.
    pub phrase: Phrase,
}

impl Flash {
    fn seal(&self, config: &Config) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        let signature = cookie::sign(&config.form_secret, "flash", &text);
        format!("{}.{signature}", URL_SAFE_NO_PAD.encode(text))
    }

    pub(super) fn open(value: &str, config: &Config) -> Option<Self> {
        let (body, signature) = value.split_once('.')?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        if !cookie::verifies(&config.form_secret, "flash", &text, signature) {
            return None;
        }
        serde_json::from_str(&text).ok()
    }
}

/// What the browser is asked to remember.
pub(crate) enum Keep {
    /// The secret of a new session.
    Session(String),
    /// No session any more.
    NoSession,
    /// The language.
    Locale(Locale),
    /// The colours; none follows the system.
    Theme(Option<Theme>),
}

impl Keep {
    fn cookie(self, config: &Config) -> Cookie<'static> {
        match self {
            Self::Session(secret) => cookie::set(Kind::Session, secret, config),
            Self::NoSession => cookie::forget(Kind::Session, config),
            Self::Locale(locale) => cookie::set(Kind::Locale, locale.tag().to_owned(), config),
            Self::Theme(Some(theme)) => cookie::set(Kind::Theme, theme.word().to_owned(), config),
            Self::Theme(None) => cookie::forget(Kind::Theme, config),
        }
    }
}

/// An answer, finished by the frame.
pub(crate) struct Reply {
    status: StatusCode,
    body: Body,
    keep: Vec<Keep>,
    flash: Option<Flash>,
    headers: Vec<(header::HeaderName, &'static str)>,
}

enum Body {
    Page(String),
    File {
        name: String,
        kind: &'static str,
        content: String,
    },
    Location(String),
}

/// A page.
pub(crate) fn page(template: &impl Template) -> Result<Reply, Error> {
    Ok(Reply::new(StatusCode::OK, Body::Page(template.render()?)))
}

/// A form shown again with what is wrong in it: 422.
pub(crate) fn refused(template: &impl Template) -> Result<Reply, Error> {
    let body = Body::Page(template.render()?);
    Ok(Reply::new(StatusCode::UNPROCESSABLE_ENTITY, body))
}

/// A file to save.
pub(crate) fn file(name: impl Into<String>, kind: &'static str, content: String) -> Reply {
    let name = name.into();
    Reply::new(
        StatusCode::OK,
        Body::File {
            name,
            kind,
            content,
        },
    )
}

/// Off to another page of ours: 303.
pub(crate) fn see_other(path: impl Into<String>) -> Reply {
    Reply::new(StatusCode::SEE_OTHER, Body::Location(path.into()))
}

impl Reply {
    fn new(status: StatusCode, body: Body) -> Self {
        Self {
            status,
            body,
            keep: Vec::new(),
            flash: None,
            headers: Vec::new(),
        }
    }

    /// Leaves a message for the next page.
    pub(crate) fn flash(mut self, tone: Tone, phrase: Phrase) -> Self {
        self.flash = Some(Flash { tone, phrase });
        self
    }

    /// Has the browser remember something.
    pub(crate) fn keep(mut self, keep: Keep) -> Self {
        self.keep.push(keep);
        self
    }

    /// A header of its own.
    pub(crate) fn header(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn finish(self, config: &Config) -> HttpResponse<BoxBody> {
        let mut builder = HttpResponse::build(self.status);
        for header in self.headers {
            builder.insert_header(header);
        }
        for keep in self.keep {
            builder.cookie(keep.cookie(config));
        }
        if let Some(flash) = self.flash {
            builder.cookie(cookie::set(Kind::Flash, flash.seal(config), config));
        }
        match self.body {
            Body::Page(html) => builder.content_type("text/html; charset=utf-8").body(html),
            Body::File {
                name,
                kind,
                content,
            } => builder
                .content_type(kind)
                .insert_header((
                    header::CONTENT_DISPOSITION,
                    format!("attachment; filename=\"{name}\""),
                ))
                .body(content),
            Body::Location(path) => builder.insert_header((header::LOCATION, path)).finish(),
        }
    }
}

impl Responder for Reply {
    type Body = BoxBody;

    fn respond_to(self, req: &HttpRequest) -> HttpResponse<BoxBody> {
        match req.app_data::<web::Data<Console>>() {
            Some(console) => self.finish(&State::clone(console).config),
            None => HttpResponse::InternalServerError().finish(),
        }
    }
}
