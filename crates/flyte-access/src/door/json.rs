//! Reads requests in the JSON form of protobuf, as they come: nothing is transcoded.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess};

use super::{
    Refusal,
    found::{Parts, Path, Visitor},
    meaning::Meaning,
    plan::{Content, Field, Form, Json, Node, NodeId, Plan},
};

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
    let mut json = serde_json::Deserializer::from_slice(message);
    let mut reader = Reader { plan, visitor, refusal: None };
    let value = Value {
        reader: &mut reader,
        content: Content::Message(node),
        path: None,
        is_relation: false,
        parts: None,
    };
    let read = value.deserialize(&mut json).and_then(|()| json.end());
    match (reader.refusal, read) {
        (Some(refusal), _) => Err(refusal),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => Err(Refusal::Malformed(format!("failed to decode JSON: {error}"))),
    }
}

struct Reader<'r, V> {
    plan: &'r Plan,
    visitor: &'r mut V,
    /// Why reading stopped, which serde cannot carry.
    refusal: Option<Refusal>,
}

impl<V> Reader<'_, V> {
    fn stop<E: Error>(&mut self, result: Result<(), Refusal>) -> Result<(), E> {
        result.map_err(|refusal| {
            self.refusal = Some(refusal);
            E::custom("refused")
        })
    }
}

/// All the values of a field.
struct Values<'s, 'r, 'de, V> {
    reader: &'s mut Reader<'r, V>,
    field: &'s Field,
    path: &'s Path<'s>,
    is_relation: bool,
    parts: &'s mut Parts<'de>,
}

impl<'r, 'de, V: Visitor> Values<'_, 'r, 'de, V> {
    fn one(&mut self) -> Value<'_, 'r, 'de, V> {
        Value {
            reader: self.reader,
            content: self.field.content,
            path: Some(self.path),
            is_relation: self.is_relation,
            parts: Some(self.parts),
        }
    }
}

impl<'de, V: Visitor> DeserializeSeed<'de> for Values<'_, '_, 'de, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, json: D) -> Result<(), D::Error> {
        match self.field.form {
            Form::Single => self.one().deserialize(json),
            Form::List | Form::Map => json.deserialize_any(self),
        }
    }
}

impl<'de, V: Visitor> serde::de::Visitor<'de> for Values<'_, '_, 'de, V> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to be {}", self.path, if self.field.form == Form::Map { "a map" } else { "a list" })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        if self.field.form == Form::Map {
            return Err(A::Error::custom(format!("{} is not a map", self.path)));
        }
        while list.next_element_seed(self.one())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if self.field.form == Form::List {
            return Err(A::Error::custom(format!("{} is not a list", self.path)));
        }
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(self.one())?;
        }
        Ok(())
    }
}

/// One value.
struct Value<'s, 'r, 'de, V> {
    reader: &'s mut Reader<'r, V>,
    content: Content,
    path: Option<&'s Path<'s>>,
    is_relation: bool,
    /// The identifier that the message of the field is.
    parts: Option<&'s mut Parts<'de>>,
}

impl<'r, 'de, V: Visitor> Value<'_, 'r, 'de, V> {
    /// How the value is written.
    fn form(&self) -> Json {
        match self.content {
            Content::Text(_) => Json::Text,
            Content::Message(id) => self.reader.plan.node(id).json,
        }
    }

    fn unexpected<E: Error>(&self) -> E {
        match self.path {
            Some(path) => E::custom(format!("{path} has a value of another type")),
            None => E::custom("the request is not an object"),
        }
    }

    fn text<E: Error>(self, text: Cow<'de, str>) -> Result<(), E> {
        let meaning = match (self.content, self.form()) {
            (Content::Text(meaning), _) => meaning,
            (Content::Message(_), Json::Text | Json::Any) => Meaning::Text,
            (Content::Message(_), Json::Object) => return Err(self.unexpected()),
        };
        let Some(path) = self.path else { return Err(self.unexpected()) };
        let judged = match (meaning, self.parts) {
            (Meaning::Text | Meaning::Object, _) => {
                self.reader.visitor.text(text.as_bytes(), meaning == Meaning::Object, path)
            }
            (meaning, Some(parts)) => parts.set(meaning, text, path),
            (_, None) => Ok(()),
        };
        self.reader.stop(judged)
    }

    /// A number or a truth value.
    fn other<E: Error>(&self) -> Result<(), E> {
        if self.form() == Json::Any { Ok(()) } else { Err(self.unexpected()) }
    }

    /// What is inside of any JSON.
    fn inner(&mut self) -> Value<'_, 'r, 'de, V> {
        Value {
            reader: self.reader,
            content: self.content,
            path: self.path,
            is_relation: self.is_relation,
            parts: None,
        }
    }

    /// The members of a message.
    fn members<A: MapAccess<'de>>(self, id: NodeId, mut map: A) -> Result<(), A::Error> {
        let Value { reader, path, is_relation, .. } = self;
        let plan = reader.plan;
        let node = plan.node(id);
        if node.is_any {
            let root = Path { parent: path, name: "value" };
            let judged = reader.visitor.unknown_message(&root);
            reader.stop(judged)?;
        }
        let mut parts = Parts::default();
        while let Some(field) = map.next_key_seed(Member(node))? {
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let path = Path { parent: path, name: &field.name };
            let is_relation = is_relation || field.is_relation;
            map.next_value_seed(Values { reader, field, path: &path, is_relation, parts: &mut parts })?;
        }
        if !node.is_identifier || parts.is_empty() {
            return Ok(());
        }
        let judged = reader.visitor.identifier(&parts.into_identifier(is_relation));
        reader.stop(judged)
    }
}

impl<'de, V: Visitor> DeserializeSeed<'de> for Value<'_, '_, 'de, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, V: Visitor> serde::de::Visitor<'de> for Value<'_, '_, 'de, V> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message of protobuf")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.other()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.other()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.other()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.other()
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.text(Cow::Owned(text.to_owned()))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.text(Cow::Borrowed(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        self.other()?;
        while list.next_element_seed(self.inner())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        match (self.content, self.form()) {
            (Content::Message(id), Json::Object) => self.members(id, map),
            (_, Json::Any) => {
                while map.next_key::<IgnoredAny>()?.is_some() {
                    map.next_value_seed(self.inner())?;
                }
                Ok(())
            }
            (_, Json::Object | Json::Text) => Err(self.unexpected()),
        }
    }
}

/// The name of a member: the field of a message, if it can name something.
struct Member<'s>(&'s Node);

impl<'de, 's> DeserializeSeed<'de> for Member<'s> {
    type Value = Option<&'s Field>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'s> serde::de::Visitor<'_> for Member<'s> {
    type Value = Option<&'s Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.by_name(name))
    }
}
