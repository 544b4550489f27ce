//! Who gets which page, and who changes what.

use http::{Request, StatusCode, header};

use super::Server;

/// Every page of a list or a form, and whether an administrator of one project gets it. One of the whole server gets all.
const PAGES: &[(&str, bool)] = &[
    ("/admin", true),
    ("/admin/users", true),
    ("/admin/users/new", false),
    ("/admin/users/user-Vic", true),
    ("/admin/groups", true),
    ("/admin/groups/new", false),
    ("/admin/roles", true),
    ("/admin/roles/new", false),
    ("/admin/roles/admin", true),
    ("/admin/policies", true),
    ("/admin/policies/new", true),
    ("/admin/policies/viewer", true),
    ("/admin/api-keys", false),
    ("/admin/api-keys/ci", false),
    ("/admin/applications", false),
    ("/admin/applications/web", false),
    ("/admin/trust", false),
    ("/admin/trust/new", false),
    ("/admin/trust/rule", false),
    ("/admin/providers", false),
    ("/admin/signing-keys", false),
    ("/admin/settings", false),
    ("/admin/audit", false),
    ("/admin/audit.csv", false),
    ("/admin/audit/events/1", false),
];

#[tokio::test]
async fn only_administrators_get_pages() {
    let server = Server::start().await;
    let root = server.browser("Root").await;
    // An event, a key, a client and a rule to look at.
    root.change("/admin/users/user-Vic", &[("act", "rename"), ("name", "Vic")]).await;
    let store = &server.parts.store;
    flyte_testing::api_key(&**store, "ci", |_| {}).await;
    store.put_client(&super::machine::client("web")).await.unwrap();
    let rule = [
        ("act", "create"),
        ("name", "rule"),
        ("issuer", "https://ci.example"),
        ("audience", "a"),
        ("role", "viewer"),
        ("claims", "a=b"),
    ];
    root.change("/admin/trust/new", &rule).await;
    let (pia, vic) = (server.browser("Pia").await, server.browser("Vic").await);
    for (path, of_project) in PAGES {
        assert_eq!(root.get(path).await.status, StatusCode::OK, "{path}");
        let expected = if *of_project { StatusCode::OK } else { StatusCode::FORBIDDEN };
        let answer = pia.get(path).await;
        assert_eq!(answer.status, expected, "{path}: {answer:?}");
        // A user who administers nothing gets nothing, with a page that says so.
        let answer = vic.get(path).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {answer:?}");
        assert!(
            answer.body.contains("You have no access") && !answer.body.contains("@example.com"),
            "{answer:?}"
        );
        // Without a session, the sign-in leads back.
        let (answer, _) = server.send(Request::get(*path), "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert!(answer.location.starts_with("/login?return_to=%2Fadmin"), "{}", answer.location);
    }
}

/// Every change, at a page that exists.
const ACTS: &[(&str, &[(&str, &str)])] = &[
    ("/admin/users/new", &[("act", "create"), ("email", "x@example.com")]),
    ("/admin/users/user-Vic", &[("act", "rename"), ("name", "X")]),
    ("/admin/users/new", &[("act", "create"), ("way", "invitation"), ("email", "x@example.com")]),
    ("/admin/users/user-Vic", &[("act", "password-link")]),
    ("/admin/users/user-Vic", &[("act", "disable")]),
    ("/admin/users/user-Vic", &[("act", "enable")]),
    ("/admin/users/user-Vic", &[("act", "end-sessions")]),
    ("/admin/users/user-Vic", &[("act", "delete"), ("confirm", "vic@example.com")]),
    ("/admin/groups/new", &[("act", "create"), ("name", "X")]),
    ("/admin/roles/new", &[("act", "create"), ("name", "x")]),
    ("/admin/trust/new", &[("act", "create"), ("name", "x")]),
    ("/admin/trust/rule", &[("act", "delete"), ("confirm", "rule")]),
    ("/admin/api-keys/ci", &[("act", "delete"), ("confirm", "ci")]),
    ("/admin/applications/web", &[("act", "delete"), ("confirm", "web")]),
    ("/admin/signing-keys", &[("act", "rotate")]),
    ("/admin/signing-keys", &[("act", "revoke"), ("confirm", "end all tokens")]),
];

#[tokio::test]
async fn only_administrators_of_the_server_change_accounts() {
    let server = Server::start().await;
    for name in ["Pia", "Vic"] {
        let browser = server.browser(name).await;
        for (path, fields) in ACTS {
            let answer = browser.post(path, fields).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name} {path} {fields:?}: {answer:?}");
        }
    }
    let store = &server.parts.store;
    let vic = store.user_by_id("user-Vic").await.unwrap().unwrap();
    assert_eq!((vic.name.as_str(), vic.disabled_at), ("Vic", None));
    assert_eq!(store.user_count().await.unwrap(), 3);
    // Each refusal is in the audit log.
    assert!(!server.events("call_denied").await.is_empty());
}

#[tokio::test]
async fn a_change_needs_the_form_of_this_session_and_a_recent_sign_in() {
    let server = Server::start().await;
    let root = server.browser("Root").await;
    let path = "/admin/users/user-Vic";
    let fields = [("act", "disable")];
    // Another page sends the cookies, but has no token.
    let (answer, _) =
        server.send(Request::post(path).header(header::COOKIE, &root.cookies), "act=disable").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("The form is out of date"), "{answer:?}");
    // A link changes nothing.
    assert_eq!(root.get(&format!("{path}?act=disable")).await.status, StatusCode::OK);
    // 15 minutes after the sign-in.
    server.parts.clock.advance(900);
    let page = root.change(path, &[("act", "enable")]).await;
    assert!(page.contains("is enabled"), "{page}");
    server.parts.clock.advance(1);
    let answer = root.post(path, &fields).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    assert!(answer.body.contains("Sign in again"), "{answer:?}");
    assert!(answer.body.contains("/login?return_to=%2Fadmin%2Fusers%2Fuser-Vic"), "{answer:?}");
    assert_eq!(server.parts.store.user_by_id("user-Vic").await.unwrap().unwrap().disabled_at, None);
    // Reading still works.
    assert_eq!(root.get(path).await.status, StatusCode::OK);
    // What a code in the address says is one of our own sentences.
    let page = root.page(&format!("{path}?done=hacked")).await;
    assert!(!page.contains("hacked") && !page.contains("role=\"status\""), "{page}");
}
