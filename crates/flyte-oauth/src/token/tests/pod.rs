//! Exchange of the tokens of pods, with a platform in the test.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::fixture::{Answer, NOW, Server};
use flyte_access::{
    Caller,
    workload::{
        RunStarters, StartedBy, Unavailable, Workload, WorkloadError, WorkloadId, WorkloadToken, Workloads,
    },
};
use flyte_federation::testing::{Key, claims};
use flyte_policy::Grants;
use flyte_store::RunId;

const ISSUER: &str = "https://cluster.example";

/// A platform with one pod.
#[derive(Debug)]
struct Platform(Mutex<Result<(), WorkloadError>>);

fn workload() -> Workload {
    let run = RunId { project: "p".to_owned(), domain: "d".to_owned(), name: "r".to_owned() };
    let id = WorkloadId { namespace: "flyte".to_owned(), name: "r-a0-1".to_owned(), uid: "u".to_owned() };
    Workload { id, run, action: "a0".to_owned() }
}

#[async_trait]
impl Workloads for Platform {
    fn recognizes(&self, _: &str) -> bool {
        true
    }

    async fn identify(&self, _: &str) -> Result<WorkloadToken, WorkloadError> {
        let workload = self.running(&workload().id).await?;
        Ok(WorkloadToken { workload, token_id: "t".to_owned(), expires_at: NOW + 300 })
    }

    async fn running(&self, _: &WorkloadId) -> Result<Workload, WorkloadError> {
        self.0.lock().unwrap().clone().map(|()| workload())
    }
}

#[async_trait]
impl RunStarters for Platform {
    async fn started_by(&self, _: &RunId) -> Result<Option<StartedBy>, Unavailable> {
        Ok(None)
    }
}

async fn exchange(server: &Server, token: &str) -> Answer {
    let pairs = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", token),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
    ];
    server.post("/oauth2/token", &pairs).await
}

async fn call(server: &Server, token: &str) -> Result<Arc<Caller>, String> {
    let headers = [(http::header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())];
    let caller = server.state.access.authenticate(&headers.into_iter().collect()).await;
    caller.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_pods_token_is_exchanged_for_one_that_ends_with_the_pod() {
    let server = Server::start().await;
    let platform = Arc::new(Platform(Mutex::new(Ok(()))));
    let access = &server.state.access;
    let token = Key::new(Algorithm::ES256, "k").sign(&claims(ISSUER, json!({})));
    let error = exchange(&server, &token).await;
    assert!(error.text().contains("there is no trust rule"), "pods are not accepted yet: {}", error.text());

    access.accept_workloads(platform.clone(), platform.clone());
    server.state.store.create_user(&flyte_testing::user("Grace")).await.unwrap();
    let grace = Caller {
        subject: "user-Grace".to_owned(),
        grants: Grants::of_role(flyte_model::Role::Contributor, &flyte_model::Limit::default()),
        ..Caller::for_test()
    };
    access.remember_run(&grace, &workload().run, Some(0)).await.unwrap();
    let answer = exchange(&server, &token).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!((&answer.json()["expires_in"], &answer.json()["scope"]), (&json!(300), &json!("all")));
    let exchanged = answer.json()["access_token"].as_str().unwrap().to_owned();
    let caller = call(&server, &exchanged).await.unwrap();
    assert_eq!((caller.subject.as_str(), caller.workload_id()), ("p/d/r", Some(workload().id)));
    assert_eq!(caller.grants.only_limit().unwrap().domain.as_deref(), Some("d"));
    assert_eq!(caller.on_behalf_of.as_ref().unwrap().subject, "user-Grace");

    *platform.0.lock().unwrap() = Err(Unavailable("the API server is away".to_owned()).into());
    assert_eq!(exchange(&server, &token).await.error(), "temporarily_unavailable");
    *platform.0.lock().unwrap() = Ok(());

    access.end_workload(&workload().id);
    assert_eq!(call(&server, &exchanged).await.unwrap_err(), "the pod has ended");
    *platform.0.lock().unwrap() = Err(WorkloadError::Invalid("the pod has ended"));
    let refused = exchange(&server, &token).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_request"));
    assert!(refused.text().contains("the pod has ended"), "{}", refused.text());
}
