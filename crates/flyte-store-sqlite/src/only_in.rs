//! The condition that rows are in some parts of the control plane.

use rusqlite::types::Value;

use super::{error::SqliteError, to_json};
use flyte_model::Limit;

/// Adds the condition that the columns `project` and `domain` are in one of these parts. The parts are one value each, so their
/// number has no limit, and SQLite looks each row up in an index of them.
pub(super) fn add(
    only_in: Option<&[Limit]>,
    (project, domain): (&str, &str),
    conditions: &mut Vec<String>,
    values: &mut Vec<Value>,
) -> Result<(), SqliteError> {
    let Some(limits) = only_in else { return Ok(()) };
    let (mut projects, mut domains, mut both) = (Vec::new(), Vec::new(), Vec::new());
    for limit in limits {
        match (&limit.project, &limit.domain) {
            (None, None) => return Ok(()),
            (Some(project), None) => projects.push(project),
            (None, Some(domain)) => domains.push(domain),
            (Some(project), Some(domain)) => both.push([project, domain]),
        }
    }
    conditions.push(format!(
        "({project} IN (SELECT value FROM json_each(?)) OR {domain} IN (SELECT value FROM json_each(?))
          OR ({project}, {domain}) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?)))"
    ));
    let lists = [to_json(&projects)?, to_json(&domains)?, to_json(&both)?];
    values.extend(lists.map(Value::Text));
    Ok(())
}
