//! Filters and orders on attributes that the database has in columns.

use serde_json::Value;

use super::{AttributePath, Filter, Operator};
use crate::{error::ScimError, schema::Resource, time};
use flyte_store::{ScimCondition, ScimField, ScimOperator, ScimOrder, ScimSortKey, ScimValue};

/// The column of an attribute, by its name in lower case.
fn field(resource: Resource, key: &str) -> Option<ScimField> {
    Some(match (resource, key) {
        (_, "id") => ScimField::Id,
        (_, "externalid") => ScimField::ExternalId,
        (_, "displayname") => ScimField::DisplayName,
        (_, "meta.created") => ScimField::Created,
        (_, "meta.lastmodified") => ScimField::LastModified,
        (Resource::User, "username") => ScimField::UserName,
        (Resource::User, "active") => ScimField::Active,
        (Resource::User, "emails" | "emails.value") => ScimField::Emails,
        (Resource::User, "groups" | "groups.value") => ScimField::Groups,
        (Resource::Group, "members" | "members.value") => ScimField::Members,
        _ => return None,
    })
}

/// The value of a comparison with a column; `None` if no value of the column is like it.
fn value(field: ScimField, value: &Value) -> Option<ScimValue> {
    match (field, value) {
        (ScimField::Active, Value::Bool(flag)) => Some(ScimValue::Flag(*flag)),
        (ScimField::Active, Value::String(text)) => {
            let flag = text.to_ascii_lowercase().parse().ok()?;
            Some(ScimValue::Flag(flag))
        }
        (ScimField::Created | ScimField::LastModified, Value::String(text)) => {
            time::parse(text).map(ScimValue::Time)
        }
        (ScimField::Active | ScimField::Created | ScimField::LastModified, _) => None,
        (_, Value::String(text)) => Some(ScimValue::Text(text.clone())),
        _ => None,
    }
}

fn operator(operator: Operator) -> (ScimOperator, bool) {
    match operator {
        Operator::Equal => (ScimOperator::Equal, false),
        Operator::NotEqual => (ScimOperator::Equal, true),
        Operator::Contains => (ScimOperator::Contains, false),
        Operator::StartsWith => (ScimOperator::StartsWith, false),
        Operator::EndsWith => (ScimOperator::EndsWith, false),
        Operator::Greater => (ScimOperator::Greater, false),
        Operator::GreaterOrEqual => (ScimOperator::GreaterOrEqual, false),
        Operator::Less => (ScimOperator::Less, false),
        Operator::LessOrEqual => (ScimOperator::LessOrEqual, false),
    }
}

fn not(condition: ScimCondition) -> ScimCondition {
    ScimCondition::Not(Box::new(condition))
}

/// A comparison as a condition; `None` if the attribute has no column.
fn comparison(
    resource: Resource,
    path: &AttributePath,
    compared: Operator,
    literal: &Value,
) -> Result<Option<ScimCondition>, ScimError> {
    let found = resource.find_in_filter(path)?;
    let Some(field) = field(resource, &found.key()) else { return Ok(None) };
    let present = || ScimCondition::Test(field, ScimOperator::Present, ScimValue::Flag(true));
    if literal.is_null() {
        // A null is an attribute without a value (RFC 7643 section 2.5).
        return Ok(Some(match compared {
            Operator::Equal => not(present()),
            _ => present(),
        }));
    }
    let (operator, is_not) = operator(compared);
    let ordered = matches!(field, ScimField::Active) && operator != ScimOperator::Equal;
    if ordered {
        return Err(ScimError::filter(format!("{path}: a boolean is compared with eq or ne")));
    }
    let is_time = matches!(field, ScimField::Created | ScimField::LastModified);
    let is_text_only =
        matches!(operator, ScimOperator::Contains | ScimOperator::StartsWith | ScimOperator::EndsWith);
    if is_time && is_text_only {
        return Err(ScimError::filter(format!("{path}: a time is compared with eq, ne, gt, ge, lt or le")));
    }
    let Some(value) = value(field, literal) else {
        return Err(ScimError::filter(format!("{path} cannot be compared with {literal}")));
    };
    let test = ScimCondition::Test(field, operator, value);
    Ok(Some(if is_not { not(test) } else { test }))
}

/// The whole filter as a condition; `None` if an attribute in it has no column.
fn condition(resource: Resource, filter: &Filter) -> Result<Option<ScimCondition>, ScimError> {
    let both = |left: &Filter, right: &Filter| {
        // Both, so that an unknown attribute on either side is found.
        let (left, right) = (condition(resource, left)?, condition(resource, right)?);
        Ok::<_, ScimError>(left.zip(right).map(|(left, right)| vec![left, right]))
    };
    Ok(match filter {
        Filter::And(left, right) => both(left, right)?.map(ScimCondition::All),
        Filter::Or(left, right) => both(left, right)?.map(ScimCondition::Any),
        Filter::Not(inner) => condition(resource, inner)?.map(not),
        Filter::Present(path) => {
            let found = resource.find_in_filter(path)?;
            let field = field(resource, &found.key());
            field.map(|field| ScimCondition::Test(field, ScimOperator::Present, ScimValue::Flag(true)))
        }
        Filter::Compare(path, operator, literal) => comparison(resource, path, *operator, literal)?,
        // `members[value eq "2819c223"]`: one comparison of an element is one of its values.
        Filter::Element(path, inner) => match &**inner {
            Filter::Compare(sub, operator, literal) if *operator != Operator::NotEqual => {
                comparison(resource, &join(path, sub), *operator, literal)?
            }
            _ => {
                check(resource, filter)?;
                None
            }
        },
    })
}

