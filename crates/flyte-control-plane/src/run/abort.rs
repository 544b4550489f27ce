//! Aborts runs and actions.

use connectrpc::ConnectError;

use super::{no_action, record};
use crate::{ControlPlane, invalid, store_error};
use flyte_access::Caller;
use flyte_audit::{Detail, Kind};
use flyte_store::{ActionId, Phase};

/// The longest reason of an abort, in characters.
const MAX_REASON: usize = 1024;
/// The reason of an abort if the request has none.
const NO_REASON: &str = "no reason was given";

/// The reason of an abort, checked.
pub(crate) fn reason(reason: Option<&str>) -> Result<&str, ConnectError> {
    match reason.map(str::trim).filter(|reason| !reason.is_empty()) {
        None => Ok(NO_REASON),
        Some(reason) if reason.chars().count() > MAX_REASON => {
            Err(invalid("reason", &format!("is longer than {MAX_REASON} characters")))
        }
        Some(reason) => Ok(reason),
    }
}

/// Aborts an action and records this in the audit log. Returns `false` if the action has already ended.
pub(crate) async fn abort(
    plane: &ControlPlane,
    caller: &Caller,
    id: &ActionId,
    reason: &str,
) -> Result<bool, ConnectError> {
    let aborted = plane.runs.abort(id, reason, &caller.subject).await.map_err(store_error)?;
    if aborted {
        record(plane, Kind::RunAborted, caller, id, |event| event.detail(Detail::Reason, reason)).await;
    }
    Ok(aborted)
}

/// Aborts an action. Returns an error if the action has already ended.
pub(super) async fn abort_unfinished(
    plane: &ControlPlane,
    caller: &Caller,
    id: &ActionId,
    reason: &str,
) -> Result<(), ConnectError> {
    if abort(plane, caller, id, reason).await? {
        return Ok(());
    }
    let action = plane.runs.action(id).await.map_err(store_error)?.ok_or_else(|| no_action(id))?;
    let what = if id.is_root() { format!("run {:?}", id.run.name) } else { format!("action {:?}", id.name) };
    let how = match action.phase {
        Phase::Succeeded | Phase::Recovered => "succeeded",
        Phase::Failed => "failed",
        Phase::Aborted => "was aborted",
        Phase::TimedOut => "timed out",
        Phase::Queued | Phase::WaitingForResources | Phase::Initializing | Phase::Running | Phase::Paused => {
            "ended"
        }
    };
    Err(ConnectError::failed_precondition(format!(
        "{what} has finished: it {how}. There is nothing to abort"
    )))
}
