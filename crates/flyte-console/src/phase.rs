//! Phases and states as pages show them.

use flyte_idl::flyteidl2::{app::status::DeploymentStatus, common::ActionPhase};
use flyte_pages::{Phase, Tone};

/// The phase of a run or an action. The names are those of the `flyte` command.
pub(crate) fn of_action(phase: Option<ActionPhase>) -> Phase {
    let (name, tone) = match phase {
        Some(ActionPhase::ACTION_PHASE_QUEUED) => ("queued", Tone::Quiet),
        Some(ActionPhase::ACTION_PHASE_WAITING_FOR_RESOURCES) => ("waiting for resources", Tone::Quiet),
        Some(ActionPhase::ACTION_PHASE_INITIALIZING) => ("initializing", Tone::Busy),
        Some(ActionPhase::ACTION_PHASE_RUNNING) => ("running", Tone::Busy),
        Some(ActionPhase::ACTION_PHASE_PAUSED) => ("paused", Tone::Busy),
        Some(ActionPhase::ACTION_PHASE_SUCCEEDED) => ("succeeded", Tone::Good),
        Some(ActionPhase::ACTION_PHASE_RECOVERED) => ("recovered", Tone::Good),
        Some(ActionPhase::ACTION_PHASE_FAILED) => ("failed", Tone::Bad),
        Some(ActionPhase::ACTION_PHASE_ABORTED) => ("aborted", Tone::Quiet),
        Some(ActionPhase::ACTION_PHASE_TIMED_OUT) => ("timed out", Tone::Bad),
        Some(ActionPhase::ACTION_PHASE_UNSPECIFIED) | None => ("unknown", Tone::Quiet),
    };
    Phase { name, tone }
}

/// Whether a phase is final.
pub(crate) fn is_over(phase: Option<ActionPhase>) -> bool {
    matches!(
        phase,
        Some(
            ActionPhase::ACTION_PHASE_SUCCEEDED
                | ActionPhase::ACTION_PHASE_RECOVERED
                | ActionPhase::ACTION_PHASE_FAILED
                | ActionPhase::ACTION_PHASE_ABORTED
                | ActionPhase::ACTION_PHASE_TIMED_OUT
        )
    )
}

/// The state of an app.
pub(crate) fn of_app(status: Option<DeploymentStatus>) -> Phase {
    let (name, tone) = match status {
        Some(DeploymentStatus::DEPLOYMENT_STATUS_ACTIVE) => ("active", Tone::Good),
        Some(DeploymentStatus::DEPLOYMENT_STATUS_FAILED) => ("failed", Tone::Bad),
        Some(DeploymentStatus::DEPLOYMENT_STATUS_STOPPED) => ("stopped", Tone::Quiet),
        Some(DeploymentStatus::DEPLOYMENT_STATUS_PENDING) => ("pending", Tone::Busy),
        Some(DeploymentStatus::DEPLOYMENT_STATUS_DEPLOYING) => ("deploying", Tone::Busy),
        _ => ("unknown", Tone::Quiet),
    };
    Phase { name, tone }
}
