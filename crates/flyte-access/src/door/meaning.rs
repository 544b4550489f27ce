//! What the fields of request messages mean to the door.
//!
//! The published messages name things in the same way almost everywhere: `org` or `organization`, `project`, `domain`. The
//! tables below have the exceptions, and the fields that must name an object of this server. Every other text counts only if it
//! is the URI of an object.

/// What a text field means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Any text. It counts if it is the URI of an object in the store.
    Text,
    /// An organization.
    Organization,
    /// A project.
    Project,
    /// A domain.
    Domain,
    /// The name of a run, beside its project and domain.
    Run,
    /// The URI of an object that must be in the store. The server itself, or a task on its behalf, reads or writes there.
    Object,
}

/// Names in messages that name a part of themselves otherwise, as `Message.field`.
const NAMES: &[(&str, Meaning)] = &[
    ("flyteidl2.common.ProjectIdentifier.name", Meaning::Project),
    ("flyteidl2.common.Project.name", Meaning::Project),
    ("flyteidl2.project.Project.id", Meaning::Project),
    ("flyteidl2.project.GetProjectRequest.id", Meaning::Project),
    ("flyteidl2.common.DomainIdentifier.name", Meaning::Domain),
    ("flyteidl2.common.Domain.name", Meaning::Domain),
    ("flyteidl2.org.GetDomainRequest.id", Meaning::Domain),
    ("flyteidl2.org.CreateDomainRequest.id", Meaning::Domain),
    ("flyteidl2.org.UpdateDomainRequest.id", Meaning::Domain),
    ("flyteidl2.org.DeleteDomainRequest.id", Meaning::Domain),
    ("flyteidl2.common.OrgIdentifier.name", Meaning::Organization),
    ("flyteidl2.common.Organization.name", Meaning::Organization),
    ("flyteidl2.common.RunIdentifier.name", Meaning::Run),
    // The rights of an API key or a trust rule: the service compares them with the caller's.
    ("flyteauth.Access.project", Meaning::Text),
    ("flyteauth.Access.domain", Meaning::Text),
    // A filter over the whole audit log, which only administrators of the whole server read.
    ("flyteauth.ListEventsRequest.project", Meaning::Text),
    ("flyteauth.ListEventsRequest.domain", Meaning::Text),
];

/// Fields that must name an object in the store, as `Message.field`.
const OBJECTS: &[&str] = &[
    "flyteidl2.actions.Action.input_uri",
    "flyteidl2.actions.Action.run_output_base",
    "flyteidl2.common.OffloadedInputData.uri",
    "flyteidl2.dataproxy.UploadInputsRequest.base_dir",
    "flyteidl2.task.OutputReferences.output_uri",
    "flyteidl2.task.OutputReferences.report_uri",
    "flyteidl2.task.RunSpec.run_base_dir",
    "flyteidl2.workflow.EnqueueActionRequest.input_uri",
    "flyteidl2.workflow.EnqueueActionRequest.run_output_base",
    "flyteidl2.workflow.LiteralsToLaunchFormJsonRequest.literals_uri",
];

/// Fields whose identifiers say what is related to the subject of the request, as `Message.field`. The caller must be able to see
/// that too, but a run may name other runs there.
const RELATIONS: &[&str] = &[
    "flyteidl2.actions.Action.recovered_from",
    "flyteidl2.task.RunSpec.related_to",
    "flyteidl2.task.RunSpec.relation",
];

/// Fields in which nothing counts, as `Message.field`, and why.
const IGNORED: &[&str] = &[
    // Who did something, in the caller's words: no service believes it.
    "flyteidl2.actions.AbortRequest.aborted_by",
    "flyteidl2.actions.SignalRequest.signalled_by",
    "flyteidl2.app.Condition.actor",
    "flyteidl2.app.Spec.creator",
    // Where the image of a task was built, often in a project of the system: it is only shown.
    "flyteidl2.core.TaskMetadata.image_build_run",
];

/// What the field of a message means, by its name there.
pub(super) fn of(message: &str, field: &str) -> Meaning {
    let is = |path: &str| {
        path.strip_prefix(message).and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| rest == field)
    };
    if let Some((_, meaning)) = NAMES.iter().find(|(path, _)| is(path)) {
        return *meaning;
    }
    if OBJECTS.iter().any(|path| is(path)) {
        return Meaning::Object;
    }
    match field {
        "org" | "organization" => Meaning::Organization,
        "project" => Meaning::Project,
        "domain" => Meaning::Domain,
        _ => Meaning::Text,
    }
}

fn lists(list: &[&str], message: &str, field: &str) -> bool {
    list.iter().any(|path| {
        path.strip_prefix(message).and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| rest == field)
    })
}

/// Whether the identifiers in this field are relations of the request's subject.
pub(super) fn is_relation(message: &str, field: &str) -> bool {
    lists(RELATIONS, message, field)
}

/// Whether nothing in this field counts.
pub(super) fn is_ignored(message: &str, field: &str) -> bool {
    lists(IGNORED, message, field)
}

/// All fields of the tables in this module, for the test that they exist.
#[cfg(test)]
pub(super) fn paths() -> Vec<&'static str> {
    NAMES.iter().map(|(path, _)| path).chain(OBJECTS).chain(RELATIONS).chain(IGNORED).copied().collect()
}
