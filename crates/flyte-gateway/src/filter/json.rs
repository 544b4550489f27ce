//! Answers in the JSON form of protobuf.

use flyte_model::Limit;
use serde_json::{Map, Value};

use super::{
    Outcome, Unreadable,
    limit::Named,
    plan::{Field, Identity, Name, Node},
};

/// The message without what the caller may not see.
pub(super) fn filter(
    node: &Node,
    message: &[u8],
    limit: &Limit,
    keeps_totals: bool,
) -> Result<(Vec<u8>, Outcome), Unreadable> {
    let mut json: Value = serde_json::from_slice(message).map_err(|_| Unreadable)?;
    let mut filter = Filter { limit, keeps_totals, outcome: Outcome::default() };
    filter.message(node, &mut json)?;
    let is_nothing = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    filter.outcome.is_empty = json.as_object().is_some_and(|members| members.values().all(is_nothing));
    Ok((json.to_string().into_bytes(), filter.outcome))
}

struct Filter<'f> {
    limit: &'f Limit,
    keeps_totals: bool,
    outcome: Outcome,
}

fn object(json: &mut Value) -> Result<&mut Map<String, Value>, Unreadable> {
    json.as_object_mut().ok_or(Unreadable)
}

/// The spellings of a field. Encoders write the first one.
fn spellings(name: &Name) -> impl Iterator<Item = &str> {
    let other = (name.proto != name.json).then_some(&*name.proto);
    [&*name.json].into_iter().chain(other)
}

impl Filter<'_> {
    fn message(&mut self, node: &Node, json: &mut Value) -> Result<(), Unreadable> {
        let members = object(json)?;
        for field in &node.fields {
            for spelling in spellings(&field.name) {
                let keeps = match members.get_mut(spelling) {
                    None | Some(Value::Null) => continue,
                    Some(_) if field.is_total => self.keeps_totals,
                    Some(Value::Array(elements)) => {
                        let mut kept = Vec::with_capacity(elements.len());
                        for mut element in std::mem::take(elements) {
                            if self.field(field, &mut element)? {
                                kept.push(element);
                            }
                        }
                        *elements = kept;
                        true
                    }
                    Some(value) => self.field(field, value)?,
                };
                if !keeps {
                    members.remove(spelling);
                }
            }
        }
        Ok(())
    }

    /// Whether the value of a field is kept.
    fn field(&mut self, field: &Field, value: &mut Value) -> Result<bool, Unreadable> {
        if let Some(identity) = &field.identity
            && !is_visible(identity, value, self.limit)?
        {
            self.outcome.has_dropped = true;
            return Ok(false);
        }
        if !field.inner.fields.is_empty() {
            self.message(&field.inner, value)?;
        }
        Ok(true)
    }
}

fn is_visible(identity: &Identity, item: &Value, limit: &Limit) -> Result<bool, Unreadable> {
    let mut named = Named::default();
    for way in &identity.ways {
        follow(way, item, identity, limit, &mut named)?;
    }
    Ok(named.is_visible(limit, identity))
}

/// Adds what the message at the end of a way names.
fn follow(
    way: &[Name],
    json: &Value,
    identity: &Identity,
    limit: &Limit,
    named: &mut Named,
) -> Result<(), Unreadable> {
    let members = json.as_object().ok_or(Unreadable)?;
    let values = |name: &Name| {
        spellings(name)
            .filter_map(|spelling| members.get(spelling))
            .filter(|value| !value.is_null())
            .collect::<Vec<_>>()
    };
    if let Some((step, way)) = way.split_first() {
        return values(step).into_iter().try_for_each(|value| follow(way, value, identity, limit, named));
    }
    for value in identity.project.iter().flat_map(values) {
        named.project(limit, value.as_str().ok_or(Unreadable)?.as_bytes());
    }
    for value in identity.domain.iter().flat_map(values) {
        named.domain(limit, value.as_str().ok_or(Unreadable)?.as_bytes());
    }
    Ok(())
}
