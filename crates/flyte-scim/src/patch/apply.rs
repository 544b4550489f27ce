//! Operations on the document of a user.

use serde_json::{Map, Value};

use super::{Operation, Verb};
use crate::{
    document,
    error::ScimError,
    filter::{AttributePath, Filter, Operator, TargetPath, check_element, parse_path},
    schema::{Attribute, Found, Resource},
};

/// Attributes of RFC 7643 that this server does not store. As in other requests, they are left out, and do not keep the rest of the
/// request from its effect.
const NOT_STORED: [&str; 6] = ["password", "ims", "photos", "entitlements", "roles", "x509Certificates"];

/// Applies an operation.
///
/// # Errors
/// `invalidPath`, `invalidValue`, `noTarget` and `mutability`.
pub(crate) fn apply(
    resource: Resource,
    document: &mut Map<String, Value>,
    operation: &Operation,
) -> Result<(), ScimError> {
    let Some(path) = &operation.path else {
        let Some(Value::Object(members)) = &operation.value else {
            return Err(ScimError::value("without a path, value must be an object"));
        };
        return apply_members(resource, document, operation.verb, None, members);
    };
    let target = parse_path(path).map_err(|error| ScimError::path(error.to_string()))?;
    match find(resource, &target)? {
        Some(found) => At { document, verb: operation.verb, found }.apply(&target, operation.value.as_ref()),
        None => Ok(()),
    }
}

/// Finds the target; `None` if it is not stored.
fn find(resource: Resource, target: &TargetPath) -> Result<Option<Found>, ScimError> {
    let AttributePath { schema, name, .. } = &target.attribute;
    let is_core = schema.as_ref().is_none_or(|urn| urn.eq_ignore_ascii_case(resource.schema()));
    if is_core && NOT_STORED.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return Ok(None);
    }
    resource.find(&target.attribute).map(Some).map_err(ScimError::path)
}

/// Applies each member of a value: its names may be paths, and those of an extension may be inside of its URN.
fn apply_members(
    resource: Resource,
    document: &mut Map<String, Value>,
    verb: Verb,
    urn: Option<&str>,
    members: &Map<String, Value>,
) -> Result<(), ScimError> {
    for (key, value) in members {
        let is_core = key.eq_ignore_ascii_case(resource.schema());
        if let Value::Object(inner) = value
            && urn.is_none()
            && (is_core || resource.extension(key).is_some())
        {
            let inside = if is_core { None } else { Some(key.as_str()) };
            apply_members(resource, document, verb, inside, inner)?;
            continue;
        }
        let path = urn.map_or_else(|| key.clone(), |urn| format!("{urn}:{key}"));
        let target = parse_path(&path).map_err(|error| ScimError::path(error.to_string()))?;
        // As in the body of a PUT request, what is not stored or is read-only is left out.
        let Ok(Some(found)) = find(resource, &target) else { continue };
        let is_read_only = |it: Option<&Attribute>| it.is_some_and(|it| it.is_read_only);
        let is_schemas = found.attribute.is_some_and(|attribute| attribute.name == "schemas");
        if is_read_only(found.attribute) || is_read_only(found.sub) || is_schemas {
            continue;
        }
        let value = (!value.is_null()).then_some(value);
        At { document, verb, found }.apply(&target, value)?;
    }
    Ok(())
}

/// An operation at its target.
struct At<'a> {
    document: &'a mut Map<String, Value>,
    verb: Verb,
    found: Found,
}

impl At<'_> {
    fn apply(self, target: &TargetPath, value: Option<&Value>) -> Result<(), ScimError> {
        let Self { document, mut verb, found } = self;
        let path = &target.attribute;
        if [found.attribute, found.sub]
            .into_iter()
            .flatten()
            .any(|it| it.is_read_only || it.name == "schemas")
        {
            return Err(ScimError::mutability(format!("{path} is read-only")));
        }
        // A null is an attribute without a value (RFC 7643 section 2.5).
        if value.is_none() {
            verb = Verb::Remove;
        }
        let Some(attribute) = found.attribute else {
            return whole_extension(document, verb, &found, value);
        };
        let container = match found.extension {
            None => &mut *document,
            Some(urn) => object(document, urn)?,
        };
        match (&target.filter, found.sub) {
            (Some(filter), sub) => elements(container, verb, attribute, sub, (path, filter), value)?,
            (None, Some(sub)) => sub_attribute(container, verb, (attribute, sub), path, value)?,
            (None, None) => whole(container, verb, attribute, value)?,
        }
        if let Some(urn) = found.extension
            && document.get(urn).and_then(Value::as_object).is_some_and(Map::is_empty)
        {
            document.remove(urn);
        }
        Ok(())
    }
}

