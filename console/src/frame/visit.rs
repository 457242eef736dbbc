//! One look at the console: who, from where, in which language and colours. Found once per request, before any
//! handler, and put into the request; the answer gets its headers and cookies here too.

use super::{Page, SignedIn, cookie, cookie::Kind, headers, reply::Flash};
use crate::{Config, Console, Error, pages::error_page, words::Locale};
use actix_web::{
    HttpMessage, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, header},
    middleware::Next,
    web,
};
use ipnet::IpNet;
use std::{net::IpAddr, rc::Rc};

/// The colours a reader chose; none follows their system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    Light,
    Dark,
}

impl Theme {
    /// `light` or `dark`, as in the cookie and on `<html>`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "light" => Some(Self::Light),
            "dark" => Some(Self::Dark),
            _ => None,
        }
    }
}

/// What is known of one request before its handler runs.
pub(crate) struct Visit {
    /// The reader's language.
    pub locale: Locale,
    /// The reader's colours.
    pub theme: Option<Theme>,
    /// Where the request came from, proxies discounted.
    pub address: IpAddr,
    /// The browser, cut.
    pub user_agent: String,
    /// Who is signed in.
    pub signed_in: Option<SignedIn>,
    /// The message left by the page before.
    pub flash: Option<Flash>,
    /// Path without the query.
    pub path: String,
    /// Path and query, to come back to.
    pub here: String,
    /// The session cookie as it came, good or not.
    pub session: Option<String>,
    form_key: String,
    form_key_is_fresh: bool,
}

impl Visit {
    async fn of(req: &ServiceRequest, console: &Console) -> Result<Self, Error> {
        let config = &console.config;
        let cookie = |kind: Kind| req.cookie(&kind.name(config)).map(|c| c.value().to_owned());
        let session = cookie(Kind::Session);
        let signed_in = match &session {
            Some(secret) => SignedIn::resume(console, secret).await?,
            None => None,
        };
        let bound = match (&signed_in, &session) {
            (Some(_), Some(secret)) => Some(secret.clone()),
            _ => cookie(Kind::Form).filter(|value| value.len() == 43),
        };
        let form_key_is_fresh = bound.is_none();
        Ok(Self {
            locale: locale(req, cookie(Kind::Locale).as_deref()),
            theme: cookie(Kind::Theme).and_then(|word| Theme::parse(&word)),
            address: address(req, config),
            user_agent: text_header(req, &header::USER_AGENT)
                .chars()
                .take(200)
                .collect(),
            signed_in,
            flash: cookie(Kind::Flash).and_then(|value| Flash::open(&value, config)),
            path: req.path().to_owned(),
            here: req
                .uri()
                .path_and_query()
                .map_or("/", |p| p.as_str())
                .to_owned(),
            session,
            form_key: bound.unwrap_or_else(cookie::chance),
            form_key_is_fresh,
        })
    }

    /// The token every form of this reader carries.
    pub(crate) fn form_token(&self, config: &Config) -> String {
        cookie::sign(&config.form_secret, "form", &self.form_key)
    }

    /// Whether `token` came from a form of this reader.
    pub(crate) fn owns_form(&self, config: &Config, token: &str) -> bool {
        !self.form_key_is_fresh
            && cookie::verifies(&config.form_secret, "form", &self.form_key, token)
    }

    fn leave_cookies(&self, response: &mut HttpResponse<BoxBody>, config: &Config) {
        if is_page(response) {
            if self.form_key_is_fresh {
                let cookie = cookie::set(Kind::Form, self.form_key.clone(), config);
                response.add_cookie(&cookie).ok();
            }
            if self.flash.is_some() {
                response
                    .add_cookie(&cookie::forget(Kind::Flash, config))
                    .ok();
            }
        }
    }
}

