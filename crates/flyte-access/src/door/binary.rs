//! Reads requests in the binary form of protobuf, in one pass and without copying.

use std::{borrow::Cow, str};

use super::{
    Refusal,
    found::{Parts, Path, Visitor},
    meaning::Meaning,
    plan::{Content, Field, Form, NodeId, Plan},
};

/// How deep messages may lie in each other, as in the decoders of protobuf.
const MAX_DEPTH: u32 = 100;

/// The value of a map's entry.
const MAP_VALUE: u32 = 2;

/// Hands everything that the message names to the visitor.
///
/// # Errors
/// The visitor's, and [`Refusal::Malformed`].
pub(super) fn read<V: Visitor>(
    plan: &Plan,
    node: NodeId,
    message: &[u8],
    visitor: &mut V,
) -> Result<(), Refusal> {
    Reader { plan, visitor }.message(node, message, &Context { path: None, is_relation: false, depth: 0 })
}

fn malformed() -> Refusal {
    Refusal::Malformed("the request is not a well-formed protobuf message".to_owned())
}

/// Where in a request a message is.
struct Context<'p> {
    path: Option<&'p Path<'p>>,
    is_relation: bool,
    depth: u32,
}

struct Reader<'r, V> {
    plan: &'r Plan,
    visitor: &'r mut V,
}

impl<V: Visitor> Reader<'_, V> {
    fn message(&mut self, id: NodeId, mut rest: &[u8], context: &Context<'_>) -> Result<(), Refusal> {
        if context.depth > MAX_DEPTH {
            return Err(Refusal::Malformed("the request is nested too deeply".to_owned()));
        }
        let node = self.plan.node(id);
        if node.is_any {
            return self.any(rest, context);
        }
        let mut parts = node.is_identifier.then(Parts::default);
        while !rest.is_empty() {
            let (number, value) = next(&mut rest)?;
            let Some(field) = node.by_number(number) else { continue };
            let Some(mut value) = value else { return Err(malformed()) };
            if field.form == Form::Map {
                match map_value(value)? {
                    Some(inner) => value = inner,
                    None => continue,
                }
            }
            self.field(field, value, context, parts.as_mut())?;
        }
        match parts {
            Some(parts) if !parts.is_empty() => {
                self.visitor.identifier(&parts.into_identifier(context.is_relation))
            }
            _ => Ok(()),
        }
    }

    fn field<'m>(
        &mut self,
        field: &Field,
        value: &'m [u8],
        context: &Context<'_>,
        parts: Option<&mut Parts<'m>>,
    ) -> Result<(), Refusal> {
        let path = Path { parent: context.path, name: &field.name };
        match field.content {
            Content::Message(id) => {
                let is_relation = context.is_relation || field.is_relation;
                self.message(id, value, &Context { path: Some(&path), is_relation, depth: context.depth + 1 })
            }
            Content::Text(Meaning::Text) => self.visitor.text(value, false, &path),
            Content::Text(Meaning::Object) => self.visitor.text(value, true, &path),
            Content::Text(meaning) => match (parts, str::from_utf8(value)) {
                (Some(parts), Ok(text)) => parts.set(meaning, Cow::Borrowed(text), &path),
                (Some(_), Err(_)) => Err(Refusal::Malformed(format!("{path} is not valid UTF-8"))),
                (None, _) => Ok(()),
            },
        }
    }

    /// A message of any type: `type_url` names the type of what is in `value`.
    fn any(&mut self, mut rest: &[u8], context: &Context<'_>) -> Result<(), Refusal> {
        let (mut type_url, mut content) = (&b""[..], &b""[..]);
        while !rest.is_empty() {
            match next(&mut rest)? {
                (1, Some(value)) => type_url = value,
                (2, Some(value)) => content = value,
                (1 | 2, None) => return Err(malformed()),
                _ => {}
            }
        }
        let name = type_url.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let path = Path { parent: context.path, name: "value" };
        match str::from_utf8(name).ok().and_then(|name| self.plan.message(name)) {
            Some(id) => self.message(
                id,
                content,
                &Context { path: Some(&path), is_relation: context.is_relation, depth: context.depth + 1 },
            ),
            None if content.is_empty() => Ok(()),
            None => self.visitor.unknown_message(&path),
        }
    }
}

/// The value of a map's entry; `None` if it is left out, which is an empty one.
fn map_value(mut entry: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    let mut found = None;
    while !entry.is_empty() {
        if let (MAP_VALUE, value) = next(&mut entry)? {
            // No encoder writes two.
            if found.replace(value.ok_or_else(malformed)?).is_some() {
                return Err(malformed());
            }
        }
    }
    Ok(found)
}

/// The number of the next field and, if it has a length, its value.
fn next<'m>(rest: &mut &'m [u8]) -> Result<(u32, Option<&'m [u8]>), Refusal> {
    let tag = u32::try_from(varint(rest)?).map_err(|_| malformed())?;
    let number = tag >> 3;
    if number == 0 {
        return Err(malformed());
    }
    let value = match tag & 7 {
        0 => varint(rest).map(|_| None),
        1 => take(rest, 8).map(|_| None),
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| malformed())?;
            take(rest, length).map(Some)
        }
        5 => take(rest, 4).map(|_| None),
        // Groups are in none of the published messages.
        _ => Err(malformed()),
    };
    Ok((number, value?))
}

fn take<'m>(rest: &mut &'m [u8], length: usize) -> Result<&'m [u8], Refusal> {
    let (taken, tail) = rest.split_at_checked(length).ok_or_else(malformed)?;
    *rest = tail;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, Refusal> {
    // Most are a single byte.
    if let [byte @ ..0x80, tail @ ..] = *rest {
        *rest = tail;
        return Ok(u64::from(*byte));
    }
    let mut value = 0;
    for (index, byte) in rest.iter().take(10).enumerate() {
        if index == 9 && *byte > 1 {
            return Err(malformed());
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            *rest = &rest[index + 1..];
            return Ok(value);
        }
    }
    Err(malformed())
}
