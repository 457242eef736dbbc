//! JSON schemas of tools and answers, made fit for providers that take less than the standard allows.

use serde_json::{Map, Value, json};

/// The schema of a tool without arguments, or the given one with what providers insist on and without what they
/// refuse.
pub(super) fn tidy(schema: Option<&Value>) -> Value {
    let mut schema = match schema {
        Some(Value::Object(map)) => Value::Object(map.clone()),
        _ => json!({}),
    };
    clean(&mut schema);
    if let Value::Object(map) = &mut schema
        && !is_union(map)
    {
        if !map.contains_key("type") {
            map.insert("type".to_owned(), "object".into());
        }
        if !map.contains_key("properties") {
            map.insert("properties".to_owned(), json!({}));
        }
    }
    schema
}

/// An object that has a schema for its only field `value`. What the schema refers to stays at the root.
pub(super) fn wrapped(mut schema: Value) -> Value {
    let mut outer = json!({"type": "object", "properties": {}, "required": ["value"]});
    if let Value::Object(map) = &mut schema {
        for word in ["$defs", "definitions"] {
            if let Some(named) = map.shift_remove(word) {
                outer[word] = named;
            }
        }
    }
    outer["properties"]["value"] = schema;
    outer
}

/// Whether the root is a choice between schemas, which Messages does not take.
pub(super) fn is_union(map: &Map<String, Value>) -> bool {
    ["oneOf", "anyOf", "allOf"]
        .iter()
        .any(|word| map.contains_key(*word))
}

/// Names of the places where one schema stands below another.
const ONE: [&str; 4] = ["items", "additionalProperties", "not", "contains"];
const MANY: [&str; 4] = ["oneOf", "anyOf", "allOf", "prefixItems"];
const NAMED: [&str; 4] = ["properties", "$defs", "definitions", "patternProperties"];

fn clean(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    for word in ["$schema", "$id", "ref"] {
        map.shift_remove(word);
    }
    if map.get("default").is_some_and(Value::is_null) {
        map.shift_remove("default");
    }
    // Classes of letters, which `OpenAI` does not know.
    let has_classes = |pattern: &str| ["\\p{", "\\P{"].iter().any(|word| pattern.contains(word));
    if map
        .get("pattern")
        .and_then(Value::as_str)
        .is_some_and(has_classes)
    {
        map.shift_remove("pattern");
    }
    if map.get("type").is_some_and(|kind| kind == "object")
        && !map.contains_key("properties")
        && !map.contains_key("additionalProperties")
        && !is_union(map)
    {
        map.insert("properties".to_owned(), json!({}));
    }
    each_below(map, &mut clean);
}

fn each_below(map: &mut Map<String, Value>, visit: &mut impl FnMut(&mut Value)) {
    for word in ONE {
        if let Some(below) = map.get_mut(word) {
            visit(below);
        }
    }
    for word in MANY {
        if let Some(Value::Array(list)) = map.get_mut(word) {
            list.iter_mut().for_each(&mut *visit);
        }
    }
    for word in NAMED {
        if let Some(Value::Object(named)) = map.get_mut(word) {
            named.values_mut().for_each(&mut *visit);
        }
    }
}

/// Whether every object of the schema lists all its properties as required and allows no others, as strict mode asks.
pub(super) fn allows_strict(schema: &Value) -> bool {
    let Value::Object(map) = schema else {
        return true;
    };
    let is_object =
        map.get("type").is_some_and(|kind| kind == "object") || map.contains_key("properties");
    if is_object {
        let closed = map.get("additionalProperties") == Some(&Value::Bool(false));
        let required = map.get("required").and_then(Value::as_array);
        let properties = map.get("properties").and_then(Value::as_object);
        let all = properties.is_none_or(|properties| {
            properties.keys().all(|name| {
                required.is_some_and(|required| required.iter().any(|known| known == name))
            })
        });
        if !closed || !all {
            return false;
        }
    }
    let mut fine = true;
    let mut copy = map.clone();
    each_below(&mut copy, &mut |below| fine &= allows_strict(below));
    fine
}

/// Forms of text that `OpenAI` takes in a strict schema.
const FORMATS: [&str; 9] = [
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
];

/// Whether strict mode can hold for a schema where it is asked for, and the schema as `OpenAI` takes it then.
pub(super) fn held_strictly(schema: Value, asked: bool) -> (bool, Value) {
    if asked && allows_strict(&schema) {
        (true, with_known_formats(&schema))
    } else {
        (false, schema)
    }
}

/// Without the forms of text that `OpenAI` refuses in strict schemas.
fn with_known_formats(schema: &Value) -> Value {
    fn strip(schema: &mut Value) {
        let Value::Object(map) = schema else { return };
        let unknown = |format: &str| !FORMATS.contains(&format);
        if map
            .get("format")
            .and_then(Value::as_str)
            .is_some_and(unknown)
        {
            map.shift_remove("format");
        }
        each_below(map, &mut strip);
    }
    let mut schema = schema.clone();
    strip(&mut schema);
    schema
}

/// Without the bounds that Messages refuses in strict schemas.
pub(super) fn without_bounds(schema: &Value) -> Value {
    fn strip(schema: &mut Value) {
        let Value::Object(map) = schema else { return };
        for word in ["minimum", "maximum", "minLength", "maxLength", "pattern"] {
            map.shift_remove(word);
        }
        each_below(map, &mut strip);
    }
    let mut schema = schema.clone();
    strip(&mut schema);
    schema
}

/// The arguments of a custom tool where it has to be called as a function.
pub(super) fn of_custom_input() -> Value {
    json!({"type": "object", "properties": {"input": {"type": "string"}},
           "required": ["input"], "additionalProperties": false})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_become_what_providers_take() {
        let table = [
            (json!(null), json!({"type": "object", "properties": {}})),
            (
                json!({"$schema": "x", "type": "object", "$id": "y"}),
                json!({"type": "object", "properties": {}}),
            ),
            (
                json!({"properties": {"default": {"type": "object", "default": null}, "$id": {"type": "string"}}}),
                json!({"type": "object", "properties": {"default": {"type": "object", "properties": {}}, "$id": {"type": "string"}}}),
            ),
            (
                json!({"anyOf": [{"type": "object"}, {"type": "string", "$schema": "x"}]}),
                json!({"anyOf": [{"type": "object", "properties": {}}, {"type": "string"}]}),
            ),
        ];

        for (given, expected) in table {
            assert_eq!(tidy(Some(&given)), expected, "{given}");
        }
        assert_eq!(tidy(None), json!({"type": "object", "properties": {}}));
    }

    #[test]
    fn strict_is_kept_only_where_it_can_hold() {
        let table = [
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}),
                true,
            ),
            (json!({"type": "object", "properties": {}}), false),
            (
                json!({"type": "object", "properties": {"a": {}}, "additionalProperties": false}),
                false,
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object"}}},
                       "required": ["a"], "additionalProperties": false}),
                false,
            ),
        ];

        for (schema, strict) in table {
            assert_eq!(allows_strict(&schema), strict, "{schema}");
        }
    }
}
