//! A person with roles in some projects sees and changes what they allow.

use super::*;
use flyte_policy::{Binding, Subject};

const PROJECTS: &str = "/flyteidl2.project.ProjectService/ListProjects";
const TASKS: &str = "/flyteidl2.task.TaskService/ListTasks";
const APPS: &str = "/flyteidl2.app.AppService/List";
const TRIGGERS: &str = "/flyteidl2.trigger.TriggerService/ListTriggers";

fn binding(role: Role, project: &str, domain: &str) -> Binding {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let limit = Limit { project: given(project), domain: given(domain) };
    Binding { subject: Subject::user("user-Grace"), role: role.to_string(), limit }
}

impl Runs {
    /// A server with a run in each of three projects, and Grace, who has these roles.
    async fn with_grace(roles: &[(Role, &str, &str)]) -> Self {
        let runs = Self::start().await;
        let answer = runs.json(CREATE, Some("Root"), &json!({"project": {"id": "r"}})).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        for project in ["p", "q", "r"] {
            assert_eq!(runs.run(project, &format!("{project}1")).await.status, StatusCode::OK);
        }
        runs.plane.store.create_user_with(&flyte_testing::user("Grace"), &[]).await.unwrap();
        for (role, project, domain) in roles {
            runs.plane.store.bind_role(&binding(*role, project, domain), NOW).await.unwrap();
        }
        runs.plane.access.reload_policies().await.unwrap();
        runs
    }

    async fn names(&self, method: &str, request: Value, list: &str, name: &str) -> Vec<String> {
        let answer = self.json(method, Some("Grace"), &request).await;
        assert_eq!(answer.status, StatusCode::OK, "{method} {request}: {answer:?}");
        let found = answer.json().pointer(list).cloned().unwrap_or_default();
        let items = found.as_array().cloned().unwrap_or_default();
        let mut names: Vec<_> =
            items.iter().map(|item| item.pointer(name).unwrap().as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    async fn runs_of(&self, request: Value) -> Vec<String> {
        self.names(LIST_RUNS, request, "/runs", "/action/id/run/name").await
    }
}

#[tokio::test]
async fn lists_have_what_is_in_the_own_projects() {
    let runs = Runs::with_grace(&[(Role::Contributor, "p", ""), (Role::Viewer, "q", "development")]).await;
    let org = json!({"org": "acme", "request": {"limit": 1}});
    let first = runs.json(LIST_RUNS, Some("Grace"), &org).await.json();
    let next = json!({"org": "acme", "request": {"limit": 1, "token": first["token"]}});
    let mut both = runs.runs_of(org).await;
    both.extend(runs.runs_of(next).await);
    both.sort();
    assert_eq!(both, ["p1", "q1"], "page by page");
    assert_eq!(runs.runs_of(json!({"org": "acme"})).await, ["p1", "q1"]);
    let project = |name: &str| json!({"projectId": {"name": name, "domain": "development"}});
    assert_eq!(runs.runs_of(project("q")).await, ["q1"]);
    let other = runs.json(LIST_RUNS, Some("Grace"), &project("r")).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND, "{other:?}");
    let domain = json!({"projectId": {"name": "q", "domain": "production"}});
    let other = runs.json(LIST_RUNS, Some("Grace"), &domain).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND, "{other:?}");
    assert_eq!(runs.names(PROJECTS, json!({}), "/projects/projects", "/id").await, ["p", "q"]);
    for method in [TASKS, APPS, TRIGGERS] {
        let answer = runs.json(method, Some("Grace"), &json!({"org": "acme"})).await;
        assert_eq!(answer.status, StatusCode::OK, "{method}: {answer:?}");
    }
}

#[tokio::test]
async fn calls_need_the_permission_in_the_project_that_they_name() {
    let runs = Runs::with_grace(&[(Role::Contributor, "p", ""), (Role::Viewer, "q", "")]).await;
    for (project, expected) in
        [("p", StatusCode::OK), ("q", StatusCode::FORBIDDEN), ("r", StatusCode::NOT_FOUND)]
    {
        let answer = runs.json(CREATE_RUN, Some("Grace"), &create(project, "by-grace")).await;
        assert_eq!(answer.status, expected, "{project}: {answer:?}");
        let details =
            json!({"runId": {"project": project, "domain": "development", "name": format!("{project}1")}});
        let answer = runs.json(RUN_DETAILS, Some("Grace"), &details).await;
        assert_eq!(answer.status == StatusCode::OK, project != "r", "{project}: {answer:?}");
    }
    // A role that is given or taken counts at once.
    runs.plane.store.bind_role(&binding(Role::Contributor, "r", ""), NOW).await.unwrap();
    runs.plane.store.unbind_role(&binding(Role::Contributor, "p", "")).await.unwrap();
    runs.plane.access.reload_policies().await.unwrap();
    for (project, expected) in [("p", StatusCode::NOT_FOUND), ("r", StatusCode::OK)] {
        let answer = runs.json(CREATE_RUN, Some("Grace"), &create(project, "later")).await;
        assert_eq!(answer.status, expected, "{project}: {answer:?}");
    }
}

#[tokio::test]
async fn without_a_role_there_is_nothing() {
    let runs = Runs::with_grace(&[]).await;
    for (method, request) in [
        (LIST_RUNS, json!({"org": "acme"})),
        (PROJECTS, json!({})),
        (TASKS, json!({"org": "acme"})),
        (CREATE_RUN, create("p", "by-grace")),
    ] {
        let answer = runs.json(method, Some("Grace"), &request).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method}: {answer:?}");
    }
    let answer = runs.json("/flyteidl2.auth.IdentityService/UserInfo", Some("Grace"), &json!({})).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}
