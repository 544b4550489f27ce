//! Changes of a group, as requests describe them.

use serde_json::{Map, Value};

use crate::{
    document,
    error::ScimError,
    filter::{Filter, Operator, check_element, parse_path},
    patch::{Operation, Verb},
    schema::{Attribute, Resource},
};
use flyte_store::{ScimGroupChange, ScimMemberChange};

/// A whole group, as a client wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) external_id: Option<String>,
    /// `None` if the client says nothing about members.
    pub(super) members: Option<Vec<String>>,
}

impl Wanted {
    pub(super) fn into_change(self) -> ScimGroupChange {
        ScimGroupChange {
            name: Some(self.name),
            external_id: Some(self.external_id),
            members: self.members.map(ScimMemberChange::Set).into_iter().collect(),
        }
    }
}

/// Reads the document of a POST or PUT request.
pub(super) fn of_document(document: &Map<String, Value>) -> Result<Wanted, ScimError> {
    let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
    let name = text("displayName").unwrap_or_default();
    document::check_name("displayName", &name)?;
    let external_id = external_id(text("externalId"))?;
    let members = document.get("members").map(ids).transpose()?;
    Ok(Wanted { name, external_id, members })
}

fn external_id(text: Option<String>) -> Result<Option<String>, ScimError> {
    let text = text.filter(|text| !text.is_empty());
    if let Some(text) = &text {
        document::check_name("externalId", text)?;
    }
    Ok(text)
}

/// Whether the body has an empty list of members.
pub(super) fn empties_members(body: &Value) -> bool {
    let members = body.as_object().into_iter().flatten();
    let is_it = |(name, value): (&String, &Value)| {
        name.eq_ignore_ascii_case("members") && value.as_array().is_some_and(Vec::is_empty)
    };
    members.into_iter().any(is_it)
}

/// The identifiers of members: of objects with `value` or `$ref`, or the identifiers themselves.
fn ids(value: &Value) -> Result<Vec<String>, ScimError> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    items.iter().map(id).collect()
}

fn id(item: &Value) -> Result<String, ScimError> {
    let member = |name: &str| {
        let members = item.as_object()?.iter();
        let mut found = members.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.find_map(|(_, value)| value.as_str())
    };
    if member("type").is_some_and(|kind| !kind.eq_ignore_ascii_case("User")) {
        return Err(ScimError::value("members: a member must be a User, because groups contain no groups"));
    }
    let of_ref = || member("$ref").and_then(|reference| reference.rsplit('/').next());
    let id = item.as_str().or_else(|| member("value")).or_else(of_ref).unwrap_or_default();
    match id.is_empty() {
        true => Err(ScimError::value("members: a member has no value")),
        false => Ok(id.to_owned()),
    }
}

fn attribute(name: &str) -> Option<&'static Attribute> {
    crate::schema::find(Resource::Group.attributes(), name)
}

