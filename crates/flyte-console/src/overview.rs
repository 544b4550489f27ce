//! What a signed-in user has on this server: for the home page.

use std::sync::Arc;

use buffa_types::google::protobuf::Timestamp;
use connectrpc::ConnectError;
use flyte_access::door::Door;
use flyte_identity::session::SignedIn;
use flyte_idl::{
    flyteauth::{ApiKey, ApiKeyServiceClient, ListApiKeysRequest},
    flyteidl2::{
        common::{Filter, ListRequest, Sort, filter::Function, sort::Direction},
        project::{ListProjectsRequest, ProjectServiceClient},
        workflow::{ListRunsRequest, RunServiceClient},
    },
};
use flyte_model::clock::UnixTime;
use flyte_pages::{Cell, Content, Link, Overview, Section};

use crate::{
    Console, address,
    place::{Place, argument},
    project, time,
    visit::{Visit, client},
};

/// The most projects on the page.
const MOST_PROJECTS: u32 = 100;
/// The most API keys that are read.
const MOST_KEYS: u32 = 1000;
/// A key that expires within this time is on the page, in seconds.
const SOON: i64 = 30 * 86_400;

/// The projects, the latest runs and the expiring keys of a user. What cannot be read is left out, with a sentence in its place.
pub async fn overview(console: Arc<Console>, signed_in: SignedIn) -> Overview {
    let subject = signed_in.user.id.clone();
    let mut overview = Overview::default();
    let visit = match Visit::new(&console, &signed_in).await {
        Ok(visit) => visit,
        Err(error) => {
            tracing::error!(%error, "the rights of a user cannot be read");
            return overview;
        }
    };
    if visit.is_without_role {
        let note = format!(
            "You have no role yet, so you see no projects and start no runs. Ask an administrator of this server to give a role \
             to {}.",
            visit.email
        );
        overview.sections.push(Section { id: "access", title: "Your access", content: Content::Note(note) });
        return overview;
    }
    let users = "/flyteauth.UserService/ListUsers";
    overview.administers = Door::published().admit(visit.calls.caller(), users).is_ok();
    if console.has_control_plane {
        overview.sections.push(or_note(projects(&visit).await, "projects", "Your projects"));
        overview.sections.push(or_note(runs(&visit, &subject).await, "runs", "Your latest runs"));
    }
    let now = console.clock.now();
    match keys(&visit, &subject, now).await {
        Ok(section) => overview.sections.extend(section),
        Err(error) => overview.sections.push(failed(&error, "keys", "Your API keys")),
    }
    overview
}

fn or_note(section: Result<Section, ConnectError>, id: &'static str, title: &'static str) -> Section {
    section.unwrap_or_else(|error| failed(&error, id, title))
}

fn failed(error: &ConnectError, id: &'static str, title: &'static str) -> Section {
    tracing::warn!(%error, id, "a part of the home page cannot be shown");
    Section {
        id,
        title,
        content: Content::Note("They cannot be shown now. Reload the page in a moment.".to_owned()),
    }
}

async fn projects(visit: &Visit) -> Result<Section, ConnectError> {
    let request = ListProjectsRequest { limit: MOST_PROJECTS, ..Default::default() };
    let answer = client!(visit, ProjectServiceClient).list_projects(request).await?.into_owned();
    let projects = &answer.projects;
    let rows: Vec<_> = projects
        .projects
        .iter()
        .map(|project| {
            let domains = project.domains.iter().map(|domain| {
                let place = Place { domain: domain.id.clone(), project: project.id.clone() };
                Link { href: address::project(&place), text: domain.id.clone() }
            });
            vec![
                Cell::Text(project.id.clone()),
                Cell::Links(domains.collect()),
                match project.description.as_str() {
                    "" => Cell::Empty,
                    description => Cell::Text(crate::cut::text(description, 200, "").text),
                },
            ]
        })
        .collect();
    let content = match rows.is_empty() {
        true => Content::Note("You have access to no project yet.".to_owned()),
        false => Content::Table { columns: vec!["Project", "Domains", "Description"], rows, more: None },
    };
    Ok(Section { id: "projects", title: "Your projects", content })
}

async fn runs(visit: &Visit, subject: &str) -> Result<Section, ConnectError> {
    let own = Filter {
        function: Function::EQUAL.into(),
        field: "created_by".to_owned(),
        values: vec![subject.to_owned()],
        ..Default::default()
    };
    let sort =
        Sort { key: "created_at".to_owned(), direction: Direction::DESCENDING.into(), ..Default::default() };
    let request =
        ListRequest { limit: project::FEW, filters: vec![own], sort_by: sort.into(), ..Default::default() };
    let request = ListRunsRequest { request: request.into(), ..Default::default() };
    let answer = client!(visit, RunServiceClient).list_runs(request).await?.into_owned();
    let rows: Vec<_> = answer
        .runs
        .iter()
        .map(|run| {
            let id = &run.action.id.run;
            let mut row = project::run(run);
            // All are the user's own.
            row.pop();
            row.push(Cell::Text(format!("{} · {}", id.project, id.domain)));
            row
        })
        .collect();
    let columns = vec!["Run", "Task", "Phase", "Started", "Duration", "Project"];
    let content = match rows.is_empty() {
        true => Content::Note("You have started no runs yet.".to_owned()),
        false => Content::Table { columns, rows, more: None },
    };
    Ok(Section { id: "runs", title: "Your latest runs", content })
}

/// The user's own keys that have expired or expire soon; `None` if there are none.
async fn keys(visit: &Visit, subject: &str, now: UnixTime) -> Result<Option<Section>, ConnectError> {
    let request = ListApiKeysRequest { limit: MOST_KEYS, ..Default::default() };
    let answer = client!(visit, ApiKeyServiceClient).list_api_keys(request).await?.into_owned();
    let is_soon = |key: &&ApiKey| {
        key.created_by == subject && key.expires_at != 0 && key.expires_at <= now.saturating_add(SOON)
    };
    let mut keys: Vec<_> = answer.api_keys.iter().filter(is_soon).collect();
    if keys.is_empty() {
        return Ok(None);
    }
    keys.sort_by_key(|key| key.expires_at);
    let at = |seconds: i64| Timestamp { seconds, ..Timestamp::default() };
    let rows = keys.into_iter().map(|key| {
        let used = (key.last_used_at != 0).then(|| at(key.last_used_at));
        vec![
            Cell::Text(key.name.clone()),
            time::cell(Some(&at(key.expires_at))),
            time::cell(used.as_ref()),
            Cell::Code(format!("flyte rotate api-key {}", argument(&key.client_id))),
        ]
    });
    let columns = vec!["API key", "Expires", "Last used", "To keep it"];
    let content = Content::Table { columns, rows: rows.collect(), more: None };
    Ok(Some(Section { id: "keys", title: "Your API keys that expire soon", content }))
}
