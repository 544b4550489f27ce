//! `flyteidl2.app.AppLogsService`: the logs of apps.

use std::sync::Arc;

use buffa::{EnumValue, MessageField};
use connectrpc::{
    ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};
use flyte_idl::flyteidl2::{
    app::{
        AppLogsService, Identifier, LogLines, LogLinesBatch, ReplicaIdentifier, TailLogsRequest,
        TailLogsResponse, tail_logs_request::Target,
    },
    logs::dataplane::LogLineSource,
};
use futures_util::StreamExt as _;

use super::{app, invalid, logs, store_error};
use crate::ControlPlane;

pub(super) struct Service {
    plane: Arc<ControlPlane>,
}

impl Service {
    pub(super) fn new(plane: Arc<ControlPlane>) -> Self {
        Self { plane }
    }
}

/// The replica name of a process of an app in logs: the name of the app, `-`, and the number of the process.
fn replica(name: &str, number: u64) -> String {
    format!("{name}-{number}")
}

impl AppLogsService for Service {
    async fn tail_logs(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, TailLogsRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<TailLogsResponse> + Send + use<>>> {
        let request = request.to_owned_message();
        let (field, wanted, name): (_, Option<Identifier>, _) = match request.target {
            Some(Target::AppId(id)) => ("app_id", Some(*id), None),
            Some(Target::ReplicaId(replica)) => {
                ("replica_id.app_id", replica.app_id.as_option().cloned(), Some(replica.name))
            }
            None => return Err(invalid("app_id", "is missing")),
        };
        let id = app::id(&self.plane, field, wanted.as_ref()).await?;
        let record = self.plane.store.app_by_id(&id).await.map_err(store_error)?;
        let record = record.ok_or_else(|| app::not_found(&id))?;
        let none = || {
            ConnectError::not_found(match &name {
                Some(name) => format!("app {:?} has no process {name:?} whose log is kept", id.name),
                None => format!("app {:?} has not been started yet: there is no log", id.name),
            })
        };
        let number = match &name {
            None => record.processes,
            Some(name) => {
                let number =
                    name.strip_prefix(&format!("{}-", id.name)).and_then(|number| number.parse().ok());
                number.filter(|number| (1..=record.processes).contains(number)).ok_or_else(none)?
            }
        };
        let lines = self.plane.logs.of_app(&id, number).ok_or_else(none)?;
        let org = self.plane.config.org.clone();
        Response::stream_ok(lines.map(move |lines| {
            let lines = lines.map_err(logs::tail_error)?;
            let identifier = Identifier {
                org: org.clone(),
                project: id.project.clone(),
                domain: id.domain.clone(),
                name: id.name.clone(),
                ..Identifier::default()
            };
            let logs = LogLines {
                replica_id: MessageField::some(ReplicaIdentifier {
                    app_id: MessageField::some(identifier),
                    name: replica(&id.name, number),
                    ..ReplicaIdentifier::default()
                }),
                structured_lines: lines.into_iter().map(logs::message).collect(),
                source: EnumValue::from(LogLineSource::LOG_LINE_SOURCE_LIVE),
                ..LogLines::default()
            };
            let batch = LogLinesBatch { logs: vec![logs], ..LogLinesBatch::default() };
            Ok(TailLogsResponse { resp: Some(batch.into()), ..TailLogsResponse::default() })
        }))
    }
}
