use std::sync::{Arc, Mutex};

use connectrpc::client::ServiceTransport;
use connectrpc::{
    ConnectRpcService, Encodable, RequestContext, Response, Router, ServiceRequest, ServiceResult,
};
use flyte_idl::flyteidl2::task::{TaskService, TaskServiceExt as _};
use serde_json::json;

use super::*;
use crate::client::Client;
use wire::list_tasks_request::ScopeBy;

/// A fake server that records the requests.
#[derive(Default)]
struct Server {
    deployed: Mutex<Vec<wire::DeployTaskRequest>>,
    lists: Mutex<Vec<wire::ListTasksRequest>>,
}

impl TaskService for Server {
    async fn deploy_task<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::DeployTaskRequest>,
    ) -> ServiceResult<impl Encodable<wire::DeployTaskResponse> + Send + use<'a>> {
        self.deployed.lock().unwrap().push(request.to_owned_message());
        Response::ok(wire::DeployTaskResponse::default())
    }

    async fn get_task_details<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::GetTaskDetailsRequest>,
    ) -> ServiceResult<impl Encodable<wire::GetTaskDetailsResponse> + Send + use<'a>> {
        let id = request.to_owned_message().task_id;
        let deployed = self.deployed.lock().unwrap();
        let found = deployed.iter().find(|task| task.task_id == id);
        let found = found.ok_or_else(|| ConnectError::not_found(id.name.clone()))?.clone();
        let details = wire::TaskDetails { task_id: found.task_id, spec: found.spec, ..Default::default() };
        Response::ok(wire::GetTaskDetailsResponse { details: details.into(), ..Default::default() })
    }

    async fn list_tasks<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::ListTasksRequest>,
    ) -> ServiceResult<impl Encodable<wire::ListTasksResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let wanted = request.request.filters.first().map(|filter| filter.values[0].clone());
        self.lists.lock().unwrap().push(request);
        let deployed = self.deployed.lock().unwrap();
        let tasks = deployed
            .iter()
            .rev()
            .filter(|task| wanted.is_none() || wanted.as_ref() == Some(&task.task_id.name));
        let tasks = tasks.map(|task| wire::Task { task_id: task.task_id.clone(), ..Default::default() });
        Response::ok(wire::ListTasksResponse { tasks: tasks.collect(), ..Default::default() })
    }

    async fn list_versions<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, wire::ListVersionsRequest>,
    ) -> ServiceResult<impl Encodable<wire::ListVersionsResponse> + Send + use<'a>> {
        Response::ok(wire::ListVersionsResponse::default())
    }
}

fn serve(server: &Arc<Server>) -> Tasks<impl Transport> {
    let service = ConnectRpcService::new(server.clone().register(Router::new()));
    let client = Client::new(ServiceTransport::new(service), "https://localhost:1".parse().unwrap()).unwrap();
    client.with_org(Some("acme".into())).tasks()
}

fn spec() -> Spec {
    let variable = |key: &str, simple: &str| json!({"key": key, "value": {"type": {"simple": simple}}});
    let spec = json!({
        "shortName": "main",
        "environment": {"name": "hello"},
        "documentation": {"shortDescription": "Greets."},
        "defaultInputs": [
            {"name": "times", "parameter": {"default": {"scalar": {"primitive": {"integer": "3"}}}}},
            {"name": "name", "parameter": {"required": true}}
        ],
        "taskTemplate": {
            "id": {"name": "hello.main", "version": "v1"},
            "type": "python",
            "container": {"image": "auto"},
            "metadata": {"retries": {"retries": 2}},
            "interface": {
                "inputs": {"variables": [variable("name", "STRING"), variable("times", "INTEGER")]},
                "outputs": {"variables": [variable("o0", "STRING")]}
            }
        }
    });
    Spec(serde_json::from_value(spec).unwrap())
}

#[tokio::test]
async fn a_deployed_task_is_returned_with_its_interface() {
    let server = Arc::new(Server::default());
    let tasks = serve(&server);
    let project_domain = ProjectDomain::new("flytesnacks", "development");
    for version in ["v1", "v2"] {
        let id = TaskId {
            project_domain: project_domain.clone(),
            name: "hello.main".into(),
            version: version.into(),
        };
        let spec = spec();
        assert_eq!((spec.name(), spec.version()), ("hello.main", "v1"));
        tasks
            .deploy(&id, Spec::decode(&spec.0.encode_to_vec()).unwrap(), vec![Trigger::default()])
            .await
            .unwrap();
    }
    let latest = tasks.latest(&project_domain, "hello.main").await.unwrap();
    assert_eq!(latest.version, "v2");
    let details = tasks.get(&latest).await.unwrap();
    assert_eq!(details.task.environment, "hello");
    assert_eq!((details.task_type.as_str(), details.image.as_str(), details.retries), ("python", "auto", 2));
    assert_eq!((details.task.description.as_str(), details.documentation.as_str()), ("Greets.", "Greets."));
    let inputs: Vec<_> = details
        .inputs
        .iter()
        .map(|input| (input.name.as_str(), input.type_name.as_str(), input.required, input.default.clone()))
        .collect();
    assert_eq!(inputs, [("name", "str", true, None), ("times", "int", false, Some(json!(3)))]);
    assert_eq!(details.outputs[0].type_name, "str");
    let request = server.lists.lock().unwrap()[0].clone();
    assert_eq!(request.request.limit, 1);
    let ScopeBy::ProjectId(scope) = request.scope_by.unwrap() else { panic!("another scope") };
    assert_eq!(*scope, project_domain.identifier(Some("acme")));
}

#[tokio::test]
async fn a_task_that_is_not_deployed_is_not_found() {
    let tasks = serve(&Arc::default());
    let project_domain = ProjectDomain::new("flytesnacks", "development");
    let error = tasks.latest(&project_domain, "hello.main").await.unwrap_err();
    assert_eq!(error.to_string(), "not found: there is no task hello.main in flytesnacks/development");
    let id = TaskId { project_domain, name: "hello.main".into(), version: "v9".into() };
    assert!(matches!(tasks.get(&id).await, Err(ClientError::NotFound { .. })));
    assert!(Spec::decode(b"\xff").is_err());
}
