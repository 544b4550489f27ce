//! The page with the events of the user's own account.

use askama::Template;
use axum::{http::HeaderMap, response::Response};

use super::Frame;
use crate::{console::Moment, page::scripted_page};

/// An event.
#[derive(Clone, Debug)]
pub struct ActivityRow {
    /// The time.
    pub at: Option<Moment>,
    /// What happened, in a sentence.
    pub what: String,
    /// The address that it came from.
    pub address: Option<String>,
    /// Whether the user should look at it.
    pub is_suspicious: bool,
}

/// The filter, as it was typed.
#[derive(Clone, Debug, Default)]
pub struct ActivityFilter {
    /// The kinds to choose from, with their words.
    pub kinds: Vec<(&'static str, &'static str)>,
    /// Whether the events are those of others about the account.
    pub by_others: bool,
    /// The chosen kind; empty for all.
    pub kind: String,
    /// The first day, `YYYY-MM-DD`.
    pub since: String,
    /// The last day.
    pub until: String,
}

/// A page of events.
#[derive(Clone, Debug)]
pub struct ActivityView {
    /// The events, the newest first.
    pub rows: Vec<ActivityRow>,
    /// The filter.
    pub filter: ActivityFilter,
    /// The address of the next page; `None` on the last one.
    pub next: Option<String>,
    /// The address of the same events as CSV.
    pub csv: String,
}

#[derive(Template)]
#[template(path = "account/activity.html")]
struct ActivityTemplate<'a> {
    frame: &'a Frame<'a>,
    view: &'a ActivityView,
}

/// The page with the events of the user's own account. Its form gets `by`, `kind`, `since` and `until` from `/account/activity`.
#[must_use]
pub fn activity_page(_: &HeaderMap, frame: &Frame<'_>, view: &ActivityView) -> Response {
    scripted_page(frame.status(), &ActivityTemplate { frame, view })
}