/// Adds an operation of a PATCH request. Returns a filter of members to remove that cannot be decided without them.
///
/// # Errors
/// `invalidPath`, `invalidValue`, `noTarget` and `mutability`.
pub(super) fn add(change: &mut ScimGroupChange, operation: &Operation) -> Result<Option<Filter>, ScimError> {
    let Operation { verb, path, value } = operation;
    let Some(path) = path else {
        let Some(Value::Object(members)) = value else {
            return Err(ScimError::value("without a path, value must be an object"));
        };
        for (key, value) in members {
            // What is read-only or unknown is left out, as in the body of a PUT request. Okta sends the id, for example.
            let path = parse_path(key).map_err(|error| ScimError::path(error.to_string()))?;
            let found = Resource::Group.find(&path.attribute).ok().and_then(|found| found.attribute);
            if found.is_some_and(|it| !it.is_read_only && it.name != "schemas") && path.filter.is_none() {
                let value = (!value.is_null()).then(|| value.clone());
                add(change, &Operation { verb: *verb, path: Some(key.clone()), value })?;
            }
        }
        return Ok(None);
    };
    let target = parse_path(path).map_err(|error| ScimError::path(error.to_string()))?;
    let found = Resource::Group.find(&target.attribute).map_err(ScimError::path)?;
    let name = found.attribute.map_or("", |attribute| attribute.name);
    if name != "members" && target.filter.is_some() {
        return Err(ScimError::path(format!("{path} has no elements to choose from")));
    }
    let text = || -> Result<Option<String>, ScimError> {
        let value = value.as_ref().filter(|_| *verb != Verb::Remove);
        let value = value.zip(found.attribute).map(|(value, attribute)| document::single(attribute, value));
        Ok(value.transpose()?.flatten().and_then(|value| value.as_str().map(str::to_owned)))
    };
    match name {
        "displayName" => {
            let Some(name) = text()? else {
                return Err(ScimError::mutability("a group needs a displayName"));
            };
            document::check_name("displayName", &name)?;
            change.name = Some(name);
        }
        "externalId" => change.external_id = Some(external_id(text()?)?),
        "members"
            if found.sub.is_some_and(|sub| sub.name != "value")
                || (found.sub.is_some() && target.filter.is_some()) =>
        {
            return Err(ScimError::mutability(format!("{path}: members are added and removed as a whole")));
        }
        "members" => return members(change, *verb, path, target.filter, value.as_ref()),
        _ => return Err(ScimError::mutability(format!("{path} is read-only"))),
    }
    Ok(None)
}

fn members(
    change: &mut ScimGroupChange,
    verb: Verb,
    path: &str,
    filter: Option<Filter>,
    value: Option<&Value>,
) -> Result<Option<Filter>, ScimError> {
    if let Some(filter) = filter {
        let target = parse_path(path).map_err(|error| ScimError::path(error.to_string()))?;
        let subs = attribute("members").map_or(&[][..], Attribute::subs);
        check_element(&target.attribute, subs, &filter)?;
        let named = named(&filter);
        return match (verb, named) {
            (Verb::Remove, Some(ids)) => {
                change.members.push(ScimMemberChange::Remove(ids));
                Ok(None)
            }
            (Verb::Remove, None) => Ok(Some(filter)),
            (Verb::Add, Some(ids)) => {
                change.members.push(ScimMemberChange::Add(ids));
                Ok(None)
            }
            _ => Err(ScimError::path(format!(
                "{path}: members are added and removed, not replaced one by one"
            ))),
        };
    }
    change.members.push(match (verb, value) {
        (Verb::Add, None) => return Ok(None),
        (Verb::Add, Some(value)) => ScimMemberChange::Add(ids(value)?),
        (Verb::Replace, Some(value)) => ScimMemberChange::Set(ids(value)?),
        // Without a value, all of them; with one, also an empty list, only those.
        (Verb::Remove | Verb::Replace, None) => ScimMemberChange::Set(Vec::new()),
        (Verb::Remove, Some(value)) => ScimMemberChange::Remove(ids(value)?),
    });
    Ok(None)
}

/// The identifiers that a filter names, if it only names identifiers: `value eq "a" or value eq "b"`.
fn named(filter: &Filter) -> Option<Vec<String>> {
    match filter {
        Filter::Or(left, right) => {
            let mut ids = named(left)?;
            ids.extend(named(right)?);
            Some(ids)
        }
        Filter::Compare(path, Operator::Equal, Value::String(id))
            if path.name.eq_ignore_ascii_case("value") =>
        {
            Some(vec![id.clone()])
        }
        _ => None,
    }
}

/// Removes the members that match.
pub(super) fn remove_matching(
    change: &mut ScimGroupChange,
    filter: &Filter,
    members: impl Iterator<Item = (String, Value)>,
) {
    let Some(attribute) = attribute("members") else { return };
    let ids = members.filter(|(_, member)| filter.matches_element(attribute, member)).map(|(id, _)| id);
    change.members.push(ScimMemberChange::Remove(ids.collect()));
}
