//! How a run begins.

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

/// Letters and digits of a name that is made up.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// How many of them, after the `r`: 95 bits.
const NAME_LENGTH: usize = 19;

/// The name of a run whose creator gives none.
///
/// # Errors
/// The system has no randomness to give.
pub fn random_name() -> Result<String, Unspecified> {
    let mut bytes = [0; NAME_LENGTH];
    rand::fill(&mut bytes)?;
    let mut name = String::from("r");
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = name.write_char(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    }
    Ok(name)
}

/// A task about to be called.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    /// Which one.
    pub task: TaskRef,
    /// What it is.
    pub spec: TaskSpec,
    /// Where its inputs are: the native URL of `inputs.pb`.
    pub input_uri: String,
    /// Names what is computed, if the result is to be kept.
    pub cache_key: Option<String>,
    /// Whether a result that is kept already is computed again.
    pub overwrite_cache: bool,
}

impl NewTask {
    /// The action `name` of `run` that calls it, queued.
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

/// How the result of a task is kept under `key`.
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

/// A run about to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    /// What it is called.
    pub id: RunId,
    /// Who starts it.
    pub creator: Creator,
    /// How it is to run.
    pub spec: RunSpec,
    /// `flyteidl2.workflow.RunSource`.
    pub source: i32,
    /// The trigger that starts it, as `task/trigger`.
    pub trigger: Option<String>,
    /// What its root action calls.
    pub task: NewTask,
    /// The prefix that all its actions' inputs and outputs lie under; no slash at the end.
    pub output_base: String,
}

impl NewRun {
    /// What is stored of it.
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
