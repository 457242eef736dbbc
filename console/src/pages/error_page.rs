//! The page behind every error, in the reader's language, with the way on.

use crate::{Error, frame::Page};
use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{StatusCode, header},
};
use askama::Template;
use url::form_urlencoded;

#[derive(Template)]
#[template(path = "page/error.html")]
struct ErrorPage {
    page: Page,
    status: u16,
    title: String,
    text: String,
}

/// The answer to `error`: a page, or the way to signing in.
pub(crate) fn answer(error: &Error, page: Page) -> HttpResponse<BoxBody> {
    if let Error::SignInNeeded { next } = error {
        let query: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        return HttpResponse::SeeOther()
            .insert_header((header::LOCATION, format!("/console/sign-in?next={query}")))
            .finish();
    }
    let (title, text) = error.words();
    let mut builder = HttpResponse::build(error.status_code());
    if let Some(seconds) = error.retry_after() {
        builder.insert_header((header::RETRY_AFTER, seconds.to_string()));
    }
    if let Error::Method { allow } = error {
        builder.insert_header((header::ALLOW, *allow));
    }
    let template = ErrorPage {
        status: error.status_code().as_u16(),
        title: page.say_phrase(&title),
        text: page.say_phrase(&text),
        page,
    };
    match template.render() {
        Ok(html) => builder.content_type("text/html; charset=utf-8").body(html),
        Err(_) => HttpResponse::new(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
