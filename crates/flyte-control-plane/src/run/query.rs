//! Reads the filters, order and page of list requests.

use connectrpc::ConnectError;
use flyte_idl::flyteidl2::common::{Filter, ListRequest, filter::Function};

use crate::{invalid, list_request};
use flyte_model::clock::UnixMillis;
use flyte_store::{ActionKind, ActionQuery, LabelCondition, Phase, RunQuery, RunSortKey, Span};

/// The condition of a filter.
enum Condition<'a> {
    Phases { not: bool, phases: Vec<Phase> },
    From(UnixMillis),
    To(UnixMillis),
    Equal(&'a str),
    Exists,
}

/// What listings of runs and actions are sorted by, and whether highest first.
fn order(request: &ListRequest) -> Result<Option<(RunSortKey, bool)>, ConnectError> {
    let keys = "created_at, updated_at, ended_at, name, phase and task_name";
    list_request::order(request, keys, |key| {
        Some(match key {
            "created_at" => RunSortKey::CreatedAt,
            "updated_at" => RunSortKey::UpdatedAt,
            "ended_at" | "end_time" => RunSortKey::EndedAt,
            "name" | "run_name" => RunSortKey::Name,
            "phase" => RunSortKey::Phase,
            "task_name" => RunSortKey::TaskName,
            _ => return None,
        })
    })
}

fn condition(filter: &Filter) -> Result<Condition<'_>, ConnectError> {
    let field = filter.field.as_str();
    let error = |what: &str| invalid(&format!("filters: {field}"), what);
    let one = || match filter.values.as_slice() {
        [value] => Ok(value.as_str()),
        _ => Err(error("needs exactly one value")),
    };
    let function = filter.function.as_known().ok_or_else(|| error("has an unknown function"))?;
    Ok(match (field, function) {
        ("phase", Function::EQUAL | Function::NOT_EQUAL) => {
            // Clients send each digit of the number as a separate value.
            let phases = vec![phase(&filter.values.concat()).ok_or_else(|| error("is not a phase"))?];
            Condition::Phases { not: function == Function::NOT_EQUAL, phases }
        }
        ("phase", Function::VALUE_IN | Function::VALUE_NOT_IN) => {
            let phases =
                filter.values.iter().map(|value| phase(value).ok_or_else(|| error("is not a phase")));
            Condition::Phases {
                not: function == Function::VALUE_NOT_IN,
                phases: phases.collect::<Result<_, _>>()?,
            }
        }
        ("created_at" | "updated_at", _) => {
            let at: jiff::Timestamp =
                one()?.parse().map_err(|_| error("is not a time in RFC 3339 format"))?;
            let at = at.as_millisecond();
            match function {
                Function::GREATER_THAN_OR_EQUAL => Condition::From(at),
                Function::GREATER_THAN => Condition::From(at.saturating_add(1)),
                Function::LESS_THAN => Condition::To(at),
                Function::LESS_THAN_OR_EQUAL => Condition::To(at.saturating_add(1)),
                _ => return Err(error("can only be compared with less than and greater than")),
            }
        }
        (_, Function::EXISTS) => Condition::Exists,
        (_, Function::EQUAL) => Condition::Equal(one()?),
        _ => return Err(error("can only be compared with EQUAL")),
    })
}

/// The phase with this number or name.
fn phase(value: &str) -> Option<Phase> {
    if let Ok(number) = value.parse() {
        return Phase::from_number(number);
    }
    let name = value.to_ascii_uppercase();
    Some(match name.strip_prefix("ACTION_PHASE_").unwrap_or(&name) {
        "QUEUED" => Phase::Queued,
        "WAITING_FOR_RESOURCES" => Phase::WaitingForResources,
        "INITIALIZING" => Phase::Initializing,
        "RUNNING" => Phase::Running,
        "SUCCEEDED" => Phase::Succeeded,
        "FAILED" => Phase::Failed,
        "ABORTED" => Phase::Aborted,
        "TIMED_OUT" => Phase::TimedOut,
        "PAUSED" => Phase::Paused,
        "RECOVERED" => Phase::Recovered,
        _ => return None,
    })
}

