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
    /// The URI of a directory in which the server makes one for each project: the store itself, or a part of it.
    Base,
    /// A path below a directory of the project.
    RelativePath,
    /// The name of an action of a run.
    Action,
    /// What the code in the request asks for.
    Code(Code),
}

/// What code asks for in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// To run as this service account, or with this role of a cloud.
    ServiceAccount,
    /// To be based on the `PodTemplate` of this name.
    PodTemplate,
    /// To run this image.
    Image,
    /// To be run by what the backend has for this type of tasks.
    TaskType,
    /// A secret of this group: for some stores of secrets, the name of a Kubernetes secret.
    SecretGroup,
    /// This key of a secret.
    SecretKey,
    /// This version of a secret.
    SecretVersion,
    /// Annotations of its pod. They have effects of their own.
    Annotation,
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
    ("cloudidl.common.Organization.name", Meaning::Organization),
    // The rights of an API key or a trust rule: the service compares them with the caller's.
    ("flyteauth.Access.project", Meaning::Text),
    ("flyteauth.Access.domain", Meaning::Text),
    // A role that someone gets or loses: the service compares it with the caller's.
    ("flyteauth.Grant.project", Meaning::Text),
    ("flyteauth.Grant.domain", Meaning::Text),
    // A question about a project, which reveals nothing that is in it.
    ("flyteauth.ExplainAccessRequest.project", Meaning::Text),
    ("flyteauth.ExplainAccessRequest.domain", Meaning::Text),
    // A filter over the whole audit log, which only administrators of the whole server read.
    ("flyteauth.ListEventsRequest.project", Meaning::Text),
    ("flyteauth.ListEventsRequest.domain", Meaning::Text),
];

/// Fields that must name an object in the store, as `Message.field`.
const OBJECTS: &[&str] = &[
    "flyteidl2.actions.Action.input_uri",
    "flyteidl2.actions.Action.run_output_base",
    "flyteidl2.common.OffloadedInputData.uri",
    "flyteidl2.task.OutputReferences.output_uri",
    "flyteidl2.task.OutputReferences.report_uri",
    "flyteidl2.workflow.EnqueueActionRequest.input_uri",
    "flyteidl2.workflow.EnqueueActionRequest.run_output_base",
    "flyteidl2.workflow.LiteralsToLaunchFormJsonRequest.literals_uri",
];

/// Fields whose texts are neither names nor objects, as `Message.field`.
const TEXTS: &[(&str, Meaning)] = &[
    ("flyteidl2.dataproxy.UploadInputsRequest.base_dir", Meaning::Base),
    ("flyteidl2.task.RunSpec.run_base_dir", Meaning::Base),
    ("flyteidl2.dataproxy.CreateUploadLocationRequest.filename", Meaning::RelativePath),
    ("flyteidl2.dataproxy.CreateUploadLocationRequest.filename_root", Meaning::RelativePath),
    ("flyteidl2.common.ActionIdentifier.name", Meaning::Action),
    ("flyteidl2.actions.Action.parent_action_name", Meaning::Action),
    ("flyteidl2.actions.SignalRequest.parent_action_name", Meaning::Action),
    ("flyteidl2.workflow.EnqueueActionRequest.parent_action_name", Meaning::Action),
    ("flyteidl2.workflow.PutRequest.parent_action_name", Meaning::Action),
    ("flyteidl2.workflow.SignalEventRequest.parent_action_name", Meaning::Action),
    ("flyteidl2.core.Identity.iam_role", Meaning::Code(Code::ServiceAccount)),
    ("flyteidl2.core.Identity.k8s_service_account", Meaning::Code(Code::ServiceAccount)),
    ("flyteidl2.connector.TaskExecutionMetadata.k8s_service_account", Meaning::Code(Code::ServiceAccount)),
    ("flyteidl2.core.TaskMetadata.pod_template_name", Meaning::Code(Code::PodTemplate)),
    ("flyteidl2.task.DefaultSettings.pod_template_name", Meaning::Code(Code::PodTemplate)),
    ("flyteidl2.core.Container.image", Meaning::Code(Code::Image)),
    ("flyteidl2.core.TaskTemplate.type", Meaning::Code(Code::TaskType)),
    ("flyteidl2.core.Secret.group", Meaning::Code(Code::SecretGroup)),
    ("flyteidl2.core.Secret.group_version", Meaning::Code(Code::SecretVersion)),
    ("flyteidl2.core.Secret.key", Meaning::Code(Code::SecretKey)),
    ("flyteidl2.core.K8sObjectMetadata.annotations", Meaning::Code(Code::Annotation)),
    ("flyteidl2.task.Annotations.values", Meaning::Code(Code::Annotation)),
    ("flyteidl2.connector.TaskExecutionMetadata.annotations", Meaning::Code(Code::Annotation)),
];

