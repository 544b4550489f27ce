//! `flyteidl2.workflow.RunService`.

mod abort;
pub(super) mod create;
mod identifier;
pub(super) mod message;
mod query;
mod read;
pub(super) mod signal;
pub(super) mod watch;

use std::sync::Arc;

use buffa::MessageField;
use connectrpc::{
    ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};
use flyte_idl::flyteidl2::{
    core::LogContext,
    workflow::{
        AbortActionRequest, AbortActionResponse, AbortRunRequest, AbortRunResponse, CreateRunRequest,
        CreateRunResponse, GetActionDataRequest, GetActionDataResponse, GetActionDataURIsRequest,
        GetActionDataURIsResponse, GetActionDetailsRequest, GetActionDetailsResponse,
        GetActionLogContextRequest, GetActionLogContextResponse, GetRunDetailsRequest, GetRunDetailsResponse,
        ListActionsRequest, ListActionsResponse, ListRunsRequest, ListRunsResponse, RunService,
        SignalEventRequest, SignalEventResponse, WatchActionDetailsRequest, WatchActionDetailsResponse,
        WatchActionsRequest, WatchActionsResponse, WatchClusterEventsRequest, WatchClusterEventsResponse,
        WatchGroupsRequest, WatchGroupsResponse, WatchRunDetailsRequest, WatchRunDetailsResponse,
        WatchRunsRequest, WatchRunsResponse,
    },
};
use futures_util::stream;

use self::{
    abort::abort_unfinished,
    message::{Messages, timestamp},
};
pub(super) use self::{
    abort::{abort, reason},
    identifier::{action, action_id, check_action_name, no_action, no_run, run_id},
};
use super::{action_data, caller, invalid, store_error};
use crate::ControlPlane;
use flyte_access::Caller;
use flyte_audit::{Detail, Event, Kind};
use flyte_runs::data::outputs_uri;
use flyte_store::{self, ActionId, TaskRef};

pub(super) struct Service {
    plane: Arc<ControlPlane>,
}

impl Service {
    pub(super) fn new(plane: Arc<ControlPlane>) -> Self {
        Self { plane }
    }

    /// The run that an action belongs to.
    async fn run_of(&self, id: &ActionId) -> Result<flyte_store::Run, ConnectError> {
        let run = self.plane.runs.run(&id.run).await.map_err(store_error)?;
        run.ok_or_else(|| no_run(&id.run))
    }
}

pub(super) async fn record(
    plane: &ControlPlane,
    kind: Kind,
    caller: &Caller,
    id: &ActionId,
    more: impl FnOnce(Event) -> Event,
) {
    let object = if id.is_root() { id.run.to_string() } else { id.to_string() };
    let event = Event::new(kind)
        .subject(&caller.subject)
        .client(&caller.client_id)
        .object(&object)
        .detail(Detail::Project, &id.run.project)
        .detail(Detail::Domain, &id.run.domain);
    plane.audit.record(more(event)).await;
}

/// Adds the task and its version to an audit event.
pub(super) fn starts(event: Event, task: &TaskRef) -> Event {
    event.detail(Detail::Task, &task.name).detail(Detail::Version, &task.version)
}

fn required<'a, M: Default>(
    field: &str,
    message: &'a MessageField<M, impl buffa::ProtoBox<M>>,
) -> Result<&'a M, ConnectError> {
    message.as_option().ok_or_else(|| invalid(field, "is missing"))
}

