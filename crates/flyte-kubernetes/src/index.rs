//! The running pods of tasks and their `TaskActions`, as the watches report them.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::object::{ActionRecord, PodRecord};
use flyte_access::workload::{Unavailable, Workload, WorkloadError, WorkloadId};
use flyte_model::clock::{Clock, UnixTime};

/// How long after the last word of the API server a watch is trusted, in seconds.
const MAX_SILENCE_SECONDS: i64 = 60;
/// The most ended pods that are remembered, so that their tokens are refused without waiting.
const MAX_ENDED: usize = 16_384;

/// What is watched in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Watched {
    /// The pods.
    Pods,
    /// The `TaskActions`.
    TaskActions,
}

impl Watched {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Pods, Self::TaskActions];
}

/// A namespace and the name of an object in it.
type Key = (String, String);

#[derive(Debug, Default)]
struct State {
    pods: HashMap<Key, PodRecord>,
    actions: HashMap<Key, ActionRecord>,
    /// The times at which the API server last said something about each part.
    heard_at: HashMap<(String, Watched), UnixTime>,
    ended: HashSet<WorkloadId>,
    /// The same pods, the first one first.
    ended_order: VecDeque<WorkloadId>,
}

/// The running pods and their `TaskActions`.
#[derive(Debug)]
pub(crate) struct Index {
    clock: Clock,
    state: Mutex<State>,
    /// Changes with each change of the state.
    changes: watch::Sender<()>,
}

