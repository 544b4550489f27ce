//! A `google.protobuf.Struct` as a whole: any JSON, in both forms of protobuf.

use std::{borrow::Cow, fmt, str};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{
    Refusal,
    binary::{Wire, malformed, next_field},
};

/// How deep lists and objects may lie in each other, as in the reader of JSON.
const MAX_DEPTH: u32 = 100;

/// Any JSON.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree<'m> {
    /// `null`, or a value that is left out.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(Cow<'m, str>),
    /// A list.
    List(Vec<Tree<'m>>),
    /// An object.
    Object(Vec<(Cow<'m, str>, Tree<'m>)>),
}

impl<'m> Tree<'m> {
    /// Reads the binary form of a `Struct`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub(super) fn from_binary(bytes: &'m [u8]) -> Result<Self, Refusal> {
        object(bytes, 0)
    }

    /// Calls `visit` with each text, but not with names of members.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub(super) fn each_text<E>(&self, visit: &mut impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::Text(text) => visit(text),
            Self::List(items) => items.iter().try_for_each(|item| item.each_text(visit)),
            Self::Object(members) => members.iter().try_for_each(|(_, value)| value.each_text(visit)),
            Self::Null | Self::Bool(_) | Self::Number(_) => Ok(()),
        }
    }
}

fn text(bytes: &[u8]) -> Result<Cow<'_, str>, Refusal> {
    str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| malformed())
}

/// `Struct`, a map from texts to values.
fn object(mut rest: &[u8], depth: u32) -> Result<Tree<'_>, Refusal> {
    let mut members = Vec::new();
    while let Some((number, wire)) = next_field(&mut rest)? {
        let (1, Wire::Bytes(mut entry)) = (number, wire) else { continue };
        let (mut key, mut member) = (None, None);
        while let Some((number, wire)) = next_field(&mut entry)? {
            // No encoder writes two.
            match (number, wire) {
                (1, Wire::Bytes(bytes)) if key.is_none() => key = Some(text(bytes)?),
                (2, Wire::Bytes(bytes)) if member.is_none() => member = Some(value(bytes, depth + 1)?),
                (1 | 2, _) => return Err(malformed()),
                _ => {}
            }
        }
        members.push((key.unwrap_or_default(), member.unwrap_or(Tree::Null)));
    }
    Ok(Tree::Object(members))
}

/// `Value`, a oneof.
fn value(mut rest: &[u8], depth: u32) -> Result<Tree<'_>, Refusal> {
    if depth > MAX_DEPTH {
        return Err(Refusal::Malformed("the request is nested too deeply".to_owned()));
    }
    let mut found = None;
    while let Some((number, wire)) = next_field(&mut rest)? {
        let tree = match (number, wire) {
            (1, Wire::Varint(_)) => Tree::Null,
            (2, Wire::Fixed64(bits)) => Tree::Number(f64::from_bits(bits)),
            (3, Wire::Bytes(bytes)) => Tree::Text(text(bytes)?),
            (4, Wire::Varint(value)) => Tree::Bool(value != 0),
            (5, Wire::Bytes(bytes)) => object(bytes, depth + 1)?,
            (6, Wire::Bytes(bytes)) => list(bytes, depth + 1)?,
            (1..=6, _) => return Err(malformed()),
            _ => continue,
        };
        if found.replace(tree).is_some() {
            return Err(malformed());
        }
    }
    Ok(found.unwrap_or(Tree::Null))
}

/// `ListValue`.
fn list(mut rest: &[u8], depth: u32) -> Result<Tree<'_>, Refusal> {
    let mut items = Vec::new();
    while let Some((number, wire)) = next_field(&mut rest)? {
        if let (1, Wire::Bytes(bytes)) = (number, wire) {
            items.push(value(bytes, depth + 1)?);
        }
    }
    Ok(Tree::List(items))
}

impl<'de> Deserialize<'de> for Tree<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Tree<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E: Error>(self) -> Result<Tree<'de>, E> {
                Ok(Tree::Null)
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Tree<'de>, E> {
                Ok(Tree::Bool(value))
            }

            // Numbers are doubles in a `Struct`.
            #[expect(clippy::cast_precision_loss, reason = "only zero matters")]
            fn visit_i64<E: Error>(self, value: i64) -> Result<Tree<'de>, E> {
                Ok(Tree::Number(value as f64))
            }

            #[expect(clippy::cast_precision_loss, reason = "only zero matters")]
            fn visit_u64<E: Error>(self, value: u64) -> Result<Tree<'de>, E> {
                Ok(Tree::Number(value as f64))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Tree<'de>, E> {
                Ok(Tree::Number(value))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Tree<'de>, E> {
                Ok(Tree::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Tree<'de>, E> {
                Ok(Tree::Text(Cow::Borrowed(text)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree<'de>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Tree::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Tree::Object(members))
            }
        }

        json.deserialize_any(Any)
    }
}

/// A member's name, borrowed where it has no escapes.
struct Name<'m>(Cow<'m, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
        }

        json.deserialize_str(Text)
    }
}