impl RunService for Service {
    async fn create_run<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateRunRequest>,
    ) -> ServiceResult<impl Encodable<CreateRunResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let (run, root) = create::create(&self.plane, caller, request.to_owned_message()).await?;
        record(&self.plane, Kind::RunCreated, caller, &root.id, |event| starts(event, &root.task)).await;
        let run = Messages::new(&self.plane).run(&run, &root).await?;
        Response::ok(CreateRunResponse { run: MessageField::some(run), ..CreateRunResponse::default() })
    }

    async fn abort_run<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, AbortRunRequest>,
    ) -> ServiceResult<impl Encodable<AbortRunResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let id = run_id("run_id", request.run_id.as_option())?;
        let reason = reason(request.reason.as_deref())?;
        self.plane.runs.run(&id).await.map_err(store_error)?.ok_or_else(|| no_run(&id))?;
        abort_unfinished(&self.plane, caller, &ActionId::root(id), reason).await?;
        Response::ok(AbortRunResponse::default())
    }

    async fn get_run_details<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetRunDetailsRequest>,
    ) -> ServiceResult<impl Encodable<GetRunDetailsResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let id = run_id("run_id", request.run_id.as_option())?;
        let details = Messages::new(&self.plane).run_details(&id).await?.ok_or_else(|| no_run(&id))?;
        Response::ok(GetRunDetailsResponse {
            details: MessageField::some(details),
            ..GetRunDetailsResponse::default()
        })
    }

    async fn watch_run_details(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, WatchRunDetailsRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<WatchRunDetailsResponse> + Send + use<>>> {
        let request = request.to_owned_message();
        let id = run_id("run_id", request.run_id.as_option())?;
        read::watch_run(&self.plane, id).await
    }

    async fn get_action_details<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetActionDetailsRequest>,
    ) -> ServiceResult<impl Encodable<GetActionDetailsResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let action = action(&self.plane, "action_id", request.action_id.as_option()).await?;
        let run = self.run_of(&action.id).await?;
        let details = Messages::new(&self.plane).action_details(&run, &action).await?;
        Response::ok(GetActionDetailsResponse {
            details: MessageField::some(details),
            ..GetActionDetailsResponse::default()
        })
    }

    async fn watch_action_details(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, WatchActionDetailsRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<WatchActionDetailsResponse> + Send + use<>>> {
        let request = request.to_owned_message();
        let action = action(&self.plane, "action_id", request.action_id.as_option()).await?;
        let run = self.run_of(&action.id).await?;
        read::watch_action(&self.plane, run, action.id)
    }

    async fn get_action_data<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetActionDataRequest>,
    ) -> ServiceResult<impl Encodable<GetActionDataResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let action = action(&self.plane, "action_id", request.action_id.as_option()).await?;
        Response::ok(GetActionDataResponse {
            inputs: action_data::inputs(&self.plane, &action).await?.into(),
            outputs: action_data::outputs(&self.plane, &action).await?.into(),
            ..GetActionDataResponse::default()
        })
    }

    async fn list_runs<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, ListRunsRequest>,
    ) -> ServiceResult<impl Encodable<ListRunsResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let (runs, token) = match read::run_query(caller, &request.to_owned_message())? {
            Some(query) => self.plane.runs.list(&query).await.map_err(store_error)?,
            None => (Vec::new(), String::new()),
        };
        let mut messages = Messages::new(&self.plane);
        let mut answer = ListRunsResponse { token, ..ListRunsResponse::default() };
        for (run, root) in &runs {
            answer.runs.push(messages.run(run, root).await?);
        }
        Response::ok(answer)
    }

    async fn watch_runs(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, WatchRunsRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<WatchRunsResponse> + Send + use<>>> {
        read::watch_runs(&self.plane, caller(&context)?, request.to_owned_message())
    }

    async fn list_actions<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListActionsRequest>,
    ) -> ServiceResult<impl Encodable<ListActionsResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let id = run_id("run_id", request.run_id.as_option())?;
        let query = query::actions(request.request.as_option().unwrap_or(&Default::default()))?;
        let run = self.plane.runs.run(&id).await.map_err(store_error)?.ok_or_else(|| no_run(&id))?;
        let (actions, token) = self.plane.runs.list_actions(&id, &query).await.map_err(store_error)?;
        let mut messages = Messages::new(&self.plane);
        let mut answer = ListActionsResponse { token, ..ListActionsResponse::default() };
        for action in &actions {
            answer.actions.push(messages.action(&run, action).await?);
        }
        Response::ok(answer)
    }

    async fn watch_actions(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, WatchActionsRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<WatchActionsResponse> + Send + use<>>> {
        let request = request.to_owned_message();
        let id = run_id("run_id", request.run_id.as_option())?;
        read::watch_actions(&self.plane, id, request.filter).await
    }

    async fn watch_cluster_events(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, WatchClusterEventsRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<WatchClusterEventsResponse> + Send + use<>>> {
        let request = request.to_owned_message();
        action(&self.plane, "id", request.id.as_option()).await?;
        // Attempts are processes on this machine, so they have no cluster events.
        Response::stream_ok(stream::empty::<Result<WatchClusterEventsResponse, _>>())
    }

    async fn abort_action<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, AbortActionRequest>,
    ) -> ServiceResult<impl Encodable<AbortActionResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let action = action(&self.plane, "action_id", request.action_id.as_option()).await?;
        abort_unfinished(&self.plane, caller, &action.id, reason(Some(&request.reason))?).await?;
        Response::ok(AbortActionResponse::default())
    }

    async fn signal_event<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, SignalEventRequest>,
    ) -> ServiceResult<impl Encodable<SignalEventResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let action = action(&self.plane, "action_id", request.action_id.as_option()).await?;
        let value = signal::payload(required("payload", &request.payload)?)?;
        signal::signal(&self.plane, caller, &action, &value).await?;
        Response::ok(SignalEventResponse::default())
    }

    async fn watch_groups(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, WatchGroupsRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<WatchGroupsResponse> + Send + use<>>> {
        Err::<Response<ServiceStream<WatchGroupsResponse>>, _>(ConnectError::unimplemented(
            "this server does not keep statistics of tasks: list their runs instead",
        ))
    }

    async fn get_action_data_ur_is<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetActionDataURIsRequest>,
    ) -> ServiceResult<impl Encodable<GetActionDataURIsResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let action = action(&self.plane, "action_id", request.action_id.as_option()).await?;
        Response::ok(GetActionDataURIsResponse {
            outputs_uri: outputs_uri(&action).unwrap_or_default(),
            inputs_uri: action.input_uri,
            ..GetActionDataURIsResponse::default()
        })
    }

    async fn get_action_log_context<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetActionLogContextRequest>,
    ) -> ServiceResult<impl Encodable<GetActionLogContextResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let action = action(&self.plane, "action_id", request.action_id.as_option()).await?;
        let attempts = self.plane.runs.attempts(&action.id).await.map_err(store_error)?;
        let attempt = attempts.iter().find(|attempt| attempt.number == request.attempt).ok_or_else(|| {
            ConnectError::not_found(format!("there is no attempt {} at {}", request.attempt, action.id))
        })?;
        // Attempts have no pods. Clients read the log with `RunLogsService/TailLogs`.
        Response::ok(GetActionLogContextResponse {
            log_context: MessageField::some(LogContext::default()),
            start_time: timestamp(attempt.claimed_at),
            end_time: attempt.ended_at.map_or_else(MessageField::none, timestamp),
            ..GetActionLogContextResponse::default()
        })
    }
}
