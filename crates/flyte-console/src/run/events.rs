//! What changes while a page of a run is open, as server-sent events: `log` has lines, `change` says that the page has changed,
//! and `end` that it is final.

use std::{convert::Infallible, pin::Pin, time::Duration};

use axum::{
    body::Body,
    extract::{Path, Query, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use connectrpc::{ConnectError, client::ServerStream};
use flyte_idl::{
    Decoded,
    flyteidl2::workflow::{
        RunServiceClient, WatchActionDetailsRequest, WatchActionDetailsResponse, WatchActionsRequest,
        WatchActionsResponse,
    },
};
use flyte_pages::{LogLine, LogPart, log_lines};
use futures_util::{Stream, StreamExt as _, stream};

use super::{ActionLines, RunQuery, Target, query};
use crate::{
    ansi::Ansi,
    log::{self, Lines as _},
    place::NamedPath,
    refusal::Refusal,
    visit::{Visit, client},
};

/// The time between two signs of life, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Asks proxies (nginx) not to collect events.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

type Events = Pin<Box<dyn Stream<Item = Result<Event, ConnectError>> + Send>>;

/// Sends the events until the action has ended, or the user loses access.
pub(crate) async fn follow(
    visit: Visit,
    Path(path): Path<NamedPath>,
    headers: HeaderMap,
    given: Result<Query<RunQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let given = query(given)?;
    let target = Target::new(path, &given);
    // A browser that connects again says what it has.
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(Seen::parse);
    let seen = seen.unwrap_or(Seen { attempt: given.attempt.unwrap_or(1), lines: given.lines.unwrap_or(0) });
    let mut changes = changes(&visit, &target).await?;
    // The current state comes at once. If an error comes instead, it becomes the status of the answer.
    let current = changes.next().await.transpose()?;
    let changes = stream::iter(current.map(Ok)).chain(changes);
    let first = ActionLines::open(&visit, &target, seen.attempt).await?;
    let log = lines(visit, target, first, seen, given.attempt.is_none());
    let all = stream::select(changes, log).chain(stream::iter([Ok(Event::default().event("end").data("-"))]));
    // After an error, the stream ends without `end`, and the browser connects again.
    let events = all
        .take_while(|event| std::future::ready(event.is_ok()))
        .map(|event| Ok::<_, Infallible>(event.unwrap_or_default()));
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    response.headers_mut().insert(UNBUFFERED.0, UNBUFFERED.1);
    Ok(response)
}

/// How much of a log a page has.
#[derive(Clone, Copy)]
struct Seen {
    attempt: u32,
    lines: u64,
}

impl Seen {
    fn parse(id: &str) -> Option<Self> {
        let (attempt, lines) = id.split_once('-')?;
        Some(Self { attempt: attempt.parse().ok()?, lines: lines.parse().ok()? })
    }

    fn id(self) -> String {
        format!("{}-{}", self.attempt, self.lines)
    }
}

/// One event for each change: of any action for the page of the run, or of the action.
async fn changes(visit: &Visit, target: &Target) -> Result<Events, ConnectError> {
    let runs = client!(visit, RunServiceClient);
    if target.is_root() {
        let request = WatchActionsRequest { run_id: target.run_id().into(), ..Default::default() };
        let watch: ServerStream<Body, Decoded<'static, WatchActionsResponse>> =
            runs.watch_actions(request).await?;
        Ok(Box::pin(stream::try_unfold(watch, |mut watch| async move {
            let message = watch.message::<WatchActionsResponse>().await?;
            Ok(message.map(|_| (change(), watch)))
        })))
    } else {
        let request = WatchActionDetailsRequest { action_id: target.id().into(), ..Default::default() };
        let watch: ServerStream<Body, Decoded<'static, WatchActionDetailsResponse>> =
            runs.watch_action_details(request).await?;
        Ok(Box::pin(stream::try_unfold(watch, |mut watch| async move {
            let message = watch.message::<WatchActionDetailsResponse>().await?;
            Ok(message.map(|_| (change(), watch)))
        })))
    }
}

fn change() -> Event {
    Event::default().event("change").data("-")
}

/// The log of an attempt, and then those of the next attempts if `continues`.
struct Log {
    visit: Visit,
    target: Target,
    lines: ActionLines,
    seen: Seen,
    /// The number of lines that were read of this attempt.
    read: u64,
    continues: bool,
    ansi: Ansi,
}

fn lines(visit: Visit, target: Target, lines: ActionLines, seen: Seen, continues: bool) -> Events {
    let log = Log { visit, target, lines, seen, read: 0, continues, ansi: Ansi::default() };
    Box::pin(stream::try_unfold(
        log,
        |mut log| async move { Ok(log.next().await?.map(|event| (event, log))) },
    ))
}

impl Log {
    async fn next(&mut self) -> Result<Option<Event>, ConnectError> {
        loop {
            let Some(batch) = self.lines.next().await? else {
                // An action that is over has no next attempt, and its log has no lines.
                if !self.continues || self.read == 0 {
                    return Ok(None);
                }
                self.seen = Seen { attempt: self.seen.attempt + 1, lines: 0 };
                self.read = 0;
                self.lines = ActionLines::open(&self.visit, &self.target, self.seen.attempt).await?;
                continue;
            };
            let mut fresh = Vec::new();
            for line in batch {
                self.read += 1;
                if self.read > self.seen.lines {
                    if self.read == 1 && self.seen.attempt > 1 {
                        fresh.push(begin(self.seen.attempt));
                    }
                    fresh.push(log::shown(&mut self.ansi, &line));
                }
            }
            if !fresh.is_empty() {
                self.seen.lines = self.read;
                let html = log_lines(&fresh);
                let event = Event::default().event("log").id(self.seen.id());
                return Ok(Some(event.data(html.trim_end_matches('\n'))));
            }
        }
    }
}

/// The line before the log of a further attempt.
fn begin(attempt: u32) -> LogLine {
    let text = format!("Attempt {attempt}");
    LogLine { time: String::new(), system: true, parts: vec![LogPart { class: "bold".to_owned(), text }] }
}
