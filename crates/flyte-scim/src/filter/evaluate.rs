//! Filters on a resource as JSON.

use std::cmp::Ordering;

use serde_json::Value;

use super::{AttributePath, Filter, Operator};
use crate::{
    schema::{Attribute, Found, Resource, Type},
    time,
};

impl Filter {
    /// Whether a resource matches. All attributes must exist: see [`check`](super::column::check).
    pub(crate) fn matches(&self, resource: Resource, value: &Value) -> bool {
        match self {
            Self::And(left, right) => left.matches(resource, value) && right.matches(resource, value),
            Self::Or(left, right) => left.matches(resource, value) || right.matches(resource, value),
            Self::Not(inner) => !inner.matches(resource, value),
            Self::Present(path) => values(resource, path, value).1.into_iter().any(is_present),
            Self::Compare(path, operator, literal) => {
                let (attribute, values) = values(resource, path, value);
                attribute.is_some_and(|attribute| compare_any(attribute, &values, *operator, literal))
            }
            Self::Element(path, inner) => {
                let Ok(Found { attribute: Some(attribute), .. }) = resource.find(path) else { return false };
                elements(resource, path, value).into_iter().any(|it| inner.matches_element(attribute, it))
            }
        }
    }

    /// Whether an element of a multi-valued attribute matches.
    pub(crate) fn matches_element(&self, of: &Attribute, element: &Value) -> bool {
        let sub = |path: &AttributePath| {
            let attribute = crate::schema::find(of.subs(), &path.name)?;
            Some((attribute, element.get(attribute.name)))
        };
        match self {
            Self::And(left, right) => left.matches_element(of, element) && right.matches_element(of, element),
            Self::Or(left, right) => left.matches_element(of, element) || right.matches_element(of, element),
            Self::Not(inner) => !inner.matches_element(of, element),
            Self::Present(path) => sub(path).and_then(|(_, value)| value).is_some_and(is_present),
            Self::Compare(path, operator, literal) => sub(path).is_some_and(|(attribute, value)| {
                let values: Vec<_> = value.into_iter().collect();
                compare_any(attribute, &values, *operator, literal)
            }),
            Self::Element(..) => false,
        }
    }
}

fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// The elements of an attribute: those of a list, or the value itself.
fn elements<'a>(resource: Resource, path: &AttributePath, value: &'a Value) -> Vec<&'a Value> {
    let Ok(found) = resource.find(path) else { return Vec::new() };
    let root = found.extension.map_or(Some(value), |urn| value.get(urn));
    let found = found.attribute.map_or(root, |attribute| root.and_then(|root| root.get(attribute.name)));
    match found {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(other) => vec![other],
        None => Vec::new(),
    }
}

/// The values that a path names, and their attribute.
fn values<'a>(
    resource: Resource,
    path: &AttributePath,
    value: &'a Value,
) -> (Option<&'static Attribute>, Vec<&'a Value>) {
    let Ok(found) = resource.find(path) else { return (None, Vec::new()) };
    let elements = elements(resource, path, value);
    let is_complex = found.attribute.is_some_and(|attribute| !attribute.subs().is_empty());
    let values = match found.compared() {
        Some(compared) if is_complex => {
            elements.into_iter().filter_map(|element| element.get(compared.name)).collect()
        }
        _ => elements,
    };
    (found.compared(), values)
}

/// Whether one of the values meets the comparison. `ne` is the opposite of `eq`, also for an absent value.
fn compare_any(attribute: &Attribute, values: &[&Value], operator: Operator, literal: &Value) -> bool {
    if literal.is_null() {
        let has_value = values.iter().any(|value| is_present(value));
        return if operator == Operator::Equal { !has_value } else { has_value };
    }
    if operator == Operator::NotEqual {
        return !compare_any(attribute, values, Operator::Equal, literal);
    }
    values.iter().any(|value| compare(attribute, value, operator, literal))
}

fn compare(attribute: &Attribute, value: &Value, operator: Operator, literal: &Value) -> bool {
    if attribute.kind == Type::Flag {
        return operator == Operator::Equal
            && flag(value).zip(flag(literal)).is_some_and(|(one, other)| one == other);
    }
    let (Value::String(value), Value::String(literal)) = (value, literal) else {
        return operator == Operator::Equal && value == literal;
    };
    if attribute.kind == Type::Time {
        let ordering = time::parse(value).zip(time::parse(literal)).map(|(one, other)| one.cmp(&other));
        return ordering.is_some_and(|ordering| meets(operator, ordering));
    }
    let (value, literal) = match attribute.case_exact {
        true => (value.clone(), literal.clone()),
        false => (value.to_lowercase(), literal.to_lowercase()),
    };
    match operator {
        Operator::Contains => value.contains(&literal),
        Operator::StartsWith => value.starts_with(&literal),
        Operator::EndsWith => value.ends_with(&literal),
        _ => meets(operator, value.cmp(&literal)),
    }
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

fn meets(operator: Operator, ordering: Ordering) -> bool {
    match operator {
        Operator::Equal => ordering.is_eq(),
        Operator::NotEqual => ordering.is_ne(),
        Operator::Greater => ordering.is_gt(),
        Operator::GreaterOrEqual => ordering.is_ge(),
        Operator::Less => ordering.is_lt(),
        Operator::LessOrEqual => ordering.is_le(),
        Operator::Contains | Operator::StartsWith | Operator::EndsWith => false,
    }
}