fn narrow(span: &mut Span, condition: &Condition<'_>) {
    match condition {
        Condition::From(at) => span.from = Some(span.from.map_or(*at, |from| from.max(*at))),
        Condition::To(at) => span.to = Some(span.to.map_or(*at, |to| to.min(*at))),
        _ => {}
    }
}

/// Sets the condition on a field with one value. A second, different value is an error.
fn equal(field: &str, slot: &mut Option<String>, value: &str) -> Result<(), ConnectError> {
    if slot.as_deref().is_some_and(|given| given != value) {
        return Err(invalid(&format!("filters: {field}"), "is compared with two different values"));
    }
    *slot = Some(value.to_owned());
    Ok(())
}

/// What all queries have, to be read from a list request.
struct Shared<'q> {
    phases: &'q mut Vec<Phase>,
    phases_not: &'q mut Vec<Phase>,
    created: &'q mut Span,
    updated: &'q mut Span,
    task_name: &'q mut Option<String>,
    sort_key: &'q mut RunSortKey,
    descending: &'q mut bool,
    limit: &'q mut u32,
    page_token: &'q mut String,
}

/// The shared part of a query. It borrows only these fields, so the others can be set meanwhile.
macro_rules! shared {
    ($query:ident) => {
        Shared {
            phases: &mut $query.phases,
            phases_not: &mut $query.phases_not,
            created: &mut $query.created,
            updated: &mut $query.updated,
            task_name: &mut $query.task_name,
            sort_key: &mut $query.sort_key,
            descending: &mut $query.descending,
            limit: &mut $query.limit,
            page_token: &mut $query.page_token,
        }
    };
}

/// Reads the order, the page and the filters of a list request. `other` reads the filters of its own fields, and returns `false`
/// for other ones. `fields` names all fields.
fn read<'r>(
    request: &'r ListRequest,
    shared: Shared<'_>,
    fields: &str,
    mut other: impl FnMut(&'r str, Condition<'r>) -> Result<bool, ConnectError>,
) -> Result<(), ConnectError> {
    *shared.limit = list_request::limit(request);
    shared.page_token.clone_from(&request.token);
    if let Some((key, descending)) = order(request)? {
        (*shared.sort_key, *shared.descending) = (key, descending);
    }
    for filter in list_request::filters(request)? {
        let field = filter.field.as_str();
        match (field, condition(filter)?) {
            (_, Condition::Phases { not: false, phases }) => shared.phases.extend(phases),
            (_, Condition::Phases { not: true, phases }) => shared.phases_not.extend(phases),
            ("created_at", bound) => narrow(shared.created, &bound),
            ("updated_at", bound) => narrow(shared.updated, &bound),
            ("task_name", Condition::Equal(value)) => equal(field, shared.task_name, value)?,
            (_, condition) => {
                if !other(field, condition)? {
                    return Err(invalid(&format!("filters: {field}"), &format!("is not one of {fields}")));
                }
            }
        }
    }
    Ok(())
}

/// The query of a list request for runs.
pub(super) fn runs(request: &ListRequest) -> Result<RunQuery, ConnectError> {
    let mut query = RunQuery::default();
    let fields = "phase, task_name, task_version, created_by, created_at, updated_at, name and labels.KEY";
    read(request, shared!(query), fields, |field, condition| {
        match (field, condition) {
            ("task_version", Condition::Equal(value)) => equal(field, &mut query.task_version, value)?,
            ("created_by", Condition::Equal(value)) => equal(field, &mut query.created_by, value)?,
            ("name" | "run_name", Condition::Equal(value)) => equal(field, &mut query.name, value)?,
            (_, condition) => match (field.strip_prefix("labels."), condition) {
                (Some(key), Condition::Equal(value)) => {
                    query.labels.push(LabelCondition { key: key.to_owned(), value: Some(value.to_owned()) });
                }
                (Some(key), Condition::Exists) => {
                    query.labels.push(LabelCondition { key: key.to_owned(), value: None });
                }
                _ => return Ok(false),
            },
        }
        Ok(true)
    })?;
    Ok(query)
}

