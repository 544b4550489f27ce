//! The URLs of the inputs and outputs of actions.

use flyte_store::{Action, ActionKind, Phase};

/// The native URL of the outputs of an action that has succeeded; `None` if it has not, or gives none.
#[must_use]
pub fn outputs_uri(action: &Action) -> Option<String> {
    if !matches!(action.phase, Phase::Succeeded | Phase::Recovered) || action.output_uri.is_empty() {
        return None;
    }
    // A trace stores the URL of the file, a task the URL of its directory.
    match action.kind {
        ActionKind::Trace if action.output_uri.ends_with(".pb") => Some(action.output_uri.clone()),
        ActionKind::Task | ActionKind::Trace | ActionKind::Condition => {
            Some(format!("{}/outputs.pb", action.output_uri.trim_end_matches('/')))
        }
    }
}
