//! How a model of the Messages protocol is told to think, which is another way for each generation.

use serde_json::{Map, Value, json};

use crate::translate::{
    answer::Opaque,
    neutral::{Choice, Effort, Part, Request, Role, Turn},
    target::{Target, Thinking},
};

/// The least budget that is taken.
const LEAST_BUDGET: u64 = 1_024;

/// What a request says about thinking.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) thinking: Option<Value>,
    pub(super) effort: Option<Effort>,
    /// Thinking is on, so sampling must be left alone.
    pub(super) thinks: bool,
    /// Words that stand for a forced choice, which a model that always thinks does not take.
    pub(super) hint: Option<String>,
}

/// What Anthropic has to be told in a header before it reads what becomes of bound thoughts.
const BINDING: &str = "thinking-binding-controls-2026-08-01";
const BINDING_FIELD: &str = "block_binding";

/// The header's name for what a body makes use of.
pub(in crate::translate) fn beta(body: &Map<String, Value>) -> Option<&'static str> {
    let bound = body
        .get("thinking")
        .and_then(|thinking| thinking.get(BINDING_FIELD));
    bound.map(|_| BINDING)
}

impl Plan {
    /// Where thoughts of earlier turns go back: one that does not fit what stands before it now is to be left out and the
    /// request answered, since a translation may put a word otherwise than the last one did.
    pub(super) fn bound(mut self, turns: &[Turn], target: &Target<'_>) -> Self {
        if !target.traits.binds || !replays(turns, target) {
            return self;
        }
        if self.thinking.is_none() && target.traits.thinking == Thinking::Always {
            self.thinking = Some(json!({"type": "adaptive"}));
        }
        if let Some(thinking) = &mut self.thinking
            && thinking["type"] != "disabled"
        {
            thinking[BINDING_FIELD] = json!({"prefix_mismatch_behavior": "drop_block"});
        }
        self
    }
}

/// Whether any thought of an earlier turn is sent back.
fn replays(turns: &[Turn], target: &Target<'_>) -> bool {
    let mut parts = turns.iter().flat_map(|turn| &turn.parts);
    parts.any(|part| {
        let Part::Thought(thought) = part else {
            return false;
        };
        let carrier = thought.carrier.as_deref();
        let opened = carrier.and_then(|carrier| target.carriers.open(carrier));
        matches!(
            opened.and_then(|opened| opened.opaque),
            Some(Opaque::Signature(_) | Opaque::Redacted(_))
        )
    })
}

/// Decides it for one request.
pub(super) fn plan(
    request: &Request,
    target: &Target<'_>,
    turns: &[Turn],
    max_tokens: u64,
) -> Plan {
    let asked = request.reasoning.effort;
    let forced = forced(request, target);
    match target.traits.thinking {
        Thinking::Never => Plan::default(),
        Thinking::Budget => {
            let fits = forced.is_none() && has_thoughts_back(turns, target);
            let budget = asked
                .filter(|effort| *effort != Effort::Off && fits)
                .and_then(|effort| budget(effort, max_tokens));
            Plan {
                thinks: budget.is_some(),
                thinking: budget.map(|tokens| json!({"type": "enabled", "budget_tokens": tokens})),
                ..Plan::default()
            }
        }
        Thinking::Adaptive => match asked {
            None => Plan::default(),
            Some(Effort::Off) => Plan {
                thinking: Some(json!({"type": "disabled"})),
                ..Plan::default()
            },
            // A forced choice and thinking exclude each other.
            Some(effort) => Plan {
                thinking: forced.is_none().then(|| adaptive(request)),
                effort: Some(clipped(effort, target)),
                thinks: forced.is_none(),
                hint: None,
            },
        },
        Thinking::Always => Plan {
            thinking: asked
                .filter(|effort| *effort != Effort::Off)
                .map(|_| adaptive(request)),
            effort: asked.map(|effort| clipped(effort, target)),
            thinks: true,
            hint: forced,
        },
    }
}

