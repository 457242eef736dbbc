//! A request that cannot be carried: which field, and why.

use serde_json::{Map, Value};

/// What is wrong, and the field to look at, as the caller wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Reject {
    pub(crate) field: String,
    pub(crate) message: String,
}

impl Reject {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }

    /// What only the provider of the caller's own protocol could do.
    pub(crate) fn unsupported(field: impl Into<String>) -> Self {
        let field = field.into();
        let message = format!(
            "`{field}` cannot be carried to the upstream that serves this model; leave it out"
        );
        Self { field, message }
    }
}

/// An object, or the refusal that names its place.
pub(crate) fn object<'a>(value: &'a Value, at: &str) -> Result<&'a Map<String, Value>, Reject> {
    value
        .as_object()
        .ok_or_else(|| Reject::new(at, format!("`{at}` must be an object")))
}

/// A list; one that is not there is empty.
pub(crate) fn list<'a>(value: Option<&'a Value>, at: &str) -> Result<&'a [Value], Reject> {
    match value {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(Reject::new(at, format!("`{at}` must be a list"))),
    }
}

/// A text that must be there.
pub(crate) fn required<'a>(
    map: &'a Map<String, Value>,
    name: &str,
    at: &str,
) -> Result<&'a str, Reject> {
    text(map, name).ok_or_else(|| {
        let field = format!("{at}.{name}");
        let message = format!("`{field}` must be a text");
        Reject::new(field, message)
    })
}

/// A text, where there is one.
pub(crate) fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    map.get(name).and_then(Value::as_str)
}

/// A text of one's own.
pub(crate) fn owned(map: &Map<String, Value>, name: &str) -> Option<String> {
    text(map, name).map(str::to_owned)
}

/// A number, whatever its form.
pub(crate) fn number(map: &Map<String, Value>, name: &str) -> Option<serde_json::Number> {
    map.get(name).and_then(Value::as_number).cloned()
}

/// A value that is neither missing nor null.
pub(crate) fn set<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    map.get(name).filter(|value| !value.is_null())
}
