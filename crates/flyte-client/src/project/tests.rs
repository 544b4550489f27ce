use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use connectrpc::client::{ClientBody, ServiceTransport};
use connectrpc::{
    ConnectError, ConnectRpcService, Encodable, RequestContext, Response, Router, ServiceRequest,
    ServiceResult,
};
use flyte_idl::flyteidl2::project::{ProjectService, ProjectServiceExt as _};
use http_body_util::Full;

use super::*;
use crate::client::Client;

/// A control plane in memory that records the requests.
#[derive(Default)]
struct Server {
    projects: Mutex<Vec<wire::Project>>,
    lists: Mutex<Vec<wire::ListProjectsRequest>>,
    /// Answer every page with this token.
    stuck: Option<String>,
}

impl Server {
    fn find(&self, id: &str) -> Result<wire::Project, ConnectError> {
        let projects = self.projects.lock().unwrap();
        projects.iter().find(|project| project.id == id).cloned().ok_or_else(|| ConnectError::not_found(id))
    }
}

impl ProjectService for Server {
    async fn create_project<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::CreateProjectRequest>,
    ) -> ServiceResult<impl Encodable<wire::CreateProjectResponse> + Send + use<'a>> {
        let project = request.to_owned_message().project.into_option().unwrap();
        if self.find(&project.id).is_ok() {
            return Err(ConnectError::already_exists(project.id));
        }
        self.projects.lock().unwrap().push(project);
        Response::ok(wire::CreateProjectResponse::default())
    }

    async fn update_project<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::UpdateProjectRequest>,
    ) -> ServiceResult<impl Encodable<wire::UpdateProjectResponse> + Send + use<'a>> {
        let new = request.to_owned_message().project.into_option().unwrap();
        assert!(new.domains.is_empty());
        let mut projects = self.projects.lock().unwrap();
        let index = projects.iter().position(|project| project.id == new.id).unwrap();
        projects[index] = new;
        Response::ok(wire::UpdateProjectResponse::default())
    }

    async fn get_project<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::GetProjectRequest>,
    ) -> ServiceResult<impl Encodable<wire::GetProjectResponse> + Send + use<'a>> {
        let project = self.find(&request.id)?;
        Response::ok(wire::GetProjectResponse { project: project.into(), ..Default::default() })
    }

    async fn list_projects<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::ListProjectsRequest>,
    ) -> ServiceResult<impl Encodable<wire::ListProjectsResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let projects = self.projects.lock().unwrap();
        let start: usize = request.token.parse().unwrap_or(0);
        let end = projects.len().min(start + request.limit as usize);
        let token = if end < projects.len() { end.to_string() } else { String::new() };
        let token = self.stuck.clone().unwrap_or(token);
        let page = wire::Projects { projects: projects[start..end].to_vec(), token, ..Default::default() };
        self.lists.lock().unwrap().push(request);
        Response::ok(wire::ListProjectsResponse { projects: page.into(), ..Default::default() })
    }
}

fn project(id: &str) -> wire::Project {
    wire::Project { id: id.to_owned(), name: id.to_uppercase(), ..Default::default() }
}

fn serve(server: Server) -> (Arc<Server>, Projects<ServiceTransport<ConnectRpcService>>) {
    let server = Arc::new(server);
    let router = Arc::clone(&server).register(Router::new());
    let transport = ServiceTransport::new(ConnectRpcService::new(router));
    (server, Client::new(transport, "localhost".parse().unwrap()).unwrap().projects())
}

fn many(count: usize) -> Server {
    let projects = (0..count).map(|index| project(&format!("p{index}"))).collect();
    Server { projects: Mutex::new(projects), ..Server::default() }
}

#[tokio::test]
async fn a_listing_fetches_pages_as_they_are_needed() {
    let (server, projects) = serve(many(250));
    let mut pager = projects.list(ListOptions::default());
    assert_eq!(pager.next().await.unwrap().unwrap().id, "p0");
    assert_eq!(server.lists.lock().unwrap().len(), 1);
    let rest = pager.collect().await.unwrap();
    assert_eq!((rest.len(), rest[248].id.as_str()), (249, "p249"));
    let lists = server.lists.lock().unwrap();
    let asked: Vec<_> = lists.iter().map(|list| (list.token.as_str(), list.limit)).collect();
    assert_eq!(asked, [("", 100), ("100", 100), ("200", 100)]);
    assert_eq!(lists[0].filters, "eq(state, 0)");
    assert_eq!((lists[0].sort_by.key.as_str(), lists[0].sort_by.direction.to_i32()), ("created_at", 1));
}

