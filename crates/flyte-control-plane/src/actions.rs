//! `flyteidl2.actions.ActionsService`: the API with which a running task enqueues other tasks, records traces and watches its
//! actions. Only the run's own identity can change anything here. Users call `RunService` instead.

use std::sync::Arc;

use buffa::Message as _;
use connectrpc::{
    ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};
use flyte_idl::flyteidl2::{
    actions::{
        AbortRequest, AbortResponse, Action, ActionsService, EnqueueRequest, EnqueueResponse, SignalRequest,
        SignalResponse, UpdateRequest, UpdateResponse, WatchForUpdatesRequest, WatchForUpdatesResponse,
        action::Spec, watch_for_updates_request::Filter, watch_for_updates_response::Message,
    },
    core::ErrorDocument,
    workflow::{ConditionAction, ControlMessage, TaskAction, TraceAction},
};

use super::{
    cache_key, caller, invalid,
    run::{
        self,
        message::Messages,
        watch::{Look, Next, follow},
    },
    store_error, unsupported,
};
use crate::ControlPlane;
use flyte_audit::{Detail, Kind};
use flyte_model::clock::UnixMillis;
use flyte_runs::{NewTask, result};
use flyte_store::{self, ActionId, ActionKind, Enqueued, Failure, NewAction, Phase, Run, TaskRef};

/// The number of children that are read at a time.
const PAGE_SIZE: u32 = 500;
/// The longest name of a group, in characters.
const MAX_GROUP: usize = 255;

pub(super) struct Service {
    plane: Arc<ControlPlane>,
}

impl Service {
    pub(super) fn new(plane: Arc<ControlPlane>) -> Self {
        Self { plane }
    }

    /// Converts any form of the URL of an object to its native URL. The object must be in the run's project and domain.
    fn native_url(&self, field: &str, url: &str, run: &Run) -> Result<String, ConnectError> {
        let key = self.plane.objects.key_of(url).map_err(|why| invalid(field, &why.to_string()))?;
        if key.is_in(&run.id.project, &run.id.domain) {
            return Ok(self.plane.objects.url_of(&key));
        }
        Err(invalid(field, "is outside of the run's project and domain"))
    }

    fn task(
        &self,
        run: &Run,
        action: &Action,
        id: ActionId,
        task: TaskAction,
        base: &str,
        subject: &str,
    ) -> Result<NewAction, ConnectError> {
        let input_uri = self.native_url("action.input_uri", &action.input_uri, run)?;
        let spec = task.spec.into_option().ok_or_else(|| invalid("action.task.spec", "is missing"))?;
        unsupported::check_queue("action.task.queue", &task.queue)?;
        unsupported::check_task("action.task.spec", &spec)?;
        let mut named = run::create::task_ref(&spec, &run.id)?;
        if let Some(given) = task.id.as_option().filter(|given| !given.name.is_empty()) {
            named.name.clone_from(&given.name);
            if !given.version.is_empty() {
                named.version.clone_from(&given.version);
            }
        }
        let new = NewTask {
            task: named,
            spec,
            input_uri,
            cache_key: task.cache_key.into_option().map(|key| key.value).filter(|key| !key.is_empty()),
            overwrite_cache: cache_key::is_overwritten(&run::message::decode(&run.spec)?),
        };
        Ok(new.into_action(
            id,
            action.parent_action_name.as_deref().unwrap_or_default(),
            &action.group,
            base,
            subject,
        ))
    }

    /// A trace that a task has recorded. It has already ended.
    async fn trace(
        &self,
        run: &Run,
        action: &Action,
        id: ActionId,
        trace: TraceAction,
        base: &str,
        subject: &str,
    ) -> Result<NewAction, ConnectError> {
        let phase = Phase::from_number(i64::from(trace.phase.to_i32())).filter(|phase| phase.is_terminal());
        let phase = phase.ok_or_else(|| invalid("action.trace.phase", "is not the end of a step"))?;
        let optional = |field: &str, url: &str| match url {
            "" => Ok(String::new()),
            url => self.native_url(field, url, run),
        };
        let output_uri = trace.outputs.as_option().map_or("", |outputs| &outputs.output_uri);
        let output_uri = optional("action.trace.outputs.output_uri", output_uri)?;
        let input_uri = optional("action.input_uri", &action.input_uri)?;
        let now = self.plane.clock.now_millis();
        let failure = match phase {
            Phase::Failed => self.trace_failure(base, &id.name).await,
            _ => None,
        };
        Ok(NewAction {
            kind: ActionKind::Trace,
            task: TaskRef { name: trace.name, ..task_ref_in(run) },
            spec: trace.spec.into_option().unwrap_or_default().encode_to_bytes(),
            input_uri,
            output_uri,
            phase,
            failure,
            started_at: Some(trace.start_time.as_option().map_or(now, millis)),
            ended_at: Some(trace.end_time.as_option().map_or(now, millis)),
            ..untyped(action, id, base, subject)
        })
    }