/// Why a pod is not found.
enum Missing {
    /// It has no rights, and never will.
    Refused(&'static str),
    /// The watches may not have reported it yet.
    Unknown(&'static str),
    /// The watches are not to be trusted.
    Stale(String),
}

impl Index {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default(), changes: watch::Sender::new(()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a running pod.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub(crate) fn running(
        &self,
        id: &WorkloadId,
        service_account: Option<&str>,
    ) -> Result<Workload, WorkloadError> {
        self.find(id, service_account).map_err(|missing| match missing {
            Missing::Refused(why) | Missing::Unknown(why) => WorkloadError::Invalid(why),
            Missing::Stale(why) => Unavailable(why).into(),
        })
    }

    /// [`Index::running`] for a pod that may have started a moment ago: waits for the watches if they do not know it.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub(crate) async fn started(
        &self,
        id: &WorkloadId,
        service_account: &str,
        patience: std::time::Duration,
    ) -> Result<Workload, WorkloadError> {
        let mut changes = self.changes.subscribe();
        let found = async {
            loop {
                match self.find(id, Some(service_account)) {
                    Err(Missing::Unknown(_)) => {}
                    // The sender lives as long as `self`.
                    other => return other,
                }
                if changes.changed().await.is_err() {
                    return self.find(id, Some(service_account));
                }
            }
        };
        // After the wait, the answer says what is still missing.
        let _ = tokio::time::timeout(patience, found).await;
        self.running(id, Some(service_account))
    }

    fn find(&self, id: &WorkloadId, service_account: Option<&str>) -> Result<Workload, Missing> {
        let state = self.state();
        let now = self.clock.now();
        if state.ended.contains(id) {
            return Err(Missing::Refused("the pod has ended"));
        }
        for part in Watched::ALL {
            let heard_at = state.heard_at.get(&(id.namespace.clone(), part));
            if heard_at.is_none_or(|at| now.saturating_sub(*at) > MAX_SILENCE_SECONDS) {
                let name = &id.namespace;
                return Err(Missing::Stale(format!(
                    "the watch of {part:?} in the namespace {name} is stale"
                )));
            }
        }
        let pod = state
            .pods
            .get(&(id.namespace.clone(), id.name.clone()))
            .filter(|pod| pod.id.uid == id.uid)
            .ok_or(Missing::Unknown("there is no running pod of a task with this name and UID"))?;
        if !pod.runs(now) {
            return Err(Missing::Refused("the pod has ended"));
        }
        if service_account.is_some_and(|name| name != pod.service_account) {
            return Err(Missing::Refused("the pod has another service account than its token"));
        }
        let owner = pod.owner.as_ref().ok_or(Missing::Refused("the pod belongs to no task action"))?;
        let action = state
            .actions
            .get(&(id.namespace.clone(), owner.name.clone()))
            .ok_or(Missing::Unknown("the task action of the pod does not exist"))?;
        pod.workload(action).map_err(Missing::Refused)
    }

    /// Notes that the API server has said something about a part.
    pub(crate) fn hear(&self, namespace: &str, part: Watched) {
        let now = self.clock.now();
        self.state().heard_at.insert((namespace.to_owned(), part), now);
    }

    /// Replaces all pods of a namespace with those of a list; returns the pods that have ended.
    pub(crate) fn replace_pods(&self, namespace: &str, pods: Vec<PodRecord>) -> Vec<WorkloadId> {
        let now = self.clock.now();
        let mut state = self.state();
        let listed: HashMap<Key, PodRecord> = pods.into_iter().map(|pod| (key_of(&pod.id), pod)).collect();
        let gone: Vec<WorkloadId> = state
            .pods
            .iter()
            .filter(|((of, _), pod)| {
                of == namespace && listed.get(&key_of(&pod.id)).is_none_or(|new| new.id.uid != pod.id.uid)
            })
            .map(|(_, pod)| pod.id.clone())
            .collect();
        for id in &gone {
            state.end(id);
        }
        let mut ended = gone;
        for pod in listed.into_values() {
            ended.extend(state.put(pod, now));
        }
        drop(state);
        self.changes.send_replace(());
        ended
    }

    /// Adds or changes a pod; returns the pods that have ended: itself, or an earlier one of the same name.
    pub(crate) fn put_pod(&self, pod: PodRecord) -> Vec<WorkloadId> {
        let now = self.clock.now();
        let ended = self.state().put(pod, now);
        self.changes.send_replace(());
        ended
    }

    /// Removes a pod that was deleted.
    pub(crate) fn delete_pod(&self, id: &WorkloadId) {
        self.state().end(id);
        self.changes.send_replace(());
    }

    /// Replaces all `TaskActions` of a namespace; returns the pods that have lost theirs.
    pub(crate) fn replace_actions(&self, namespace: &str, actions: Vec<ActionRecord>) -> Vec<WorkloadId> {
        let mut state = self.state();
        let before: Vec<(String, String)> = state
            .actions
            .iter()
            .filter(|((of, _), _)| of == namespace)
            .map(|(_, action)| (action.name.clone(), action.uid.clone()))
            .collect();
        state.actions.retain(|(of, _), _| of != namespace);
        for action in actions {
            state.actions.insert((namespace.to_owned(), action.name.clone()), action);
        }
        let mut ended = Vec::new();
        for (name, uid) in before {
            let is_there = state
                .actions
                .get(&(namespace.to_owned(), name.clone()))
                .is_some_and(|action| action.uid == uid);
            if !is_there {
                ended.extend(state.end_owned(namespace, &uid));
            }
        }
        drop(state);
        self.changes.send_replace(());
        ended
    }

    /// Adds or changes a `TaskAction`; returns the pods of an earlier one of the same name.
    pub(crate) fn put_action(&self, namespace: &str, action: ActionRecord) -> Vec<WorkloadId> {
        let mut state = self.state();
        let (key, uid) = ((namespace.to_owned(), action.name.clone()), action.uid.clone());
        let ended = match state.actions.insert(key, action) {
            Some(before) if before.uid != uid => state.end_owned(namespace, &before.uid),
            _ => Vec::new(),
        };
        drop(state);
        self.changes.send_replace(());
        ended
    }

    /// Removes a `TaskAction` that was deleted; returns its pods.
    pub(crate) fn delete_action(&self, namespace: &str, action: &ActionRecord) -> Vec<WorkloadId> {
        let mut state = self.state();
        let key = (namespace.to_owned(), action.name.clone());
        if state.actions.get(&key).is_some_and(|known| known.uid == action.uid) {
            state.actions.remove(&key);
        }
        let ended = state.end_owned(namespace, &action.uid);
        drop(state);
        self.changes.send_replace(());
        ended
    }

    /// Ends the pods whose deletion has lost its grace; returns them. To be called once a second.
    pub(crate) fn sweep(&self) -> Vec<WorkloadId> {
        let now = self.clock.now();
        let mut state = self.state();
        let ended: Vec<WorkloadId> =
            state.pods.values().filter(|pod| !pod.runs(now)).map(|pod| pod.id.clone()).collect();
        for id in &ended {
            state.end(id);
        }
        ended
    }
}

impl State {
    fn put(&mut self, pod: PodRecord, now: UnixTime) -> Vec<WorkloadId> {
        let mut ended = Vec::new();
        if let Some(before) = self.pods.get(&key_of(&pod.id)).filter(|before| before.id.uid != pod.id.uid) {
            ended.push(before.id.clone());
        }
        if !pod.runs(now) && !self.ended.contains(&pod.id) {
            ended.push(pod.id.clone());
        }
        for id in &ended {
            self.end(id);
        }
        // An ended pod stays ended, whatever a later event says.
        if pod.runs(now) && !self.ended.contains(&pod.id) {
            self.pods.insert(key_of(&pod.id), pod);
        }
        ended
    }

    fn end(&mut self, id: &WorkloadId) {
        let key = key_of(id);
        if self.pods.get(&key).is_some_and(|pod| pod.id.uid == id.uid) {
            self.pods.remove(&key);
        }
        if self.ended.insert(id.clone()) {
            self.ended_order.push_back(id.clone());
            if self.ended_order.len() > MAX_ENDED
                && let Some(oldest) = self.ended_order.pop_front()
            {
                self.ended.remove(&oldest);
            }
        }
    }

    fn end_owned(&mut self, namespace: &str, uid: &str) -> Vec<WorkloadId> {
        let owned: Vec<WorkloadId> = self
            .pods
            .values()
            .filter(|pod| {
                pod.id.namespace == namespace && pod.owner.as_ref().is_some_and(|owner| owner.uid == uid)
            })
            .map(|pod| pod.id.clone())
            .collect();
        for id in &owned {
            self.end(id);
        }
        owned
    }
}

fn key_of(id: &WorkloadId) -> Key {
    (id.namespace.clone(), id.name.clone())
}
