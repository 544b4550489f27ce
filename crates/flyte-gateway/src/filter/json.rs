//! Answers in the JSON form of protobuf. What stays is copied as it is: numbers, for example, keep all their digits.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Outcome, Unreadable, Withheld,
    limit::{Named, Sight},
    plan::{Field, Identity, Name, Node},
};

/// The members of an object in their order, also those that are there twice.
pub(super) struct Members<'j>(pub(super) Vec<(String, &'j RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        json.deserialize_map(Object)
    }
}

impl<'j> Members<'j> {
    pub(super) fn parse(json: &'j [u8]) -> Result<Self, Unreadable> {
        serde_json::from_slice(json).map_err(|_| Unreadable)
    }

    /// The values of a field, under both of its spellings, that are not `null`.
    pub(super) fn values(&self, name: &Name) -> impl Iterator<Item = &'j str> {
        let members = self.0.iter().filter(|(member, _)| name.is_member(member));
        members.map(|(_, value)| value.get()).filter(|value| *value != "null")
    }
}

impl Name {
    fn is_member(&self, member: &str) -> bool {
        *self.json == *member || *self.proto == *member
    }
}

/// The message without what the caller may not see.
pub(super) fn filter(
    node: &Node,
    message: &[u8],
    sight: &Sight,
    keeps_totals: bool,
) -> Result<(Vec<u8>, Outcome), Withheld> {
    let mut filter = Filter { sight, keeps_totals, outcome: Outcome::default() };
    let mut filtered = Vec::with_capacity(message.len());
    filter.outcome.is_empty = filter.message(node, message, &mut filtered)?;
    Ok((filtered, filter.outcome))
}

struct Filter<'f> {
    sight: &'f Sight,
    keeps_totals: bool,
    outcome: Outcome,
}

impl Filter<'_> {
    /// Writes what is left of a message. Returns whether that is nothing: no members, or empty lists.
    fn message(&mut self, node: &Node, json: &[u8], into: &mut Vec<u8>) -> Result<bool, Withheld> {
        let mut is_empty = true;
        let mut separator = b'{';
        for (member, value) in Members::parse(json)?.0 {
            let value = value.get();
            let field = node.fields.iter().find(|field| field.name.is_member(&member));
            let start = into.len();
            into.push(separator);
            serde_json::to_writer(&mut *into, &member).map_err(|_| Unreadable)?;
            into.push(b':');
            let is_kept = match field {
                Some(field) if field.is_total && !self.keeps_totals => false,
                Some(field) if value != "null" => self.values(field, value, into)?,
                _ => {
                    into.extend_from_slice(value.as_bytes());
                    true
                }
            };
            if is_kept {
                separator = b',';
                is_empty &= into.ends_with(b":[]") || value == "null";
            } else {
                into.truncate(start);
            }
        }
        if separator == b'{' {
            into.push(separator);
        }
        into.push(b'}');
        Ok(is_empty)
    }

    /// Writes what is left of the value of a field, or of all values of a list; `false` if nothing is.
    fn values(&mut self, field: &Field, value: &str, into: &mut Vec<u8>) -> Result<bool, Withheld> {
        if !value.starts_with('[') || field.is_total {
            return self.value(field, value, into);
        }
        let elements: Vec<&RawValue> = serde_json::from_str(value).map_err(|_| Unreadable)?;
        let mut separator = b'[';
        for element in elements {
            let start = into.len();
            into.push(separator);
            if self.value(field, element.get(), into)? {
                separator = b',';
            } else {
                into.truncate(start);
            }
        }
        if separator == b'[' {
            into.push(separator);
        }
        into.push(b']');
        Ok(true)
    }

    /// Writes what is left of a value; `false` if nothing is.
    fn value(&mut self, field: &Field, value: &str, into: &mut Vec<u8>) -> Result<bool, Withheld> {
        if let Some(identity) = &field.identity
            && !is_visible(identity, value, self.sight)?
        {
            if identity.is_subject {
                return Err(Withheld::Foreign);
            }
            self.outcome.has_dropped = true;
            return Ok(false);
        }
        if field.inner.fields.is_empty() {
            into.extend_from_slice(value.as_bytes());
        } else {
            self.message(&field.inner, value.as_bytes(), into)?;
        }
        Ok(true)
    }
}

fn is_visible(identity: &Identity, item: &str, sight: &Sight) -> Result<bool, Unreadable> {
    let mut named = Named::default();
    for way in &identity.ways {
        follow(way, item, identity, &mut named)?;
    }
    Ok(named.is_visible(sight, identity))
}

/// Adds what the message at the end of a way names.
fn follow(way: &[Name], json: &str, identity: &Identity, named: &mut Named) -> Result<(), Unreadable> {
    let members = Members::parse(json.as_bytes())?;
    if let Some((step, way)) = way.split_first() {
        return members.values(step).try_for_each(|value| follow(way, value, identity, named));
    }
    let text = |value: &str| serde_json::from_str::<String>(value).map_err(|_| Unreadable);
    for value in identity.project.iter().flat_map(|name| members.values(name)) {
        named.project(text(value)?.as_bytes());
    }
    for value in identity.domain.iter().flat_map(|name| members.values(name)) {
        named.domain(text(value)?.as_bytes());
    }
    Ok(())
}
