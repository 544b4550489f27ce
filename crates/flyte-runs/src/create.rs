//! Creates runs and their actions.

use std::fmt::Write as _;

use aws_lc_rs::{error::Unspecified, rand};
use buffa::Message as _;
use flyte_idl::flyteidl2::task::{RunSpec, TaskSpec};
use uuid::Uuid;

use super::time_limit::{TimeLimits, millis};
use flyte_model::clock::UnixMillis;
use flyte_store::{
    ActionId, ActionKind, Caching, Creator, NewAction, Phase, ROOT_ACTION, Run, RunId, TaskRef,
};

/// The characters of a generated name.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// The number of characters after the `r`: 95 random bits.
const NAME_LENGTH: usize = 19;

/// Generates a name for a run whose creator gives none.
///
/// # Errors
/// The system has no random numbers.
pub fn random_name() -> Result<String, Unspecified> {
    let mut bytes = [0; NAME_LENGTH];
    rand::fill(&mut bytes)?;
    let mut name = String::from("r");
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = name.write_char(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    }
    Ok(name)
}

/// A task that is about to be called.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    /// The task.
    pub task: TaskRef,
    /// Its specification.
    pub spec: TaskSpec,
    /// The native URL of `inputs.pb`, which has its inputs.
    pub input_uri: String,
    /// The cache key, if the result is to be cached.
    pub cache_key: Option<String>,
    /// Whether to compute the result again although it is cached.
    pub overwrite_cache: bool,
}

impl NewTask {
    /// The queued action `name` of `run`, which calls this task.
    #[must_use]
    pub fn into_action(
        self,
        id: ActionId,
        parent: &str,
        group: &str,
        output_base: &str,
        subject: &str,
    ) -> NewAction {
        let template = self.spec.task_template.as_option();
        let limits = TimeLimits::of_task(&self.spec);
        let caching = self.cache_key.map(|key| caching(&self.spec, key, self.overwrite_cache));
        NewAction {
            id,
            parent: parent.to_owned(),
            group: group.to_owned(),
            kind: ActionKind::Task,
            task_type: template.map(|template| template.r#type.clone()).unwrap_or_default(),
            short_name: self.spec.short_name.clone(),
            environment: self
                .spec
                .environment
                .as_option()
                .map(|environment| environment.name.clone())
                .unwrap_or_default(),
            spec: self.spec.encode_to_bytes(),
            task: self.task,
            input_uri: self.input_uri,
            output_base: output_base.to_owned(),
            output_uri: String::new(),
            caching,
            phase: Phase::Queued,
            failure: None,
            started_at: None,
            ended_at: None,
            waits_until: None,
            max_queued: limits.queue,
            deadline: limits.deadline,
            subject: subject.to_owned(),
        }
    }
}

/// The caching of the task's result under `key`.
fn caching(spec: &TaskSpec, key: String, overwrite: bool) -> Caching {
    let metadata = spec.task_template.as_option().and_then(|template| template.metadata.as_option());
    let max_age = metadata.and_then(|metadata| metadata.cache_max_age.as_option()).map(millis);
    Caching {
        key,
        lookup: !overwrite,
        serialize: metadata.is_some_and(|metadata| metadata.cache_serializable),
        // Zero is no limit, as in the published package.
        max_age: max_age.filter(|age| *age > 0),
    }
}

/// A run that is about to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    /// Its identifier.
    pub id: RunId,
    /// The principal that starts it.
    pub creator: Creator,
    /// Its specification.
    pub spec: RunSpec,
    /// `flyteidl2.workflow.RunSource`.
    pub source: i32,
    /// The trigger that starts it, as `task/trigger`.
    pub trigger: Option<String>,
    /// The task that its root action calls.
    pub task: NewTask,
    /// The prefix of the inputs and outputs of all its actions, without a slash at the end.
    pub output_base: String,
}

impl NewRun {
    /// The records to store.
    pub(super) fn into_records(self, now: UnixMillis) -> (Run, NewAction) {
        let labels = self.spec.labels.as_option().map(|labels| labels.values.clone()).unwrap_or_default();
        let run = Run {
            labels: labels.into_iter().collect(),
            spec: self.spec.encode_to_bytes(),
            source: self.source,
            trigger: self.trigger,
            family_id: Uuid::new_v4().to_string(),
            output_base: self.output_base,
            max_concurrency: self.spec.max_action_concurrency,
            created_at: now,
            ended_at: None,
            id: self.id,
            creator: self.creator,
        };
        let id = ActionId { run: run.id.clone(), name: ROOT_ACTION.to_owned() };
        let root = self.task.into_action(id, "", "", &run.output_base, &run.creator.subject);
        (run, root)
    }
}
