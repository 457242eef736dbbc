//! The console's cookies: their names, their attributes, and the signature on the one that carries a message.

use crate::{Config, console::FormSecret};
use actix_web::cookie::{Cookie, SameSite, time::Duration};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a cookie is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The signed-in session.
    Session,
    /// Binds the forms of someone not signed in.
    Form,
    /// A message for the next page.
    Flash,
    /// The chosen language.
    Locale,
    /// Light or dark.
    Theme,
}

impl Kind {
    /// Its name; with https it carries the prefix that keeps other hosts from setting it (RFC 6265bis 4.1.3.2).
    pub(crate) fn name(self, config: &Config) -> String {
        let bare = match self {
            Self::Session => "tg-session",
            Self::Form => "tg-form",
            Self::Flash => "tg-flash",
            Self::Locale => "tg-locale",
            Self::Theme => "tg-theme",
        };
        let prefix = if config.secure() { "__Host-" } else { "" };
        format!("{prefix}{bare}")
    }

    fn lasts(self) -> Option<Duration> {
        match self {
            Self::Session => Some(Duration::days(30)),
            Self::Form | Self::Flash => None,
            Self::Locale | Self::Theme => Some(Duration::days(365)),
        }
    }
}

/// A cookie that holds `value`.
pub(crate) fn set(kind: Kind, value: String, config: &Config) -> Cookie<'static> {
    let mut cookie = Cookie::build(kind.name(config), value)
        .path("/")
        .http_only(true)
        .secure(config.secure())
        .same_site(SameSite::Lax)
        .finish();
    cookie.set_max_age(kind.lasts());
    cookie
}

/// The order to forget a cookie.
pub(crate) fn forget(kind: Kind, config: &Config) -> Cookie<'static> {
    let mut cookie = set(kind, String::new(), config);
    cookie.set_max_age(Duration::ZERO);
    cookie
}

/// A fresh unguessable value.
pub(crate) fn chance() -> String {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// HMAC-SHA-256 over `text`, for `purpose` only.
pub(crate) fn sign(secret: &FormSecret, purpose: &str, text: &str) -> String {
    URL_SAFE_NO_PAD.encode(mac(secret, purpose, text).finalize().into_bytes())
}

/// Whether `signature` is that of `text`, in constant time.
pub(crate) fn verifies(secret: &FormSecret, purpose: &str, text: &str, signature: &str) -> bool {
    URL_SAFE_NO_PAD
        .decode(signature)
        .is_ok_and(|bytes| mac(secret, purpose, text).verify_slice(&bytes).is_ok())
}

fn mac(secret: &FormSecret, purpose: &str, text: &str) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.bytes()).expect("HMAC takes any key length");
    mac.update(purpose.as_bytes());
    mac.update(&[0]);
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_text_purpose_and_secret_only() {
        let (secret, other) = (FormSecret::new([1; 32]), FormSecret::new([2; 32]));
        let signature = sign(&secret, "form", "text");

        assert!(verifies(&secret, "form", "text", &signature));
        assert!(!verifies(&secret, "form", "texts", &signature));
        assert!(!verifies(&secret, "flash", "text", &signature));
        assert!(!verifies(&other, "form", "text", &signature));
        assert!(!verifies(&secret, "form", "text", "no base64!"));
    }
}
