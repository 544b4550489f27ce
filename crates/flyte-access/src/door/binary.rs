//! Reads requests in the binary form of protobuf, in one pass and without copying.

use std::{borrow::Cow, str};

use super::{
    Refusal,
    found::{Parts, Path, Visitor, is_subject},
    meaning::{Code, Meaning},
    plan::{Content, Field, Form, NodeId, Plan},
    tree::Tree,
};

/// How deep messages may lie in each other, as in the decoders of protobuf.
const MAX_DEPTH: u32 = 100;

/// The key of a map's entry.
const MAP_KEY: u32 = 1;
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

pub(super) fn malformed() -> Refusal {
    Refusal::Malformed("the request is not a well-formed protobuf message".to_owned())
}

/// Where in a request a message is.
struct Context<'p> {
    path: Option<&'p Path<'p>>,
    is_relation: bool,
    depth: u32,
}

/// The refusal of a request that has a field twice, or two that exclude each other. A decoder would take the last or merge them;
/// no encoder writes that.
pub(super) fn found_twice(path: &Path<'_>) -> Refusal {
    Refusal::Malformed(format!("{path} is in the request twice, or beside another field that excludes it"))
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
        let mut seen = 0;
        while let Some((number, wire)) = next_field(&mut rest)? {
            let Some(field) = node.by_number(number) else { continue };
            if seen & field.bit != 0 {
                let path = Path { parent: context.path, name: &field.name };
                return Err(found_twice(&path));
            }
            seen |= field.bit;
            let value = match (field.content, wire) {
                (Content::Other, _) => continue,
                (_, Wire::Bytes(value)) => value,
                (_, Wire::Varint(_) | Wire::Fixed64(_) | Wire::Fixed32) => return Err(malformed()),
            };
            if field.form == Form::Map {
                let (key, value) = entry(value)?;
                if field.content == Content::Text(Meaning::Code(Code::Annotation)) {
                    let path = Path { parent: context.path, name: &field.name };
                    self.visitor.annotation(key, value.unwrap_or_default(), &path)?;
                }
                if let Some(value) = value {
                    self.field(field, value, context, parts.as_mut())?;
                }
            } else {
                self.field(field, value, context, parts.as_mut())?;
            }
        }
        let Some(parts) = parts else { return Ok(()) };
        let is_subject = is_subject(node, context.path, context.is_relation);
        if parts.is_empty() && !is_subject {
            return Ok(());
        }
        self.visitor.identifier(&parts.into_identifier(context.is_relation, is_subject))
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
                let inside = Context { path: Some(&path), is_relation, depth: context.depth + 1 };
                self.message(id, value, &inside)?;
                if field.is_whole {
                    self.visitor.whole(&Tree::from_binary(value)?, &path)?;
                }
                Ok(())
            }
            Content::Text(
                meaning @ (Meaning::Organization | Meaning::Project | Meaning::Domain | Meaning::Run),
            ) => match (parts, str::from_utf8(value)) {
                (Some(parts), Ok(text)) => {
                    parts.set(meaning, Cow::Borrowed(text));
                    Ok(())
                }
                (Some(_), Err(_)) => Err(Refusal::Malformed(format!("{path} is not valid UTF-8"))),
                (None, _) => Ok(()),
            },
            Content::Text(meaning) => self.visitor.text(value, meaning, &path),
            Content::Other => Ok(()),
        }
    }

    /// A message of any type: `type_url` names the type of what is in `value`.
    fn any(&mut self, mut rest: &[u8], context: &Context<'_>) -> Result<(), Refusal> {
        let (mut type_url, mut content) = (&b""[..], &b""[..]);
        while let Some((number, wire)) = next_field(&mut rest)? {
            match (number, wire) {
                (1, Wire::Bytes(value)) => type_url = value,
                (2, Wire::Bytes(value)) => content = value,
                (1 | 2, _) => return Err(malformed()),
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

/// The key of a map's entry, and its value; `None` if it is left out, which is an empty one.
fn entry(mut entry: &[u8]) -> Result<(&[u8], Option<&[u8]>), Refusal> {
    let (mut key, mut value) = (None, None);
    while let Some((number, wire)) = next_field(&mut entry)? {
        // No encoder writes two. Keys can also be numbers.
        let twice = match (number, wire) {
            (MAP_KEY, Wire::Bytes(bytes)) => key.replace(bytes).is_some(),
            (MAP_VALUE, Wire::Bytes(bytes)) => value.replace(bytes).is_some(),
            (MAP_VALUE, _) => true,
            _ => false,
        };
        if twice {
            return Err(malformed());
        }
    }
    Ok((key.unwrap_or_default(), value))
}

/// The value of a field.
pub(super) enum Wire<'m> {
    /// A number of variable length.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Four bytes.
    Fixed32,
    /// Bytes with their length.
    Bytes(&'m [u8]),
}

/// The number of the next field and its value; `None` at the end.
///
/// # Errors
/// [`Refusal::Malformed`].
pub(super) fn next_field<'m>(rest: &mut &'m [u8]) -> Result<Option<(u32, Wire<'m>)>, Refusal> {
    if rest.is_empty() {
        return Ok(None);
    }
    let tag = u32::try_from(varint(rest)?).map_err(|_| malformed())?;
    let number = tag >> 3;
    if number == 0 {
        return Err(malformed());
    }
    let wire = match tag & 7 {
        0 => Wire::Varint(varint(rest)?),
        1 => {
            let bytes = take(rest, 8)?;
            Wire::Fixed64(u64::from_le_bytes(bytes.try_into().map_err(|_| malformed())?))
        }
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| malformed())?;
            Wire::Bytes(take(rest, length)?)
        }
        5 => {
            take(rest, 4)?;
            Wire::Fixed32
        }
        // Groups are in none of the published messages.
        _ => return Err(malformed()),
    };
    Ok(Some((number, wire)))
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
