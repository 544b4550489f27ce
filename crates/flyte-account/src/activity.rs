//! `/account/activity`: the events of the audit log that are the user's own, and those of others about the account.

mod csv;
mod sentence;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use flyte_model::clock::UnixTime;
use flyte_pages::{
    Moment,
    account::{ActivityFilter, ActivityRow, ActivityView, Frame, activity_page},
    csv_line, encode,
};
use flyte_store::{AuditQuery, StoreError, StoredAuditRecord};
use futures_util::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue, header};
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use serde::Deserialize;

use crate::{Account, refusal::Refusal, visit::Visit};

const PATH: &str = "/account/activity";
/// The events of one page.
const PAGE: u32 = 50;
/// The events of one query for CSV.
const CSV_PAGE: u32 = 1000;

/// The query of the page.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ActivityQuery {
    /// Who acted: `others`, otherwise the user.
    by: String,
    /// Only this kind of event.
    kind: String,
    since: String,
    until: String,
    token: String,
}

impl ActivityQuery {
    /// The query of the store.
    ///
    /// # Errors
    /// A sentence about what is wrong.
    fn checked(&self, user_id: &str) -> Result<AuditQuery, String> {
        let user = Some(user_id.to_owned());
        let (subject, object) = if self.is_by_others() { (None, user) } else { (user, None) };
        let query = AuditQuery {
            page_token: self.token.clone(),
            event: Some(self.kind.clone()),
            subject,
            object,
            since: midnight(&self.since, 0)?,
            until: midnight(&self.until, 1)?,
            ..AuditQuery::default()
        };
        flyte_audit::check_query(query).map_err(|wrong| match wrong.field {
            "event" => "There is no such kind of event.".to_owned(),
            _ => "The last day is before the first one.".to_owned(),
        })
    }

    fn is_by_others(&self) -> bool {
        self.by == "others"
    }

    /// The address of a page with this filter.
    fn href(&self, path: &str, token: &str) -> String {
        let fields = [
            ("by", &*self.by),
            ("kind", &self.kind),
            ("since", &self.since),
            ("until", &self.until),
            ("token", token),
        ];
        let query: Vec<_> = fields
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        format!("{path}?{}", query.join("&"))
    }
}

/// The beginning of a day in UTC, some days later; `None` if none was chosen.
fn midnight(day: &str, days: i64) -> Result<Option<UnixTime>, String> {
    if day.is_empty() {
        return Ok(None);
    }
    let at = day
        .parse::<Date>()
        .and_then(|day| day.checked_add(days.days()))
        .and_then(|day| TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)));
    at.map(|at| Some(at.as_second())).map_err(|_| format!("{day:?} is not a day."))
}

/// Shows the page.
pub(crate) async fn show(
    State(account): State<Arc<Account>>,
    visit: Visit,
    Query(query): Query<ActivityQuery>,
) -> Result<Response, Refusal> {
    let (wanted, error) = match query.checked(visit.user_id()) {
        Ok(wanted) => (Some(wanted), None),
        Err(error) => (None, Some(error)),
    };
    let (mut rows, mut next) = (Vec::new(), None);
    if let Some(wanted) = wanted {
        // Pending events must be on the page.
        account.audit.flush().await;
        let page = AuditQuery { limit: PAGE, ..wanted };
        let (found, token) = match account.store.list_audit_records(&page).await {
            Err(StoreError::InvalidPageToken) => {
                return Ok(Redirect::to(&query.href(PATH, "")).into_response());
            }
            outcome => outcome?,
        };
        rows = found.iter().map(|stored| row(stored, visit.user_id())).collect();
        next = Some(token).filter(|token| !token.is_empty()).map(|token| query.href(PATH, &token));
    }
    let view = ActivityView {
        rows,
        next,
        csv: query.href("/account/activity.csv", ""),
        filter: ActivityFilter {
            kinds: sentence::KINDS.iter().map(|(kind, words)| (kind.as_str(), *words)).collect(),
            by_others: query.is_by_others(),
            kind: query.kind,
            since: query.since,
            until: query.until,
        },
    };
    Ok(activity_page(&visit.headers, &Frame { error: error.as_deref(), ..visit.frame() }, &view))
}

fn row(stored: &StoredAuditRecord, user_id: &str) -> ActivityRow {
    let record = &stored.record;
    ActivityRow {
        at: Moment::of(record.at),
        what: sentence::of(record),
        address: own_address(stored, user_id),
        is_suspicious: sentence::is_suspicious(record),
    }
}

/// The address of an event. Where an administrator was is not the user's to know.
fn own_address(stored: &StoredAuditRecord, user_id: &str) -> Option<String> {
    let record = &stored.record;
    record.address.clone().filter(|_| record.subject.as_deref() == Some(user_id))
}

/// Sends all events of the filter as CSV, page by page.
pub(crate) async fn export(
    State(account): State<Arc<Account>>,
    visit: Visit,
    Query(query): Query<ActivityQuery>,
) -> Result<Response, Refusal> {
    let Ok(wanted) = (ActivityQuery { token: String::new(), ..query }).checked(visit.user_id()) else {
        return Err(Refusal::BadForm);
    };
    account.audit.flush().await;
    let user_id = visit.user_id().to_owned();
    let first = AuditQuery { limit: CSV_PAGE, ..wanted };
    let pages = stream::unfold(Some(first), move |query| {
        let (account, user_id) = (Arc::clone(&account), user_id.clone());
        async move {
            let query = query?;
            let outcome = account.store.list_audit_records(&query).await;
            Some(match outcome {
                Ok((found, token)) => {
                    let next = (!token.is_empty()).then_some(AuditQuery { page_token: token, ..query });
                    let lines: Vec<u8> = found
                        .iter()
                        .flat_map(|stored| csv::line(stored, own_address(stored, &user_id).as_deref()))
                        .collect();
                    (Ok(lines), next)
                }
                // The answer ends before its end, which browsers report as a failed download.
                Err(error) => {
                    tracing::error!(%error, "a download of events failed");
                    (Err(error), None)
                }
            })
        }
    });
    let header = stream::iter([Ok::<_, StoreError>(csv_line(&csv::COLUMNS))]);
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"activity.csv\"")),
    ];
    Ok((headers, Body::from_stream(header.chain(pages))).into_response())
}

/// A time as RFC 3339.
fn rfc3339(at: UnixTime) -> String {
    Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}
