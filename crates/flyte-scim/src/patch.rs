//! PATCH requests (RFC 7644 section 3.5.2), as Okta and Entra ID send them.

mod apply;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub(crate) use self::apply::apply;
use crate::error::ScimError;

/// The URN of PATCH requests.
const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// `add`
    Add,
    /// `replace`
    Replace,
    /// `remove`
    Remove,
}

/// An operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Operation {
    pub(crate) verb: Verb,
    pub(crate) path: Option<String>,
    /// `None` if it is absent or null.
    pub(crate) value: Option<Value>,
}

fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let members = object.as_object()?;
    members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Reads the body of a request.
///
/// # Errors
/// `invalidSyntax`.
pub(crate) fn operations(body: &Value) -> Result<Vec<Operation>, ScimError> {
    if let Some(schemas) = member(body, "schemas") {
        let is_patch = |value: &Value| value.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(SCHEMA));
        if !schemas.as_array().is_some_and(|schemas| schemas.iter().any(is_patch)) {
            return Err(ScimError::syntax(format!("schemas must contain {SCHEMA}")));
        }
    }
    let Some(Value::Array(items)) = member(body, "Operations") else {
        return Err(ScimError::syntax("Operations must be a list"));
    };
    items.iter().map(operation).collect()
}

fn operation(item: &Value) -> Result<Operation, ScimError> {
    let verb = member(item, "op").and_then(Value::as_str).unwrap_or_default();
    let verb = match verb.to_ascii_lowercase().as_str() {
        "add" => Verb::Add,
        "replace" => Verb::Replace,
        "remove" => Verb::Remove,
        _ => return Err(ScimError::syntax(format!("op must be add, replace or remove, not {verb:?}"))),
    };
    let path = match member(item, "path") {
        None | Some(Value::Null) => None,
        Some(Value::String(path)) if path.trim().is_empty() => None,
        Some(Value::String(path)) => Some(path.clone()),
        Some(_) => return Err(ScimError::syntax("path must be a text")),
    };
    let value = member(item, "value").filter(|value| !value.is_null()).cloned();
    if verb == Verb::Remove && path.is_none() {
        return Err(ScimError::no_target("remove needs a path"));
    }
    Ok(Operation { verb, path, value })
}
