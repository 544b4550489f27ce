//! Reads requests in the JSON form of protobuf, as they come: nothing is transcoded.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess};

use super::{
    Refusal,
    binary::found_twice,
    found::{Parts, Path, Visitor, is_subject},
    meaning::{Code, Meaning},
    plan::{Content, Field, Form, Json, Node, NodeId, Plan},
    tree::Tree,
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
    let mut reader = Reader { plan, visitor, refusal: None, was_null: false };
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
    /// Whether the last value was `null`, by which a member counts as left out.
    was_null: bool,
}

impl<V: Visitor> Reader<'_, V> {
    /// A message that is judged as a whole.
    fn whole<E: Error>(&mut self, tree: &Tree<'_>, path: &Path<'_>) -> Result<(), E> {
        let visitor = &mut *self.visitor;
        let judged = tree
            .each_text(&mut |text| visitor.text(text.as_bytes(), Meaning::Text, path))
            .and_then(|()| visitor.whole(tree, path));
        self.stop(judged)
    }
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
        match (self.field.form, self.field.is_whole) {
            (Form::Single, false) => self.one().deserialize(json),
            (Form::Single, true) => {
                let tree = Option::<Tree<'de>>::deserialize(json)?;
                self.reader.was_null = tree.is_none();
                tree.map_or(Ok(()), |tree| self.reader.whole(&tree, self.path))
            }
            (Form::List | Form::Map, _) => json.deserialize_any(self),
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
        if self.field.content == Content::Text(Meaning::Code(Code::Annotation)) {
            while let Some((key, value)) = map.next_entry::<Cow<'de, str>, Option<Cow<'de, str>>>()? {
                let value = value.unwrap_or_default();
                let (visitor, path) = (&mut *self.reader.visitor, self.path);
                let judged = visitor
                    .annotation(key.as_bytes(), value.as_bytes(), path)
                    .and_then(|()| visitor.text(value.as_bytes(), Meaning::Text, path));
                self.reader.stop(judged)?;
            }
            return Ok(());
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
            // It is not looked at.
            Content::Other => Json::Any,
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
            (Content::Other, _) => return Ok(()),
        };
        let Some(path) = self.path else { return Err(self.unexpected()) };
        let judged = match meaning {
            Meaning::Organization | Meaning::Project | Meaning::Domain | Meaning::Run => {
                if let Some(parts) = self.parts {
                    parts.set(meaning, text);
                }
                Ok(())
            }
            meaning => self.reader.visitor.text(text.as_bytes(), meaning, path),
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
        let (mut parts, mut seen) = (Parts::default(), Seen::default());
        while let Some(field) = map.next_key_seed(Member(node))? {
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let path = Path { parent: path, name: &field.name };
            let is_relation = is_relation || field.is_relation;
            let is_new = seen.add(node, field);
            reader.stop(if is_new { Ok(()) } else { Err(found_twice(&path)) })?;
            reader.was_null = false;
            if field.content == Content::Other {
                reader.was_null = map.next_value::<Option<IgnoredAny>>()?.is_none();
            } else {
                map.next_value_seed(Values { reader, field, path: &path, is_relation, parts: &mut parts })?;
            }
            let is_alone = reader.was_null || seen.add_value(field);
            reader.stop(if is_alone { Ok(()) } else { Err(found_twice(&path)) })?;
        }
        reader.was_null = false;
        let is_subject = is_subject(node, path, is_relation);
        if !node.is_identifier || (parts.is_empty() && !is_subject) {
            return Ok(());
        }
        let judged = reader.visitor.identifier(&parts.into_identifier(is_relation, is_subject));
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
        self.reader.was_null = true;
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
        self.reader.was_null = false;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        match (self.content, self.form()) {
            (Content::Message(id), Json::Object) => self.members(id, map),
            (_, Json::Any) => {
                while map.next_key::<IgnoredAny>()?.is_some() {
                    map.next_value_seed(self.inner())?;
                }
                self.reader.was_null = false;
                Ok(())
            }
            (_, Json::Object | Json::Text) => Err(self.unexpected()),
        }
    }
}

/// The fields of a message that were read.
#[derive(Default)]
struct Seen {
    /// One bit for each field: none comes twice, not even as `null`.
    fields: u64,
    /// The bits of the fields that have a value, and of what they exclude.
    bits: u64,
}

impl Seen {
    /// Adds a field; `false` if it was there.
    fn add(&mut self, node: &Node, field: &Field) -> bool {
        let position = node.fields.iter().position(|known| std::ptr::eq(known, field)).unwrap_or_default();
        let bit = 1_u64.checked_shl(u32::try_from(position).unwrap_or(u32::MAX)).unwrap_or(0);
        let is_new = self.fields & bit == 0;
        self.fields |= bit;
        is_new
    }

    /// Adds the value of a field; `false` if a field that excludes it has one.
    fn add_value(&mut self, field: &Field) -> bool {
        let is_new = self.bits & field.bit == 0;
        self.bits |= field.bit;
        is_new
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
