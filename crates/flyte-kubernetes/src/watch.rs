//! The watches of pods and `TaskActions`.
//!
//! Each begins with a list and continues with events. The API server ends each watch after [`Pace::watch_seconds`], and this
//! side begins the next one where it ended. A watch that says nothing for longer than [`Pace::silence`], fails, or begins with
//! a version that is too old ("410 Gone") is followed by a new list, which shows what was missed.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use kube::core::WatchEvent;
use serde::de::DeserializeOwned;
use tokio::{task::JoinSet, time};

use crate::{
    api::{ApiError, ApiServer},
    index::{Index, Watched},
    object::{ActionRecord, Pod, PodRecord, TaskAction},
};
use flyte_access::workload::WorkloadId;

/// How fast watches begin and end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The length of a watch, in seconds.
    pub(crate) watch_seconds: u32,
    /// How long a watch may say nothing.
    pub(crate) silence: Duration,
    /// The first pause after a failure; it doubles with each further one.
    pub(crate) retry: Duration,
    /// The longest pause.
    pub(crate) max_retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            watch_seconds: 20,
            silence: Duration::from_secs(25),
            retry: Duration::from_millis(200),
            max_retry: Duration::from_secs(10),
        }
    }
}

/// Called with each pod that has ended.
pub(crate) type OnEnd = Arc<dyn Fn(&WorkloadId) + Send + Sync>;

/// An object that is watched.
trait Object: DeserializeOwned + Clone + Send + 'static {
    const PART: Watched;
    /// The label selector.
    const SELECTOR: &'static str;
    type Record: Send;

    fn path(namespace: &str) -> String;
    /// `metadata.resourceVersion`.
    fn version(&self) -> Option<&str>;
    fn record(self) -> Option<Self::Record>;
    fn replace(index: &Index, namespace: &str, all: Vec<Self::Record>) -> Vec<WorkloadId>;
    fn put(index: &Index, namespace: &str, record: Self::Record) -> Vec<WorkloadId>;
    fn delete(index: &Index, namespace: &str, record: Self::Record) -> Vec<WorkloadId>;
}

impl Object for Pod {
    const PART: Watched = Watched::Pods;
    const SELECTOR: &'static str = "flyte.org%2Frun";
    type Record = PodRecord;

    fn path(namespace: &str) -> String {
        format!("/api/v1/namespaces/{namespace}/pods")
    }

    fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }

    fn record(self) -> Option<PodRecord> {
        PodRecord::of(self)
    }

    fn replace(index: &Index, namespace: &str, all: Vec<PodRecord>) -> Vec<WorkloadId> {
        index.replace_pods(namespace, all)
    }

    fn put(index: &Index, _namespace: &str, record: PodRecord) -> Vec<WorkloadId> {
        index.put_pod(record)
    }

    fn delete(index: &Index, _namespace: &str, record: PodRecord) -> Vec<WorkloadId> {
        index.delete_pod(&record.id);
        vec![record.id]
    }
}

impl Object for TaskAction {
    const PART: Watched = Watched::TaskActions;
    const SELECTOR: &'static str = "";
    type Record = ActionRecord;

    fn path(namespace: &str) -> String {
        format!("/apis/flyte.org/v1/namespaces/{namespace}/taskactions")
    }

    fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }

    fn record(self) -> Option<ActionRecord> {
        ActionRecord::of(self)
    }

    fn replace(index: &Index, namespace: &str, all: Vec<ActionRecord>) -> Vec<WorkloadId> {
        index.replace_actions(namespace, all)
    }

    fn put(index: &Index, namespace: &str, record: ActionRecord) -> Vec<WorkloadId> {
        index.put_action(namespace, record)
    }

    fn delete(index: &Index, namespace: &str, record: ActionRecord) -> Vec<WorkloadId> {
        index.delete_action(namespace, &record)
    }
}

/// The path of one pod.
pub(crate) fn pod_path(namespace: &str, name: &str) -> String {
    format!("{}/{name}", Pod::path(namespace))
}

/// The path of one `TaskAction`.
pub(crate) fn action_path(namespace: &str, name: &str) -> String {
    format!("{}/{name}", TaskAction::path(namespace))
}

