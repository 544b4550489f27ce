//! Where the inputs and outputs of actions are.

use flyte_store::{Action, ActionKind, Phase};

/// The native URL of the outputs of an action that has succeeded; `None` if it has not, or gives none.
#[must_use]
pub fn outputs_uri(action: &Action) -> Option<String> {
    if !matches!(action.phase, Phase::Succeeded | Phase::Recovered) || action.output_uri.is_empty() {
        return None;
    }
    // A trace names the file, a task the directory that the file is in.
    match action.kind {
        ActionKind::Trace if action.output_uri.ends_with(".pb") => Some(action.output_uri.clone()),
        ActionKind::Task | ActionKind::Trace | ActionKind::Condition => {
            Some(format!("{}/outputs.pb", action.output_uri.trim_end_matches('/')))
        }
    }
}
