//! Whether a request asks for no more than the caller may see.

use flyte_protocol::Codec;
use serde_json::Value;

use super::{
    binary::{Raw, next},
    limit::Sight,
    plan::json_name,
    table::Scope,
};

/// The number and the name of the domain in `flyteidl2.common.ProjectIdentifier`.
pub(super) const DOMAIN: (u32, &str) = (2, "domain");
/// The number and the name of the project in it.
pub(super) const PROJECT: (u32, &str) = (3, "name");

/// Whether a request limits its answer to the caller's project and domain. What cannot be read does not.
pub(super) fn is_within(scope: &Scope, message: &[u8], codec: Codec, sight: &Sight) -> bool {
    match codec {
        Codec::Proto => is_binary_within(scope, message, sight).unwrap_or(false),
        Codec::Json => is_json_within(scope, message, sight).unwrap_or(false),
    }
}

/// Whether the caller sees all of the parts. An empty part means all.
fn is_visible(sight: &Sight, project: &[u8], domain: &[u8]) -> bool {
    let domain = Some(domain).filter(|domain| !domain.is_empty());
    match (project.is_empty(), domain) {
        (false, _) => sight.includes_all(project, domain),
        (true, Some(domain)) => sight.includes_all_in_domain(domain),
        (true, None) => false,
    }
}

fn is_binary_within(scope: &Scope, mut message: &[u8], sight: &Sight) -> Option<bool> {
    let mut is_within = false;
    while !message.is_empty() {
        let Raw { number, content, .. } = next(&mut message).ok()?;
        if scope.others.iter().any(|(other, _)| *other == number) {
            return Some(false);
        }
        if number != scope.project.0 {
            continue;
        }
        let (mut project, mut domain, mut identifier) = (&b""[..], &b""[..], content?);
        while !identifier.is_empty() {
            let Raw { number, content, .. } = next(&mut identifier).ok()?;
            if number == PROJECT.0 {
                project = content?;
            } else if number == DOMAIN.0 {
                domain = content?;
            }
        }
        // Decoders merge a second one into the first. No encoder writes it.
        if is_within || !is_visible(sight, project, domain) {
            return Some(false);
        }
        is_within = true;
    }
    Some(is_within)
}

fn is_json_within(scope: &Scope, message: &[u8], sight: &Sight) -> Option<bool> {
    let json: Value = serde_json::from_slice(message).ok()?;
    let request = json.as_object()?;
    let values = |name: &str| {
        let json = json_name(name);
        let other = (json != name).then(|| name.to_owned());
        let spellings = [Some(json), other].into_iter().flatten();
        spellings.filter_map(|name| request.get(&name)).filter(|value| !value.is_null()).collect::<Vec<_>>()
    };
    if scope.others.iter().any(|(_, other)| !values(other).is_empty()) {
        return Some(false);
    }
    let [identifier] = *values(scope.project.1) else { return Some(false) };
    let text = |name: &str| identifier.get(name).and_then(Value::as_str).unwrap_or_default().as_bytes();
    Some(is_visible(sight, text(PROJECT.1), text(DOMAIN.1)))
}