fn adaptive(request: &Request) -> Value {
    if request.reasoning.summary {
        json!({"type": "adaptive", "display": "summarized"})
    } else {
        json!({"type": "adaptive"})
    }
}

fn clipped(effort: Effort, target: &Target<'_>) -> Effort {
    effort.clamp(Effort::Low, target.traits.most_effort.max(Effort::Low))
}

/// A budget below the output limit, which covers both. The limit itself stays, for credits are held for it.
fn budget(effort: Effort, max_tokens: u64) -> Option<u64> {
    let wanted = effort.budget();
    let budget = if wanted < max_tokens {
        wanted
    } else {
        max_tokens / 2
    };
    (budget >= LEAST_BUDGET).then_some(budget)
}

/// The words of a forced choice of a tool.
fn forced(request: &Request, target: &Target<'_>) -> Option<String> {
    if let Some(output) = target.names.output() {
        return Some(format!("Answer by the tool `{}`.", output.name));
    }
    match request.choice.as_ref()? {
        Choice::Must | Choice::Among { must: true, .. } => {
            Some("Call at least one of the tools in this reply.".to_owned())
        }
        Choice::One { name, .. } => Some(format!("Call the tool `{name}` in this reply.")),
        Choice::Hosted(name) => Some(format!("Use the tool `{name}` in this reply.")),
        Choice::Never | Choice::Auto | Choice::Among { must: false, .. } => None,
    }
}

