//! The page of a project in a domain, and the lists of what is in it.

use axum::{
    extract::{Path, Query, rejection::QueryRejection},
    response::Response,
};
use connectrpc::ConnectError;
use flyte_idl::flyteidl2::{
    app::{self, AppServiceClient},
    common::{Filter, ListRequest, Sort, sort::Direction},
    project::{GetProjectRequest, ProjectServiceClient},
    task::{ListTasksRequest, TaskServiceClient, list_tasks_request},
    trigger::{ListTriggersRequest, TriggerServiceClient, list_triggers_request},
    workflow::{ListRunsRequest, Run, RunServiceClient, action_metadata::Spec, list_runs_request::ScopeBy},
};
use flyte_pages::{Cell, ConsoleView, Content, Link, Section, console_page, encode};
use serde::Deserialize;

use crate::{
    address, phase,
    place::Place,
    refusal::Refusal,
    time,
    visit::{Visit, client},
    who,
};

/// The rows of each list on the page of a project.
pub(crate) const FEW: u32 = 10;
/// The rows of a list on a page of its own.
const MANY: u32 = 100;

/// The page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct ListQuery {
    #[serde(default)]
    token: String,
}

/// A part of a list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// The most rows.
    pub(crate) limit: u32,
    /// Where the page begins.
    pub(crate) token: String,
    /// The conditions.
    pub(crate) filters: Vec<Filter>,
}

impl Page {
    /// The first rows that meet the conditions.
    pub(crate) fn few(filters: Vec<Filter>) -> Self {
        Self { limit: FEW, token: String::new(), filters }
    }

    fn request(self, sort: &str) -> ListRequest {
        let sort =
            Sort { key: sort.to_owned(), direction: Direction::DESCENDING.into(), ..Default::default() };
        ListRequest {
            limit: self.limit,
            token: self.token,
            filters: self.filters,
            sort_by: sort.into(),
            ..Default::default()
        }
    }
}

/// Shows a project: what was done last in it, and what there is.
pub(crate) async fn show(visit: Visit, Path(place): Path<Place>) -> Result<Response, Refusal> {
    let request = GetProjectRequest { id: place.project.clone(), ..Default::default() };
    let project = client!(visit, ProjectServiceClient).get_project(request).await?.into_owned();
    let project = project.project.into_option().ok_or(Refusal::NoPage)?;
    if !project.domains.iter().any(|domain| domain.id == place.domain) {
        return Err(Refusal::NoPage);
    }
    let few = || Page::few(Vec::new());
    let sections = vec![
        list_runs(&visit, &place, ScopeBy::ProjectId(place.identifier().into()), few()).await?,
        list_tasks(&visit, &place, few()).await?,
        list_triggers(&visit, &place, few()).await?,
        list_apps(&visit, &place, few()).await?,
    ];
    let mut facts = vec![("Name", Cell::Text(project.name.clone()))];
    for domain in project.domains.iter().filter(|domain| domain.id != place.domain) {
        let other = Place { domain: domain.id.clone(), project: place.project.clone() };
        let link = Link { href: address::project(&other), text: domain.id.clone() };
        facts.push(("Other domain", Cell::Link(link)));
    }
    let mut crumbs = address::crumbs(&place, None);
    crumbs.truncate(1);
    let view = ConsoleView {
        email: visit.email,
        crumbs,
        kind: "Project",
        heading: format!("{} · {}", place.project, place.domain),
        lead: project.description,
        facts,
        sections,
        ..ConsoleView::default()
    };
    Ok(console_page(&view))
}

/// A page with one list.
fn list(visit: Visit, place: &Place, section: Section) -> Response {
    console_page(&ConsoleView {
        email: visit.email,
        crumbs: address::crumbs(place, None),
        kind: "Project",
        heading: section.title.to_owned(),
        sections: vec![section],
        ..ConsoleView::default()
    })
}

type Given = Result<Query<ListQuery>, QueryRejection>;

fn many(given: Given) -> Result<Page, Refusal> {
    let Query(ListQuery { token }) = given.map_err(|_| Refusal::NoPage)?;
    Ok(Page { limit: MANY, token, filters: Vec::new() })
}

/// Lists the runs.
pub(crate) async fn runs(visit: Visit, Path(place): Path<Place>, given: Given) -> Result<Response, Refusal> {
    let scope = ScopeBy::ProjectId(place.identifier().into());
    let section = list_runs(&visit, &place, scope, many(given)?).await?;
    Ok(list(visit, &place, section))
}

/// Lists the tasks.
pub(crate) async fn tasks(visit: Visit, Path(place): Path<Place>, given: Given) -> Result<Response, Refusal> {
    let section = list_tasks(&visit, &place, many(given)?).await?;
    Ok(list(visit, &place, section))
}

/// Lists the triggers.
pub(crate) async fn triggers(
    visit: Visit,
    Path(place): Path<Place>,
    given: Given,
) -> Result<Response, Refusal> {
    let section = list_triggers(&visit, &place, many(given)?).await?;
    Ok(list(visit, &place, section))
}

/// Lists the apps.
pub(crate) async fn apps(visit: Visit, Path(place): Path<Place>, given: Given) -> Result<Response, Refusal> {
    let section = list_apps(&visit, &place, many(given)?).await?;
    Ok(list(visit, &place, section))
}

