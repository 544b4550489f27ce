//! Signing keys, settings, providers and the audit log.

use flyte_store::AuditRecord;
use flyte_testing::NOW;
use http::StatusCode;

use super::{HOSTILE, Server};

#[tokio::test]
async fn keys_are_rotated_and_replaced_after_a_leak() {
    let server = Server::start().await;
    let root = server.browser("Root").await;
    let path = "/admin/signing-keys";
    let kids = async || {
        let keys = server.parts.store.signing_keys().await.unwrap();
        keys.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    let first = kids().await;
    let page = root.page(path).await;
    assert!(page.contains(&first[0]) && page.contains("0 seconds"), "{page}");
    // What follows is said before.
    assert!(page.contains("Lose their token") && page.contains("end all tokens"), "{page}");
    let page = root.change(path, &[("act", "rotate")]).await;
    assert!(page.contains("The keys are rotated") && page.contains("retired"), "{page}");
    assert!(kids().await.contains(&first[0]), "it verifies what it signed");
    assert_eq!(server.events("keys_rotated").await.len(), 1);

    let claims = serde_json::json!({"sub": "x"});
    let token = server.parts.keys.sign("at+jwt", &claims).unwrap();
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    root.fails(path, &[("act", "revoke"), ("confirm", "yes")], status).await;
    assert!(server.parts.keys.verify::<serde_json::Value>(&token, "at+jwt").is_ok());
    // And afterwards.
    let page = root.change(path, &[("act", "revoke"), ("confirm", "end all tokens")]).await;
    assert!(page.contains("all tokens have ended") && !page.contains(&first[0]), "{page}");
    assert!(server.parts.keys.verify::<serde_json::Value>(&token, "at+jwt").is_err());
    assert_eq!(server.events("keys_replaced").await[0].record.subject.as_deref(), Some("user-Root"));
}

#[tokio::test]
async fn settings_have_their_sources() {
    let server = Server::start().await;
    let root = server.browser("Root").await;
    let page = root.page("/admin/settings").await;
    assert!(page.contains("tls.certificate") && page.contains("/etc/flyte-server.toml:3"), "{page}");
    let page = root.page("/admin/providers").await;
    assert!(page.contains("passwords of this server only"), "{page}");
}

#[tokio::test]
async fn events_are_filtered_shown_in_full_and_exported() {
    let server = Server::start().await;
    let event = |n: i64, event: &str, object: &str| AuditRecord {
        at: NOW + n,
        event: event.to_owned(),
        subject: Some("user-Vic".to_owned()),
        client_id: Some("flyte".to_owned()),
        address: Some("203.0.113.1".to_owned()),
        object: Some(object.to_owned()),
        details: [("reason".to_owned(), HOSTILE.to_owned()), ("project".to_owned(), "p".to_owned())].into(),
    };
    let mut records =
        vec![event(0, "call_denied", "=cmd|' /C calc'!A0"), event(1, "signed_in", "a\u{202e}b")];
    records.extend((2..1200).map(|n| event(n, "run_created", "p/development/r")));
    server.parts.store.append_audit_records(&records).await.unwrap();
    let root = server.browser("Root").await;
    let page = root.page("/admin/audit").await;
    assert!(page.contains("Older events") && page.contains("run created"), "{page}");
    let page = root.page("/admin/audit?result=refused").await;
    assert!(page.contains("call denied</bdi>") && !page.contains("run created</bdi>"), "{page}");
    let page = root.page("/admin/audit?who=VIC%40example.com&what=signed_in&project=p").await;
    assert!(page.contains("a[U+202E]b") && !page.contains('\u{202e}'), "{page}");
    let page = root.page("/admin/audit?project=q").await;
    assert!(page.contains("No event matches."), "{page}");
    for wrong in ["from=nowhere", "since=yesterday", "who=%40", "since=2026-03-09&until=2026-03-01"] {
        let answer = root.get(&format!("/admin/audit?{wrong}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {answer:?}");
        assert!(answer.body.contains("role=\"alert\""), "{wrong}: {answer:?}");
    }
    let page = root.page("/admin/audit/events/1").await;
    assert!(page.contains("refused or failed") && page.contains("203.0.113.1"), "{page}");
    for missing in ["999999", "x", "-1"] {
        let answer = root.get(&format!("/admin/audit/events/{missing}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{missing}");
    }
    // All of it, more than one page, and nothing in it is a formula.
    let answer = root.get("/admin/audit.csv").await;
    let lines: Vec<_> = answer.body.lines().collect();
    assert_eq!(lines.len(), 1 + 1200, "{:?}", lines.first());
    assert!(lines[0].starts_with("id,time,event,result,email"), "{}", lines[0]);
    assert!(answer.body.contains(",'=cmd|' /C calc'!A0,"), "{}", lines.last().unwrap());
    let answer = root.get("/admin/audit.csv?what=signed_in").await;
    assert_eq!(answer.body.lines().count(), 2);
}
