//! The page of a run, or of one of its actions (`?i=ACTION`).

mod data;
pub(crate) mod events;
mod lines;

use axum::{
    extract::{Path, Query, rejection::QueryRejection},
    response::{IntoResponse as _, Redirect, Response},
};
use connectrpc::ConnectError;
use flyte_idl::flyteidl2::{
    common::{
        ActionAttemptIdentifier, ActionIdentifier, Filter, ListRequest, RunIdentifier, Sort,
        filter::Function, sort::Direction,
    },
    core::CatalogCacheStatus,
    dataproxy::{
        ArtifactType, CreateDownloadLinkRequest, DataProxyServiceClient, create_download_link_request::Source,
    },
    workflow::{
        Action, ActionAttempt, ActionDetails, ErrorInfo, GetActionDetailsRequest, ListActionsRequest,
        RunServiceClient, action_details::Result as Outcome, action_metadata::Spec,
    },
};
use flyte_pages::{Cell, ConsoleView, Content, Failure, Link, LogView, Section, console_page, encode};
use serde::Deserialize;

use self::lines::ActionLines;
use crate::{
    address::{self, ROOT},
    cut, log, phase,
    place::{NamedPath, Place, argument},
    refusal::Refusal,
    time,
    visit::{Visit, client},
    who,
};

/// The number of child actions on a page.
const CHILDREN: u32 = 100;

/// What a page of a run is about.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RunQuery {
    /// The action, as the published client names it; the root action if it is missing.
    #[serde(default)]
    i: Option<String>,
    /// The attempt whose log is shown; the latest if it is missing.
    #[serde(default)]
    attempt: Option<u32>,
    /// The page of the child actions.
    #[serde(default)]
    token: Option<String>,
    /// The number of lines of the log that the page already has.
    #[serde(default)]
    lines: Option<u64>,
    /// The parts of the page: `state` leaves out the log.
    #[serde(default)]
    part: Option<String>,
}

/// An action of a run.
#[derive(Clone, Debug)]
struct Target {
    place: Place,
    run: String,
    action: String,
}

impl Target {
    fn new(path: NamedPath, query: &RunQuery) -> Self {
        let (place, name) = path.split();
        let action = query.i.clone().filter(|action| !action.is_empty());
        Self { place, run: name, action: action.unwrap_or_else(|| ROOT.to_owned()) }
    }

    fn is_root(&self) -> bool {
        self.action == ROOT
    }

    fn run_id(&self) -> RunIdentifier {
        RunIdentifier {
            project: self.place.project.clone(),
            domain: self.place.domain.clone(),
            name: self.run.clone(),
            ..RunIdentifier::default()
        }
    }

    fn id(&self) -> ActionIdentifier {
        ActionIdentifier {
            run: self.run_id().into(),
            name: self.action.clone(),
            ..ActionIdentifier::default()
        }
    }

    /// The address of something about the action.
    fn address(&self, below: &str, query: &str) -> String {
        let run = address::of(&self.place, "runs", &self.run);
        format!("{run}{below}?i={}{query}", encode(&self.action))
    }

    /// A command about the action.
    fn command(&self, verb: &str) -> String {
        let action = if self.is_root() { String::new() } else { format!(" {}", argument(&self.action)) };
        format!("flyte {verb} {}{action} {}", argument(&self.run), self.place.options())
    }
}

fn query(query: Result<Query<RunQuery>, QueryRejection>) -> Result<RunQuery, Refusal> {
    query.map(|Query(query)| query).map_err(|_| Refusal::NoPage)
}

/// Shows the page.
pub(crate) async fn show(
    visit: Visit,
    Path(path): Path<NamedPath>,
    given: Result<Query<RunQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let given = query(given)?;
    let target = Target::new(path, &given);
    let runs = client!(visit, RunServiceClient);
    let details = GetActionDetailsRequest { action_id: target.id().into(), ..Default::default() };
    let details = runs.get_action_details(details).await?.into_owned().details.into_option();
    let details = details.ok_or(Refusal::NoPage)?;
    let is_over = phase::is_over(details.status.phase.as_known());

    let mut sections = Vec::new();
    if !details.attempts.is_empty() {
        sections.push(attempts(&visit, &target, &details.attempts).await);
    }
    sections.extend(children(&visit, &target, given.token.as_deref().unwrap_or_default()).await?);
    sections.extend(data::sections(&visit, &target, is_over).await?);
    sections.push(Section {
        id: "commands",
        title: "In a terminal",
        content: Content::Commands(vec![target.command("get io"), target.command("get logs")]),
    });
    let without_log = given.part.as_deref() == Some("state");
    let log = if without_log { None } else { log_view(&visit, &target, &details, given.attempt).await? };
    let events = (!is_over).then(|| {
        let attempt = given.attempt.map(|attempt| format!("&attempt={attempt}")).unwrap_or_default();
        let seen = log.as_ref().map_or(0, |(_, seen)| *seen);
        target.address("/events", &format!("{attempt}&lines={seen}"))
    });
    let title = title(&details);
    let view = ConsoleView {
        crumbs: crumbs(&target),
        kind: if target.is_root() { "Run" } else { "Action" },
        heading: if target.is_root() { target.run.clone() } else { target.action.clone() },
        lead: title,
        phase: Some(phase::of_action(details.status.phase.as_known())),
        failure: failure(&target, &details),
        facts: facts(&target, &details),
        sections,
        log: log.map(|(log, _)| log),
        events,
        state: target.address("", "&part=state"),
        email: visit.email,
        open: None,
    };
    Ok(console_page(&view))
}

