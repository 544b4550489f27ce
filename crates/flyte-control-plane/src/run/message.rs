//! Converts runs and actions to messages.

use buffa::{EnumValue, Inline, MessageField};
use buffa_types::google::protobuf::Timestamp;
use bytes::Bytes;
use connectrpc::ConnectError;
use flyte_idl::flyteidl2::{
    common::{ActionIdentifier, ActionPhase, EnrichedIdentity, RunIdentifier},
    core::{CatalogCacheStatus, ExecutionError, Literal, container_error, execution_error},
    task::{OutputReferences, RunSpec, TaskIdentifier, TaskSpec, TraceSpec},
    workflow::{
        AbortInfo, Action, ActionAttempt, ActionDetails, ActionMetadata, ActionStatus, ActionType,
        ActionUpdate, ConditionAction, ConditionActionMetadata, ErrorInfo, PhaseTransition, Run, RunDetails,
        SignalInfo, TaskActionMetadata, TraceActionMetadata, action_details, action_metadata, error_info,
    },
};

use crate::{ControlPlane, actor::Actors, store_error};
use flyte_model::{Actor, PrincipalKind, clock::UnixMillis};
use flyte_store::{
    self, ActionId, ActionKind, Attempt, CacheStatus, CreatorKind, Failure, FailureKind, Phase, RunId,
};

/// Converts records to messages.
pub(crate) struct Messages<'a> {
    plane: &'a ControlPlane,
    actors: Actors<'a>,
}

impl<'a> Messages<'a> {
    pub(crate) fn new(plane: &'a ControlPlane) -> Self {
        Self { plane, actors: Actors::new(plane) }
    }

    /// A run with its root action.
    pub(crate) async fn run(
        &mut self,
        run: &flyte_store::Run,
        root: &flyte_store::Action,
    ) -> Result<Run, ConnectError> {
        Ok(Run {
            action: MessageField::some(self.action(run, root).await?),
            labels: run.labels.clone().into_iter().collect(),
            ..Run::default()
        })
    }

    /// An action.
    pub(crate) async fn action(
        &mut self,
        run: &flyte_store::Run,
        action: &flyte_store::Action,
    ) -> Result<Action, ConnectError> {
        Ok(Action {
            id: MessageField::some(self.action_id(&action.id)),
            metadata: MessageField::some(self.metadata(run, action).await?),
            status: MessageField::some(status(action)),
            ..Action::default()
        })
    }

    /// A run's specification and its root action in full.
    pub(crate) async fn run_details(&mut self, id: &RunId) -> Result<Option<RunDetails>, ConnectError> {
        let Some(run) = self.plane.runs.run(id).await.map_err(store_error)? else { return Ok(None) };
        let Some(root) = self.plane.runs.action(&ActionId::root(id.clone())).await.map_err(store_error)?
        else {
            return Ok(None);
        };
        Ok(Some(RunDetails {
            run_spec: MessageField::some(decode::<RunSpec>(&run.spec)?),
            action: MessageField::some(self.action_details(&run, &root).await?),
            ..RunDetails::default()
        }))
    }

    /// An action in full.
    pub(crate) async fn action_details(
        &mut self,
        run: &flyte_store::Run,
        action: &flyte_store::Action,
    ) -> Result<ActionDetails, ConnectError> {
        let spec = self.plane.runs.action_spec(&action.id).await.map_err(store_error)?.unwrap_or_default();
        let attempts = self.plane.runs.attempts(&action.id).await.map_err(store_error)?;
        let result = match action.phase {
            Phase::Aborted => {
                let aborted_by = match &action.aborted_by {
                    Some(subject) => MessageField::some(self.identity(subject, None).await?),
                    None => MessageField::none(),
                };
                let reason = action.abort_reason.clone().unwrap_or_default();
                Some(AbortInfo { reason, aborted_by, ..AbortInfo::default() }.into())
            }
            Phase::Failed | Phase::TimedOut => {
                action.failure.as_ref().map(|failure| error_info(failure).into())
            }
            _ => match &action.signal {
                Some(value) => Some(self.signal_info(action, value).await?.into()),
                None => None,
            },
        };
        let spec: action_details::Spec = match action.kind {
            ActionKind::Task => decode::<TaskSpec>(&spec)?.into(),
            ActionKind::Trace => decode::<TraceSpec>(&spec)?.into(),
            ActionKind::Condition => decode::<ConditionAction>(&spec)?.into(),
        };
        Ok(ActionDetails {
            id: MessageField::some(self.action_id(&action.id)),
            metadata: MessageField::some(self.metadata(run, action).await?),
            status: MessageField::some(status(action)),
            attempts: attempts.iter().map(|one| attempt(action, one)).collect(),
            result,
            spec: Some(spec),
            ..ActionDetails::default()
        })
    }

