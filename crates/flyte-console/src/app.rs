//! The page of an app: its address, its state and its log.

use axum::{body::Body, extract::Path, response::Response};
use connectrpc::{ConnectError, ErrorCode, client::ServerStream};
use flyte_idl::{
    Decoded,
    flyteidl2::{
        app::{
            App, AppLogsServiceClient, AppServiceClient, GetRequest, Identifier, TailLogsRequest,
            TailLogsResponse, get_request, tail_logs_request::Target, tail_logs_response::Resp,
        },
        logs::dataplane::LogLine,
    },
};
use flyte_pages::{Cell, ConsoleView, Content, Link, LogView, Section, console_page};

use crate::{
    address, cut,
    log::{self, Lines},
    phase,
    place::{NamedPath, Place, argument},
    refusal::Refusal,
    time,
    visit::{Visit, client},
    who,
};

/// The most changes of state on the page.
const MOST_CONDITIONS: usize = 20;

fn id(place: &Place, name: &str) -> Identifier {
    Identifier {
        project: place.project.clone(),
        domain: place.domain.clone(),
        name: name.to_owned(),
        ..Identifier::default()
    }
}

/// Shows the page.
pub(crate) async fn show(visit: Visit, Path(path): Path<NamedPath>) -> Result<Response, Refusal> {
    let (place, name) = path.split();
    let identifier = Some(get_request::Identifier::AppId(id(&place, &name).into()));
    let request = GetRequest { identifier, ..Default::default() };
    let app = client!(visit, AppServiceClient).get(request).await?.into_owned().app.into_option();
    let app = app.ok_or(Refusal::NoPage)?;
    let log = async { log::end(AppLines::open(&visit, &place, &name).await?).await };
    let log = match log.await {
        Ok(end) => Some(log_view(&place, &name, end)),
        // The app has not been started yet.
        Err(error) if error.code == ErrorCode::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let status = &app.status;
    let state = status.conditions.last().and_then(|last| last.deployment_status.as_known());
    // Only addresses of the web become links.
    let open = Some(status.ingress.public_url.clone()).filter(|url| is_web(url));
    let mut facts = vec![
        ("Created by", who::cell(app.spec.creator.as_option())),
        ("Created", time::cell(status.created_at.as_option())),
        ("Last started", time::cell(status.last_started_at.as_option())),
    ];
    if let Some(url) = &open {
        facts.insert(0, ("Address", Cell::Text(url.clone())));
    }
    let command = |verb: &str| format!("flyte {verb} app {} {}", argument(&name), place.options());
    let view = ConsoleView {
        email: visit.email,
        crumbs: address::crumbs(&place, Some(("apps", "Apps"))),
        kind: "App",
        heading: name.clone(),
        phase: Some(phase::of_app(state)),
        open: open.map(|href| Link { href, text: "Open the app".to_owned() }),
        facts,
        sections: vec![
            conditions(&app),
            Section {
                id: "commands",
                title: "In a terminal",
                content: Content::Commands(vec![command("get")]),
            },
        ],
        log,
        ..ConsoleView::default()
    };
    Ok(console_page(&view))
}

fn is_web(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

fn conditions(app: &App) -> Section {
    let rows = app.status.conditions.iter().rev().take(MOST_CONDITIONS).map(|condition| {
        vec![
            time::cell(condition.last_transition_time.as_option()),
            Cell::Phase(phase::of_app(condition.deployment_status.as_known())),
            Cell::Text(condition.revision.to_string()),
            Cell::Text(cut::text(&condition.message, cut::MOST, "").text),
            who::cell(condition.actor.as_option()),
        ]
    });
    let columns = vec!["When", "State", "Revision", "Message", "By"];
    let content = Content::Table { columns, rows: rows.collect(), more: None };
    Section { id: "conditions", title: "What happened", content }
}

fn log_view(place: &Place, name: &str, end: log::End) -> LogView {
    let is_cut = end.before > 0 || end.is_cut;
    let note = match (is_cut, end.lines.is_empty()) {
        (true, _) => Some(format!("The last {} lines.", end.lines.len())),
        (false, true) => Some("No lines yet.".to_owned()),
        (false, false) => None,
    };
    let whole = format!("{}/log", address::of(place, "apps", name));
    LogView { title: "Log of the latest process".to_owned(), lines: end.lines, note, whole }
}

/// The whole log as a file.
pub(crate) async fn download(visit: Visit, Path(path): Path<NamedPath>) -> Result<Response, Refusal> {
    let (place, name) = path.split();
    let lines = AppLines::open(&visit, &place, &name).await?;
    Ok(log::download(lines, &format!("{name}.log")).await?)
}

/// The log of the latest process of an app.
struct AppLines(ServerStream<Body, Decoded<'static, TailLogsResponse>>);

impl AppLines {
    async fn open(visit: &Visit, place: &Place, name: &str) -> Result<Self, ConnectError> {
        let target = Some(Target::AppId(id(place, name).into()));
        let request = TailLogsRequest { target, ..Default::default() };
        client!(visit, AppLogsServiceClient).tail_logs(request).await.map(Self)
    }
}

impl Lines for AppLines {
    async fn next(&mut self) -> Result<Option<Vec<LogLine>>, ConnectError> {
        let Some(message) = self.0.message::<TailLogsResponse>().await? else { return Ok(None) };
        Ok(Some(match message.to_owned_message().resp {
            Some(Resp::Batches(batches)) => {
                batches.logs.into_iter().flat_map(|logs| logs.structured_lines).collect()
            }
            _ => Vec::new(),
        }))
    }
}
