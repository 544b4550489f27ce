//! What answers are about that belong to one project.
//!
//! The door has refused requests that name other projects, and the backend is asked for what is in the caller's. If it answers
//! with something else all the same, because it has looked for it by its name alone for example, the caller does not get that.
//! Parts that an answer leaves out are no reason to withhold it.

use super::table::{Item, Row, item};

/// An element of an answer that is left out if it belongs to another project.
const fn own(path: &'static str, names: &'static [&'static str]) -> Item {
    Item { may_be_shared: true, ..item(path, names) }
}

/// What the answer is about: there is none if it belongs to another project.
const fn subject(path: &'static str, names: &'static [&'static str]) -> Item {
    Item { is_subject: true, ..own(path, names) }
}

const fn unary(rpc: &'static str, items: &'static [Item]) -> Row {
    Row { rpc, items, totals: &[], scope: None, needs_scope: false, is_stream: false }
}

const fn stream(rpc: &'static str, items: &'static [Item]) -> Row {
    Row { is_stream: true, ..unary(rpc, items) }
}

const APP: &[Item] = &[subject("app", &["metadata.id"])];
const ARTIFACT: &[Item] = &[subject("artifact", &["artifact_id.name"])];
const SETTINGS: &[Item] = &[subject("settingsRecord", &["key"])];
const TRIGGER: &[Item] = &[subject("trigger", &["id.name"])];
const RUN: &[Item] = &[subject("run", &["action.id.run"])];
const RUN_DETAILS: &[Item] = &[subject("details", &["action.id.run"])];
const ACTION_DETAILS: &[Item] = &[subject("details", &["id.run"])];
const ACTIONS: &[Item] = &[own("actions", &["id.run"])];
const ENRICHED_ACTIONS: &[Item] = &[own("enriched_actions", &["action.id.run"])];
const ACTION_STATE: &[Item] = &[subject("action_id", &["run"])];
const ACTION_UPDATE: &[Item] = &[own("action_update", &["action_id.run"])];

/// All RPCs whose answers say what they are about, beside those of the [table](super::table::ROWS).
pub(super) const SUBJECTS: &[Row] = &[
    stream("flyteidl2.actions.ActionsService/WatchForUpdates", ACTION_UPDATE),
    stream(
        "flyteidl2.app.AppLogsService/TailLogs",
        &[own("replicas.replicas", &["app_id"]), own("batches.logs", &["replica_id.app_id"])],
    ),
    unary("flyteidl2.app.AppService/Create", APP),
    unary("flyteidl2.app.AppService/Get", APP),
    unary("flyteidl2.app.AppService/Update", APP),
    unary("flyteidl2.artifact.ArtifactService/CreateArtifact", ARTIFACT),
    unary("flyteidl2.artifact.ArtifactService/GetArtifact", ARTIFACT),
    unary("flyteidl2.secret.SecretService/GetSecret", &[subject("secret", &["id"])]),
    unary("flyteidl2.settings.SettingsService/CreateSettings", SETTINGS),
    unary("flyteidl2.settings.SettingsService/GetSettings", SETTINGS),
    // Those of the domain and the organization count as well.
    unary(
        "flyteidl2.settings.SettingsService/GetSettingsForEdit",
        &[subject("requestedKey", &[]), own("levels", &["key"])],
    ),
    unary("flyteidl2.settings.SettingsService/UpdateSettings", SETTINGS),
    unary("flyteidl2.task.TaskService/GetTaskDetails", &[subject("details", &["task_id"])]),
    unary("flyteidl2.trigger.TriggerService/DeployTrigger", TRIGGER),
    unary("flyteidl2.trigger.TriggerService/GetTriggerDetails", TRIGGER),
    unary("flyteidl2.trigger.TriggerService/GetTriggerRevisionDetails", TRIGGER),
    unary("flyteidl2.trigger.TriggerService/GetTriggerRevisionHistory", &[own("triggers", &["id.name"])]),
    unary("flyteidl2.workflow.RunService/CreateRun", RUN),
    unary("flyteidl2.workflow.RunService/GetActionDetails", ACTION_DETAILS),
    unary("flyteidl2.workflow.RunService/GetRunDetails", RUN_DETAILS),
    unary("flyteidl2.workflow.RunService/ListActions", ACTIONS),
    stream("flyteidl2.workflow.RunService/WatchActionDetails", ACTION_DETAILS),
    stream("flyteidl2.workflow.RunService/WatchActions", ENRICHED_ACTIONS),
    stream("flyteidl2.workflow.RunService/WatchRunDetails", RUN_DETAILS),
    unary("flyteidl2.workflow.StateService/Get", ACTION_STATE),
    unary("flyteidl2.workflow.StateService/Put", ACTION_STATE),
    stream("flyteidl2.workflow.StateService/Watch", ACTION_UPDATE),
    unary("flyteidl2.workflow.TrackedRunService/CreateRun", RUN),
    unary("flyteidl2.workflow.TrackedRunService/GetActionDetails", ACTION_DETAILS),
    unary("flyteidl2.workflow.TrackedRunService/GetRunDetails", RUN_DETAILS),
    unary("flyteidl2.workflow.TrackedRunService/ListActions", ACTIONS),
    stream("flyteidl2.workflow.TrackedRunService/WatchActionDetails", ACTION_DETAILS),
    stream("flyteidl2.workflow.TrackedRunService/WatchActions", ENRICHED_ACTIONS),
    stream("flyteidl2.workflow.TrackedRunService/WatchRunDetails", RUN_DETAILS),
];