/// Whether the turn that results continue begins with its own thoughts; a model with a budget insists on that.
fn has_thoughts_back(turns: &[Turn], target: &Target<'_>) -> bool {
    let continued = match turns {
        [.., turn, last]
            if last
                .parts
                .iter()
                .any(|part| matches!(part, Part::Result(_))) =>
        {
            turn
        }
        _ => return true,
    };
    let first = continued.parts.first();
    continued.role != Role::Assistant
        || matches!(first, Some(Part::Thought(thought)) if thought
            .carrier
            .as_deref()
            .and_then(|carrier| target.carriers.open(carrier))
            .is_some_and(|opened| opened.opaque.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::Protocol;

    use crate::translate::{Names, Traits, carrier::tests::carriers, read};

    /// A chat request as a Messages upstream of this model gets it.
    fn written(model: &str, words: &[&str], body: &Value) -> Value {
        let request = read(Protocol::Chat, body.to_string().as_bytes()).expect("a good request");
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let target = Target {
            protocol: Protocol::Messages,
            model,
            default_output: 32_000,
            most_output: Some(64_000),
            streamed: false,
            traits: Traits::of(Protocol::Messages, model, &words),
            carriers: &carriers("x"),
            names: &Names::of(&request, Protocol::Messages),
        };
        serde_json::from_slice(&request.write(&target).body).expect("JSON")
    }

    fn asked(effort: &str, forced: bool) -> Value {
        json!({"model": "M", "temperature": 1.5, "reasoning_effort": effort, "max_completion_tokens": 4_000,
               "messages": [{"role": "user", "content": "q"}],
               "tool_choice": if forced { "required" } else { "auto" },
               "tools": [{"type": "function", "function": {"name": "f"}}]})
    }

    /// Model, what the price table says of it, the request, and what it says of thinking, effort and temperature then.
    type Row = (
        &'static str,
        &'static [&'static str],
        Value,
        Value,
        Value,
        Value,
    );

    const ALWAYS: &[&str] = &["reasoning", "adaptive_thinking", "thinking_always_on"];

    #[test]
    #[rustfmt::skip]
    fn each_generation_of_models_is_told_to_think_in_its_own_way() {
        let none = || Value::Null;
        let adaptive = || json!({"type": "adaptive"});
        // A budget fits into the output limit, which stays. Temperature is for those who do not think.
        let table: [Row; 10] = [
            ("claude-sonnet-4-5", &[], asked("high", false), json!({"type": "enabled", "budget_tokens": 2_000}), none(), none()),
            ("claude-sonnet-4-5", &[], asked("none", false), none(), none(), json!(1)),
            ("claude-sonnet-4-5", &[], asked("high", true), none(), none(), json!(1)),
            ("claude-3-5-haiku", &[], asked("high", false), none(), none(), json!(1)),
            ("claude-opus-5", &[], asked("max", false), adaptive(), json!("max"), none()),
            ("claude-opus-5", &[], asked("minimal", false), adaptive(), json!("low"), none()),
            ("claude-opus-5", &[], asked("none", false), json!({"type": "disabled"}), none(), none()),
            ("claude-opus-5", &[], asked("high", true), none(), json!("high"), none()),
            ("claude-x", ALWAYS, asked("none", false), none(), json!("low"), none()),
            ("claude-x", ALWAYS, asked("xhigh", true), adaptive(), json!("high"), none()),
        ];

        for (model, words, body, thinking, effort, temperature) in table {
            let written = written(model, words, &body);
            assert_eq!(written["thinking"], thinking, "{model} {body}");
            assert_eq!(written["output_config"]["effort"], effort, "{model} {body}");
            assert_eq!(written["temperature"], temperature, "{model} {body}");
            assert_eq!(written["max_tokens"], 4_000);
        }
    }

    #[test]
    fn a_model_that_always_thinks_is_asked_in_words_for_a_tool() {
        let forced = written("claude-x", ALWAYS, &asked("high", true));

        assert_eq!(forced["tool_choice"], json!({"type": "auto"}));
        let hint = forced["system"][0]["text"].as_str().expect("a hint");
        assert!(hint.contains("at least one"), "{hint}");
    }

    #[test]
    fn thoughts_that_go_back_to_anthropic_itself_are_dropped_there_where_they_do_not_fit() {
        let carriers = carriers("x");
        let sealed = carriers.seal("hm", Some(&Opaque::Signature("sig".to_owned())));
        let foreign = carriers.seal("hm", Some(&Opaque::Encrypted("e".to_owned())));
        let adaptive = || json!({"type": "adaptive"});
        let bound = || json!({"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}});
        let new: &[&str] = &["reasoning", "adaptive_thinking"];
        // What is known of the model, the effort, the carrier that comes back, whether Anthropic itself serves it, and
        // what is said of thinking.
        let table = [
            (new, "high", &sealed, true, bound()),
            (new, "high", &sealed, false, adaptive()),
            (new, "high", &foreign, true, adaptive()),
            (new, "none", &sealed, true, json!({"type": "disabled"})),
            (ALWAYS, "none", &sealed, true, bound()),
            (ALWAYS, "none", &foreign, true, Value::Null),
        ];

        for (words, effort, carrier, binds, thinking) in table {
            let body = json!({"model": "M", "reasoning": {"effort": effort}, "input": [
                {"role": "user", "content": "q"},
                {"type": "reasoning", "summary": [], "encrypted_content": carrier},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "a", "output": "r"}]});
            let request = read(Protocol::Responses, body.to_string().as_bytes()).expect("good");
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let target = Target {
                protocol: Protocol::Messages,
                model: "claude-x",
                default_output: 32_000,
                most_output: None,
                streamed: false,
                traits: Traits {
                    binds,
                    ..Traits::of(Protocol::Messages, "claude-x", &words)
                },
                carriers: &carriers,
                names: &Names::of(&request, Protocol::Messages),
            };

            let written = request.write(&target);

            let has_binding = thinking.get("block_binding").is_some();
            assert_eq!(written.beta.is_some(), has_binding, "{effort} {binds}");
            let body: Value = serde_json::from_slice(&written.body).expect("JSON");
            assert_eq!(body["thinking"], thinking, "{effort} {binds}");
        }
    }
}