    /// The update for the parent of the action.
    pub(crate) fn update(&self, action: &flyte_store::Action) -> Result<ActionUpdate, ConnectError> {
        let failed = matches!(action.phase, Phase::Failed | Phase::TimedOut);
        let value = match &action.signal {
            Some(value) => MessageField::some(decode::<Literal>(value)?),
            None => MessageField::none(),
        };
        Ok(ActionUpdate {
            action_id: MessageField::some(self.action_id(&action.id)),
            phase: phase(action.phase),
            error: match &action.failure {
                Some(failure) if failed => MessageField::some(execution_error(failure)),
                _ => MessageField::none(),
            },
            // Before the task has outputs, this is their future URI. The published runtime rejects an update without one.
            output_uri: self.plane.objects.for_command(&match action.kind {
                ActionKind::Task if action.output_uri.is_empty() => {
                    action.output_prefix(action.attempts.max(1))
                }
                _ => action.output_uri.clone(),
            }),
            value,
            ..ActionUpdate::default()
        })
    }

    pub(crate) fn run_id(&self, id: &RunId) -> RunIdentifier {
        RunIdentifier {
            org: self.plane.config.org.clone(),
            project: id.project.clone(),
            domain: id.domain.clone(),
            name: id.name.clone(),
            ..RunIdentifier::default()
        }
    }

    pub(crate) fn action_id(&self, id: &ActionId) -> ActionIdentifier {
        ActionIdentifier {
            run: MessageField::some(self.run_id(&id.run)),
            name: id.name.clone(),
            ..ActionIdentifier::default()
        }
    }

    async fn metadata(
        &mut self,
        run: &flyte_store::Run,
        action: &flyte_store::Action,
    ) -> Result<ActionMetadata, ConnectError> {
        let spec: action_metadata::Spec = match action.kind {
            ActionKind::Task => TaskActionMetadata {
                id: MessageField::some(TaskIdentifier {
                    org: self.plane.config.org.clone(),
                    project: action.task.project.clone(),
                    domain: action.task.domain.clone(),
                    name: action.task.name.clone(),
                    version: action.task.version.clone(),
                    ..TaskIdentifier::default()
                }),
                task_type: action.task_type.clone(),
                short_name: action.short_name.clone(),
                ..TaskActionMetadata::default()
            }
            .into(),
            ActionKind::Trace => {
                TraceActionMetadata { name: action.task.name.clone(), ..TraceActionMetadata::default() }
                    .into()
            }
            ActionKind::Condition => {
                let spec = self.plane.runs.action_spec(&action.id).await.map_err(store_error)?;
                ConditionActionMetadata {
                    name: action.task.name.clone(),
                    r#type: decode::<ConditionAction>(&spec.unwrap_or_default())?.r#type,
                    ..ConditionActionMetadata::default()
                }
                .into()
            }
        };
        let relation = match action.id.is_root() {
            true => decode::<RunSpec>(&run.spec)?.relation,
            false => MessageField::none(),
        };
        let trigger = run.trigger.as_deref().and_then(|trigger| trigger.split_once('/'));
        Ok(ActionMetadata {
            parent: action.parent.clone(),
            group: action.group.clone(),
            executed_by: MessageField::some(
                self.identity(&run.creator.subject, Some(run.creator.kind)).await?,
            ),
            spec: Some(spec),
            action_type: EnumValue::from(match action.kind {
                ActionKind::Task => ActionType::ACTION_TYPE_TASK,
                ActionKind::Trace => ActionType::ACTION_TYPE_TRACE,
                ActionKind::Condition => ActionType::ACTION_TYPE_CONDITION,
            }),
            environment_name: action.environment.clone(),
            funtion_name: action.short_name.clone(),
            trigger_name: trigger.map(|(_, name)| name.to_owned()).unwrap_or_default(),
            source: EnumValue::from(run.source),
            relation,
            ..ActionMetadata::default()
        })
    }

    async fn signal_info(
        &mut self,
        action: &flyte_store::Action,
        value: &Bytes,
    ) -> Result<SignalInfo, ConnectError> {
        let signalled_by = match &action.signalled_by {
            Some(subject) => MessageField::some(self.identity(subject, None).await?),
            None => MessageField::none(),
        };
        let output = MessageField::some(decode::<Literal>(value)?);
        Ok(SignalInfo { signalled_by, output, ..SignalInfo::default() })
    }

    /// The identity of a subject. If the kind was not stored, a subject without an account counts as an API key.
    async fn identity(
        &mut self,
        subject: &str,
        kind: Option<CreatorKind>,
    ) -> Result<EnrichedIdentity, ConnectError> {
        let kind = match kind {
            Some(CreatorKind::Person) => PrincipalKind::Person,
            Some(CreatorKind::ApiKey) => PrincipalKind::ApiKey,
            Some(CreatorKind::Federated) => PrincipalKind::Federated,
            None => match self.plane.store.user_by_id(subject).await.map_err(store_error)? {
                Some(_) => PrincipalKind::Person,
                None => PrincipalKind::ApiKey,
            },
        };
        self.actors.identity(&Actor { subject: subject.to_owned(), kind }).await
    }
}