#[tokio::test]
async fn no_more_items_than_the_limit_are_requested() {
    let (server, projects) = serve(many(250));
    let options = ListOptions { limit: Some(120), archived: true, sort_by: "name".into(), descending: true };
    assert_eq!(projects.list(options).collect().await.unwrap().len(), 120);
    let lists = server.lists.lock().unwrap();
    assert_eq!(lists.iter().map(|list| list.limit).collect::<Vec<_>>(), [100, 20]);
    assert_eq!((lists[0].filters.as_str(), lists[0].sort_by.direction.to_i32()), ("eq(state, 1)", 0));
}

#[tokio::test]
async fn a_limit_of_zero_sends_no_request_and_an_empty_listing_ends() {
    let (server, projects) = serve(many(3));
    let options = ListOptions { limit: Some(0), ..ListOptions::default() };
    assert_eq!(projects.list(options).collect().await.unwrap(), []);
    assert!(server.lists.lock().unwrap().is_empty());
    let (_, projects) = serve(many(0));
    assert_eq!(projects.list(ListOptions::default()).collect().await.unwrap(), []);
}

#[tokio::test]
async fn a_listing_that_repeats_a_page_is_an_error() {
    let (_, projects) = serve(Server { stuck: Some("1".into()), ..many(2) });
    let error = projects.list(ListOptions::default()).collect().await.unwrap_err();
    assert!(matches!(error, ClientError::Server { .. }), "{error}");
}

#[tokio::test]
async fn projects_are_created_fetched_and_changed() {
    let (_, projects) = serve(Server::default());
    let labels = BTreeMap::from([("team".to_owned(), "ml".to_owned())]);
    let new =
        NewProject { id: "a".into(), name: "A".into(), description: "first".into(), labels: labels.clone() };
    let created = projects.create(new.clone()).await.unwrap();
    assert_eq!((created.name.as_str(), &created.labels, created.state), ("A", &labels, State::Active));
    assert!(matches!(projects.create(new).await.unwrap_err(), ClientError::AlreadyExists { .. }));
    let changes = Changes { archived: Some(true), name: Some("B".into()), ..Changes::default() };
    let changed = projects.update("a", changes).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.description.as_str()), ("B", "first"));
    assert_eq!((changed.state, &changed.labels), (State::Archived, &labels));
    assert!(matches!(projects.get("b").await.unwrap_err(), ClientError::NotFound { .. }));
}

/// The error of a client whose server gives one fixed answer.
async fn error_of(status: u16, content_type: &str, body: &'static str) -> ClientError {
    let content_type = content_type.to_owned();
    let service = tower::service_fn(move |_: http::Request<ClientBody>| {
        let answer = http::Response::builder().status(status).header("content-type", &content_type);
        let answer = if status == 302 {
            answer.header("location", "https://sso.example.com/login?x=1")
        } else {
            answer
        };
        let answer = answer.body(Full::from(body)).unwrap();
        async move { Ok::<_, Infallible>(answer) }
    });
    let client = Client::new(ServiceTransport::new(service), "console.example.com".parse().unwrap()).unwrap();
    client.projects().get("a").await.unwrap_err()
}

#[tokio::test]
async fn a_web_page_instead_of_a_control_plane_is_recognized() {
    for status in [200, 404, 405] {
        let error = error_of(status, "text/html; charset=utf-8", "<html>").await;
        let expected = "https://console.example.com is not a Flyte control plane: it answers with a web page";
        assert_eq!(error.to_string(), expected, "{status}");
    }
    let error = error_of(302, "text/html", "").await;
    assert!(error.to_string().ends_with("it redirects to https://sso.example.com/login"), "{error}");
    let error = error_of(200, "text/plain", "hello").await;
    assert!(error.to_string().ends_with("it answers with text/plain"), "{error}");
    let error = error_of(503, "text/html", "<html>").await;
    assert!(matches!(error, ClientError::Unavailable { .. }), "{error}");
    // The stream of a call may fail for a reason that has no code.
    let error = error_of(200, "application/connect+proto", "").await;
    assert!(matches!(error, ClientError::Server { .. }), "{error}");
    let error = error_of(200, "application/proto", "\u{1}\u{2}\u{3}").await;
    assert!(matches!(error, ClientError::Server { .. }), "{error}");
}
