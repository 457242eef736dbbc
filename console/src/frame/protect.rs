//! Forms that are proved to be ours: a handler can reach a body only through [`Protected`].

use super::{Visit, rights};
use crate::{Config, Console, Error, words::Phrase};
use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap},
    web::{self, Bytes},
};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use std::{rc::Rc, time::Duration};
use tokio::time::timeout;
use url::{Url, form_urlencoded};

/// No form of ours is larger.
const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// How long a form may take to arrive, so that no connection is held by one that never ends.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// The name of the hidden field with the token.
const TOKEN: &str = "form_token";

/// A form that came from our own page in the reader's own browser.
///
/// A field sent more than once (boxes of one name) arrives as one text of several lines.
pub(crate) struct Protected<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Protected<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let visit = rights::of(req);
        let console = req.app_data::<web::Data<Console>>().cloned();
        let headers = req.headers().clone();
        let body = Bytes::from_request(req, payload);
        Box::pin(async move {
            let (visit, console) = match (visit, console) {
                (Ok(visit), Some(console)) => (visit, console),
                (Err(error), _) => return Err(error),
                (_, None) => return Err(Error::Internal("the app holds no console".into())),
            };
            same_origin(&headers, &console.config)?;
            let body = whole(body, BODY_WITHIN).await?;
            read(&body, &visit, &console.config).map(Self)
        })
    }
}

async fn whole(
    body: impl Future<Output = Result<Bytes, actix_web::Error>>,
    within: Duration,
) -> Result<Bytes, Error> {
    let body = timeout(within, body).await.map_err(|_| Error::TooSlow)?;
    body.ok()
        .filter(|body| body.len() <= BODY_LIMIT_BYTES)
        .ok_or(Error::TooLarge)
}

fn read<T: DeserializeOwned>(body: &[u8], visit: &Rc<Visit>, config: &Config) -> Result<T, Error> {
    let mut token = None;
    let mut fields: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(body) {
        if name == TOKEN {
            token = Some(value.into_owned());
        } else if let Some((_, lines)) = fields.iter_mut().find(|(known, _)| *known == name) {
            lines.push('\n');
            lines.push_str(&value);
        } else {
            fields.push((name.into_owned(), value.into_owned()));
        }
    }
    if !token.is_some_and(|token| visit.owns_form(config, &token)) {
        return Err(Error::Forged);
    }
    let text = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    serde_urlencoded::from_str(&text).map_err(|cause| Error::Malformed(cause.to_string()))
}

/// The browser's own word where it gives one (Fetch Metadata), else the `Origin` header, which must name this host.
fn same_origin(headers: &HeaderMap, config: &Config) -> Result<(), Error> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let ours = match text("sec-fetch-site") {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => text(header::ORIGIN.as_str()).is_some_and(|origin| {
            origin == config.public_url.origin().ascii_serialization()
                || authority(origin).as_deref() == text(header::HOST.as_str())
        }),
    };
    if ours { Ok(()) } else { Err(Error::Forged) }
}

fn authority(origin: &str) -> Option<String> {
    let url = Url::parse(origin).ok()?;
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// What is wrong with which field of a form, for the page that shows it again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Vec<(&'static str, Phrase)>);

impl Faults {
    /// Nothing wrong yet.
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }

    /// One field is wrong.
    pub(crate) fn of(field: &'static str, phrase: Phrase) -> Self {
        Self(vec![(field, phrase)])
    }

    /// Notes that a field is wrong.
    pub(crate) fn add(&mut self, field: &'static str, phrase: Phrase) {
        self.0.push((field, phrase));
    }

    /// Whether the form is fine.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong first, for a form whose page has another one to show faults in.
    pub(crate) fn first(&self) -> Option<&Phrase> {
        self.0.first().map(|(_, phrase)| phrase)
    }

    /// What is wrong with `field`.
    pub(crate) fn about(&self, field: &str) -> Option<&Phrase> {
        self.0
            .iter()
            .find(|(known, _)| *known == field)
            .map(|(_, phrase)| phrase)
    }

    /// The value, or nothing and a note about `field`.
    pub(crate) fn take<T>(&mut self, field: &'static str, result: Result<T, Phrase>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(phrase) => {
                self.add(field, phrase);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::FormSecret;
    use actix_web::{http::header::HeaderValue, test::TestRequest};
    use futures_util::{StreamExt, stream};

    fn config() -> Config {
        Config {
            public_url: Url::parse("https://tollgate.example").expect("a URL"),
            site_name: "Tollgate".into(),
            form_secret: FormSecret::new([7; 32]),
            trusted_proxies: Vec::new(),
            sign_up_open: true,
        }
    }

    #[actix_web::test]
    async fn a_form_that_never_ends_is_given_up() {
        let pieces = stream::iter([Ok(Bytes::from_static(b"email="))]).chain(stream::pending());
        let mut endless = Payload::Stream {
            payload: pieces.boxed_local(),
        };
        let request = TestRequest::post().to_http_request();
        let body = Bytes::from_request(&request, &mut endless);

        let outcome = whole(body, Duration::from_millis(1)).await;

        assert!(matches!(outcome, Err(Error::TooSlow)), "{outcome:?}");
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        let table: [(&[(&'static str, &'static str)], bool); 7] = [
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (
                &[
                    ("sec-fetch-site", "same-site"),
                    ("origin", "https://tollgate.example"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("origin", "https://tollgate.example")], true),
            (
                &[
                    ("origin", "http://10.0.0.5:8080"),
                    ("host", "10.0.0.5:8080"),
                ],
                true,
            ),
            (&[], false),
        ];
        for (pairs, fine) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(
                    header::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
            assert_eq!(same_origin(&headers, &config()).is_ok(), fine, "{pairs:?}");
        }
    }
}
