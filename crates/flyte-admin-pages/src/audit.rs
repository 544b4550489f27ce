//! The audit log: the list with its filters.

pub(crate) mod csv;
pub(crate) mod event;

use axum::{
    extract::{Query, rejection::QueryRejection},
    response::Response,
};
use connectrpc::ErrorCode;
use flyte_idl::flyteauth::{AuditServiceClient, Event, ListEventsRequest};
use flyte_pages::{AdminView, Cell, Content, Field, Input, Link, Part, Tone};
use jiff::{civil::Date, tz::Offset};
use serde::Deserialize;

use crate::{
    address::{self, with_query},
    area::Area,
    cell, form,
    given::Given,
    refusal::{Refusal, alert},
    user::table,
    visit::{Visit, client},
};
use flyte_audit::Kind;

/// The most rows of a page.
const MANY: u32 = 50;
/// The path of the area.
const AUDIT: &str = Area::Audit.href();
/// The path of the events.
const EVENTS: &str = "/admin/audit/events";

/// The headings of [`row`].
pub(crate) const COLUMNS: [&str; 5] = ["Event", "When", "Who", "About", "From"];

/// The conditions.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    /// An e-mail address, or the subject of a user, an API key or a run.
    who: String,
    what: String,
    about: String,
    result: String,
    project: String,
    domain: String,
    from: String,
    /// The first day, in UTC.
    since: String,
    /// The last day, in UTC.
    until: String,
    token: String,
}

/// The first second of a day in UTC.
fn midnight(day: Date) -> Option<i64> {
    Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok().map(jiff::Timestamp::as_second)
}

impl Filter {
    /// The request of a page with at most `limit` events.
    ///
    /// # Errors
    /// The sentence that names a day that cannot be read.
    fn request(&self, limit: u32) -> Result<ListEventsRequest, String> {
        let day = |name: &str, text: &str| match text {
            "" => Ok(None),
            text => text
                .parse::<Date>()
                .map(Some)
                .map_err(|_| format!("{name} is not a day such as 2026-03-09. The filter was not applied.")),
        };
        let (since, until) = (day("The first day", &self.since)?, day("The last day", &self.until)?);
        let until = until.and_then(|day| day.tomorrow().ok());
        let is_email = self.who.contains('@');
        let who = self.who.trim().to_owned();
        Ok(ListEventsRequest {
            limit,
            token: self.token.clone(),
            event: self.what.clone(),
            subject: if is_email { String::new() } else { who.clone() },
            email: if is_email { who } else { String::new() },
            object: self.about.trim().to_owned(),
            project: self.project.trim().to_owned(),
            domain: self.domain.trim().to_owned(),
            address: self.from.trim().to_owned(),
            since: since.and_then(midnight).unwrap_or_default(),
            until: until.and_then(midnight).unwrap_or_default(),
            result: self.result.clone(),
            ..ListEventsRequest::default()
        })
    }

    /// The address of a page with these conditions.
    fn address(&self, path: &str, token: &str) -> String {
        let query = [
            ("who", &*self.who),
            ("what", &self.what),
            ("about", &self.about),
            ("result", &self.result),
            ("project", &self.project),
            ("domain", &self.domain),
            ("from", &self.from),
            ("since", &self.since),
            ("until", &self.until),
            ("token", token),
        ];
        with_query(path, &query)
    }
}

