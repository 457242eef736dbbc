//! Pictures and documents between data URLs and base64 blocks.

use super::{neutral::Source, reject::Reject};

/// Reads an address that may carry its content itself.
pub(super) fn source(url: &str, at: &str) -> Result<Source, Reject> {
    let Some(rest) = url.strip_prefix("data:") else {
        if url.starts_with("https://") || url.starts_with("http://") {
            return Ok(Source::Url(url.to_owned()));
        }
        return Err(Reject::new(
            at,
            format!("`{at}` must be an https address or a data URL"),
        ));
    };
    rest.split_once(',')
        .and_then(|(head, data)| {
            let media = head.strip_suffix(";base64")?;
            let media = media.split(';').next().unwrap_or_default();
            Some(Source::Data {
                media: media.to_ascii_lowercase(),
                data: data.to_owned(),
            })
        })
        .ok_or_else(|| Reject::new(at, format!("`{at}` must be a data URL with base64 content")))
}

/// The address of a source, with its content in it where it has no other.
pub(super) fn url(source: &Source) -> String {
    match source {
        Source::Data { media, data } => format!("data:{media};base64,{data}"),
        Source::Url(url) => url.clone(),
    }
}

/// Picture types that all providers take.
pub(super) fn is_common_picture(media: &str) -> bool {
    matches!(
        media,
        "image/jpeg" | "image/png" | "image/gif" | "image/webp"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_url_comes_back_as_it_was() {
        let url_text = "data:image/png;base64,AAAA";
        let read = source(url_text, "x").expect("a picture");
        assert_eq!(
            read,
            Source::Data {
                media: "image/png".to_owned(),
                data: "AAAA".to_owned()
            }
        );
        assert_eq!(url(&read), url_text);
        for bad in ["", "ftp://x", "data:image/png,AAAA", "data:", "/etc/passwd"] {
            assert_eq!(source(bad, "a.b").expect_err(bad).field, "a.b");
        }
    }
}
