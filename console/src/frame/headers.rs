//! The headers that keep a browser from being turned against its owner, on every answer of the console.

use crate::Config;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Nothing inline, nothing foreign: scripts, styles and images come from this origin, and no page may be framed.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
    object-src 'none'; manifest-src 'self'";

const PERMISSIONS: &str = "camera=(), microphone=(), geolocation=(), payment=(), usb=()";

/// Puts the headers on an answer; what a handler has set itself stays.
pub(super) fn put(headers: &mut HeaderMap, config: &Config) {
    let fixed = |text| HeaderValue::from_static(text);
    set(
        headers,
        header::CONTENT_SECURITY_POLICY,
        fixed(CONTENT_SECURITY_POLICY),
    );
    set(headers, header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    set(headers, header::REFERRER_POLICY, fixed("same-origin"));
    set(
        headers,
        header::CROSS_ORIGIN_OPENER_POLICY,
        fixed("same-origin"),
    );
    set(
        headers,
        header::CROSS_ORIGIN_RESOURCE_POLICY,
        fixed("same-origin"),
    );
    set(headers, header::PERMISSIONS_POLICY, fixed(PERMISSIONS));
    set(headers, header::CACHE_CONTROL, fixed("no-store"));
    set(headers, header::VARY, fixed("Cookie, Accept-Language"));
    if config.secure() {
        let a_year = "max-age=31536000; includeSubDomains";
        set(headers, header::STRICT_TRANSPORT_SECURITY, fixed(a_year));
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    if !headers.contains_key(&name) {
        headers.insert(name, value);
    }
}
