use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::*;
use flyte_model::{ClientAddr, ClientId};
use flyte_store::AuditQuery;
use flyte_store_sqlite::SqliteStore;
use flyte_testing::{NOW, log_to};

/// An audit log and its store.
struct World {
    clock: Clock,
    store: Arc<dyn Store>,
    audit: Audit,
}

impl World {
    fn new() -> Self {
        let (clock, store) = (Clock::manual(NOW), Arc::new(SqliteStore::in_memory().unwrap()));
        Self { audit: Audit::start(store.clone(), clock.clone()), clock, store }
    }
}

async fn stored(store: &dyn Store) -> Vec<AuditRecord> {
    let query = AuditQuery { limit: 10_000, ..AuditQuery::default() };
    let (records, _) = store.list_audit_records(&query).await.unwrap();
    records.into_iter().map(|stored| stored.record).collect()
}

#[tokio::test]
async fn an_event_becomes_a_record_with_time_and_address() {
    let app = World::new();
    let client = ClientAddr("203.0.113.9".parse().unwrap());
    app.clock.advance(5);
    let event = client
        .answer(async {
            Event::new(Kind::SignedIn)
                .subject("user-Ada")
                .client(&ClientId::from_static("flyte"))
                .detail(Detail::Session, "s")
        })
        .await;
    app.audit.record(event.object("the page")).await;
    app.audit.flush().await;
    let records = stored(&*app.store).await;
    let expected = AuditRecord {
        at: NOW + 5,
        event: "signed_in".to_owned(),
        subject: Some("user-Ada".to_owned()),
        client_id: Some("flyte".to_owned()),
        address: Some("203.0.113.9".to_owned()),
        object: Some("the page".to_owned()),
        details: [("session_id".to_owned(), "s".to_owned())].into(),
    };
    assert_eq!(records, [expected]);
}

#[tokio::test]
async fn changes_of_rights_are_stored_at_once_and_floods_are_not() {
    let app = World::new();
    for (n, kind) in Kind::ALL.iter().filter(|kind| kind.changes_rights()).enumerate() {
        assert!(kind.is_stored());
        app.audit.record(Event::new(*kind)).await;
        let records = stored(&*app.store).await;
        assert_eq!((records.len(), records[0].event.as_str()), (n + 1, kind.as_str()));
    }
    let before = stored(&*app.store).await.len();
    app.audit.record(Event::new(Kind::SignInRefused)).await;
    app.audit.flush().await;
    assert_eq!(stored(&*app.store).await.len(), before);
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait_and_loses_no_event() {
    let app = World::new();
    let most = 3 * QUEUE_LENGTH;
    let tasks: Vec<_> = (0..most)
        .map(|n| {
            let audit = app.audit.clone();
            tokio::spawn(async move {
                audit.record(Event::new(Kind::SignedIn).object(&n.to_string())).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    app.audit.flush().await;
    let mut objects: Vec<usize> =
        stored(&*app.store).await.into_iter().map(|record| record.object.unwrap().parse().unwrap()).collect();
    objects.sort_unstable();
    assert_eq!(objects, (0..most).collect::<Vec<_>>());
}

#[tokio::test]
async fn repeated_denied_calls_become_few_records() {
    let app = World::new();
    for n in 0..3000 {
        let event = Event::new(Kind::CallDenied).subject("user-Eve").client(&ClientId::from_static("flyte"));
        app.audit.record(event.object("/a.B/C").detail(Detail::Reason, "role")).await;
        let event = Event::new(Kind::CallDenied).subject("user-Eve").client(&ClientId::from_static("flyte"));
        app.audit.record(event.object(&format!("/a.B/{n}")).detail(Detail::Reason, "role")).await;
    }
    app.audit.flush().await;
    let records = stored(&*app.store).await;
    assert!(records.len() < 30, "{}", records.len());
    assert!(records.iter().all(|record| record.subject.as_deref() == Some("user-Eve")));
    let counted: u64 = records
        .iter()
        .map(|record| record.details.get("repeated").map_or(1, |count| count.parse().unwrap()))
        .sum();
    assert_eq!(counted, 6000, "no event is lost");
}

/// Locks the database in another process for longer than the server waits, and then releases it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_database_loses_no_event() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    let audit = Audit::start(store.clone(), Clock::manual(NOW));
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("ALTER TABLE audit_records RENAME TO elsewhere").unwrap();
    audit.record(Event::new(Kind::SignedIn)).await;
    let waiting = tokio::spawn({
        let audit = audit.clone();
        async move { audit.record(Event::new(Kind::TrustDeleted)).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished(), "the event changes rights and is not stored yet");
    other.execute_batch("ALTER TABLE elsewhere RENAME TO audit_records").unwrap();
    waiting.await.unwrap();
    audit.flush().await;
    assert_eq!(stored(&*store).await.len(), 2);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_event_is_a_line_with_a_field_for_each_detail() {
    let app = World::new();
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
    let guard = log_to(subscriber);
    for kind in Kind::ALL {
        let event = Event::new(*kind)
            .subject("who\n")
            .client(&ClientId::from_static("c"))
            .object("o")
            .from([203, 0, 113, 9].into());
        let event = Detail::ALL
            .iter()
            .fold(event, |event, detail| event.detail(*detail, format!("<{}>", detail.as_str())));
        app.audit.record(event).await;
    }
    app.audit.record(Event::new(Kind::SignedIn)).await;
    drop(guard);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).filter(is_audit).collect();
    assert_eq!(lines.len(), Kind::ALL.len() + 1);
    for (kind, line) in Kind::ALL.iter().zip(&lines) {
        assert_eq!(line["event"], kind.as_str());
        assert_eq!(line["level"], if kind.is_suspicious() { "WARN" } else { "INFO" });
        assert_eq!((&line["subject"], &line["address"]), (&"who\n".into(), &"203.0.113.9".into()));
        for detail in Detail::ALL {
            assert_eq!(line[detail.as_str()], format!("<{}>", detail.as_str()), "{kind:?}");
        }
    }
    let bare = lines.last().unwrap().as_object().unwrap();
    let names: Vec<_> = bare.keys().map(String::as_str).collect();
    assert_eq!(names, ["event", "level", "target", "timestamp"]);
}

fn is_audit(line: &serde_json::Value) -> bool {
    line["target"] == "audit"
}

#[test]
fn names_are_unique_and_texts_are_cut() {
    for names in [
        Kind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
        Detail::ALL.iter().map(|detail| detail.as_str()).collect(),
    ] {
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }
    let record = Event::new(Kind::CallDenied).object(&"\u{e9}".repeat(10_000)).into_record(NOW);
    let object = record.object.unwrap();
    assert!(object.len() < 520 && object.ends_with("\u{e9}\u{2026}"), "{}", object.len());
}