/// A list and the link to its next rows, or a sentence if it is empty.
fn section(
    place: &Place,
    (id, title): (&'static str, &'static str),
    columns: &[&'static str],
    rows: Vec<Vec<Cell>>,
    token: &str,
    limit: u32,
) -> Section {
    let all = format!("{}/{id}", address::project(place));
    let more = (!token.is_empty()).then(|| match limit {
        FEW => Link { href: all.clone(), text: format!("All {}", title.to_lowercase()) },
        _ => Link { href: format!("{all}?token={}", encode(token)), text: "Next page".to_owned() },
    });
    let content = if rows.is_empty() {
        Content::Note(format!("No {} here yet.", title.to_lowercase()))
    } else {
        Content::Table { columns: columns.to_vec(), rows, more }
    };
    Section { id, title, content }
}

/// The latest runs in a scope.
pub(crate) async fn list_runs(
    visit: &Visit,
    place: &Place,
    scope: ScopeBy,
    page: Page,
) -> Result<Section, ConnectError> {
    let limit = page.limit;
    let request = ListRunsRequest {
        request: page.request("created_at").into(),
        scope_by: Some(scope),
        ..Default::default()
    };
    let answer = client!(visit, RunServiceClient).list_runs(request).await?.into_owned();
    let rows = answer.runs.iter().map(run).collect();
    let columns = ["Run", "Task", "Phase", "Started", "Duration", "Started by"];
    Ok(section(place, ("runs", "Runs"), &columns, rows, &answer.token, limit))
}

/// The row of a run.
pub(crate) fn run(run: &Run) -> Vec<Cell> {
    let (id, status) = (&run.action.id.run, &run.action.status);
    let place = Place { project: id.project.clone(), domain: id.domain.clone() };
    let task = match &run.action.metadata.spec {
        Some(Spec::Task(task)) => Cell::Text(task.id.name.clone()),
        _ => Cell::Empty,
    };
    vec![
        Cell::Link(Link { href: address::of(&place, "runs", &id.name), text: id.name.clone() }),
        task,
        Cell::Phase(phase::of_action(status.phase.as_known())),
        time::cell(status.start_time.as_option()),
        status.duration_ms.map_or(Cell::Empty, |ms| Cell::Text(time::duration(ms))),
        who::cell(run.action.metadata.executed_by.as_option()),
    ]
}

async fn list_tasks(visit: &Visit, place: &Place, page: Page) -> Result<Section, ConnectError> {
    let limit = page.limit;
    let request = ListTasksRequest {
        request: page.request("created_at").into(),
        scope_by: Some(list_tasks_request::ScopeBy::ProjectId(place.identifier().into())),
        ..Default::default()
    };
    let answer = client!(visit, TaskServiceClient).list_tasks(request).await?.into_owned();
    let rows = answer.tasks.iter().map(|task| {
        let (id, metadata) = (&task.task_id, &task.metadata);
        vec![
            Cell::Link(Link { href: address::of(place, "tasks", &id.name), text: id.name.clone() }),
            Cell::Code(id.version.clone()),
            time::cell(metadata.deployed_at.as_option()),
            who::cell(metadata.deployed_by.as_option()),
        ]
    });
    let columns = ["Task", "Latest version", "Deployed", "Deployed by"];
    Ok(section(place, ("tasks", "Tasks"), &columns, rows.collect(), &answer.token, limit))
}

async fn list_triggers(visit: &Visit, place: &Place, page: Page) -> Result<Section, ConnectError> {
    let limit = page.limit;
    let request = ListTriggersRequest {
        request: page.request("created_at").into(),
        scope_by: Some(list_triggers_request::ScopeBy::ProjectId(place.identifier().into())),
        ..Default::default()
    };
    let answer = client!(visit, TriggerServiceClient).list_triggers(request).await?.into_owned();
    let rows = answer.triggers.iter().map(|trigger| {
        let name = &trigger.id.name;
        let href = address::trigger(place, &name.task_name, &name.name);
        vec![
            Cell::Link(Link { href, text: name.name.clone() }),
            Cell::Text(name.task_name.clone()),
            Cell::Text(if trigger.active { "active" } else { "inactive" }.to_owned()),
            time::cell(trigger.status.updated_at.as_option()),
        ]
    });
    let columns = ["Trigger", "Task", "State", "Changed"];
    Ok(section(place, ("triggers", "Triggers"), &columns, rows.collect(), &answer.token, limit))
}

async fn list_apps(visit: &Visit, place: &Place, page: Page) -> Result<Section, ConnectError> {
    let limit = page.limit;
    let request = app::ListRequest {
        request: page.request("created_at").into(),
        filter_by: Some(app::list_request::FilterBy::Project(place.identifier().into())),
        ..Default::default()
    };
    let answer = client!(visit, AppServiceClient).list(request).await?.into_owned();
    let rows = answer.apps.iter().map(|app| {
        let name = &app.metadata.id.name;
        let state = app.status.conditions.last().and_then(|last| last.deployment_status.as_known());
        vec![
            Cell::Link(Link { href: address::of(place, "apps", name), text: name.clone() }),
            Cell::Phase(phase::of_app(state)),
            time::cell(app.status.last_updated_at.as_option()),
            who::cell(app.spec.creator.as_option()),
        ]
    });
    let columns = ["App", "State", "Changed", "Created by"];
    Ok(section(place, ("apps", "Apps"), &columns, rows.collect(), &answer.token, limit))
}