    /// The error of a failed trace. The task stores it beside the inputs of the trace.
    async fn trace_failure(&self, base: &str, name: &str) -> Option<Failure> {
        let document = self.plane.objects.get(&format!("{base}/{name}/error.pb")).await.ok().flatten()?;
        let error = ErrorDocument::decode_from_slice(&document).ok()?.error.into_option()?;
        Some(result::failure(error).cut())
    }
}

/// An action of a request without the fields that depend on its kind.
fn untyped(action: &Action, id: ActionId, base: &str, subject: &str) -> NewAction {
    NewAction {
        id,
        parent: action.parent_action_name.clone().unwrap_or_default(),
        group: action.group.clone(),
        kind: ActionKind::Condition,
        task: TaskRef::default(),
        task_type: String::new(),
        short_name: String::new(),
        environment: String::new(),
        spec: bytes::Bytes::new(),
        input_uri: action.input_uri.clone(),
        output_base: base.to_owned(),
        output_uri: String::new(),
        caching: None,
        phase: Phase::Paused,
        failure: None,
        started_at: None,
        ended_at: None,
        waits_until: None,
        max_queued: None,
        deadline: None,
        subject: subject.to_owned(),
    }
}

fn condition(
    run: &Run,
    action: &Action,
    id: ActionId,
    condition: &ConditionAction,
    base: &str,
    subject: &str,
    now: UnixMillis,
) -> Result<NewAction, ConnectError> {
    if condition.name.is_empty() {
        return Err(invalid("action.condition.name", "is missing"));
    }
    if condition.webhook.is_set() {
        return Err(invalid("action.condition.webhook", "is not called by this server: poll or signal it"));
    }
    Ok(NewAction {
        task: TaskRef { name: condition.name.clone(), ..task_ref_in(run) },
        spec: condition.encode_to_bytes(),
        started_at: Some(now),
        waits_until: condition
            .timeout
            .as_option()
            .map(|wait| wait.seconds.saturating_mul(1000).saturating_add(i64::from(wait.nanos) / 1_000_000))
            .filter(|wait| *wait > 0)
            .map(|wait| now.saturating_add(wait)),
        ..untyped(action, id, base, subject)
    })
}

fn task_ref_in(run: &Run) -> TaskRef {
    TaskRef { project: run.id.project.clone(), domain: run.id.domain.clone(), ..TaskRef::default() }
}

fn millis(at: &buffa_types::google::protobuf::Timestamp) -> UnixMillis {
    at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos) / 1_000_000)
}