/// Watches the pods and `TaskActions` of all namespaces, for as long as the future is polled.
pub(crate) async fn follow(
    api: ApiServer,
    index: Arc<Index>,
    namespaces: Vec<String>,
    pace: Pace,
    on_end: OnEnd,
) {
    let mut watches = JoinSet::new();
    for namespace in namespaces {
        let watch = Watch {
            api: api.clone(),
            index: Arc::clone(&index),
            namespace,
            pace,
            on_end: Arc::clone(&on_end),
        };
        watches.spawn(watch.clone().run::<Pod>());
        watches.spawn(watch.run::<TaskAction>());
    }
    let mut every_second = time::interval(Duration::from_secs(1));
    loop {
        every_second.tick().await;
        for id in index.sweep() {
            on_end(&id);
        }
    }
}

/// The end of a watch after which the next one begins where this one ended.
struct Closed {
    version: String,
}

#[derive(Clone)]
struct Watch {
    api: ApiServer,
    index: Arc<Index>,
    namespace: String,
    pace: Pace,
    on_end: OnEnd,
}

impl Watch {
    async fn run<O: Object>(self) {
        let Self { namespace, pace, .. } = &self;
        let mut pause = pace.retry;
        loop {
            let failure = match self.list::<O>().await {
                Ok(mut version) => {
                    pause = pace.retry;
                    loop {
                        let begun = time::Instant::now();
                        match self.watch::<O>(&version).await {
                            Ok(closed) => version = closed.version,
                            Err(error) => break error,
                        }
                        // A server that closes each watch at once is not asked again at once.
                        time::sleep(pace.retry.saturating_sub(begun.elapsed())).await;
                    }
                }
                Err(error) => error,
            };
            match failure {
                ApiError::Gone => {
                    tracing::debug!(namespace, watch = ?O::PART, "the watch is too old; listing again");
                }
                error => {
                    tracing::warn!(namespace, watch = ?O::PART, %error, "a watch has ended; listing again");
                    time::sleep(pause).await;
                    pause = (pause * 2).min(pace.max_retry);
                }
            }
        }
    }

    /// Lists everything; returns the version of the list.
    async fn list<O: Object>(&self) -> Result<String, ApiError> {
        let listed = self.api.list::<O>(&O::path(&self.namespace), O::SELECTOR).await?;
        let records = listed.items.into_iter().filter_map(O::record).collect();
        self.report(O::replace(&self.index, &self.namespace, records));
        self.index.hear(&self.namespace, O::PART);
        Ok(listed.version)
    }

    /// Watches from a version on until the API server closes the watch.
    async fn watch<O: Object>(&self, version: &str) -> Result<Closed, ApiError> {
        let path = O::path(&self.namespace);
        let events = self.api.watch::<O>(&path, O::SELECTOR, version, self.pace.watch_seconds).await?;
        let mut events = pin!(events);
        self.index.hear(&self.namespace, O::PART);
        let mut version = version.to_owned();
        loop {
            let next =
                time::timeout(self.pace.silence, events.next()).await.map_err(|_| ApiError::Failed {
                    path: path.clone(),
                    message: format!("the watch said nothing for {:?}", self.pace.silence),
                })?;
            let Some(event) = next else { return Ok(Closed { version }) };
            let event = event?;
            self.index.hear(&self.namespace, O::PART);
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    self.apply::<O>(object, &mut version, O::put);
                }
                WatchEvent::Deleted(object) => self.apply::<O>(object, &mut version, O::delete),
                WatchEvent::Bookmark(bookmark) => version = bookmark.metadata.resource_version,
                WatchEvent::Error(status) if status.code == 410 => return Err(ApiError::Gone),
                WatchEvent::Error(status) => {
                    return Err(ApiError::Failed { path, message: status.message });
                }
            }
        }
    }

    fn apply<O: Object>(
        &self,
        object: O,
        version: &mut String,
        change: impl Fn(&Index, &str, O::Record) -> Vec<WorkloadId>,
    ) {
        if let Some(new) = object.version() {
            new.clone_into(version);
        }
        if let Some(record) = object.record() {
            self.report(change(&self.index, &self.namespace, record));
        }
    }

    fn report(&self, ended: Vec<WorkloadId>) {
        for id in ended {
            (self.on_end)(&id);
        }
    }
}
