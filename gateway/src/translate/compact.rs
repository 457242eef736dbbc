//! Compaction for upstreams that have none of their own: the model is asked for a summary, and the caller gets it sealed
//! in a compaction item, which becomes the summary again when it comes back.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use entity::TenantId;
use identity::seal::{MasterKey, open_carrier, seal_carrier};
use serde_json::{Value, json};

use super::{
    answer::{Ending, Event, Fault, Opening, Reason},
    carrier::MARK,
    neutral::{Choice, Format, Part, Request, Role, Turn},
    reject::Reject,
    voice::Voice,
};

/// How a caller asks for a compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compaction {
    /// At an endpoint of its own, with an answer of its own form.
    Endpoint,
    /// By the last item of an ordinary request.
    Trigger,
}

/// What the model is asked.
const QUESTION: &str = "Stop working on the task now, and call no tool. Write a summary from which another model can go \
on without having read this conversation: what was asked for, with every constraint in its own words; what was decided \
and why; what has been done, with names of files, functions and commands; what is still open, and the very next step. \
Write only the summary.";

/// What stands before a summary when it comes back.
const PREFACE: &str = "The conversation before this message was too long to keep. This is a summary of it, written by \
the model that led it:";

/// Tells a summary from the other things that are sealed.
const KIND: &[u8] = b"summary\0";

impl Request {
    /// The request that asks for the summary. Tools stay declared, for the conversation calls them and a prompt cache
    /// knows them.
    pub(crate) fn summarising(&self) -> Self {
        let mut request = self.clone();
        request
            .turns
            .push(Turn::new(Role::User, vec![Part::Text(QUESTION.to_owned())]));
        request.choice = (!request.tools.is_empty()).then_some(Choice::Never);
        request.web_search = None;
        request.format = Format::Text;
        request.stop = Vec::new();
        request
    }
}

/// Makes one item of an answer's text.
#[derive(Debug, Default)]
pub(super) struct Summary {
    texts: Vec<usize>,
    text: String,
}

impl Summary {
    pub(super) fn pass(&mut self, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::Start(_) | Event::Fault(_) => out.push(event),
            Event::Open(item, Opening::Text) => self.texts.push(item),
            Event::Delta(item, more) if self.texts.contains(&item) => self.text.push_str(&more),
            Event::End(ending) => self.end(ending, out),
            Event::Open(..)
            | Event::Delta(..)
            | Event::Opaque(..)
            | Event::Cite(..)
            | Event::Likely(..)
            | Event::Close(_)
            | Event::Search(_) => {}
        }
    }

    /// Half a summary would be taken for the whole of what was.
    fn end(&mut self, ending: Ending, out: &mut Vec<Event>) {
        if ending.reason != Reason::End || self.text.trim().is_empty() {
            out.push(Event::Fault(Fault::of_server(
                "The model wrote no whole summary of the conversation.",
            )));
            return;
        }
        out.push(Event::Open(0, Opening::Compaction));
        out.push(Event::Delta(0, std::mem::take(&mut self.text)));
        out.push(Event::Close(0));
        out.push(Event::End(ending));
    }
}

/// A compaction item for a summary; without one while the item is only announced.
pub(super) fn item(id: &str, summary: &str, voice: &Voice) -> Value {
    let sealed = if summary.is_empty() {
        String::new()
    } else {
        let plain = [KIND, summary.as_bytes()].concat();
        let carriers = &voice.carriers;
        let sealed = seal_carrier(&carriers.master, carriers.tenant, &plain);
        format!("{MARK}{}", URL_SAFE_NO_PAD.encode(sealed))
    };
    json!({"id": id, "type": "compaction", "encrypted_content": sealed})
}

/// The answer of the endpoint, made of an ordinary one.
pub(super) fn endpoint_answer(mut response: Value) -> Value {
    json!({
        "id": response["id"].take(),
        "object": "response.compaction",
        "created_at": response["created_at"].take(),
        "output": response["output"].take(),
        "usage": response["usage"].take(),
    })
}

/// A Responses request with its sealed summaries opened; nothing where it has none. Fails at a summary that was not
/// made for this tenant, for without it the conversation would have no beginning.
pub(crate) fn open_summaries(
    master: &MasterKey,
    tenant: TenantId,
    body: &Bytes,
) -> Result<Option<Bytes>, Reject> {
    let mark = format!("\"{MARK}");
    let text = std::str::from_utf8(body).unwrap_or_default();
    if !(text.contains(&mark) && text.contains("\"compaction")) {
        return Ok(None);
    }
    let Ok(mut request) = serde_json::from_slice::<Value>(body) else {
        return Ok(None);
    };
    let Some(items) = request.get_mut("input").and_then(Value::as_array_mut) else {
        return Ok(None);
    };
    let mut opened = false;
    for (index, item) in items.iter_mut().enumerate() {
        let kind = item["type"].as_str();
        let Some(sealed) = item["encrypted_content"]
            .as_str()
            .filter(|_| matches!(kind, Some("compaction" | "compaction_summary")))
            .and_then(|content| content.strip_prefix(MARK))
        else {
            continue;
        };
        let summary = URL_SAFE_NO_PAD
            .decode(sealed)
            .ok()
            .and_then(|sealed| open_carrier(master, tenant, &sealed))
            .and_then(|plain| String::from_utf8(plain.strip_prefix(KIND)?.to_vec()).ok())
            .ok_or_else(|| {
                let field = format!("input[{index}].encrypted_content");
                let message = format!(
                    "`{field}` is a compaction that was not made for this account; send the conversation itself"
                );
                Reject::new(field, message)
            })?;
        let said = format!("{PREFACE}\n\n{summary}");
        *item = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": said}]});
        opened = true;
    }
    Ok(opened.then(|| request.to_string().into()))
}
