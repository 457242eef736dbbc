//! How likely the tokens of an answer were, which chat and responses tell in nearly the same form.

use serde_json::{Number, Value, json};

/// A token, and the likely ones in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Likely {
    token: String,
    logprob: Number,
    /// The token's own bytes, where it was told; a character may be cut between two tokens.
    bytes: Option<Value>,
    top: Vec<Likely>,
}

impl Likely {
    fn read(value: &Value) -> Option<Self> {
        Some(Self {
            token: value.get("token")?.as_str()?.to_owned(),
            logprob: value.get("logprob")?.as_number()?.clone(),
            bytes: value.get("bytes").filter(|bytes| bytes.is_array()).cloned(),
            top: read(value.get("top_logprobs")),
        })
    }

    fn form(&self) -> Value {
        json!({"token": self.token, "logprob": self.logprob, "bytes": self.bytes()})
    }

    fn bytes(&self) -> Value {
        match &self.bytes {
            Some(bytes) => bytes.clone(),
            None if self.token.contains(char::REPLACEMENT_CHARACTER) => Value::Null,
            None => self.token.as_bytes().into(),
        }
    }

    /// Bytes of text that the token is.
    pub(super) fn len(&self) -> usize {
        let told = self.bytes.as_ref().and_then(Value::as_array);
        told.map_or(self.token.len(), Vec::len)
    }

    /// About what it costs to keep, in bytes.
    pub(super) fn weight(&self) -> usize {
        const TOKEN: usize = 256;
        TOKEN + self.len() * 32 + self.top.iter().map(Self::weight).sum::<usize>()
    }
}

/// Reads a list of tokens; what is none is left out.
pub(super) fn read(list: Option<&Value>) -> Vec<Likely> {
    let tokens = list.and_then(Value::as_array).into_iter().flatten();
    tokens.filter_map(Likely::read).collect()
}

/// A list of tokens, each with those in its place.
pub(super) fn list(tokens: &[Likely]) -> Value {
    let one = |token: &Likely| {
        let mut form = token.form();
        form["top_logprobs"] = token.top.iter().map(Likely::form).collect();
        form
    };
    tokens.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::golden::{events, translated_stream, translation};
    use entity::Protocol::{self, Chat, Messages, Responses};

    fn token(text: &str) -> Value {
        json!({"token": text, "logprob": -0.5, "bytes": text.as_bytes(),
               "top_logprobs": [{"token": "x", "logprob": -3, "bytes": [120]}]})
    }

    /// The events of a stream from one protocol to another.
    fn told(client: Protocol, upstream: Protocol, stream: &[u8]) -> (Vec<u8>, Vec<Value>) {
        let out = translated_stream(client, upstream, &events(stream, 0));
        let data = events(&out, 0);
        let data = data
            .iter()
            .filter_map(|data| serde_json::from_slice(data).ok());
        let data = data.collect();
        (out, data)
    }

    #[test]
    fn likelihoods_arrive_in_the_callers_form_streamed_and_whole() {
        let chunk = |text: &str| json!({"choices": [{"index": 0, "delta": {"content": text}, "logprobs": {"content": [token(text)]}}]});
        let last = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "logprobs": null}]});
        let stream = format!(
            "data: {}\n\ndata: {}\n\ndata: {last}\n\n",
            chunk("hi"),
            chunk(" you")
        );
        let all = json!([token("hi"), token(" you")]);

        let (as_responses, said) = told(Responses, Chat, stream.as_bytes());
        let (_, again) = told(Chat, Responses, &as_responses);
        let (_, dropped) = told(Messages, Responses, &as_responses);

        let of = |kind: &str| -> Vec<&Value> {
            said.iter().filter(|event| event["type"] == kind).collect()
        };
        let deltas = of("response.output_text.delta");
        assert_eq!(deltas[0]["logprobs"], json!([token("hi")]));
        assert_eq!(deltas[1]["logprobs"], json!([token(" you")]));
        assert_eq!(of("response.output_text.done")[0]["logprobs"], all);
        let response = &of("response.completed")[0]["response"];
        assert_eq!(response["output"][0]["content"][0]["logprobs"], all);
        let content: Vec<&Value> = again
            .iter()
            .flat_map(|event| event["choices"].as_array().expect("choices"))
            .filter_map(|choice| choice["logprobs"]["content"].as_array())
            .flatten()
            .collect();
        assert_eq!(json!(content), all);
        let told: Vec<&Value> = again
            .iter()
            .filter(|event| event["choices"][0]["delta"]["content"] == "hi")
            .collect();
        assert_eq!(
            told[0]["choices"][0]["logprobs"]["content"],
            json!([token("hi")])
        );
        assert!(
            dropped
                .iter()
                .all(|event| !event.to_string().contains("logprob"))
        );

        let whole = translation(Chat, Responses).whole(response.to_string().as_bytes());
        let (body, _) = whole.expect("an answer").expect("a good one");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["choices"][0]["logprobs"]["content"], all);
        let back = translation(Responses, Chat).whole(body.to_string().as_bytes());
        let (back, _) = back.expect("an answer").expect("a good one");
        let back: Value = serde_json::from_slice(&back).expect("JSON");
        assert_eq!(back["output"][0]["content"][0]["logprobs"], all);
    }

    #[test]
    fn tokens_of_what_a_stop_text_cuts_off_are_not_told() {
        let delta = |text: &str| {
            json!({"type": "response.output_text.delta", "output_index": 0, "item_id": "m", "delta": text,
                   "logprobs": [token(text)]})
        };
        let mut translation = translation(Chat, Responses);
        translation.stop = vec!["STOP".to_owned()];
        let mut stream = translation.stream();

        let mut out = Vec::new();
        for event in [
            delta("a"),
            delta(" ST"),
            delta("UP "),
            delta("STOP"),
            delta("b"),
        ] {
            out.extend_from_slice(&stream.translate(event.to_string().as_bytes()));
        }

        let said = events(&out, 0);
        let tokens: Vec<Value> = said
            .iter()
            .filter_map(|data| serde_json::from_slice::<Value>(data).ok())
            .flat_map(|event| {
                event["choices"][0]["logprobs"]["content"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default()
            })
            .collect();
        assert_eq!(tokens, [token("a"), token(" ST"), token("UP ")]);
    }

    #[test]
    fn a_token_gets_its_bytes_where_they_were_not_told() {
        let told = json!([
            {"token": "é", "logprob": -0.5, "top_logprobs": [{"token": "e", "logprob": -1}]},
            {"token": "\u{fffd}", "logprob": -2.5},
            {"token": "\\xf0", "logprob": -3.0, "bytes": [240], "top_logprobs": null},
            {"token": 1}, 5, null]);

        let tokens = read(Some(&told));

        assert_eq!(
            list(&tokens),
            json!([
                {"token": "é", "logprob": -0.5, "bytes": [195, 169],
                 "top_logprobs": [{"token": "e", "logprob": -1, "bytes": [101]}]},
                {"token": "\u{fffd}", "logprob": -2.5, "bytes": null, "top_logprobs": []},
                {"token": "\\xf0", "logprob": -3.0, "bytes": [240], "top_logprobs": []}])
        );
        assert_eq!(read(Some(&list(&tokens))).len(), 3);
        assert_eq!(tokens.iter().map(Likely::len).sum::<usize>(), 2 + 3 + 1);
    }
}
