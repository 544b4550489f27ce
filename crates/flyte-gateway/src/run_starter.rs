//! Which principal started a run: the backend knows it by the subject that [`identity`](crate::identity) has sent with the call.

use async_trait::async_trait;
use flyte_access::workload::{RunStarters, StartedBy, Unavailable};
use flyte_store::RunId;
use serde::Deserialize;
use serde_json::json;

use crate::{Gateway, Upstream};

const GET_RUN_DETAILS: &str = "flyteidl2.workflow.RunService/GetRunDetails";

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
            match self.ask_starter(upstream, run).await {
                Ok(Some(started)) => return Ok(Some(started)),
                Ok(None) => {}
                Err(why) => unanswered = Some(why),
            }
        }
        unanswered.map_or(Ok(None), Err)
    }
}

impl Gateway {
    async fn ask_starter(&self, upstream: &Upstream, run: &RunId) -> Result<Option<StartedBy>, Unavailable> {
        let RunId { project, domain, name } = run;
        let organization = &self.parts.config.org;
        let question =
            json!({"runId": {"org": organization, "project": project, "domain": domain, "name": name}});
        let answer = upstream.ask(GET_RUN_DETAILS, &question).await;
        let Some(answer) = answer.map_err(|why| Unavailable(why.to_string()))? else { return Ok(None) };
        let response: GetRunDetailsResponse = serde_json::from_slice(&answer).map_err(|error| {
            Unavailable(format!("the backend {:?} did not say who started a run: {error}", upstream.name()))
        })?;
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
