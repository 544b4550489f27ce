//! Reads `flyteidl2.common.ListRequest`: page size, order and conditions.

use connectrpc::ConnectError;
use flyte_idl::flyteidl2::common::{Filter, ListRequest, Sort, filter::Function, sort::Direction};

use super::invalid;
use flyte_store::{Condition, Test};

/// The default page size.
const DEFAULT_PAGE: u32 = 100;
/// The most items that a page has.
const MAX_PAGE: u32 = 1000;
/// The most conditions of a listing.
const MAX_FILTERS: usize = 64;
/// The most values of a condition.
const MAX_VALUES: usize = 100;
/// The longest value of a condition, in bytes.
const MAX_VALUE: usize = 1024;

/// A field that items are filtered by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<F> {
    /// A text.
    Text(F),
    /// A time. Requests have it in RFC 3339 format.
    Time(F),
}

/// The page size.
pub(super) fn limit(request: &ListRequest) -> u32 {
    match request.limit {
        0 => DEFAULT_PAGE,
        limit => limit.min(MAX_PAGE),
    }
}

/// The sort key, converted by `key`, and whether the order is descending. `None` if the request has no order.
///
/// # Errors
/// `invalid_argument` that names the field and the allowed `keys`.
pub(super) fn order<K>(
    request: &ListRequest,
    keys: &str,
    key: impl FnOnce(&str) -> Option<K>,
) -> Result<Option<(K, bool)>, ConnectError> {
    let (field, sort): (_, Option<&Sort>) = match request.sort_by_fields.as_slice() {
        [] => ("request.sort_by", request.sort_by.as_option()),
        [one] => ("request.sort_by_fields[0]", Some(one)),
        _ => return Err(invalid("request.sort_by_fields", "has more than one field")),
    };
    let Some(sort) = sort.filter(|sort| !sort.key.is_empty()) else { return Ok(None) };
    let key =
        key(&sort.key).ok_or_else(|| invalid(&format!("{field}.key"), &format!("is not one of {keys}")))?;
    match sort.direction.as_known() {
        Some(Direction::DESCENDING) => Ok(Some((key, true))),
        Some(Direction::ASCENDING) => Ok(Some((key, false))),
        None => Err(invalid(&format!("{field}.direction"), "is not a known direction")),
    }
}

/// The filters.
///
/// # Errors
/// `invalid_argument` if there are too many, or some in the textual form.
pub(super) fn filters(request: &ListRequest) -> Result<&[Filter], ConnectError> {
    if !request.raw_filters.is_empty() {
        return Err(invalid("request.raw_filters", "cannot be used here: give request.filters"));
    }
    if request.filters.len() > MAX_FILTERS {
        return Err(invalid("request.filters", &format!("has more than {MAX_FILTERS} conditions")));
    }
    Ok(&request.filters)
}

/// The conditions. `field` converts the name of an allowed field, and `fields` lists the allowed names for errors.
///
/// # Errors
/// `invalid_argument` that names the condition.
pub(super) fn conditions<F>(
    request: &ListRequest,
    fields: &str,
    field: impl Fn(&str) -> Option<Field<F>>,
) -> Result<Vec<Condition<F>>, ConnectError> {
    filters(request)?
        .iter()
        .enumerate()
        .map(|(n, filter)| {
            let at = format!("request.filters[{n}]");
            let known = field(&filter.field)
                .ok_or_else(|| invalid(&format!("{at}.field"), &format!("is not one of {fields}")))?;
            condition(&at, filter, known)
        })
        .collect()
}

fn condition<F>(at: &str, filter: &Filter, field: Field<F>) -> Result<Condition<F>, ConnectError> {
    let values = format!("{at}.values");
    if filter.values.is_empty() {
        return Err(invalid(&values, "is empty"));
    }
    if filter.values.len() > MAX_VALUES || filter.values.iter().any(|value| value.len() > MAX_VALUE) {
        return Err(invalid(
            &values,
            &format!("has more than {MAX_VALUES} values, or one of more than {MAX_VALUE} bytes"),
        ));
    }
    let one = || match filter.values.as_slice() {
        [value] => Ok(value.clone()),
        _ => Err(invalid(&values, "has more than the one value that this function compares with")),
    };
    let unusable = || invalid(&format!("{at}.function"), "cannot be used with this field");
    let function = filter.function.as_known().ok_or_else(unusable)?;
    match field {
        Field::Text(field) => {
            let (test, negated) = match function {
                Function::EQUAL => (Test::OneOf(vec![one()?]), false),
                Function::NOT_EQUAL => (Test::OneOf(vec![one()?]), true),
                Function::VALUE_IN => (Test::OneOf(filter.values.clone()), false),
                Function::VALUE_NOT_IN => (Test::OneOf(filter.values.clone()), true),
                Function::CONTAINS => (Test::Contains(one()?), false),
                Function::CONTAINS_CASE_INSENSITIVE => (Test::ContainsIgnoringCase(one()?), false),
                Function::ENDS_WITH => (Test::EndsWith(one()?), false),
                Function::NOT_ENDS_WITH => (Test::EndsWith(one()?), true),
                _ => return Err(unusable()),
            };
            Ok(Condition { field, test, negated })
        }
        Field::Time(field) => {
            let at = one()?;
            let at: jiff::Timestamp =
                at.parse().map_err(|_| invalid(&values, "is not a time in RFC 3339 format"))?;
            let at = at.as_second();
            let (test, negated) = match function {
                Function::GREATER_THAN => (Test::MoreThan(at), false),
                Function::GREATER_THAN_OR_EQUAL => (Test::AtLeast(at), false),
                Function::LESS_THAN => (Test::AtLeast(at), true),
                Function::LESS_THAN_OR_EQUAL => (Test::MoreThan(at), true),
                _ => return Err(unusable()),
            };
            Ok(Condition { field, test, negated })
        }
    }
}