fn crumbs(target: &Target) -> Vec<Link> {
    let mut crumbs = address::crumbs(&target.place, Some(("runs", "Runs")));
    if !target.is_root() {
        let href = address::of(&target.place, "runs", &target.run);
        crumbs.push(Link { href, text: target.run.clone() });
    }
    crumbs
}

/// What runs, in words.
fn title(details: &ActionDetails) -> String {
    match &details.metadata.spec {
        Some(Spec::Task(task)) => task.id.name.clone(),
        Some(Spec::Trace(trace)) => format!("trace {}", trace.name),
        Some(Spec::Condition(condition)) => format!("waits for the answer to {}", condition.name),
        None => String::new(),
    }
}

fn facts(target: &Target, details: &ActionDetails) -> Vec<(&'static str, Cell)> {
    let (status, metadata) = (&details.status, &details.metadata);
    let mut facts = vec![
        ("Started by", who::cell(metadata.executed_by.as_option())),
        ("Started", time::cell(status.start_time.as_option())),
        ("Ended", time::cell(status.end_time.as_option())),
        ("Duration", status.duration_ms.map_or(Cell::Empty, |ms| Cell::Text(time::duration(ms)))),
    ];
    if let Some(Spec::Task(task)) = &metadata.spec {
        let id = &task.id;
        let place = Place { project: id.project.clone(), domain: id.domain.clone() };
        if !id.version.is_empty() {
            let href = format!("{}?version={}", address::of(&place, "tasks", &id.name), encode(&id.version));
            facts.push(("Task version", Cell::Link(Link { href, text: id.version.clone() })));
        }
    }
    if !metadata.parent.is_empty() {
        let href = address::action(&target.place, &target.run, &metadata.parent);
        facts.push(("Called by", Cell::Link(Link { href, text: metadata.parent.clone() })));
    }
    if !metadata.group.is_empty() {
        facts.push(("Group", Cell::Text(metadata.group.clone())));
    }
    if !metadata.trigger_name.is_empty() {
        facts.push(("Trigger", Cell::Text(metadata.trigger_name.clone())));
    }
    if status.cache_status.as_known() == Some(CatalogCacheStatus::CACHE_HIT) {
        facts.push(("Result", Cell::Text("from the cache".to_owned())));
    }
    facts
}

fn failure(target: &Target, details: &ActionDetails) -> Option<Failure> {
    match details.result.as_ref()? {
        Outcome::ErrorInfo(error) => Some(Failure {
            title: if error.code.is_empty() { "Failed".to_owned() } else { error.code.clone() },
            message: cut::text(&error.message, cut::MOST * 4, &whole(&target.command("get action"))),
        }),
        Outcome::AbortInfo(abort) => {
            let by = who::name(abort.aborted_by.as_option());
            Some(Failure {
                title: by.map_or_else(|| "Aborted".to_owned(), |by| format!("Aborted by {by}")),
                message: cut::text(&abort.reason, cut::MOST, ""),
            })
        }
        Outcome::SignalInfo(_) => None,
    }
}

/// Where a whole value is.
fn whole(command: &str) -> String {
    format!("All of it: {command}")
}

async fn attempts(visit: &Visit, target: &Target, attempts: &[ActionAttempt]) -> Section {
    let mut rows = Vec::new();
    for attempt in attempts {
        let number = attempt.attempt;
        let log =
            Link { href: target.address("", &format!("&attempt={number}#log")), text: "Log".to_owned() };
        let report = Link {
            href: target.address("/report", &format!("&attempt={number}")),
            text: "Report".to_owned(),
        };
        let has_report = link(visit, target, number).await.is_ok();
        rows.push(vec![
            Cell::Text(number.to_string()),
            Cell::Phase(phase::of_action(attempt.phase.as_known())),
            time::cell(attempt.start_time.as_option()),
            time::between(attempt.start_time.as_option(), attempt.end_time.as_option()),
            attempt.error_info.as_option().map_or(Cell::Empty, |error| Cell::Text(first_line(error))),
            if attempt.logs_available { Cell::Link(log) } else { Cell::Empty },
            if has_report { Cell::Link(report) } else { Cell::Empty },
        ]);
    }
    let columns = vec!["Attempt", "Phase", "Started", "Duration", "Error", "Log", "Report"];
    Section { id: "attempts", title: "Attempts", content: Content::Table { columns, rows, more: None } }
}

fn first_line(error: &ErrorInfo) -> String {
    // The last line of a traceback has the exception.
    let line = error.message.trim_end().lines().last().unwrap_or_default();
    let text = if error.code.is_empty() || line.starts_with(&error.code) {
        line.to_owned()
    } else {
        format!("{}: {line}", error.code)
    };
    cut::text(&text, 200, "").text
}

