//! Stylesheet, script and icon: embedded, and served under a hash of their content so that they may be kept for a
//! year.

use crate::error::Error;
use actix_web::{HttpResponse, http::header, web};
use rust_embed::{EmbeddedFile, RustEmbed};
use std::{collections::BTreeMap, sync::LazyLock};

const FOREVER: &str = "public, max-age=31536000, immutable";

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

static VERSIONS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    Files::iter()
        .filter_map(|name| Files::get(&name).map(|file| (name.to_string(), version(&file))))
        .collect()
});

fn version(file: &EmbeddedFile) -> String {
    hex::encode(&file.metadata.sha256_hash()[..8])
}

/// The address of the file `name`, which changes with its content.
pub(crate) fn address(name: &str) -> String {
    let version = VERSIONS.get(name).map_or("0", String::as_str);
    format!("/static/{version}/{name}")
}

/// Serves one file. An address of another version is answered with today's content, but not to be kept.
pub(crate) async fn show(path: web::Path<(String, String)>) -> Result<HttpResponse, Error> {
    let (asked, name) = path.into_inner();
    let file = Files::get(&name).ok_or(Error::NotFound)?;

    let keep = if VERSIONS.get(&name) == Some(&asked) {
        FOREVER
    } else {
        "no-cache"
    };

    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type(&name)))
        .insert_header((header::CACHE_CONTROL, keep))
        .body(file.data.into_owned()))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
