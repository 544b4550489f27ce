//! `flyteidl2.workflow.RunLogsService`: the logs of tasks. `DataProxyService/TailLogs` uses the same code.

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

use super::{run, store_error};
use crate::ControlPlane;
use flyte_runs::log_source::{Line, Stream as Source, TailError};

pub(super) struct Service {
    plane: Arc<ControlPlane>,
}

impl Service {
    pub(super) fn new(plane: Arc<ControlPlane>) -> Self {
        Self { plane }
    }
}

/// The log lines of an attempt, in batches, until the attempt has ended. Attempts count from 1, and 0 means the latest attempt.
/// If the attempt has not started, the stream waits for it.
pub(super) async fn tail(
    plane: &Arc<ControlPlane>,
    action: Option<&ActionIdentifier>,
    attempt: u32,
) -> Result<impl Stream<Item = Result<Vec<LogLine>, ConnectError>> + Send + 'static + use<>, ConnectError> {
    let known = run::action(plane, "action_id", action).await?;
    let attempt = match attempt {
        0 => known.attempts.max(1),
        attempt => attempt,
    };
    Ok(plane
        .logs
        .of_attempt(&known.id, attempt)
        .map(|lines| Ok(lines.map_err(tail_error)?.into_iter().map(message).collect())))
}

/// The error for a log that ends early. The details go to the server's log, not to the caller.
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

/// Converts a log line. Output of the command has the originator USER; messages of the supervisor have SYSTEM.
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
        _: RequestContext,
        request: ServiceRequest<'_, TailLogsRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<TailLogsResponse> + Send + use<>>> {
        let request = request.to_owned_message();
        let lines = tail(&self.plane, request.action_id.as_option(), request.attempt).await?;
        Response::stream_ok(lines.map(|lines| {
            let logs = vec![Logs { lines: lines?, ..Logs::default() }];
            Ok(TailLogsResponse { logs, ..TailLogsResponse::default() })
        }))
    }
}
