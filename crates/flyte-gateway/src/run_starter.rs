//! Which principal started a run: the backend knows it by the subject that [`identity`](crate::identity) has sent with the call.
//!
//! The question is the gateway's own and reaches no caller, so it carries no caller's identity.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flyte_access::workload::{RunStarters, StartedBy, Unavailable};
use flyte_store::RunId;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    Gateway, Upstream,
    upstream::{Answer, Outbound},
};

const PATH: &str = "/flyteidl2.workflow.RunService/GetRunDetails";
/// The longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer, in bytes. It has the specification of the run's task in it.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// `flyteidl2.workflow.GetRunDetailsResponse` in JSON, as far as it matters here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct GetRunDetailsResponse {
    details: RunDetails,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RunDetails {
    action: ActionDetails,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ActionDetails {
    metadata: ActionMetadata,
    status: ActionStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ActionMetadata {
    executed_by: EnrichedIdentity,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ActionStatus {
    start_time: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EnrichedIdentity {
    user: Principal,
    application: Principal,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Principal {
    id: Identifier,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Identifier {
    subject: String,
}

#[async_trait]
impl RunStarters for Gateway {
    async fn started_by(&self, run: &RunId) -> Result<Option<StartedBy>, Unavailable> {
        // A run is in one of the clusters.
        let mut unanswered = None;
        for upstream in self.upstreams() {
            match timeout(TIMEOUT, self.ask(upstream, run)).await {
                Ok(Ok(Some(started))) => return Ok(Some(started)),
                Ok(Ok(None)) => {}
                Ok(Err(why)) => unanswered = Some(why),
                Err(_) => unanswered = Some(failed(upstream, "it did not answer in time")),
            }
        }
        unanswered.map_or(Ok(None), Err)
    }
}

impl Gateway {
    async fn ask(&self, upstream: &Upstream, run: &RunId) -> Result<Option<StartedBy>, Unavailable> {
        let RunId { project, domain, name } = run;
        let organization = &self.parts.config.org;
        let question =
            json!({"runId": {"org": organization, "project": project, "domain": domain, "name": name}});
        let (scheme, authority) = upstream.base();
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(PATH).build();
        let request = uri.and_then(|uri| {
            Request::builder()
                .method(Method::POST)
                .uri(uri)
                .header(header::CONTENT_TYPE, "application/json")
                .header("connect-protocol-version", "1")
                .body(())
        });
        let request = request.map_err(|error| failed(upstream, &error.to_string()))?;
        let body = Outbound::whole(Bytes::from(question.to_string()));
        let answer =
            upstream.send(request, body).await.map_err(|error| failed(upstream, &error.to_string()))?;
        let status = answer.status();
        let bytes = read(answer.into_body()).await.map_err(|why| failed(upstream, &why))?;
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(failed(upstream, &format!("it answered {status}"))),
        }
        let response: GetRunDetailsResponse =
            serde_json::from_slice(&bytes).map_err(|error| failed(upstream, &error.to_string()))?;
        Ok(started_by(response))
    }
}

fn started_by(response: GetRunDetailsResponse) -> Option<StartedBy> {
    let ActionDetails { metadata, status } = response.details.action;
    let EnrichedIdentity { user, application } = metadata.executed_by;
    let subject = [user, application].into_iter().map(|one| one.id.subject).find(|text| !text.is_empty())?;
    let at = status.start_time.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    Some(StartedBy { subject, kind: None, at: at.map_or(0, jiff::Timestamp::as_millisecond) })
}

async fn read(body: Answer) -> Result<Bytes, String> {
    let collected = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
}

fn failed(upstream: &Upstream, why: &str) -> Unavailable {
    Unavailable(format!("the backend {:?} did not say who started a run: {why}", upstream.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<StartedBy> {
        started_by(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn the_subject_is_that_of_the_user_or_the_application() {
        let user = r#"{"details": {"runSpec": {}, "action": {"metadata": {"executedBy": {"user": {
            "id": {"subject": "u"}, "spec": {"email": "ada@example.com"}}}}, "status": {
            "phase": "ACTION_PHASE_RUNNING", "startTime": "2026-11-28T18:00:00.250Z"}}}}"#;
        let started = read(user).unwrap();
        assert_eq!((started.subject.as_str(), started.at), ("u", 1_795_888_800_250));
        let key = r#"{"details": {"action": {"metadata": {"executedBy": {"application": {"id": {"subject": "k"}}}}}}}"#;
        assert_eq!(read(key).unwrap(), StartedBy { subject: "k".to_owned(), kind: None, at: 0 });
        for unknown in
            ["{}", r#"{"details": {"action": {"metadata": {"executedBy": {"user": {"id": {}}}}}}}"#]
        {
            assert_eq!(read(unknown), None, "{unknown}");
        }
    }
}