impl ActionsService for Service {
    async fn enqueue<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, EnqueueRequest>,
    ) -> ServiceResult<impl Encodable<EnqueueResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let mut action = request.action.into_option().ok_or_else(|| invalid("action", "is missing"))?;
        let id = run::action_id("action.action_id", action.action_id.as_option())?;
        let parent = action.parent_action_name.as_deref().unwrap_or_default();
        run::check_action_name("action.parent_action_name", parent)?;
        if parent == id.name {
            return Err(invalid("action.parent_action_name", "is the action itself"));
        }
        if action.group.chars().count() > MAX_GROUP {
            return Err(invalid("action.group", &format!("is longer than {MAX_GROUP} characters")));
        }
        let run = self.plane.runs.run(&id.run).await.map_err(store_error)?;
        let run = run.ok_or_else(|| run::no_run(&id.run))?;
        let base = match action.run_output_base.trim_end_matches('/') {
            "" => run.output_base.clone(),
            base => self.native_url("action.run_output_base", base, &run)?,
        };
        if let Ok(key) = self.plane.objects.key_of(&action.input_uri) {
            action.input_uri = self.plane.objects.url_of(&key);
        }
        let subject = caller.subject.as_str();
        let new = match action.spec.take() {
            None => return Err(invalid("action.spec", "is missing: give task, trace or condition")),
            Some(Spec::Task(task)) => self.task(&run, &action, id.clone(), *task, &base, subject)?,
            Some(Spec::Trace(trace)) => self.trace(&run, &action, id.clone(), *trace, &base, subject).await?,
            Some(Spec::Condition(given)) => {
                let now = self.plane.clock.now_millis();
                condition(&run, &action, id.clone(), &given, &base, subject, now)?
            }
        };
        match self.plane.runs.enqueue(&new).await.map_err(store_error)? {
            Enqueued::Added => {
                if new.kind == ActionKind::Task {
                    run::record(&self.plane, Kind::ActionEnqueued, caller, &id, |event| {
                        run::starts(event, &new.task).detail(Detail::OnBehalfOf, &run.creator.subject)
                    })
                    .await;
                }
                Response::ok(EnqueueResponse::default())
            }
            // A retried task enqueues the same actions again, and watches the existing ones.
            Enqueued::Existing => Response::ok(EnqueueResponse::default()),
            Enqueued::NoRun => Err(run::no_run(&id.run)),
            Enqueued::NoParent => Err(run::no_action(&ActionId { run: id.run, name: new.parent })),
            Enqueued::ParentEnded => {
                Err(ConnectError::aborted(format!("{} has ended, so it cannot enqueue actions", new.parent)))
            }
        }
    }

    async fn watch_for_updates(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, WatchForUpdatesRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<WatchForUpdatesResponse> + Send + use<>>> {
        let Some(Filter::ParentActionId(id)) = request.to_owned_message().filter else {
            return Err(invalid("parent_action_id", "is missing"));
        };
        let parent = run::action(&self.plane, "parent_action_id", Some(&id)).await?.id;
        let watcher = self.plane.runs.watch(&parent.run);
        // The version seen last, and whether the initial state has been sent.
        let start = (0, false);
        Response::stream_ok(follow(&self.plane, watcher, start, move |plane, (seen, synced)| {
            let parent = parent.clone();
            async move { look(&plane, &parent, seen, synced).await }
        }))
    }

    async fn update<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, UpdateRequest>,
    ) -> ServiceResult<impl Encodable<UpdateResponse> + Send + use<'a>> {
        Err::<Response<UpdateResponse>, _>(ConnectError::unimplemented(
            "this server runs its tasks itself and keeps their status, so updates are not accepted",
        ))
    }

    async fn abort<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, AbortRequest>,
    ) -> ServiceResult<impl Encodable<AbortResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let action = run::action(&self.plane, "action_id", request.action_id.as_option()).await?;
        run::abort(&self.plane, caller, &action.id, run::reason(request.reason.as_deref())?).await?;
        Response::ok(AbortResponse::default())
    }

    async fn signal<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, SignalRequest>,
    ) -> ServiceResult<impl Encodable<SignalResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let action = run::action(&self.plane, "action_id", request.action_id.as_option()).await?;
        let value = request.value.as_option().ok_or_else(|| invalid("value", "is missing"))?;
        run::signal::signal(&self.plane, caller, &action, value).await?;
        Response::ok(SignalResponse::default())
    }
}

/// The changes of the parent's children since the version `seen`. A sentinel follows the initial state.
async fn look(
    plane: &ControlPlane,
    parent: &ActionId,
    seen: i64,
    synced: bool,
) -> Result<Look<(i64, bool), WatchForUpdatesResponse>, ConnectError> {
    // This comes before the changes are read. The watcher reports later changes.
    let ended =
        plane.runs.action(parent).await.map_err(store_error)?.is_none_or(|one| one.phase.is_terminal());
    let children: Vec<flyte_store::Action> = plane
        .runs
        .actions_since(&parent.run, Some(&parent.name), seen, PAGE_SIZE)
        .await
        .map_err(store_error)?;
    let more = children.len() >= PAGE_SIZE as usize;
    let messages = Messages::new(plane);
    let mut responses = Vec::with_capacity(children.len() + 1);
    for child in &children {
        responses.push(response(messages.update(child)?.into()));
    }
    if !synced && !more {
        responses.push(response(ControlMessage { sentinel: true, ..ControlMessage::default() }.into()));
    }
    Ok(Look {
        state: (children.last().map_or(seen, |last| last.version), synced || !more),
        messages: responses,
        next: match more {
            true => Next::More,
            false if ended => Next::End,
            false => Next::Wait,
        },
    })
}

fn response(message: Message) -> WatchForUpdatesResponse {
    WatchForUpdatesResponse { message: Some(message), ..WatchForUpdatesResponse::default() }
}