fn join(path: &AttributePath, sub: &AttributePath) -> AttributePath {
    AttributePath { sub: Some(sub.name.clone()), ..path.clone() }
}

/// Checks that all attributes of a filter exist.
pub(crate) fn check(resource: Resource, filter: &Filter) -> Result<(), ScimError> {
    match filter {
        Filter::And(left, right) | Filter::Or(left, right) => {
            check(resource, left)?;
            check(resource, right)
        }
        Filter::Not(inner) => check(resource, inner),
        Filter::Present(path) | Filter::Compare(path, ..) => resource.find_in_filter(path).map(drop),
        Filter::Element(path, inner) => {
            let found = resource.find_in_filter(path)?;
            let subs = found.attribute.map_or(&[][..], crate::schema::Attribute::subs);
            if subs.is_empty() {
                return Err(ScimError::filter(format!("{path} has no sub-attributes")));
            }
            check_element(path, subs, inner)
        }
    }
}

/// Checks that a filter in brackets names sub-attributes.
pub(crate) fn check_element(
    of: &AttributePath,
    subs: &[crate::schema::Attribute],
    filter: &Filter,
) -> Result<(), ScimError> {
    match filter {
        Filter::And(left, right) | Filter::Or(left, right) => {
            check_element(of, subs, left)?;
            check_element(of, subs, right)
        }
        Filter::Not(inner) => check_element(of, subs, inner),
        Filter::Element(..) => Err(ScimError::filter(format!("{of}: brackets cannot be nested"))),
        Filter::Present(path) | Filter::Compare(path, ..) => {
            let is_known = path.schema.is_none()
                && path.sub.is_none()
                && crate::schema::find(subs, &path.name).is_some();
            let unknown = || ScimError::filter(format!("{path} is not a sub-attribute of {of}"));
            if is_known { Ok(()) } else { Err(unknown()) }
        }
    }
}

/// Whether a filter names memberships, which are not part of the stored resource.
fn names_memberships(resource: Resource, filter: &Filter) -> bool {
    let name = match resource {
        Resource::User => "groups",
        Resource::Group => "members",
    };
    match filter {
        Filter::And(left, right) | Filter::Or(left, right) => {
            names_memberships(resource, left) || names_memberships(resource, right)
        }
        Filter::Not(inner) => names_memberships(resource, inner),
        Filter::Present(path) | Filter::Compare(path, ..) | Filter::Element(path, _) => {
            path.name.eq_ignore_ascii_case(name)
        }
    }
}

/// Splits a filter: what the database decides, and the rest, which is decided for each resource that is left.
///
/// # Errors
/// `invalidFilter` for an attribute that does not exist, and for what cannot be decided.
pub(crate) fn split(
    resource: Resource,
    filter: Filter,
) -> Result<(Option<ScimCondition>, Option<Filter>), ScimError> {
    if let Some(condition) = condition(resource, &filter)? {
        return Ok((Some(condition), None));
    }
    if let Filter::And(left, right) = filter {
        let (left_condition, left_rest) = split(resource, *left)?;
        let (right_condition, right_rest) = split(resource, *right)?;
        let conditions: Vec<_> = left_condition.into_iter().chain(right_condition).collect();
        let condition = (!conditions.is_empty()).then_some(ScimCondition::All(conditions));
        let rest = match (left_rest, right_rest) {
            (Some(left), Some(right)) => Some(Filter::And(Box::new(left), Box::new(right))),
            (left, right) => left.or(right),
        };
        return Ok((condition, rest));
    }
    check(resource, &filter)?;
    if names_memberships(resource, &filter) || resource == Resource::Group {
        return Err(ScimError::filter(
            "this filter is not supported: memberships are found by value, and groups by id, externalId, displayName, \
             members.value and meta",
        ));
    }
    Ok((None, Some(filter)))
}

/// The order by an attribute.
///
/// # Errors
/// `invalidPath` for an attribute that does not exist or has no order.
pub(crate) fn order(resource: Resource, path: &str, descending: bool) -> Result<ScimOrder, ScimError> {
    let unsupported = |why: String| ScimError::path(format!("sortBy: {why}"));
    let target = super::parse_path(path).map_err(|error| unsupported(error.to_string()))?;
    let found = resource.find(&target.attribute).map_err(unsupported)?;
    let by = match field(resource, &found.key()) {
        Some(ScimField::Members | ScimField::Groups) => None,
        Some(field) => Some(ScimSortKey::Field(field)),
        None if resource == Resource::User && is_single_text(&found) => {
            let names = found.names().into_iter().map(std::borrow::Cow::into_owned);
            Some(ScimSortKey::Attribute(names.collect()))
        }
        None => None,
    };
    let by = by.filter(|_| target.filter.is_none());
    let by = by.ok_or_else(|| unsupported(format!("resources cannot be sorted by {path}")))?;
    Ok(ScimOrder { by, descending })
}

fn is_single_text(found: &crate::schema::Found) -> bool {
    use crate::schema::Type;
    let is_list = found.attribute.is_some_and(|attribute| attribute.is_list);
    let last = found.sub.or(found.attribute);
    !is_list && last.is_some_and(|last| matches!(last.kind, Type::Text | Type::Reference(_)))
}
