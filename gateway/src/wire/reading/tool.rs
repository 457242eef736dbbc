//! The tools that a request offers: what is sold apart is refused, searches are counted.

use std::borrow::Cow;

use entity::Protocol;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BadRequest, Fields, bad, is_set};

/// What matters of a tool, and of what stands around tools. A field that is there twice, or is of another kind than
/// upstreams take, makes it unreadable: nobody can say which of its readings an upstream would run.
#[derive(Deserialize)]
pub(super) struct Tool<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    environment: Option<Place<'a>>,
    max_uses: Option<u64>,
    /// The tools of a namespace.
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
}

/// How deep namespaces may stand in each other; known clients have one.
const DEEPEST: usize = 3;

/// Every tool that is offered, those of namespaces and of the conversation too. One that an upstream sells apart from
/// tokens, without a word of it in the usage, is refused.
pub(super) fn tools<'a>(
    protocol: Protocol,
    fields: &Fields<'a>,
) -> Result<Vec<Tool<'a>>, BadRequest> {
    let mut found = Vec::new();
    if let Some(raw) = fields.tools {
        gather("tools", raw, DEEPEST, &mut found)?;
    }
    if protocol == Protocol::Responses {
        for raw in tools_of_input(fields)? {
            gather("input", raw, DEEPEST, &mut found)?;
        }
    }
    Ok(found)
}

fn gather<'a>(
    field: &'static str,
    raw: &'a RawValue,
    deepest: usize,
    found: &mut Vec<Tool<'a>>,
) -> Result<(), BadRequest> {
    let unreadable = |error: serde_json::Error| {
        let cause = format!("a tool in `{field}` cannot be read: {error}");
        bad(Some(field), &cause)
    };
    let listed: Option<Vec<&RawValue>> = serde_json::from_str(raw.get()).map_err(unreadable)?;
    for raw in listed.unwrap_or_default() {
        let tool: Tool<'_> = serde_json::from_str(raw.get()).map_err(unreadable)?;
        if let Some(kind) = tool.kind.as_deref().filter(|kind| is_sold(kind, &tool)) {
            return Err(bad(
                Some(field),
                &format!(
                    "the tool `{kind}` is not offered, for its use is not reported; leave it out of `{field}`"
                ),
            ));
        }
        if let Some(inner) = tool.tools {
            let deepest = deepest.checked_sub(1).ok_or_else(|| {
                let cause = format!("the tools in `{field}` stand too deep in each other");
                bad(Some(field), &cause)
            })?;
            gather(field, inner, deepest, found)?;
        }
        found.push(tool);
    }
    Ok(())
}

/// Whether the upstream runs the tool itself and sells it apart from tokens.
fn is_sold(kind: &str, tool: &Tool<'_>) -> bool {
    let place = tool
        .environment
        .as_ref()
        .and_then(|place| place.kind.as_deref());
    let is_hosted = place.is_some_and(|place| place.starts_with("container"));
    let is_sold = ["code_interpreter", "image_generation", "code_execution"]
        .iter()
        .any(|sold| kind.starts_with(sold));
    is_sold || is_hosted
}

/// The lists of tools that entries of a conversation bring along.
fn tools_of_input<'a>(fields: &Fields<'a>) -> Result<Vec<&'a RawValue>, BadRequest> {
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow, default)]
        tools: Option<&'a RawValue>,
    }
    let Some(raw) = fields.input.filter(|raw| raw.get().starts_with('[')) else {
        return Ok(Vec::new());
    };
    // A conversation is long, and hardly any brings tools along: their name would stand in it, as it is or escaped.
    let text = raw.get().as_bytes();
    if memmem::find(text, b"\"tools\"").is_none() && memmem::find(text, b"\\u").is_none() {
        return Ok(Vec::new());
    }
    let items: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|error| bad(Some("input"), &format!("`input` cannot be read: {error}")))?;
    let mut found = Vec::new();
    for raw in items {
        if !raw.get().starts_with('{') {
            continue;
        }
        let item: Item<'_> = serde_json::from_str(raw.get()).map_err(|error| {
            let cause = format!("an entry of `input` cannot be read: {error}");
            bad(Some("input"), &cause)
        })?;
        found.extend(item.tools);
    }
    Ok(found)
}

/// Searches that one request may make where it does not say.
const SEARCHES_MAX: u64 = 30;

/// How many searches the tools of the upstream's own may make.
pub(super) fn searches(fields: &Fields<'_>, tools: &[Tool<'_>]) -> u64 {
    let hosted = tools.iter().filter_map(|tool| {
        let kind = tool.kind.as_deref()?;
        let is_search = kind.starts_with("web_search") || kind == "file_search";
        is_search.then(|| tool.max_uses.unwrap_or(SEARCHES_MAX))
    });
    let offered = hosted.fold(0, |sum: u64, most| sum.saturating_add(most));
    // A chat upstream searches once; where the call is translated, the tool that stands for it knows no such limit.
    let asked = if is_set(fields.web_search_options) {
        SEARCHES_MAX
    } else {
        0
    };
    let most = fields.max_tool_calls.and_then(|raw| {
        serde_json::from_str::<Option<u64>>(raw.get())
            .ok()
            .flatten()
    });
    offered
        .saturating_add(asked)
        .min(most.unwrap_or(u64::MAX))
        .min(SEARCHES_MAX.saturating_mul(4))
}