/// The object with this name, which is created if it is missing.
fn object<'a>(
    container: &'a mut Map<String, Value>,
    name: &str,
) -> Result<&'a mut Map<String, Value>, ScimError> {
    let entry = container.entry(name).or_insert_with(|| Value::Object(Map::new()));
    entry.as_object_mut().ok_or_else(|| ScimError::path(format!("{name} has no sub-attributes")))
}

fn whole_extension(
    document: &mut Map<String, Value>,
    verb: Verb,
    found: &Found,
    value: Option<&Value>,
) -> Result<(), ScimError> {
    let Some(urn) = found.extension else { return Ok(()) };
    match (verb, value) {
        (Verb::Add | Verb::Replace, Some(Value::Object(members))) => {
            apply_members(Resource::User, document, verb, Some(urn), members)
        }
        (Verb::Remove, _) => {
            document.remove(urn);
            Ok(())
        }
        _ => Err(ScimError::value(format!("the value of {urn} must be an object"))),
    }
}

/// An attribute without a filter and without a sub-attribute.
fn whole(
    container: &mut Map<String, Value>,
    verb: Verb,
    attribute: &'static Attribute,
    value: Option<&Value>,
) -> Result<(), ScimError> {
    let name = attribute.name;
    let given = value.map(|value| document::value(attribute, value)).transpose()?.flatten();
    match (verb, given) {
        // Without a value, all of it; with one, only those elements.
        (Verb::Remove, None) if value.is_none() => {
            container.remove(name);
        }
        (Verb::Remove, None) => {}
        (Verb::Remove, Some(Value::Array(gone))) => {
            let same = |item: &Value, gone: &Value| {
                item == gone || gone.get("value").is_some_and(|value| item.get("value") == Some(value))
            };
            retain(container, name, |item| !gone.iter().any(|gone| same(item, gone)));
        }
        (Verb::Remove, Some(_)) | (Verb::Replace, None) => {
            container.remove(name);
        }
        (Verb::Add, None) => {}
        (Verb::Add, Some(Value::Array(new))) => {
            let mut items = take_list(container, name);
            for item in new {
                if !items.contains(&item) {
                    settle_primary(&mut items, &item);
                    items.push(item);
                }
            }
            container.insert(name.to_owned(), Value::Array(items));
        }
        (Verb::Add | Verb::Replace, Some(Value::Object(new))) => object(container, name)?.extend(new),
        (Verb::Add | Verb::Replace, Some(new)) => {
            container.insert(name.to_owned(), new);
        }
    }
    Ok(())
}

