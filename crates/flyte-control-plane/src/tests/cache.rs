//! Cached results in the responses to clients.

use serde_json::json;

use super::*;
use flyte_runs::Outcome;
use flyte_store::{ActionId, RunId};

const CREATE_RUN: &str = "/flyteidl2.workflow.RunService/CreateRun";
const DETAILS: &str = "/flyteidl2.workflow.RunService/GetActionDetails";

async fn create(server: &Server, name: &str, run_spec: Value) -> ActionId {
    let run = json!({"project": "p1", "domain": "development", "name": name});
    let request = json!({
        "runId": run,
        "taskSpec": {"taskTemplate": {
            "id": {"name": "e.t"},
            "metadata": {"discoverable": true, "discoveryVersion": "v1", "cacheIgnoreInputVars": ["b"]},
        }},
        "inputs": {"literals": [
            {"name": "a", "value": {"scalar": {"primitive": {"integer": "7"}}}},
            {"name": "b", "value": {"scalar": {"primitive": {"stringValue": name}}}},
        ]},
        "runSpec": run_spec,
    });
    let answer = server.json(CREATE_RUN, Some("Ada"), &request).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let (project, domain) = ("p1".to_owned(), "development".to_owned());
    ActionId::root(RunId { project, domain, name: name.to_owned() })
}

/// The action's cache status, and of its last attempt: the cache status, the output URI and whether it has a log.
async fn read_cache_status(server: &Server, id: &ActionId) -> (String, String, String, bool) {
    let run = json!({"project": "p1", "domain": "development", "name": id.run.name});
    let request = json!({"actionId": {"run": run, "name": "a0"}});
    let details = server.json(DETAILS, Some("Ada"), &request).await.json()["details"].clone();
    let attempt = details["attempts"].as_array().unwrap().last().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&details["status"]["cacheStatus"]),
        text(&attempt["cacheStatus"]),
        text(&attempt["outputs"]["outputUri"]),
        attempt["logsAvailable"] == true,
    )
}

#[tokio::test]
async fn a_run_with_the_same_task_and_inputs_uses_the_cached_result() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_owned();
    let server = Server::with(|config| config.data_dir = path).await;
    server.plane.objects.prepare().unwrap();
    server.json(CREATE, Some("Root"), &json!({"project": {"id": "p1"}})).await;
    let first = create(&server, "r1", json!({})).await;
    let prefix = server.plane.runs.claim(1).await.unwrap()[0].output_prefix();
    server.plane.runs.ended(&first, 1, Outcome::Succeeded).await.unwrap();
    let (populated, hit) = ("CACHE_POPULATED".to_owned(), "CACHE_HIT".to_owned());
    assert_eq!(
        read_cache_status(&server, &first).await,
        (populated.clone(), populated.clone(), prefix.clone(), true)
    );

    let second = create(&server, "r2", json!({})).await;
    let claimed = server.plane.runs.claim(1).await.unwrap();
    assert_eq!(claimed[0].action.cached_outputs.as_deref(), Some(prefix.as_str()));
    server.plane.runs.cached(&second, 1).await.unwrap();
    assert_eq!(read_cache_status(&server, &second).await, (hit.clone(), hit, prefix, false));

    for (name, spec) in
        [("r3", json!({"overwriteCache": true})), ("r4", json!({"cacheConfig": {"overwriteCache": true}}))]
    {
        let id = create(&server, name, spec).await;
        let claimed = server.plane.runs.claim(1).await.unwrap();
        assert_eq!(claimed[0].action.cached_outputs, None);
        assert_eq!(read_cache_status(&server, &id).await.0, "CACHE_SKIPPED");
        server.plane.runs.ended(&id, 1, Outcome::Succeeded).await.unwrap();
        assert_eq!(read_cache_status(&server, &id).await.0, populated);
    }
}