/// Shows the list.
pub(crate) async fn list(
    visit: Visit,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(filter) = filter.map_err(|_| Refusal::NoPage)?;
    let mut given = Given::default();
    let request = filter.request(MANY).unwrap_or_else(|sentence| {
        given.alert = Some(sentence);
        given.status = axum::http::StatusCode::UNPROCESSABLE_ENTITY;
        ListEventsRequest { limit: MANY, ..ListEventsRequest::default() }
    });
    let answer = match client!(visit, AuditServiceClient).list_events(request).await {
        Ok(answer) => answer.into_owned(),
        // A condition that no event can meet, such as an address of the network that is none.
        Err(error) if error.code == ErrorCode::InvalidArgument => {
            let (status, sentence) = alert(error)?;
            given = Given { alert: Some(sentence), status, ..Given::default() };
            Default::default()
        }
        Err(error) => return Err(error.into()),
    };
    let rows = answer.events.iter().map(row).collect();
    let mut part = table("events", "Events", &COLUMNS, rows, "No event matches.");
    if let Some(Content::Table { more, .. }) = &mut part.content
        && !answer.token.is_empty()
    {
        let href = filter.address(AUDIT, &answer.token);
        *more = Some(Link { href, text: "Older events".to_owned() });
    }
    part.forms.push(form::search(AUDIT, fields(&filter), "Show"));
    let open = Link { href: filter.address("/admin/audit.csv", ""), text: "Download as CSV".to_owned() };
    let view = AdminView {
        heading: "Audit".to_owned(),
        lead: "Newest first. Days are in UTC.".to_owned(),
        open: Some(open),
        parts: vec![part],
        ..AdminView::default()
    };
    Ok(visit.page(Area::Audit, &given, view))
}

fn fields(filter: &Filter) -> Vec<Field> {
    let mut kinds = form::pairs(&[("", "All")]);
    kinds.extend(
        Kind::ALL
            .iter()
            .filter(|kind| kind.is_stored())
            .map(|kind| (kind.as_str().to_owned(), words(kind.as_str()))),
    );
    let results = form::pairs(&[("", "All"), ("done", "Done"), ("refused", "Refused or failed")]);
    let date = |name, label, value: &str| Field {
        name,
        label,
        hint: String::new(),
        required: false,
        input: Input::Date(value.to_owned()),
    };
    vec![
        form::text("who", "Who (address or subject)", filter.who.clone()),
        form::select("what", "Event", &kinds, &filter.what),
        form::select("result", "Result", &results, &filter.result),
        form::text("about", "About (* at the end for a prefix)", filter.about.clone()),
        form::text("project", "Project", filter.project.clone()),
        form::text("domain", "Domain", filter.domain.clone()),
        form::text("from", "IP address", filter.from.clone()),
        date("since", "First day", &filter.since),
        date("until", "Last day", &filter.until),
    ]
}

/// The name of an event in words.
fn words(event: &str) -> String {
    event.replace('_', " ")
}

/// The row of an event.
pub(crate) fn row(event: &Event) -> Vec<Cell> {
    let who = [&event.email, &event.name, &event.subject].into_iter().find(|text| !text.is_empty());
    vec![
        cell::link(address::of(EVENTS, &event.id.to_string()), &words(&event.event)),
        cell::time(event.at),
        who.map_or(Cell::Empty, |who| cell::text(who)),
        cell::text(&event.object),
        cell::text(&event.address),
    ]
}

/// Whether an event was refused, failed, or shows that a secret leaked.
fn is_refused(event: &Event) -> bool {
    Kind::ALL.iter().any(|kind| kind.as_str() == event.event && kind.is_suspicious())
}

/// The part with the further facts of an event.
fn details(event: &Event) -> Part {
    let mut details: Vec<_> = event.details.iter().collect();
    details.sort();
    let rows = details.into_iter().map(|(name, value)| vec![cell::text(&words(name)), cell::code(value)]);
    table("details", "Details", &["What", "Value"], rows.collect(), "No further details.")
}

/// The result of an event as a state.
fn result(event: &Event) -> flyte_pages::Phase {
    match is_refused(event) {
        true => flyte_pages::Phase { name: "refused or failed", tone: Tone::Bad },
        false => flyte_pages::Phase { name: "done", tone: Tone::Good },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_include_their_ends() {
        let filter =
            Filter { since: "2026-03-09".to_owned(), until: "2026-03-09".to_owned(), ..Filter::default() };
        let request = filter.request(1).unwrap();
        assert_eq!((request.since, request.until), (1_773_014_400, 1_773_014_400 + 86_400));
        let filter = Filter { since: "yesterday".to_owned(), ..Filter::default() };
        assert!(filter.request(1).unwrap_err().starts_with("The first day is not a day"));
        let filter = Filter { who: " ada@example.com ".to_owned(), ..Filter::default() };
        let request = filter.request(1).unwrap();
        assert_eq!((request.email.as_str(), request.subject.as_str()), ("ada@example.com", ""));
    }
}