/// Converts a phase. The numbers are the same.
pub(crate) fn phase(phase: Phase) -> EnumValue<ActionPhase> {
    EnumValue::from(phase as i32)
}

/// Converts a time.
pub(crate) fn timestamp(at: UnixMillis) -> MessageField<Timestamp, Inline<Timestamp>> {
    MessageField::some(Timestamp {
        seconds: at.div_euclid(1000),
        nanos: i32::try_from(at.rem_euclid(1000)).unwrap_or_default() * 1_000_000,
        ..Timestamp::default()
    })
}

fn optional(at: Option<UnixMillis>) -> MessageField<Timestamp, Inline<Timestamp>> {
    at.map_or_else(MessageField::none, timestamp)
}

/// Decodes a stored message.
pub(crate) fn decode<M: buffa::Message + Default>(stored: &Bytes) -> Result<M, ConnectError> {
    M::decode_from_slice(stored).map_err(|error| {
        tracing::error!(%error, "a stored message cannot be read");
        ConnectError::internal("the server cannot read what it stored")
    })
}

fn status(action: &flyte_store::Action) -> ActionStatus {
    ActionStatus {
        phase: phase(action.phase),
        // Before the action starts, this is its creation time. Clients compute the duration from it.
        start_time: timestamp(action.started_at.unwrap_or(action.created_at)),
        end_time: optional(action.ended_at),
        attempts: action.attempts,
        cache_status: cache_status(action.cache_status),
        duration_ms: action
            .ended_at
            .map(|end| end.saturating_sub(action.started_at.unwrap_or(action.created_at)))
            .and_then(|duration| u64::try_from(duration).ok()),
        ..ActionStatus::default()
    }
}

fn error_info(failure: &Failure) -> ErrorInfo {
    ErrorInfo {
        message: failure.message.clone(),
        kind: EnumValue::from(match failure.kind {
            FailureKind::User => error_info::Kind::KIND_USER,
            FailureKind::System => error_info::Kind::KIND_SYSTEM,
        }),
        code: failure.code.clone(),
        ..ErrorInfo::default()
    }
}

fn execution_error(failure: &Failure) -> ExecutionError {
    ExecutionError {
        code: failure.code.clone(),
        message: failure.message.clone(),
        kind: EnumValue::from(match failure.kind {
            FailureKind::User => execution_error::ErrorKind::USER,
            FailureKind::System => execution_error::ErrorKind::SYSTEM,
        }),
        recoverability: EnumValue::from(match failure.recoverable {
            true => container_error::Kind::RECOVERABLE,
            false => container_error::Kind::NON_RECOVERABLE,
        }),
        ..ExecutionError::default()
    }
}

fn attempt(action: &flyte_store::Action, attempt: &Attempt) -> ActionAttempt {
    // The cache status belongs to the last attempt. Earlier attempts ran, so they were cache misses.
    let cached = match action.cache_status {
        status if attempt.number == action.attempts => status,
        CacheStatus::Hit | CacheStatus::Populated => CacheStatus::Miss,
        status => status,
    };
    let prefix = match cached {
        CacheStatus::Hit => action.output_uri.clone(),
        _ => action.output_prefix(attempt.number),
    };
    let outputs = OutputReferences {
        output_uri: prefix.clone(),
        report_uri: format!("{prefix}/report.html"),
        ..OutputReferences::default()
    };
    ActionAttempt {
        phase: phase(attempt.phase),
        start_time: timestamp(attempt.claimed_at),
        end_time: optional(attempt.ended_at),
        error_info: attempt
            .failure
            .as_ref()
            .map_or_else(MessageField::none, |failure| MessageField::some(error_info(failure))),
        attempt: attempt.number,
        outputs: MessageField::some(outputs),
        logs_available: cached != CacheStatus::Hit
            && (attempt.started_at.is_some() || attempt.ended_at.is_some()),
        cache_status: cache_status(cached),
        phase_transitions: transitions(attempt),
        ..ActionAttempt::default()
    }
}

/// Converts a cache status. The numbers are the same.
fn cache_status(status: CacheStatus) -> EnumValue<CatalogCacheStatus> {
    EnumValue::from(status as i32)
}

/// The phases that an attempt went through.
fn transitions(attempt: &Attempt) -> Vec<PhaseTransition> {
    let left_initializing = attempt.started_at.or(attempt.ended_at);
    let mut phases = vec![
        (Phase::Queued, attempt.queued_at, Some(attempt.claimed_at)),
        (Phase::Initializing, attempt.claimed_at, left_initializing),
    ];
    if let Some(started_at) = attempt.started_at {
        phases.push((Phase::Running, started_at, attempt.ended_at));
    }
    if let Some(ended_at) = attempt.ended_at {
        phases.push((attempt.phase, ended_at, Some(ended_at)));
    }
    phases
        .into_iter()
        .map(|(at, start, end)| PhaseTransition {
            phase: phase(at),
            start_time: timestamp(start),
            end_time: optional(end),
            ..PhaseTransition::default()
        })
        .collect()
}
