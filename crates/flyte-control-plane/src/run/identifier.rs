//! Identifiers of runs and actions in requests.

use connectrpc::ConnectError;
use flyte_idl::flyteidl2::common::{ActionIdentifier, RunIdentifier};

use crate::{ControlPlane, invalid, store_error};
use flyte_store::{self, ActionId, RunId};

/// The longest name of an action, in bytes.
const MAX_ACTION_NAME: usize = 128;

/// Reads the identifier of a run; `field` is the message that has it.
pub(crate) fn run_id(field: &str, id: Option<&RunIdentifier>) -> Result<RunId, ConnectError> {
    let id = id.ok_or_else(|| invalid(field, "is missing"))?;
    for (part, value) in [("project", &id.project), ("domain", &id.domain), ("name", &id.name)] {
        if value.is_empty() {
            return Err(invalid(&format!("{field}.{part}"), "is missing"));
        }
    }
    Ok(RunId { project: id.project.clone(), domain: id.domain.clone(), name: id.name.clone() })
}

/// Reads the identifier of an action; `field` is the message that has it.
pub(crate) fn action_id(field: &str, id: Option<&ActionIdentifier>) -> Result<ActionId, ConnectError> {
    let id = id.ok_or_else(|| invalid(field, "is missing"))?;
    let run = run_id(&format!("{field}.run"), id.run.as_option())?;
    check_action_name(&format!("{field}.name"), &id.name)?;
    Ok(ActionId { run, name: id.name.clone() })
}

/// Reads the action that a request is about; `field` is the message that names it.
pub(crate) async fn action(
    plane: &ControlPlane,
    field: &str,
    id: Option<&ActionIdentifier>,
) -> Result<flyte_store::Action, ConnectError> {
    let id = action_id(field, id)?;
    plane.runs.action(&id).await.map_err(store_error)?.ok_or_else(|| no_action(&id))
}

/// Checks the name of an action. Names become parts of paths.
pub(crate) fn check_action_name(field: &str, name: &str) -> Result<(), ConnectError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_ACTION_NAME || !name.bytes().all(allowed) || name.starts_with('.')
    {
        return Err(invalid(
            field,
            &format!("must be 1 to {MAX_ACTION_NAME} of A-Z, a-z, 0-9, - _ and ., and not begin with ."),
        ));
    }
    Ok(())
}

pub(crate) fn no_run(id: &RunId) -> ConnectError {
    ConnectError::not_found(format!(
        "there is no run {:?} in the domain {:?} of the project {:?}",
        id.name, id.domain, id.project
    ))
}

pub(crate) fn no_action(id: &ActionId) -> ConnectError {
    ConnectError::not_found(format!("there is no action {:?} of a run {:?}", id.name, id.run.to_string()))
}