/// The query of a list request for actions.
pub(super) fn actions(request: &ListRequest) -> Result<ActionQuery, ConnectError> {
    let mut query = ActionQuery::default();
    let fields = "phase, parent_name, action_type, name, task_name, created_at and updated_at";
    read(request, shared!(query), fields, |field, condition| {
        match (field, condition) {
            ("parent_name" | "parent", Condition::Equal(value)) => equal(field, &mut query.parent, value)?,
            ("name", Condition::Equal(value)) => equal(field, &mut query.name, value)?,
            ("action_type", Condition::Equal(value)) => {
                let kind = match value.strip_prefix("ACTION_TYPE_").unwrap_or(value) {
                    "1" | "TASK" => ActionKind::Task,
                    "2" | "TRACE" => ActionKind::Trace,
                    "3" | "CONDITION" => ActionKind::Condition,
                    _ => return Err(invalid("filters: action_type", "is not a known type")),
                };
                if query.kind.replace(kind).is_some_and(|given| given != kind) {
                    return Err(invalid("filters: action_type", "is compared with two different values"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(query)
}

#[cfg(test)]
mod tests {
    use buffa::EnumValue;
    use proptest::prelude::*;

    use super::*;

    fn filter(function: Function, field: &str, values: &[&str]) -> Filter {
        Filter {
            function: EnumValue::from(function),
            field: field.to_owned(),
            values: values.iter().map(ToString::to_string).collect(),
            ..Filter::default()
        }
    }

    fn query(filters: &[Filter]) -> Result<RunQuery, String> {
        runs(&ListRequest { filters: filters.to_vec(), ..ListRequest::default() })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn filters_of_the_published_client_are_accepted() {
        let found = query(&[
            filter(Function::VALUE_IN, "phase", &["4", "ACTION_PHASE_FAILED", "queued"]),
            filter(Function::EQUAL, "task_name", &["env.main"]),
            filter(Function::EQUAL, "created_by", &["user-Ada"]),
            filter(Function::GREATER_THAN_OR_EQUAL, "created_at", &["2026-11-25T00:00:00+00:00"]),
            filter(Function::LESS_THAN, "created_at", &["2026-11-26T00:00:00.5Z"]),
            filter(Function::EQUAL, "labels.team", &["a"]),
            filter(Function::EXISTS, "labels.x.y", &[]),
        ])
        .unwrap();
        assert_eq!(found.phases, [Phase::Running, Phase::Failed, Phase::Queued]);
        assert_eq!(
            (found.task_name.as_deref(), found.created_by.as_deref()),
            (Some("env.main"), Some("user-Ada"))
        );
        let day = 1_795_564_800_000;
        assert_eq!(found.created, Span { from: Some(day), to: Some(day + 86_400_500) });
        assert_eq!(found.labels[0].value.as_deref(), Some("a"));
        assert_eq!((found.labels[1].key.as_str(), &found.labels[1].value), ("x.y", &None));
        assert_eq!((found.limit, found.sort_key, found.descending), (100, RunSortKey::CreatedAt, false));
        // The published client passes a string instead of a list, so each character becomes a value.
        let found = query(&[filter(Function::EQUAL, "phase", &["1", "0"])]).unwrap();
        assert_eq!(found.phases, [Phase::Recovered]);
    }

    #[test]
    fn errors_name_the_rejected_filter() {
        for (filters, field) in [
            (vec![filter(Function::EQUAL, "phase", &["99"])], "phase"),
            (vec![filter(Function::EQUAL, "colour", &["red"])], "colour"),
            (vec![filter(Function::CONTAINS, "task_name", &["x"])], "task_name"),
            (vec![filter(Function::EQUAL, "task_name", &["x", "y"])], "task_name"),
            (vec![filter(Function::LESS_THAN, "created_at", &["yesterday"])], "created_at"),
            (vec![filter(Function::EQUAL, "created_at", &["2026-11-25T00:00:00Z"])], "created_at"),
            (vec![filter(Function::EXISTS, "task_name", &[])], "task_name"),
            (
                vec![
                    filter(Function::EQUAL, "task_name", &["x"]),
                    filter(Function::EQUAL, "task_name", &["y"]),
                ],
                "task_name",
            ),
        ] {
            let error = query(&filters).unwrap_err();
            assert!(error.contains(field), "{filters:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_filter_panics(function in 0..20i32, field in "\\PC{0,20}", values in prop::collection::vec("\\PC{0,30}", 0..3)) {
            let filter = Filter { function: EnumValue::from(function), field, values, ..Filter::default() };
            let _ = query(&[filter]);
        }
    }
}