async fn children(visit: &Visit, target: &Target, token: &str) -> Result<Option<Section>, ConnectError> {
    let filter = Filter {
        function: Function::EQUAL.into(),
        field: "parent_name".to_owned(),
        values: vec![target.action.clone()],
        ..Default::default()
    };
    let sort =
        Sort { key: "created_at".to_owned(), direction: Direction::ASCENDING.into(), ..Default::default() };
    let request = ListRequest {
        limit: CHILDREN,
        token: token.to_owned(),
        filters: vec![filter],
        sort_by: sort.into(),
        ..Default::default()
    };
    let request =
        ListActionsRequest { request: request.into(), run_id: target.run_id().into(), ..Default::default() };
    let answer = client!(visit, RunServiceClient).list_actions(request).await?.into_owned();
    if answer.actions.is_empty() {
        return Ok(None);
    }
    let rows = answer.actions.iter().map(|action| child(target, action)).collect();
    let more = (!answer.token.is_empty()).then(|| Link {
        href: target.address("", &format!("&token={}#children", encode(&answer.token))),
        text: "More actions".to_owned(),
    });
    let columns = vec!["Action", "What", "Phase", "Started", "Duration"];
    let content = Content::Table { columns, rows, more };
    Ok(Some(Section { id: "children", title: "Actions that it called", content }))
}

fn child(target: &Target, action: &Action) -> Vec<Cell> {
    let (id, status) = (&action.id, &action.status);
    let what = match &action.metadata.spec {
        Some(Spec::Task(task)) => task.short_name.clone(),
        Some(Spec::Trace(trace)) => trace.name.clone(),
        Some(Spec::Condition(condition)) => condition.name.clone(),
        None => String::new(),
    };
    vec![
        Cell::Link(Link {
            href: address::action(&target.place, &target.run, &id.name),
            text: id.name.clone(),
        }),
        Cell::Text(what),
        Cell::Phase(phase::of_action(status.phase.as_known())),
        time::cell(status.start_time.as_option()),
        status.duration_ms.map_or(Cell::Empty, |ms| Cell::Text(time::duration(ms))),
    ]
}

/// The log on the page, and the number of its lines; `None` if the action has none.
async fn log_view(
    visit: &Visit,
    target: &Target,
    details: &ActionDetails,
    attempt: Option<u32>,
) -> Result<Option<(LogView, u64)>, ConnectError> {
    if !matches!(details.metadata.spec, Some(Spec::Task(_))) {
        return Ok(None);
    }
    let latest = details.attempts.last();
    let number = attempt.or(latest.map(|latest| latest.attempt)).unwrap_or(1);
    let has_log = |one: &ActionAttempt| one.attempt == number && one.logs_available;
    if phase::is_over(details.status.phase.as_known()) && !details.attempts.iter().any(has_log) {
        return Ok(None);
    }
    let end = log::end(ActionLines::open(visit, target, number).await?).await?;
    let seen = (end.before + end.lines.len()) as u64;
    let cut = (end.before > 0 || end.is_cut).then(|| {
        format!("The last {} lines. The whole log: {}", end.lines.len(), target.command("get logs"))
    });
    let empty = end.lines.is_empty().then(|| "No lines yet.".to_owned());
    let view = LogView {
        title: format!("Log of attempt {number}"),
        lines: end.lines,
        note: cut.or(empty),
        whole: target.address("/log", &format!("&attempt={number}")),
    };
    Ok(Some((view, seen)))
}

/// The whole log as a file.
pub(crate) async fn download(
    visit: Visit,
    Path(path): Path<NamedPath>,
    given: Result<Query<RunQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let given = query(given)?;
    let target = Target::new(path, &given);
    let attempt = given.attempt.unwrap_or_default();
    let lines = ActionLines::open(&visit, &target, attempt).await?;
    let name = format!("{}-{}-{attempt}.log", target.run, target.action);
    Ok(log::download(lines, &name).await?)
}

/// Leads to the report of an attempt. Tasks write reports, so they are served without access to this origin (`/objects`).
pub(crate) async fn report(
    visit: Visit,
    Path(path): Path<NamedPath>,
    given: Result<Query<RunQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let given = query(given)?;
    let target = Target::new(path, &given);
    let href = link(&visit, &target, given.attempt.unwrap_or(1)).await?;
    Ok(Redirect::to(&href).into_response())
}

/// The address of the report of an attempt, which lasts for some minutes.
async fn link(visit: &Visit, target: &Target, attempt: u32) -> Result<String, Refusal> {
    let id = ActionAttemptIdentifier { action_id: target.id().into(), attempt, ..Default::default() };
    let request = CreateDownloadLinkRequest {
        artifact_type: ArtifactType::ARTIFACT_TYPE_REPORT.into(),
        source: Some(Source::ActionAttemptId(Box::new(id))),
        ..Default::default()
    };
    let answer = client!(visit, DataProxyServiceClient).create_download_link(request).await?.into_owned();
    answer.pre_signed_urls.signed_url.first().cloned().ok_or(Refusal::NoPage)
}
