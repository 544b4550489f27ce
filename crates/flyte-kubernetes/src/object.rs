//! Pods and `TaskActions`, reduced to what decides whose a pod is.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use flyte_access::workload::{Workload, WorkloadId};
use flyte_model::clock::UnixTime;
use flyte_store::RunId;

/// The API group of `TaskActions`.
const GROUP: &str = "flyte.org";
/// The label that all pods of tasks have.
pub(crate) const RUN_LABEL: &str = "flyte.org/run";

/// A pod, as the API server sends it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Pod {
    /// Its name, UID, labels and owners.
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    service_account_name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    phase: String,
}

/// A `TaskAction` (`flyte.org/v1`), as the API server sends it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct TaskAction {
    /// Its name and UID.
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    spec: TaskActionSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TaskActionSpec {
    run_name: String,
    action_name: String,
    project: String,
    domain: String,
}

/// The reference of a pod to the `TaskAction` that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The name of the `TaskAction` in the pod's namespace.
    pub(crate) name: String,
    /// Its UID.
    pub(crate) uid: String,
}

/// What a pod works on: the name of a run, an action, a project and a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    run: RunId,
    action: String,
}

/// What this crate keeps of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodRecord {
    /// The pod.
    pub(crate) id: WorkloadId,
    /// Whether its phase says that it has not ended.
    pub(crate) is_live: bool,
    /// The time at which a pod that is being deleted has lost its grace.
    pub(crate) ends_at: Option<UnixTime>,
    /// Its service account.
    pub(crate) service_account: String,
    /// The only `TaskAction` that owns it.
    pub(crate) owner: Option<Owner>,
    /// What its labels say.
    labels: Option<Work>,
}

/// What this crate keeps of a `TaskAction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActionRecord {
    /// Its name.
    pub(crate) name: String,
    /// Its UID.
    pub(crate) uid: String,
    work: Option<Work>,
}

impl PodRecord {
    /// Reads a pod; `None` if the API server sent one without a name or UID.
    pub(crate) fn of(pod: Pod) -> Option<Self> {
        let Pod { metadata, spec, status } = pod;
        let labels = metadata.labels.unwrap_or_default();
        let mut owners = metadata
            .owner_references
            .unwrap_or_default()
            .into_iter()
            .filter(|owner| {
                let group = owner.api_version.split('/').next();
                owner.kind == "TaskAction" && group == Some(GROUP)
            })
            .map(|owner| Owner { name: owner.name, uid: owner.uid });
        Some(Self {
            id: WorkloadId { namespace: metadata.namespace?, name: metadata.name?, uid: metadata.uid? },
            is_live: matches!(status.phase.as_str(), "Pending" | "Running"),
            ends_at: metadata.deletion_timestamp.map(|at| at.0.as_second()),
            service_account: spec.service_account_name,
            owner: owners.next().filter(|_| owners.next().is_none()),
            labels: work_of_labels(&labels),
        })
    }

    /// Whether the pod may have rights at `now`.
    pub(crate) fn runs(&self, now: UnixTime) -> bool {
        self.is_live && self.ends_at.is_none_or(|end| now < end)
    }

    /// Returns what the pod works on: what its `TaskAction` says, if its labels say the same.
    ///
    /// # Errors
    /// The reason why the pod has no rights.
    pub(crate) fn workload(&self, action: &ActionRecord) -> Result<Workload, &'static str> {
        let is_owner =
            self.owner.as_ref().is_some_and(|owner| owner.name == action.name && owner.uid == action.uid);
        if !is_owner {
            return Err("the pod belongs to no task action");
        }
        let Some(work) = &action.work else {
            return Err("the task action of the pod names no run, action, project or domain");
        };
        if self.labels.as_ref() != Some(work) {
            return Err("the labels of the pod differ from its task action");
        }
        let Work { run, action } = work.clone();
        Ok(Workload { id: self.id.clone(), run, action })
    }
}

impl ActionRecord {
    /// Reads a `TaskAction`; `None` if the API server sent one without a name or UID.
    pub(crate) fn of(action: TaskAction) -> Option<Self> {
        let TaskActionSpec { run_name, action_name, project, domain } = action.spec;
        Some(Self {
            name: action.metadata.name?,
            uid: action.metadata.uid?,
            work: work(&project, &domain, &run_name, &action_name),
        })
    }
}

fn work_of_labels(labels: &BTreeMap<String, String>) -> Option<Work> {
    let label = |name: &str| labels.get(&format!("{GROUP}/{name}")).map(String::as_str);
    work(label("project")?, label("domain")?, labels.get(RUN_LABEL)?, label("action")?)
}

/// `None` if a part is empty, or has a slash, with which two runs could have the same subject.
fn work(project: &str, domain: &str, run: &str, action: &str) -> Option<Work> {
    let is_name = |text: &&str| !text.is_empty() && !text.contains('/') && !text.contains(char::is_control);
    [project, domain, run, action].iter().all(is_name).then(|| Work {
        run: RunId { project: project.to_owned(), domain: domain.to_owned(), name: run.to_owned() },
        action: action.to_owned(),
    })
}
