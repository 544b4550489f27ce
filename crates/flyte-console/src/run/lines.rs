//! The log of an attempt at an action.

use axum::body::Body;
use connectrpc::{ConnectError, client::ServerStream};
use flyte_idl::{
    Decoded,
    flyteidl2::{
        logs::dataplane::LogLine,
        workflow::{RunLogsServiceClient, TailLogsRequest, TailLogsResponse},
    },
};

use super::Target;
use crate::{
    log::Lines,
    visit::{Visit, client},
};

/// The lines of an attempt, from the first one.
pub(super) struct ActionLines(ServerStream<Body, Decoded<'static, TailLogsResponse>>);

impl ActionLines {
    /// Opens the log. An attempt of 0 is the latest one.
    pub(super) async fn open(visit: &Visit, target: &Target, attempt: u32) -> Result<Self, ConnectError> {
        let request = TailLogsRequest { action_id: target.id().into(), attempt, ..Default::default() };
        client!(visit, RunLogsServiceClient).tail_logs(request).await.map(Self)
    }
}

impl Lines for ActionLines {
    async fn next(&mut self) -> Result<Option<Vec<LogLine>>, ConnectError> {
        let message = self.0.message::<TailLogsResponse>().await?;
        Ok(message
            .map(|message| message.to_owned_message().logs.into_iter().flat_map(|logs| logs.lines).collect()))
    }
}
