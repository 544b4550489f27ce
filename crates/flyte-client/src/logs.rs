//! Logs of actions and apps.

use std::collections::VecDeque;
use std::time::SystemTime;

use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::flyteidl2::app::{self, AppLogsServiceClient};
use flyte_idl::flyteidl2::dataproxy::{self, DataProxyServiceClient};
use flyte_idl::flyteidl2::logs::dataplane::{LogLine, LogLineOriginator};
use serde::Serialize;

use crate::action::ActionId;
use crate::app::AppId;
use crate::error::ClientError;
use crate::transport::Transport;
use crate::watch::Watch;

/// One line of a log.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Line {
    /// The time of the line, Unix time in seconds with fractions; `None` if the server does not say.
    pub at: Option<f64>,
    /// The text, without the line ending. The task writes it, so it may be any text.
    pub text: String,
    /// Whether the system that runs the task wrote the line, and not the task's code.
    pub system: bool,
    /// The replica of an app that wrote the line; empty for an action.
    pub replica: String,
}

/// Calls of `flyteidl2.dataproxy.DataProxyService` and `flyteidl2.app.AppLogsService`.
#[derive(Clone)]
pub struct Logs<T> {
    actions: DataProxyServiceClient<T>,
    apps: AppLogsServiceClient<T>,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> Logs<T> {
    pub(crate) fn new(
        actions: DataProxyServiceClient<T>,
        apps: AppLogsServiceClient<T>,
        endpoint: Endpoint,
        org: Option<String>,
    ) -> Self {
        Self { actions, apps, endpoint, org }
    }

    /// Opens the log of an attempt of an action, from its first line. The log continues while the attempt runs.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the action does not exist or has not started yet.
    pub async fn of_action(&self, id: &ActionId, attempt: u32) -> Result<ActionLog<T>, ClientError> {
        let action_id = id.identifier(self.org.as_deref()).into();
        let request = dataproxy::TailLogsRequest { action_id, attempt, ..Default::default() };
        let stream = self.actions.tail_logs(request).await.map_err(|error| self.error(error))?;
        let watch = Watch::new(stream, self.endpoint.clone());
        Ok(ActionLog { watch, lines: VecDeque::new(), end: None })
    }

    /// Opens the same log as [`Self::of_action`], but without the lines that are written after this call. If the lines have no
    /// time, they cannot be left out.
    ///
    /// # Errors
    /// The errors of [`Self::of_action`].
    pub async fn of_action_until_now(
        &self,
        id: &ActionId,
        attempt: u32,
    ) -> Result<ActionLog<T>, ClientError> {
        let mut log = self.of_action(id, attempt).await?;
        log.end = Some(server_time(log.watch.headers()));
        Ok(log)
    }

    /// Opens the log of an app, from the first line that the server still has. The log continues while the app runs.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the app does not exist or has not started yet.
    pub async fn of_app(&self, id: &AppId) -> Result<AppLog<T>, ClientError> {
        let app_id = id.identifier(self.org.as_deref());
        let request = app::TailLogsRequest {
            target: Some(app::tail_logs_request::Target::AppId(Box::new(app_id))),
            ..Default::default()
        };
        let stream = self.apps.tail_logs(request).await.map_err(|error| self.error(error))?;
        Ok(AppLog { watch: Watch::new(stream, self.endpoint.clone()), lines: VecDeque::new() })
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// The log of an action, read while the action writes it.
pub struct ActionLog<T: Transport> {
    watch: Watch<T, dataproxy::TailLogsResponse>,
    lines: VecDeque<Line>,
    /// Lines at or after this time are left out. Unix time in seconds, by the server's clock.
    end: Option<f64>,
}

impl<T: Transport> ActionLog<T> {
    /// Waits for the next line; `None` after the last line of an attempt that has ended, or after the last requested line.
    ///
    /// # Errors
    /// The error of the call.
    pub async fn next(&mut self) -> Result<Option<Line>, ClientError> {
        while self.lines.is_empty() {
            let Some(message) = self.watch.message().await? else { return Ok(None) };
            let logs = message.logs;
            self.lines.extend(logs.into_iter().flat_map(|log| log.lines).flat_map(|line| lines(line, "")));
        }
        let next = self.lines.front();
        if next.and_then(|line| line.at).zip(self.end).is_some_and(|(at, end)| at >= end) {
            return Ok(None);
        }
        Ok(self.lines.pop_front())
    }
}

/// The log of an app, read while the app writes it.
pub struct AppLog<T: Transport> {
    watch: Watch<T, app::TailLogsResponse>,
    lines: VecDeque<Line>,
}

impl<T: Transport> AppLog<T> {
    /// Waits for the next line; `None` if the server ended the stream.
    ///
    /// # Errors
    /// The error of the call.
    pub async fn next(&mut self) -> Result<Option<Line>, ClientError> {
        use app::tail_logs_response::Resp;
        while self.lines.is_empty() {
            let Some(message) = self.watch.message().await? else { return Ok(None) };
            match message.resp {
                Some(Resp::Batches(batches)) => {
                    for batch in batches.logs {
                        let replica = batch.replica_id.into_option().unwrap_or_default().name;
                        self.extend(batch.structured_lines, batch.lines, &replica);
                    }
                }
                Some(Resp::LogLines(batch)) => self.extend(batch.structured_lines, batch.lines, ""),
                Some(Resp::Replicas(_)) | None => {}
            }
        }
        Ok(self.lines.pop_front())
    }

    /// Adds lines. An answer has them in two forms; older servers send only the plain one, which has no times.
    fn extend(&mut self, structured: Vec<LogLine>, plain: Vec<String>, replica: &str) {
        let plain = if structured.is_empty() { plain } else { Vec::new() };
        let plain = plain.into_iter().map(|message| LogLine { message, ..Default::default() });
        self.lines.extend(structured.into_iter().chain(plain).flat_map(|line| lines(line, replica)));
    }
}

/// The end of the second in which an answer began, by the server's `Date` (RFC 9110 section 6.6.1). The times of the lines come
/// from the server's clock too, and this machine's clock may differ from it.
#[expect(clippy::disallowed_methods, reason = "the times of lines come from real clocks")]
fn server_time(headers: &http::HeaderMap) -> f64 {
    let date = headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or_else(SystemTime::now);
    let since = date.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs_f64() + 1.0
}

/// Splits a log message into lines. A message may have several lines, and usually ends with a newline.
fn lines(message: LogLine, replica: &str) -> Vec<Line> {
    let system = message.originator.as_known() == Some(LogLineOriginator::SYSTEM);
    let at = message.timestamp.as_option().map(|at| {
        #[allow(clippy::cast_precision_loss, reason = "exact to a microsecond for centuries")]
        let seconds = at.seconds as f64;
        seconds + f64::from(at.nanos) / 1e9
    });
    let text = message.message.strip_suffix('\n').unwrap_or(&message.message);
    let line = |text: &str| Line {
        at,
        text: text.strip_suffix('\r').unwrap_or(text).to_owned(),
        system,
        replica: replica.to_owned(),
    };
    text.split('\n').map(line).collect()
}

#[cfg(test)]
mod tests;
