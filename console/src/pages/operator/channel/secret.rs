//! What an operator typed as address and secret, checked, and the secret sealed for the one row and host.

use crate::{
    Console,
    words::{Phrase, phrase},
};
use billing::shop::channel::SealedSecret;
use entity::ChannelId;
use identity::seal::{hint, seal_channel_secret};
use url::Url;

/// The host that a secret is bound to; empty where there is none.
pub(super) fn host(base_url: &str) -> String {
    Url::parse(base_url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_default()
}

/// A base URL that the guard lets through, without the slash at its end.
pub(super) fn checked_url(console: &Console, text: &str) -> Result<String, Phrase> {
    let text = text.trim().trim_end_matches('/');
    if text.is_empty() {
        return Err(phrase("op-fault-required"));
    }
    let url = Url::parse(text).map_err(|_| phrase("op-fault-url"))?;
    if url.host_str().is_none() || !url.username().is_empty() || url.password().is_some() {
        return Err(phrase("op-fault-url"));
    }
    console
        .outbound
        .check(&url)
        .map_err(|refusal| phrase("op-fault-url-refused").with("detail", refusal.to_string()))?;
    Ok(text.to_owned())
}

/// The secret sealed for the channel at this address; none where nothing was typed.
pub(super) fn sealed(
    console: &Console,
    channel: ChannelId,
    base_url: &str,
    secret: &str,
) -> Result<Option<SealedSecret>, Phrase> {
    let secret = secret.trim();
    if secret.is_empty() {
        return Ok(None);
    }
    if secret.len() > 4096 || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(phrase("op-fault-secret-form"));
    }
    let sealed = seal_channel_secret(&console.master, channel, &host(base_url), secret);
    Ok(Some(SealedSecret {
        bytes: sealed.into_bytes(),
        hint: hint(secret),
    }))
}
