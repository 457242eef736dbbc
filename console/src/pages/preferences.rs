//! Language and colours, chosen in the foot of every page and kept in cookies.

use crate::{
    Error,
    frame::{Answer, Protected, Theme, reply, reply::Keep},
    words::Locale,
};
use serde::Deserialize;

/// What the small forms in the foot send.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Form {
    locale: Option<String>,
    theme: Option<String>,
    back: String,
}

/// Remembers the choice and goes back.
pub(crate) async fn submit(Protected(form): Protected<Form>) -> Answer {
    let mut reply = reply::see_other(own_path(&form.back));
    if let Some(tag) = &form.locale {
        let locale = Locale::parse(tag).ok_or_else(|| Error::Malformed("locale".into()))?;
        reply = reply.keep(Keep::Locale(locale));
    }
    if let Some(word) = &form.theme {
        reply = reply.keep(Keep::Theme(Theme::parse(word)));
    }

    Ok(reply)
}

/// A path on this host; anything else leads home, so that no form sends a reader elsewhere.
pub(crate) fn own_path(path: &str) -> &str {
    let own = path.starts_with('/')
        && !path.starts_with("//")
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if own { path } else { "/console" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_never_leaves_this_host() {
        let table = [
            ("/console/keys?page=2", "/console/keys?page=2"),
            ("//evil.example", "/console"),
            ("/\\evil.example", "/console"),
            ("https://evil.example", "/console"),
            ("/a\r\nSet-Cookie: x", "/console"),
            ("", "/console"),
        ];
        for (path, own) in table {
            assert_eq!(own_path(path), own);
        }
    }
}