fn take_list(container: &mut Map<String, Value>, name: &str) -> Vec<Value> {
    match container.remove(name) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn retain(container: &mut Map<String, Value>, name: &str, keep: impl FnMut(&Value) -> bool) {
    let mut items = take_list(container, name);
    items.retain(keep);
    if !items.is_empty() {
        container.insert(name.to_owned(), Value::Array(items));
    }
}

/// If the new element is primary, no other one is.
fn settle_primary(items: &mut [Value], new: &Value) {
    if document::is_primary(new) {
        for item in items.iter_mut().filter(|item| *item != new) {
            if let Some(item) = item.as_object_mut() {
                item.remove("primary");
            }
        }
    }
}

/// A sub-attribute without a filter.
fn sub_attribute(
    container: &mut Map<String, Value>,
    verb: Verb,
    (attribute, sub): (&'static Attribute, &'static Attribute),
    path: &AttributePath,
    value: Option<&Value>,
) -> Result<(), ScimError> {
    let given = value.map(|value| document::single(sub, value)).transpose()?.flatten();
    let given = given.filter(|_| verb != Verb::Remove);
    if !attribute.is_list {
        let Some(given) = given else {
            if let Some(object) = container.get_mut(attribute.name).and_then(Value::as_object_mut) {
                object.remove(sub.name);
                if object.is_empty() {
                    container.remove(attribute.name);
                }
            }
            return Ok(());
        };
        object(container, attribute.name)?.insert(sub.name.to_owned(), given);
        return Ok(());
    }
    let mut items = take_list(container, attribute.name);
    match (given, items.as_mut_slice()) {
        (None, items) => {
            for item in items.iter_mut().filter_map(Value::as_object_mut) {
                item.remove(sub.name);
            }
        }
        (Some(given), []) => items.push(Value::Object(Map::from_iter([(sub.name.to_owned(), given)]))),
        (Some(given), [Value::Object(only)]) => {
            only.insert(sub.name.to_owned(), given);
        }
        (Some(_), _) => {
            return Err(ScimError::no_target(format!(
                "{path} has several elements: say which with a filter in brackets"
            )));
        }
    }
    put_list(container, attribute, items);
    Ok(())
}

/// Stores the elements that still have what they are for.
fn put_list(container: &mut Map<String, Value>, attribute: &Attribute, mut items: Vec<Value>) {
    let has_value = crate::schema::find(attribute.subs(), "value").is_some();
    items.retain(|item| match item.as_object() {
        Some(item) if has_value => item.contains_key("value"),
        Some(item) => !item.is_empty(),
        None => true,
    });
    if !items.is_empty() {
        container.insert(attribute.name.to_owned(), Value::Array(items));
    }
}

/// The elements that a filter names.
fn elements(
    container: &mut Map<String, Value>,
    verb: Verb,
    attribute: &'static Attribute,
    sub: Option<&'static Attribute>,
    (path, filter): (&AttributePath, &Filter),
    value: Option<&Value>,
) -> Result<(), ScimError> {
    if !attribute.is_list {
        return Err(ScimError::path(format!("{path} has no elements to choose from")));
    }
    check_element(path, attribute.subs(), filter)?;
    let given = match (verb, sub, value) {
        (Verb::Remove, ..) | (_, _, None) => None,
        (_, Some(sub), Some(value)) => {
            document::single(sub, value)?.map(|value| Map::from_iter([(sub.name.to_owned(), value)]))
        }
        (_, None, Some(value)) => match document::single(attribute, value)? {
            Some(Value::Object(members)) => Some(members),
            _ => return Err(ScimError::value(format!("the value of {path} must be an object"))),
        },
    };
    let mut items = take_list(container, attribute.name);
    let is_meant = |item: &Value| filter.matches_element(attribute, item);
    let Some(given) = given else {
        match sub {
            None => items.retain(|item| !is_meant(item)),
            Some(sub) => {
                for item in items.iter_mut().filter(|item| is_meant(item)) {
                    if let Some(item) = item.as_object_mut() {
                        item.remove(sub.name);
                    }
                }
            }
        }
        put_list(container, attribute, items);
        return Ok(());
    };
    if !items.iter().any(is_meant) {
        // Entra ID expects that the element is created.
        let Some(new) = described(attribute, filter)? else {
            return Err(ScimError::no_target(format!("no element of {path} matches the filter")));
        };
        items.push(Value::Object(new));
    }
    let meant: Vec<usize> = (0..items.len()).filter(|index| is_meant(&items[*index])).collect();
    for index in meant {
        if let Some(item) = items[index].as_object_mut() {
            item.extend(given.clone());
        }
        let changed = items[index].clone();
        settle_primary(&mut items, &changed);
    }
    put_list(container, attribute, items);
    Ok(())
}

/// The element that a filter describes, if it consists of `eq` comparisons that all must hold.
fn described(
    attribute: &'static Attribute,
    filter: &Filter,
) -> Result<Option<Map<String, Value>>, ScimError> {
    match filter {
        Filter::And(left, right) => {
            let (left, right) = (described(attribute, left)?, described(attribute, right)?);
            Ok(left.zip(right).map(|(mut left, right)| {
                left.extend(right);
                left
            }))
        }
        Filter::Compare(path, Operator::Equal, literal) => {
            let Some(sub) = crate::schema::find(attribute.subs(), &path.name) else { return Ok(None) };
            let value = document::single(sub, literal)?;
            Ok(value.map(|value| Map::from_iter([(sub.name.to_owned(), value)])))
        }
        _ => Ok(None),
    }
}
