//! The attributes of a response (RFC 7644 section 3.9).

use serde_json::{Map, Value};

use crate::{
    error::ScimError,
    filter::parse_path,
    schema::{Found, Resource},
};

/// Which attributes are returned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Projection {
    /// Only these, and those that are always returned.
    only: Option<Vec<Found>>,
    without: Vec<Found>,
}

impl Projection {
    /// Reads the names. Names that are not those of attributes choose nothing.
    ///
    /// # Errors
    /// `invalidValue` if both lists are given.
    pub(crate) fn new(
        resource: Resource,
        attributes: &[String],
        excluded: &[String],
    ) -> Result<Self, ScimError> {
        if !attributes.is_empty() && !excluded.is_empty() {
            return Err(ScimError::value("attributes and excludedAttributes cannot be used together"));
        }
        let found = |names: &[String]| -> Vec<Found> {
            let paths = names.iter().filter_map(|name| parse_path(name).ok());
            paths.filter_map(|path| resource.find(&path.attribute).ok()).collect()
        };
        let only = (!attributes.is_empty()).then(|| found(attributes));
        Ok(Self { only, without: found(excluded) })
    }

    /// Whether an attribute of the core schema is returned, or a part of it.
    pub(crate) fn includes(&self, name: &str) -> bool {
        let is_it =
            |found: &Found| found.extension.is_none() && found.attribute.is_some_and(|it| it.name == name);
        let is_excluded = self.without.iter().any(|found| is_it(found) && found.sub.is_none());
        self.only.as_ref().is_none_or(|only| only.iter().any(is_it)) && !is_excluded
    }

    /// Leaves out of a resource what is not returned.
    pub(crate) fn apply(&self, value: Value) -> Value {
        let Value::Object(mut all) = value else { return value };
        for found in &self.without {
            if !found.attribute.is_some_and(|it| it.is_always_returned) {
                remove(&mut all, found);
            }
        }
        let Some(only) = &self.only else { return Value::Object(all) };
        let mut kept = Map::new();
        for always in ["schemas", "id"] {
            if let Some(value) = all.get(always) {
                kept.insert(always.to_owned(), value.clone());
            }
        }
        for found in only {
            keep(&all, &mut kept, found);
        }
        Value::Object(kept)
    }
}

fn remove(all: &mut Map<String, Value>, found: &Found) {
    let container = match found.extension {
        None => Some(&mut *all),
        Some(urn) => all.get_mut(urn).and_then(Value::as_object_mut),
    };
    let (Some(container), Some(attribute)) = (container, found.attribute) else {
        if let Some(urn) = found.extension {
            all.remove(urn);
        }
        return;
    };
    let Some(sub) = found.sub else {
        container.remove(attribute.name);
        return;
    };
    match container.get_mut(attribute.name) {
        Some(Value::Object(members)) => {
            members.remove(sub.name);
        }
        Some(Value::Array(items)) => {
            for item in items.iter_mut().filter_map(Value::as_object_mut) {
                item.remove(sub.name);
            }
        }
        _ => {}
    }
}

fn keep(all: &Map<String, Value>, kept: &mut Map<String, Value>, found: &Found) {
    let from = match found.extension {
        None => Some(all),
        Some(urn) => all.get(urn).and_then(Value::as_object),
    };
    let Some(from) = from else { return };
    let Some(attribute) = found.attribute else {
        if let Some(urn) = found.extension {
            kept.insert(urn.to_owned(), Value::Object(from.clone()));
        }
        return;
    };
    let Some(value) = from.get(attribute.name) else { return };
    let into = match found.extension {
        None => Some(kept),
        Some(urn) => kept.entry(urn).or_insert_with(|| Value::Object(Map::new())).as_object_mut(),
    };
    let Some(into) = into else { return };
    let Some(sub) = found.sub else {
        into.insert(attribute.name.to_owned(), value.clone());
        return;
    };
    let part = |value: &Value| value.get(sub.name).map(|part| (sub.name.to_owned(), part.clone()));
    match value {
        Value::Object(_) => {
            let entry = into.entry(attribute.name).or_insert_with(|| Value::Object(Map::new()));
            if let Some(object) = entry.as_object_mut() {
                object.extend(part(value));
            }
        }
        Value::Array(items) => {
            let empty = || Value::Array(vec![Value::Object(Map::new()); items.len()]);
            let entry = into.entry(attribute.name).or_insert_with(empty);
            let parts = entry.as_array_mut().into_iter().flatten().zip(items);
            for (kept, item) in parts {
                if let Some(object) = kept.as_object_mut() {
                    object.extend(part(item));
                }
            }
        }
        _ => {}
    }
}
