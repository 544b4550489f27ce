//! The audit log: its order, pages and conditions, and the removal of old records.

use super::{Backend, NOW, user};
use crate::{AuditQuery, AuditRecord, StoreError, User};

fn record(n: i64) -> AuditRecord {
    AuditRecord {
        at: NOW + n,
        event: if n % 3 == 0 { "call_denied" } else { "signed_in" }.to_owned(),
        subject: (n % 2 == 0).then(|| "ada".to_owned()),
        client_id: Some("flyte".to_owned()),
        address: Some("::1".to_owned()),
        object: Some(format!("'; DROP TABLE audit_records; -- {n}")),
        details: [("reason".to_owned(), "\u{1f980}".to_owned())].into(),
    }
}

async fn append(store: &Backend, numbers: impl IntoIterator<Item = i64>) {
    let records: Vec<_> = numbers.into_iter().map(record).collect();
    store.append_audit_records(&records).await.unwrap();
}

/// Returns the times of the records on all pages, relative to [`NOW`].
async fn all(store: &Backend, mut query: AuditQuery) -> Vec<i64> {
    let mut times = Vec::new();
    loop {
        let (page, token) = store.list_audit_records(&query).await.unwrap();
        assert!(page.len() <= query.limit as usize);
        times.extend(page.into_iter().map(|stored| stored.record.at - NOW));
        if token.is_empty() {
            return times;
        }
        query.page_token = token;
    }
}

fn query(limit: u32) -> AuditQuery {
    AuditQuery { limit, ..AuditQuery::default() }
}

pub async fn records_are_read_back_unchanged_newest_first(store: Backend) {
    assert_eq!(store.list_audit_records(&query(10)).await.unwrap(), (Vec::new(), String::new()));
    let bare = AuditRecord {
        at: NOW,
        event: "x".to_owned(),
        subject: None,
        client_id: None,
        address: None,
        object: None,
        details: [].into(),
    };
    store.append_audit_records(&[record(1), record(2)]).await.unwrap();
    store.append_audit_records(std::slice::from_ref(&bare)).await.unwrap();
    let (records, _) = store.list_audit_records(&query(10)).await.unwrap();
    assert!(records.is_sorted_by(|a, b| a.id > b.id));
    let records: Vec<_> = records.into_iter().map(|stored| stored.record).collect();
    assert_eq!(records, [bare, record(2), record(1)]);
}

pub async fn pages_list_every_record_once_while_more_are_added(store: Backend) {
    append(&store, 0..10).await;
    for limit in [1, 3, 5, 10, 100] {
        assert_eq!(all(&store, query(limit)).await, (0..10).rev().collect::<Vec<_>>(), "{limit}");
    }
    let (first, token) = store.list_audit_records(&query(4)).await.unwrap();
    assert_eq!(first.len(), 4);
    append(&store, 10..20).await;
    let rest = AuditQuery { page_token: token, ..query(4) };
    assert_eq!(all(&store, rest).await, [5, 4, 3, 2, 1, 0]);
}

pub async fn conditions_hold_together(store: Backend) {
    append(&store, 0..12).await;
    let denied = AuditQuery { event: Some("call_denied".to_owned()), ..query(2) };
    assert_eq!(all(&store, denied.clone()).await, [9, 6, 3, 0]);
    let of_ada = AuditQuery { subject: Some("ada".to_owned()), ..denied };
    assert_eq!(all(&store, of_ada.clone()).await, [6, 0]);
    assert_eq!(all(&store, AuditQuery { since: Some(NOW + 6), ..of_ada.clone() }).await, [6]);
    assert_eq!(all(&store, AuditQuery { since: Some(NOW + 7), ..of_ada }).await, [0; 0]);
}

pub async fn records_are_found_by_object_place_and_address(store: Backend) {
    let at = |n: i64, event: &str, object: &str, project_domain: Option<(&str, &str)>| AuditRecord {
        event: event.to_owned(),
        object: Some(object.to_owned()),
        address: Some(format!("203.0.113.{}", n % 3)),
        details: project_domain
            .into_iter()
            .flat_map(|(project, domain)| [("project", project), ("domain", domain)])
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..record(n)
    };
    let records = [
        at(0, "project_created", "p", None),
        at(1, "run_created", "p/development/r1", Some(("p", "development"))),
        at(2, "run_aborted", "p/development/r1", None),
        at(3, "run_aborted", "p/production/r10", Some(("p", "production"))),
        at(4, "task_deployed", "p", Some(("other", "development"))),
        at(5, "call_denied", "p/x", None),
    ];
    store.append_audit_records(&records).await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    for (query, expected) in [
        (AuditQuery { project: text("p"), ..query(1) }, &[3, 2, 1, 0][..]),
        (AuditQuery { project: text("other"), ..query(1) }, &[4]),
        (AuditQuery { project: text("P"), ..query(1) }, &[]),
        (AuditQuery { domain: text("development"), ..query(1) }, &[4, 1]),
        (AuditQuery { project: text("p"), domain: text("production"), ..query(1) }, &[3]),
        (AuditQuery { object: text("p/development/r1"), ..query(1) }, &[2, 1]),
        (AuditQuery { object: text("p/*"), ..query(2) }, &[5, 3, 2, 1]),
        (AuditQuery { object: text("*"), ..query(4) }, &[5, 4, 3, 2, 1, 0]),
        (AuditQuery { object: text("p/%"), ..query(2) }, &[]),
        (AuditQuery { address: text("203.0.113.1"), ..query(1) }, &[4, 1]),
        (AuditQuery { until: Some(NOW + 2), ..query(1) }, &[1, 0]),
        (AuditQuery { since: Some(NOW + 1), until: Some(NOW + 4), ..query(2) }, &[3, 2, 1]),
        (AuditQuery { project: text("p"), address: text("203.0.113.1"), ..query(1) }, &[1]),
        (
            AuditQuery { only: vec!["call_denied".to_owned(), "task_deployed".to_owned()], ..query(1) },
            &[5, 4],
        ),
        (
            AuditQuery { except: vec!["run_aborted".to_owned(), "call_denied".to_owned()], ..query(2) },
            &[4, 1, 0],
        ),
        (AuditQuery { only: vec!["run_aborted".to_owned()], project: text("p"), ..query(1) }, &[3, 2]),
    ] {
        assert_eq!(all(&store, query.clone()).await, expected, "{query:?}");
    }
}

