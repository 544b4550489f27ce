//! Conditions in the text form of list requests: `eq(state, 0)`, `value_in(state, 0;1)`, joined by `+`.

use connectrpc::ConnectError;

use flyte_store::{ProjectQuery, ProjectState};

/// The longest filter, in bytes.
const MAX_FILTER: usize = 4096;

/// Adds the conditions in `filters` to `query`.
///
/// # Errors
/// `invalid_argument` that names the condition and the allowed form.
pub(super) fn apply(filters: &str, query: &mut ProjectQuery) -> Result<(), ConnectError> {
    if filters.len() > MAX_FILTER {
        return Err(ConnectError::invalid_argument("filters: too long"));
    }
    for condition in filters.split('+').map(str::trim).filter(|condition| !condition.is_empty()) {
        let error = |why: &str| {
            ConnectError::invalid_argument(format!("filters: {condition:?} cannot be used: {why}"))
        };
        let (function, field, values) =
            parts(condition).ok_or_else(|| error("write it as function(field, value)"))?;
        let one = || match values.as_slice() {
            [value] => Ok((*value).to_owned()),
            _ => Err(error("eq compares with one value")),
        };
        let taken = match field {
            "state" => !query.states.is_empty(),
            "id" | "identifier" | "project.identifier" => query.id.is_some(),
            "name" | "project.name" => query.name.is_some(),
            _ => false,
        };
        if taken {
            return Err(error("there is another condition on the same field"));
        }
        match (function, field) {
            ("eq" | "value_in", "state") => {
                if function == "eq" {
                    one()?;
                }
                for value in values {
                    query.states.push(state(value).ok_or_else(|| error("a state is a number from 0 to 3"))?);
                }
            }
            ("eq", "id" | "identifier" | "project.identifier") => query.id = Some(one()?),
            ("eq", "name" | "project.name") => query.name = Some(one()?),
            ("eq" | "value_in", _) => return Err(error("projects are filtered by state, id and name")),
            _ => return Err(error("the functions are eq and value_in")),
        }
    }
    Ok(())
}

/// The function, field and values of one condition.
fn parts(condition: &str) -> Option<(&str, &str, Vec<&str>)> {
    let (function, rest) = condition.split_once('(')?;
    let (field, values) = rest.strip_suffix(')')?.split_once(',')?;
    let values: Vec<_> = values.split(';').map(str::trim).collect();
    (!field.trim().is_empty() && values.iter().all(|value| !value.is_empty() && !value.contains(['(', ')'])))
        .then_some((function.trim(), field.trim(), values))
}

fn state(value: &str) -> Option<ProjectState> {
    Some(match value {
        "0" | "PROJECT_STATE_ACTIVE" | "ACTIVE" => ProjectState::Active,
        "1" | "PROJECT_STATE_ARCHIVED" | "ARCHIVED" => ProjectState::Archived,
        "2" | "PROJECT_STATE_SYSTEM_GENERATED" => ProjectState::SystemGenerated,
        "3" | "PROJECT_STATE_SYSTEM_ARCHIVED" => ProjectState::SystemArchived,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query(filters: &str) -> Result<ProjectQuery, String> {
        let mut query = ProjectQuery::default();
        apply(filters, &mut query).map(|()| query).map_err(|error| error.to_string())
    }

    #[test]
    fn filters_of_clients_are_accepted() {
        assert_eq!(query("eq(state, 0)").unwrap().states, [ProjectState::Active]);
        assert_eq!(
            query("value_in(state,0;1)").unwrap().states,
            [ProjectState::Active, ProjectState::Archived]
        );
        let both = query("eq(state, 1)+eq(project.identifier, flytesnacks)").unwrap();
        assert_eq!(
            (both.states.as_slice(), both.id.as_deref()),
            (&[ProjectState::Archived][..], Some("flytesnacks"))
        );
        assert_eq!(query("").unwrap(), ProjectQuery::default());
    }

    #[test]
    fn errors_name_the_rejected_condition() {
        for bad in [
            "state",
            "eq(state)",
            "eq(state, 9)",
            "eq(state, 0;1)",
            "gt(state, 0)",
            "eq(color, red)",
            "eq(state, )",
            "eq(, 0)",
            "eq(id, a(b))",
            "eq(id, a)+eq(identifier, b)",
            "eq(state, 0)+eq(state, 1)",
            "eq(name, a)+eq(project.name, b)",
        ] {
            let error = query(bad).unwrap_err();
            let last = bad.rsplit('+').next().unwrap();
            assert!(error.contains(last), "{bad}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(filters in "\\PC{0,120}") {
            let _ = query(&filters);
        }
    }
}