fn is_page(response: &HttpResponse<BoxBody>) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// Runs before and after every handler of the console.
pub(crate) async fn visit(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let console = req
        .app_data::<web::Data<Console>>()
        .expect("configure puts the console into the app")
        .clone();
    let found = match Visit::of(&req, &console).await {
        Ok(found) => Rc::new(found),
        Err(error) => return Ok(without_frame(req, &error, &console.config)),
    };
    req.extensions_mut().insert(Rc::clone(&found));

    let answer = next.call(req).await?.map_into_boxed_body();

    let (req, mut response) = answer.into_parts();
    if let Some(error) = response.error().and_then(|e| e.as_error::<Error>()) {
        log(error, &found);
        response = error_page::answer(error, Page::new(console.clone(), Rc::clone(&found)));
    }
    found.leave_cookies(&mut response, &console.config);
    headers::put(response.headers_mut(), &console.config);
    Ok(ServiceResponse::new(req, response))
}

/// The store is away, so not even the reader is known.
fn without_frame(req: ServiceRequest, error: &Error, config: &Config) -> ServiceResponse<BoxBody> {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "a session could not be looked up"
    );
    let mut response = HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE)
        .insert_header((header::RETRY_AFTER, "5"))
        .content_type("text/plain; charset=utf-8")
        .body(Locale::English.say("error-internal-text"));
    headers::put(response.headers_mut(), config);
    req.into_response(response)
}

fn log(error: &Error, visit: &Visit) {
    let path = visit.path.as_str();
    if error.status_code().is_server_error() {
        tracing::error!(
            error = error as &dyn std::error::Error,
            path,
            "a page failed"
        );
    } else {
        tracing::debug!(code = error.code(), path, "a page was refused");
    }
}

fn locale(req: &ServiceRequest, chosen: Option<&str>) -> Locale {
    chosen
        .and_then(Locale::parse)
        .unwrap_or_else(|| Locale::accepted(text_header(req, &header::ACCEPT_LANGUAGE)))
}

fn text_header<'a>(req: &'a ServiceRequest, name: &header::HeaderName) -> &'a str {
    req.headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn address(req: &ServiceRequest, config: &Config) -> IpAddr {
    let socket = req
        .peer_addr()
        .map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip());
    nearest(socket, req.headers(), &config.trusted_proxies)
}

/// The nearest address that is no trusted proxy: the socket's, or the right-most untrusted one it forwards for. A proxy
/// may add a line of its own below the client's, so all lines are one list. A socket for both families knows an IPv4
/// address in its IPv6 form.
fn nearest(socket: IpAddr, headers: &header::HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let trusted = |ip: &IpAddr| proxies.iter().any(|net| net.contains(ip));
    let socket = socket.to_canonical();
    if !trusted(&socket) {
        return socket;
    }
    let lines: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .map(|line| line.to_str().unwrap_or_default())
        .collect();
    lines
        .iter()
        .rev()
        .flat_map(|line| line.rsplit(','))
        .map_while(|hop| hop.trim().parse::<IpAddr>().ok())
        .map(|hop| hop.to_canonical())
        .find(|hop| !trusted(hop))
        .unwrap_or(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

    #[test]
    fn the_nearest_untrusted_address_is_the_reader() {
        let proxies = ["10.0.0.0/8".parse().expect("a network")];
        let table: [(&str, &[&'static str], &str); 8] = [
            ("192.0.2.1", &["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            (
                "10.0.0.1",
                &["203.0.113.9, 198.51.100.7, 10.0.0.2"],
                "198.51.100.7",
            ),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9", "unknown"], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:192.0.2.1", &[], "192.0.2.1"),
        ];
        for (socket, lines, reader) in table {
            let mut headers = HeaderMap::new();
            for line in lines {
                let name = HeaderName::from_static("x-forwarded-for");
                headers.append(name, HeaderValue::from_static(line));
            }
            let socket = socket.parse().expect("an address");
            let found = nearest(socket, &headers, &proxies);
            assert_eq!(found.to_string(), reader, "{socket} {lines:?}");
        }
    }
}
