//! `flyteidl2.workflow.RunLogsService`, and what `DataProxyService/TailLogs` shares with it: what tasks have written.

use std::sync::Arc;

use buffa::{EnumValue, MessageField};
use buffa_types::google::protobuf::Timestamp;
use connectrpc::{
    ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};
use flyte_idl::flyteidl2::{
    common::ActionIdentifier,
    logs::dataplane::{LogLine, LogLineOriginator},
    workflow::{RunLogsService, TailLogsRequest, TailLogsResponse, tail_logs_response::Logs},
};
use futures_util::{Stream, StreamExt as _};

use super::{caller, invalid, store_error};
use crate::ControlPlane;
use flyte_access::policy;
use flyte_runs::log_source::{Line, Stream as Source, TailError};
use flyte_store::{ActionId, RunId};

pub(super) struct Service {
    plane: Arc<ControlPlane>,
}

impl Service {
    pub(super) fn new(plane: Arc<ControlPlane>) -> Self {
        Self { plane }
    }
}

/// What an attempt at an action has written and writes, in batches, until it has ended. Attempts count from 1; 0 is the last
/// one that was begun. An attempt that is still to begin is waited for.
pub(super) async fn tail(
    plane: &Arc<ControlPlane>,
    context: &RequestContext,
    action: &ActionIdentifier,
    attempt: u32,
) -> Result<impl Stream<Item = Result<Vec<LogLine>, ConnectError>> + Send + 'static + use<>, ConnectError> {
    let run = action.run.as_option().cloned().unwrap_or_default();
    for (field, value) in [
        ("action_id.run.project", &run.project),
        ("action_id.run.domain", &run.domain),
        ("action_id.run.name", &run.name),
        ("action_id.name", &action.name),
    ] {
        if value.is_empty() {
            return Err(invalid(field, "is missing"));
        }
    }
    let missing = || {
        ConnectError::not_found(format!(
            "there is no action {:?} in a run {:?} in {}/{}",
            action.name, run.name, run.project, run.domain
        ))
    };
    if !policy::may_see(caller(context)?, &run.project, Some(&run.domain)) {
        // As if there were none: what others have is not told.
        return Err(missing());
    }
    let run_id = RunId { project: run.project.clone(), domain: run.domain.clone(), name: run.name.clone() };
    let id = ActionId { run: run_id, name: action.name.clone() };
    let known = plane.runs.action(&id).await.map_err(store_error)?.ok_or_else(missing)?;
    let attempt = match attempt {
        0 => known.attempts.max(1),
        attempt => attempt,
    };
    Ok(plane
        .logs
        .of_attempt(&id, attempt)
        .map(|lines| Ok(lines.map_err(tail_error)?.into_iter().map(message).collect())))
}

/// Why a log ends early: details of a failure are for the server's log, not for the caller.
pub(super) fn tail_error(error: TailError) -> ConnectError {
    match error {
        TailError::Store(error) => store_error(error),
        TailError::Stopping => ConnectError::unavailable(error.to_string()),
        TailError::Io(error) => {
            tracing::error!(%error, "a log cannot be read");
            ConnectError::unavailable("the server cannot read the log; try again later")
        }
    }
}

/// A line as it is sent: what the command wrote is the user's, what the supervisor did to it the system's.
pub(super) fn message(line: Line) -> LogLine {
    let originator = match line.stream {
        Source::Stdout | Source::Stderr => LogLineOriginator::USER,
        Source::System => LogLineOriginator::SYSTEM,
    };
    LogLine {
        timestamp: MessageField::some(Timestamp {
            seconds: line.time.as_second(),
            nanos: line.time.subsec_nanosecond(),
            ..Timestamp::default()
        }),
        message: line.text,
        originator: EnumValue::from(originator),
        ..LogLine::default()
    }
}

impl RunLogsService for Service {
    async fn tail_logs(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, TailLogsRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<TailLogsResponse> + Send + use<>>> {
        let request = request.to_owned_message();
        let action = request.action_id.as_option().cloned().unwrap_or_default();
        let lines = tail(&self.plane, &context, &action, request.attempt).await?;
        Response::stream_ok(lines.map(|lines| {
            let logs = vec![Logs { lines: lines?, ..Logs::default() }];
            Ok(TailLogsResponse { logs, ..TailLogsResponse::default() })
        }))
    }
}