/// Returns subject, e-mail address and name of the newest records.
async fn people(store: &Backend, query: AuditQuery) -> Vec<[String; 3]> {
    let (records, _) = store.list_audit_records(&query).await.unwrap();
    let rows =
        records.into_iter().map(|it| [it.record.subject, it.email, it.name].map(Option::unwrap_or_default));
    rows.collect()
}

pub async fn records_have_the_names_of_users_and_keys(store: Backend) {
    store.create_user(&User { name: "Ada Lovelace".to_owned(), ..user("ada") }).await.unwrap();
    let by = |subject: &str, client: &str| AuditRecord {
        subject: Some(subject.to_owned()),
        client_id: Some(client.to_owned()),
        ..record(1)
    };
    let started = AuditRecord {
        details: [("on_behalf_of".to_owned(), "id-ada".to_owned())].into(),
        ..by("p/d/r", "flyte-run")
    };
    // A client whose identifier is that of an account is not that user.
    let records = [by("id-ada", "flyte"), by("stranger", "flyte"), by("id-ada", "id-ada"), started];
    store.append_audit_records(&records).await.unwrap();
    let ada = ["id-ada", "ada@example.com", "Ada Lovelace"].map(str::to_owned);
    let unknown = |subject: &str| [subject.to_owned(), String::new(), String::new()];
    assert_eq!(
        people(&store, query(10)).await,
        [unknown("p/d/r"), unknown("id-ada"), unknown("stranger"), ada.clone()]
    );
    let (records, _) = store.list_audit_records(&query(1)).await.unwrap();
    assert_eq!(records[0].on_behalf_of_email.as_deref(), Some("ada@example.com"));
    for (email, expected) in [("ADA@example.com", vec![ada]), ("bob@example.com", vec![])] {
        assert_eq!(people(&store, AuditQuery { email: Some(email.to_owned()), ..query(10) }).await, expected);
    }
}

pub async fn a_page_token_of_another_query_is_rejected(store: Backend) {
    append(&store, 0..5).await;
    let (_, token) = store.list_audit_records(&query(2)).await.unwrap();
    for wrong in [
        AuditQuery { event: Some("signed_in".to_owned()), page_token: token.clone(), ..query(2) },
        AuditQuery { since: Some(NOW), page_token: token.clone(), ..query(2) },
        AuditQuery { until: Some(NOW + 9), page_token: token.clone(), ..query(2) },
        AuditQuery { object: Some("*".to_owned()), page_token: token.clone(), ..query(2) },
        AuditQuery { page_token: format!("{token}x"), ..query(2) },
        AuditQuery { page_token: "!".to_owned(), ..query(2) },
    ] {
        let error = store.list_audit_records(&wrong).await.unwrap_err();
        assert!(matches!(error, StoreError::InvalidPageToken), "{wrong:?}: {error}");
    }
    assert_eq!(
        all(&store, AuditQuery { page_token: token, ..query(7) }).await,
        [2, 1, 0],
        "another page size is allowed"
    );
}

pub async fn only_old_records_are_removed(store: Backend) {
    append(&store, 0..5000).await;
    assert_eq!(store.delete_audit_records_before(NOW).await.unwrap(), 0);
    assert_eq!(store.delete_audit_records_before(NOW + 4500).await.unwrap(), 4500);
    assert_eq!(all(&store, query(1000)).await.len(), 500);
    let (newest, _) = store.list_audit_records(&query(1)).await.unwrap();
    assert_eq!(store.delete_audit_records_before(NOW + 9999).await.unwrap(), 500);
    append(&store, [1]).await;
    let (again, _) = store.list_audit_records(&query(1)).await.unwrap();
    assert!(again[0].id > newest[0].id, "an identifier is never reused");
}
