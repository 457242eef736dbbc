//! What a protocol cannot say in any way: the one place where a request that was read is refused.

use entity::Protocol;

use super::{
    media::is_common_picture,
    neutral::{Choice, File, Image, Part, Request, Source},
    reject::Reject,
};

/// Whether the request can be written for an upstream of this protocol; if not, the field to mend.
pub(super) fn fits(request: &Request, upstream: Protocol) -> Result<(), Reject> {
    for part in request.turns.iter().flat_map(|turn| &turn.parts) {
        part_fits(part, upstream)?;
    }
    if let Some(Choice::Hosted(kind)) = &request.choice {
        let is_search = kind.starts_with("web_search") && request.web_search.is_some();
        if !is_search || upstream == Protocol::Chat {
            return Err(Reject::unsupported("tool_choice"));
        }
    }
    if let Some(Choice::One { namespace, name }) = &request.choice {
        let declared = request
            .tools
            .iter()
            .any(|tool| tool.namespace == *namespace && tool.name == *name);
        if !declared {
            return Err(Reject::new(
                "tool_choice",
                format!("`tool_choice` names `{name}`, which `tools` does not declare"),
            ));
        }
    }
    Ok(())
}

fn part_fits(part: &Part, upstream: Protocol) -> Result<(), Reject> {
    match part {
        Part::Audio(audio) if upstream == Protocol::Messages => {
            Err(Reject::unsupported(audio.at.as_str()))
        }
        Part::Image(image) => image_fits(image, upstream),
        Part::File(file) => file_fits(file, upstream),
        Part::Result(result) => result
            .parts
            .iter()
            .try_for_each(|part| part_fits(part, upstream)),
        Part::Audio(_)
        | Part::Text(_)
        | Part::Refusal(_)
        | Part::Thought(_)
        | Part::Call(_)
        | Part::CacheMark(_) => Ok(()),
    }
}

fn image_fits(image: &Image, upstream: Protocol) -> Result<(), Reject> {
    let fits = match &image.source {
        Source::Data { media, .. } => upstream != Protocol::Messages || is_common_picture(media),
        Source::Url(url) => upstream != Protocol::Messages || url.starts_with("https://"),
    };
    if fits {
        return Ok(());
    }
    Err(Reject::new(
        image.at.as_str(),
        format!(
            "the picture at `{}` must be jpeg, png, gif or webp, or have an https address",
            image.at
        ),
    ))
}

fn file_fits(file: &File, upstream: Protocol) -> Result<(), Reject> {
    let fits = match (&file.source, upstream) {
        (Source::Url(_), Protocol::Chat) => false,
        (Source::Data { media, .. }, Protocol::Messages) => {
            matches!(media.as_str(), "application/pdf" | "text/plain")
        }
        _ => true,
    };
    if fits {
        Ok(())
    } else {
        Err(Reject::unsupported(file.at.as_str()))
    }
}