/// Fields whose messages are in other places too, and mean this here: message, field, and the meaning of all texts in it.
pub(super) const INHERITED: &[(&str, &str, Meaning)] = &[
    ("flyteidl2.settings.RunSettings", "run_base_dir", Meaning::Base),
    ("flyteidl2.settings.SecuritySettings", "service_account", Meaning::Code(Code::ServiceAccount)),
    ("flyteidl2.settings.Settings", "annotations", Meaning::Code(Code::Annotation)),
    ("flyteidl2.settings.Settings", "pod_template_name", Meaning::Code(Code::PodTemplate)),
];

/// Fields whose messages are judged as a whole, as `Message.field`: specifications of pods, and what plugins make pods from.
const WHOLES: &[&str] = &["flyteidl2.core.K8sPod.pod_spec", "flyteidl2.core.TaskTemplate.custom"];

/// Identifiers of what is in a project. If the request begins with one, it must name the project.
const IN_PROJECT: &[&str] = &[
    "flyteidl2.app.Identifier",
    "flyteidl2.artifact.ArtifactName",
    "flyteidl2.common.ProjectIdentifier",
    "flyteidl2.common.RunIdentifier",
    "flyteidl2.common.TriggerName",
    "flyteidl2.secret.SecretIdentifier",
    "flyteidl2.task.TaskIdentifier",
    "flyteidl2.task.TaskName",
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
    if let Some(meaning) = look_up(NAMES, message, field).or_else(|| look_up(TEXTS, message, field)) {
        return meaning;
    }
    if lists(OBJECTS, message, field) {
        return Meaning::Object;
    }
    match field {
        "org" | "organization" => Meaning::Organization,
        "project" => Meaning::Project,
        "domain" => Meaning::Domain,
        _ => Meaning::Text,
    }
}

fn is_field(path: &str, message: &str, field: &str) -> bool {
    path.strip_prefix(message).and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| rest == field)
}

fn look_up<T: Copy>(table: &[(&str, T)], message: &str, field: &str) -> Option<T> {
    table.iter().find(|(path, _)| is_field(path, message, field)).map(|(_, value)| *value)
}

fn lists(list: &[&str], message: &str, field: &str) -> bool {
    list.iter().any(|path| is_field(path, message, field))
}

/// Whether the message in this field is judged as a whole.
pub(super) fn is_whole(message: &str, field: &str) -> bool {
    lists(WHOLES, message, field)
}

/// Whether a message is the identifier of something in a project.
pub(super) fn is_in_project(message: &str) -> bool {
    IN_PROJECT.contains(&message)
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
pub(super) fn paths() -> Vec<String> {
    let inherited = INHERITED.iter().map(|(message, field, _)| format!("{message}.{field}"));
    let texts =
        NAMES.iter().chain(TEXTS).map(|(path, _)| path).chain(OBJECTS).chain(RELATIONS).chain(IGNORED);
    texts.chain(WHOLES).map(ToString::to_string).chain(inherited).collect()
}

/// All messages of the tables in this module, for the same test.
#[cfg(test)]
pub(super) fn messages() -> &'static [&'static str] {
    IN_PROJECT
}
