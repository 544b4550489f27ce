//! Claims of a token, found by the name in a rule.

use serde_json::{Map, Value};

use super::Pattern;

/// The maximum length of a compared value, in bytes: more than a claim with an identifier needs.
const MAX_VALUE_BYTES: usize = 2048;

/// Whether the claim `name` matches. A missing claim does not match.
///
/// Strings are compared unchanged; numbers and booleans as JSON. A list matches if one element matches. An object
/// matches nothing; a path selects a value in it, for example `kubernetes.io/namespace`.
#[must_use]
pub fn matches(claims: &Map<String, Value>, name: &str, pattern: &Pattern) -> bool {
    find(claims, name).is_some_and(|value| fits(value, pattern))
}

/// Returns the claim with this name, or otherwise the value at this path.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('/')?;
    find(claims.get(first)?.as_object()?, rest)
}

fn fits(value: &Value, pattern: &Pattern) -> bool {
    match value {
        Value::String(text) => text.len() <= MAX_VALUE_BYTES && pattern.matches(text),
        Value::Number(_) | Value::Bool(_) => pattern.matches(&value.to_string()),
        Value::Array(values) => values.iter().any(|value| !value.is_array() && fits(value, pattern)),
        Value::Object(_) | Value::Null => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_found_by_name_or_path_and_compared_by_its_type() {
        let claims = json!({
            "sub": "repo:acme/app",
            "repository_id": 74,
            "private": true,
            "groups": ["dev", "ops", ["nested"], 5],
            "nothing": null,
            "https://ci.example/project": "p",
            "kubernetes.io": {"namespace": "ci", "serviceaccount": {"name": "runner"}, "a/b": {"c": "d"}},
            "long": "x".repeat(MAX_VALUE_BYTES + 1),
        });
        let claims = claims.as_object().unwrap();
        for (name, pattern, expected) in [
            ("sub", "repo:acme/*", true),
            ("sub", "repo:evil/*", false),
            ("repository_id", "74", true),
            ("repository_id", "7", false),
            ("private", "true", true),
            ("groups", "ops", true),
            ("groups", "5", true),
            ("groups", "nested", false),
            ("groups", "qa", false),
            ("nothing", "**", false),
            ("missing", "**", false),
            ("https://ci.example/project", "p", true),
            ("kubernetes.io/namespace", "ci", true),
            ("kubernetes.io/serviceaccount/name", "run*", true),
            ("kubernetes.io/a/b/c", "d", false),
            ("kubernetes.io", "**", false),
            ("kubernetes.io/serviceaccount", "**", false),
            ("sub/x", "**", false),
            ("", "**", false),
            ("long", "**", false),
        ] {
            assert_eq!(matches(claims, name, &pattern.parse().unwrap()), expected, "{name} {pattern}");
        }
    }
}
