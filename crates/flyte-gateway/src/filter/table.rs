//! What is taken out of which answers.

/// How the message that names an item's project is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    /// The field with the project; empty if it names none.
    pub(super) project: &'static str,
    /// The field with the domain; empty if it names none.
    pub(super) domain: &'static str,
}

const IDENTIFIER: Parts = Parts { project: "project", domain: "domain" };

/// A field that is left out if the caller may not see what it names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// The way to it through the answer. Of a list, single elements are left out.
    pub(super) path: &'static str,
    /// The ways from it to the messages that name its project; empty if it does so itself.
    pub(super) names: &'static [&'static str],
    pub(super) parts: Parts,
    /// Whether one without a project or domain belongs to all of them.
    pub(super) may_be_shared: bool,
    /// Whether the answer is about it, so that there is none without it.
    pub(super) is_subject: bool,
}

/// The field of a request that limits its answer to a project.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    /// Its number and name. It holds a `flyteidl2.common.ProjectIdentifier`.
    pub(super) project: (u32, &'static str),
    /// The fields that take its place.
    pub(super) others: &'static [(u32, &'static str)],
}

/// An RPC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) rpc: &'static str,
    pub(super) items: &'static [Item],
    /// Counts of everything in the request's scope. They are left out if that is wider than what the caller may see: how many
    /// items of the answer it may see is known to no one.
    pub(super) totals: &'static [&'static str],
    pub(super) scope: Option<Scope>,
    /// Whether the request must be limited by it, because the answer does not say which project it is about.
    pub(super) needs_scope: bool,
    /// Whether the answer is a stream, of which messages can be left out.
    pub(super) is_stream: bool,
}

pub(super) const fn item(path: &'static str, names: &'static [&'static str]) -> Item {
    Item { path, names, parts: IDENTIFIER, may_be_shared: false, is_subject: false }
}

const fn items(rpc: &'static str, items: &'static [Item]) -> Row {
    Row { rpc, items, totals: &[], scope: None, needs_scope: false, is_stream: false }
}

const fn stream(rpc: &'static str, items: &'static [Item]) -> Row {
    Row { is_stream: true, ..self::items(rpc, items) }
}

/// An answer that does not say which project it is about. The request must name the caller's.
const fn unnamed(rpc: &'static str, number: u32) -> Row {
    let scope = Scope { project: (number, "project_id"), others: &[] };
    Row { scope: Some(scope), needs_scope: true, ..items(rpc, &[]) }
}

const RUNS: &[Item] = &[item("runs", &["action.id.run"])];

/// A project's domains, in which the caller may see one.
const fn domains(path: &'static str) -> Item {
    Item { parts: Parts { project: "", domain: "id" }, ..item(path, &[]) }
}

/// All RPCs whose answers can have something in them that a caller who is limited to a project may not see.
pub(super) const ROWS: &[Row] = &[
    Row {
        rpc: "flyteidl2.app.AppService/List",
        items: &[item("apps", &["metadata.id"])],
        needs_scope: false,
        is_stream: false,
        totals: &["total_count"],
        scope: Some(Scope {
            project: (4, "project"),
            others: &[(2, "org"), (3, "cluster_id"), (7, "artifact")],
        }),
    },
    stream(
        "flyteidl2.app.AppService/Watch",
        &[
            item("create_event", &["app.metadata.id"]),
            item("update_event", &["updated_app.metadata.id", "old_app.metadata.id"]),
            item("delete_event", &["app.metadata.id"]),
        ],
    ),
    items("flyteidl2.artifact.ArtifactService/ListArtifacts", &[item("artifacts", &["artifact_id.name"])]),
    items(
        "flyteidl2.artifact.ArtifactService/ListArtifactNames",
        &[item("groups", &["latest.artifact_id.name"])],
    ),
    unnamed("flyteidl2.artifact.ArtifactService/ListArtifactMetadataKeys", 1),
    unnamed("flyteidl2.artifact.ArtifactService/ListPartitionValues", 2),
    Row {
        // Images are shared; the runs that built them are not.
        items: &[item("image.build_run", &[])],
        ..unnamed("flyteidl2.imagebuilder.ImageService/GetImage", 3)
    },
    items(
        "flyteidl2.project.ProjectService/GetProject",
        &[
            Item {
                parts: Parts { project: "id", domain: "" },
                may_be_shared: true,
                is_subject: true,
                ..item("project", &[])
            },
            domains("project.domains"),
        ],
    ),
    items(
        "flyteidl2.project.ProjectService/ListProjects",
        &[
            Item { parts: Parts { project: "id", domain: "" }, ..item("projects.projects", &[]) },
            domains("projects.projects.domains"),
        ],
    ),
    items(
        "flyteidl2.secret.SecretService/ListSecrets",
        // Every project may use the secrets of the organization.
        &[Item { may_be_shared: true, ..item("secrets", &["id"]) }],
    ),
    Row {
        rpc: "flyteidl2.task.TaskService/ListTasks",
        items: &[
            item("tasks", &["task_id"]),
            // Others may run the task in their own projects.
            item("tasks.task_summary.latest_run", &["run_id"]),
        ],
        needs_scope: false,
        is_stream: false,
        totals: &["metadata"],
        scope: Some(Scope { project: (3, "project_id"), others: &[(2, "org")] }),
    },
    items("flyteidl2.task.TaskService/ListVersions", &[item("versions.latest_run", &["run_id"])]),
    items("flyteidl2.trigger.TriggerService/ListTriggers", &[item("triggers", &["id.name"])]),
    items("flyteidl2.workflow.RunService/ListRuns", RUNS),
    stream("flyteidl2.workflow.RunService/WatchRuns", RUNS),
    unnamed("flyteidl2.workflow.RunService/WatchGroups", 1),
    items("flyteidl2.workflow.TrackedRunService/ListRuns", RUNS),
    stream("flyteidl2.workflow.TrackedRunService/WatchRuns", RUNS),
];
