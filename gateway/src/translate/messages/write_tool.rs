//! The tools of a Messages request, written for an upstream.

use serde_json::{Value, json};

use super::{write_format, write_thinking::Plan};
use crate::translate::{
    mark::Marks,
    neutral::{Choice, Kind, Request, Tool, WebSearch},
    schema,
    target::Target,
};

/// All tools that may be called.
pub(super) fn tools(request: &Request, target: &Target<'_>, marks: &mut Marks) -> Vec<Value> {
    let declared = request.tools.iter().filter(|tool| request.allows(tool));
    let declare = |given: &Tool| {
        let mut declared = tool(given, target);
        if let Some(lasting) = given.cache_mark {
            marks.set(&mut declared, lasting);
        }
        declared
    };
    let mut tools: Vec<Value> = declared.map(declare).collect();
    tools.extend(request.web_search.as_ref().map(web_search));
    tools.extend(write_format::tool(request, target));
    tools
}

fn tool(tool: &Tool, target: &Target<'_>) -> Value {
    let name = target.names.flat(tool.namespace.as_deref(), &tool.name);
    let wrapped = target.names.wraps(&name);
    let mut declared = json!({"name": name});
    if let Some(description) = tool.described() {
        declared["description"] = description.into();
    }
    let mut input = if tool.kind == Kind::Custom {
        schema::of_custom_input()
    } else {
        schema::tidy(tool.schema.as_ref())
    };
    if wrapped {
        input = schema::wrapped(input);
    }
    if tool.strict == Some(true) && schema::allows_strict(&input) {
        declared["strict"] = true.into();
        input = schema::without_bounds(&input);
    }
    declared["input_schema"] = input;
    declared
}

fn web_search(search: &WebSearch) -> Value {
    let mut tool = json!({"type": "web_search_20250305", "name": "web_search"});
    if let Some(domains) = &search.allowed_domains {
        tool["allowed_domains"] = domains.clone();
    }
    if let Some(location) = &search.user_location {
        tool["user_location"] = location.clone();
    }
    if let Some(most) = search.most {
        tool["max_uses"] = most.into();
    }
    tool
}

/// Which of them may or must be.
pub(super) fn choice(request: &Request, target: &Target<'_>, plan: &Plan) -> Option<Value> {
    if let Some(choice) = write_format::choice(request, target) {
        return Some(choice);
    }
    let named = |name: &str| json!({"type": "tool", "name": name});
    let mut choice = match &request.choice {
        None if request.parallel == Some(false) => json!({"type": "auto"}),
        None => return None,
        Some(Choice::Never) => json!({"type": "none"}),
        Some(_) if plan.hint.is_some() => json!({"type": "auto"}),
        Some(Choice::Auto | Choice::Among { must: false, .. }) => json!({"type": "auto"}),
        Some(Choice::Must | Choice::Among { must: true, .. }) => json!({"type": "any"}),
        Some(Choice::One { namespace, name }) => {
            named(&target.names.flat(namespace.as_deref(), name))
        }
        Some(Choice::Hosted(_)) => named("web_search"),
    };
    if request.parallel == Some(false) && request.choice != Some(Choice::Never) {
        choice["disable_parallel_tool_use"] = true.into();
    }
    Some(choice)
}
