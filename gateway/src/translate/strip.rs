//! Carriers of this gateway taken out of a request that goes to its own protocol: no upstream may see one.

use bytes::Bytes;
use entity::Protocol;
use serde_json::Value;

use super::carrier::MARK;

/// The request without thoughts that carry our seal; nothing where it has none and can pass as it is.
pub(crate) fn without_carriers(protocol: Protocol, body: &Bytes) -> Option<Bytes> {
    let (list, signed) = match protocol {
        Protocol::Messages => ("messages", "signature"),
        Protocol::Responses => ("input", "encrypted_content"),
        Protocol::Chat | Protocol::Embeddings => return None,
    };
    let mark = format!("\"{MARK}");
    if !std::str::from_utf8(body).is_ok_and(|text| text.contains(&mark)) {
        return None;
    }
    let mut request: Value = serde_json::from_slice(body).ok()?;
    let sealed = |part: &Value| {
        [signed, "data"].iter().any(|name| {
            let value = part.get(*name).and_then(Value::as_str);
            value.is_some_and(|value| value.starts_with(MARK))
        })
    };
    let items = request.get_mut(list)?.as_array_mut()?;
    if protocol == Protocol::Responses {
        items.retain(|item| item.get("type") != Some(&"reasoning".into()) || !sealed(item));
    } else {
        for message in items.iter_mut() {
            if let Some(blocks) = message.get_mut("content").and_then(Value::as_array_mut) {
                blocks.retain(|block| {
                    let kind = block.get("type").and_then(Value::as_str);
                    !matches!(kind, Some("thinking" | "redacted_thinking")) || !sealed(block)
                });
            }
        }
        // A message of nothing but foreign thoughts is none.
        items.retain(|message| message.get("content") != Some(&Value::Array(Vec::new())));
    }
    Some(request.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sealed_thoughts_are_taken_out_and_all_else_stays() {
        let messages = json!({"messages": [
            {"role": "user", "content": "\"gw1. is only text"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": "gw1.x"},
                {"type": "thinking", "thinking": "b", "signature": "own"}, {"type": "text", "text": "c"}]},
            {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "gw1.x"}]}]});
        let bytes: Bytes = messages.to_string().into();

        let stripped = without_carriers(Protocol::Messages, &bytes).expect("stripped");

        let stripped: Value = serde_json::from_slice(&stripped).expect("JSON");
        assert_eq!(
            stripped["messages"],
            json!([messages["messages"][0], {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "b", "signature": "own"}, {"type": "text", "text": "c"}]}])
        );
        let responses = json!({"input": [{"type": "reasoning", "encrypted_content": "gw1.x"}, {"role": "user"}]});
        let stripped = without_carriers(Protocol::Responses, &responses.to_string().into());
        assert_eq!(
            stripped.as_deref(),
            Some(&br#"{"input":[{"role":"user"}]}"#[..])
        );
        assert_eq!(
            without_carriers(
                Protocol::Messages,
                &Bytes::from_static(b"{\"messages\":[]}")
            ),
            None
        );
    }
}
