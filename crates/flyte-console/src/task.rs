//! The page of a task: its interface, its versions and its latest runs.

use axum::{
    extract::{Path, Query, rejection::QueryRejection},
    response::Response,
};
use flyte_idl::flyteidl2::{
    common::{ListRequest, Sort, sort::Direction},
    core::VariableMap,
    task::{
        GetTaskDetailsRequest, ListVersionsRequest, TaskIdentifier, TaskName, TaskServiceClient, TaskSpec,
        list_versions_response::VersionResponse,
    },
    workflow::list_runs_request::ScopeBy,
};
use flyte_pages::{Cell, ConsoleView, Content, Link, Section, console_page, encode};
use serde::Deserialize;

use crate::{
    address, cut,
    place::{NamedPath, Place, argument},
    project::{FEW, Page, list_runs},
    refusal::Refusal,
    time,
    visit::{Visit, client},
    who,
};

/// The longest description on the page, in bytes.
const MOST_DESCRIPTION: usize = 2 << 10;

/// The version that a page shows; the latest if it is missing.
#[derive(Debug, Deserialize)]
pub(crate) struct TaskQuery {
    #[serde(default)]
    version: Option<String>,
}

/// Shows the page.
pub(crate) async fn show(
    visit: Visit,
    Path(path): Path<NamedPath>,
    given: Result<Query<TaskQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(given) = given.map_err(|_| Refusal::NoPage)?;
    let (place, name) = path.split();
    let tasks = client!(visit, TaskServiceClient);
    let task_name = TaskName {
        project: place.project.clone(),
        domain: place.domain.clone(),
        name: name.clone(),
        ..TaskName::default()
    };
    let sort =
        Sort { key: "created_at".to_owned(), direction: Direction::DESCENDING.into(), ..Default::default() };
    let request = ListVersionsRequest {
        request: ListRequest { limit: FEW, sort_by: sort.into(), ..Default::default() }.into(),
        task_name: task_name.clone().into(),
        ..Default::default()
    };
    let versions = tasks.list_versions(request).await?.into_owned().versions;
    let latest = versions.first().map(|latest| latest.version.clone());
    let version = given.version.clone().or(latest).ok_or(Refusal::NoPage)?;
    let id = TaskIdentifier {
        project: place.project.clone(),
        domain: place.domain.clone(),
        name: name.clone(),
        version: version.clone(),
        ..TaskIdentifier::default()
    };
    let request = GetTaskDetailsRequest { task_id: id.clone().into(), ..Default::default() };
    let details = tasks.get_task_details(request).await?.into_owned().details.into_option();
    let details = details.ok_or(Refusal::NoPage)?;
    let scope = match given.version {
        Some(_) => ScopeBy::TaskId(id.into()),
        None => ScopeBy::TaskName(task_name.into()),
    };
    let mut sections = interface(&details.spec);
    sections.push(list_runs(&visit, &place, scope, Page::few(Vec::new())).await?);
    sections.push(list_versions(&place, &name, &versions));
    let run =
        format!("flyte run deployed-task {} {}", argument(&format!("{name}:{version}")), place.options());
    let content = Content::Commands(vec![run]);
    sections.push(Section { id: "commands", title: "In a terminal", content });
    let metadata = &details.metadata;
    let documentation = &details.spec.documentation;
    let lead =
        [&documentation.long_description, &documentation.short_description, &metadata.short_description]
            .into_iter()
            .find(|text| !text.is_empty());
    let view = ConsoleView {
        email: visit.email,
        crumbs: address::crumbs(&place, Some(("tasks", "Tasks"))),
        kind: "Task",
        heading: name,
        lead: lead.map_or_else(String::new, |lead| cut::text(lead, MOST_DESCRIPTION, "").text),
        facts: vec![
            ("Version", Cell::Code(version)),
            ("Environment", Cell::Text(metadata.environment_name.clone())),
            ("Deployed", time::cell(metadata.deployed_at.as_option())),
            ("Deployed by", who::cell(metadata.deployed_by.as_option())),
        ],
        sections,
        ..ConsoleView::default()
    };
    Ok(console_page(&view))
}

/// The types of the inputs and outputs.
fn interface(spec: &TaskSpec) -> Vec<Section> {
    let interface = &spec.task_template.interface;
    let section = |id, title, variables: &VariableMap| {
        let rows: Vec<_> = variables
            .variables
            .iter()
            .map(|entry| {
                let name = flyte_literal::python_name(&entry.value.r#type);
                let description = entry.value.description.clone();
                let is_described = !description.is_empty() && description != entry.key;
                vec![
                    Cell::Code(entry.key.clone()),
                    Cell::Code(name),
                    if is_described { Cell::Text(description) } else { Cell::Empty },
                ]
            })
            .collect();
        let columns = vec!["Name", "Type", "Description"];
        let content = match rows.is_empty() {
            true => Content::Note("None.".to_owned()),
            false => Content::Table { columns, rows, more: None },
        };
        Section { id, title, content }
    };
    vec![section("inputs", "Inputs", &interface.inputs), section("outputs", "Outputs", &interface.outputs)]
}

fn list_versions(place: &Place, name: &str, versions: &[VersionResponse]) -> Section {
    let rows = versions.iter().map(|version| {
        let href = format!("{}?version={}", address::of(place, "tasks", name), encode(&version.version));
        vec![
            Cell::Link(Link { href, text: version.version.clone() }),
            time::cell(version.deployed_at.as_option()),
            who::cell(version.deployed_by.as_option()),
        ]
    });
    let columns = vec!["Version", "Deployed", "Deployed by"];
    let content = Content::Table { columns, rows: rows.collect(), more: None };
    Section { id: "versions", title: "Latest versions", content }
}
