//! Signing in.

use axum::http::header;
use url::form_urlencoded;

use super::*;
use flyte_identity::session;

const SESSION: &str = session::COOKIE;

#[tokio::test]
async fn the_right_password_signs_in_and_returns_to_the_request() {
    let server = Server::start().await;
    let mut browser = server.browser();
    let page = browser.sign_in_for(AUTHORIZE, " ada@EXAMPLE.com ", PASSWORD).await;
    assert_eq!(page.location(), AUTHORIZE);
    let cookies = page.all(header::SET_COOKIE);
    assert_eq!(cookies.len(), 2);
    assert!(cookies[1].starts_with("__Host-flyte_known="));
    assert!(cookies[0].starts_with("__Host-flyte_session="));
    assert!(cookies[0].ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=43200"), "{cookies:?}");

    let signed_in = server.state.sessions.current(&browser.headers()).await.unwrap().unwrap();
    assert_eq!(signed_in.user.id, "id-of-Ada");
    assert_eq!(signed_in.session.authenticated_at, server.state.clock.now());
    assert_eq!(signed_in.session.expires_at, server.state.clock.now() + 43200);
    assert!(browser.get("/").await.body.contains("Ada@example.com"));
    assert_eq!(browser.get("/login").await.location(), "/");
    assert_eq!(server.browser().sign_in("ada@example.com", PASSWORD).await.location(), "/");
}

#[tokio::test]
async fn a_sign_in_for_a_device_returns_to_its_code() {
    let server = Server::start().await;
    let mut browser = server.browser();
    let page = browser.get(&login_for("/device?user_code=WDJB-MJH7")).await;
    assert!(page.body.contains("to continue to <strong>your other device</strong>"));
    assert_eq!(page.field("return_to").unwrap(), "/device?user_code=WDJB-MJH7");
    let page = browser.sign_in_for("/device?user_code=WDJB-MJH7", "ada@example.com", PASSWORD).await;
    assert_eq!(page.location(), "/device?user_code=WDJB-MJH7");
    assert_eq!(browser.sign_in_for("/devices", "ada@example.com", PASSWORD).await.location(), "/");
}

#[tokio::test]
async fn each_sign_in_replaces_the_session() {
    let server = Server::start().await;
    let mut browser = server.browser();
    browser.sign_in("ada@example.com", PASSWORD).await;
    let old = browser.clone();
    let first = server.state.sessions.current(&old.headers()).await.unwrap().unwrap().session;
    browser.sign_in("ada@example.com", PASSWORD).await;
    let second = server.state.sessions.current(&browser.headers()).await.unwrap().unwrap().session;
    assert_ne!(first.id, second.id);
    assert_ne!(old.cookie(SESSION), browser.cookie(SESSION));
    assert!(server.state.sessions.current(&old.headers()).await.unwrap().is_none());

    // A cookie that an attacker has set does not become the session's.
    let mut fixed = server.browser();
    fixed.cookies.push((SESSION.to_owned(), "A".repeat(43)));
    fixed.sign_in("ada@example.com", PASSWORD).await;
    assert_ne!(fixed.cookie(SESSION).unwrap(), "A".repeat(43));
}

#[tokio::test]
async fn a_session_ends_by_expiry_by_sign_out_and_with_the_account() {
    let server = Server::start().await;
    let mut browser = server.browser();
    browser.sign_in("ada@example.com", PASSWORD).await;
    let signed_in = server.state.sessions.current(&browser.headers()).await.unwrap().unwrap();
    let cookie = server.state.sessions.end(&signed_in.session).await.unwrap();
    assert_eq!(cookie, "__Host-flyte_session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    assert!(server.state.sessions.current(&browser.headers()).await.unwrap().is_none());

    browser.sign_in("ada@example.com", PASSWORD).await;
    server.state.clock.advance(43199);
    assert!(server.state.sessions.current(&browser.headers()).await.unwrap().is_some());
    server.state.clock.advance(1);
    assert!(server.state.sessions.current(&browser.headers()).await.unwrap().is_none());

    let disabled = server.state.store.user_by_email("disabled@example.com").await.unwrap().unwrap();
    assert!(server.state.sessions.start(&disabled).await.unwrap().is_none());
    browser.sign_in("ada@example.com", PASSWORD).await;
    assert!(server.state.store.disable_user("id-of-Ada", server.state.clock.now()).await.unwrap().is_some());
    assert!(server.state.sessions.current(&browser.headers()).await.unwrap().is_none());
    assert!(server.state.store.enable_user("id-of-Ada").await.unwrap());
    assert!(server.state.sessions.current(&browser.headers()).await.unwrap().is_none(), "it stays ended");
}

#[tokio::test]
async fn every_wrong_sign_in_has_the_same_response_and_work() {
    let server = Server::start().await;
    let mut answers = Vec::new();
    for (number, (email, password)) in [
        ("ada@example.com", "wrong horse battery"),
        ("unknown@example.com", PASSWORD),
        ("disabled@example.com", PASSWORD),
        ("elsewhere@example.com", PASSWORD),
        ("ada@example.com", ""),
        ("", PASSWORD),
        (&format!("{}@example.com", "x".repeat(300)), PASSWORD),
        ("<b>\"ada\"</b>", PASSWORD),
    ]
    .into_iter()
    .enumerate()
    {
        let mut browser = server.browser();
        let hashes = server.state.passwords.computed();
        let page = browser.sign_in_for(AUTHORIZE, email, password).await;
        assert_eq!(server.state.passwords.computed(), hashes + 1, "{email}");
        assert_eq!(page.status, StatusCode::UNAUTHORIZED);
        assert_eq!(page.header(header::WWW_AUTHENTICATE), "Cookie form-action=\"/login\"");
        assert!(page.all(header::SET_COOKIE).is_empty());
        assert!(browser.cookie(SESSION).is_none());
        let kept = email.replace('<', "&#60;").replace('>', "&#62;").replace('"', "&#34;");
        assert_eq!(page.field("email").unwrap(), kept);
        assert_eq!(page.field("return_to").unwrap(), AUTHORIZE.replace('&', "&#38;"));
        assert_eq!(page.field("password"), None);
        let neutral =
            page.body.replace(&page.field("csrf").unwrap(), "").replace(&format!("value=\"{kept}\""), "");
        if number < 4 {
            answers.push(neutral);
        }
        assert!(page.body.contains("The e-mail address or the password is wrong."));
        assert!(page.body.contains("role=\"alert\""));
    }
    assert!(answers.iter().all(|answer| answer == &answers[0]));
}

#[tokio::test]
async fn a_sign_in_leads_only_to_authorization_requests() {
    let server = Server::start().await;
    for target in [
        "",
        "/",
        "/oauth2/authorize",
        "/oauth2/logout?x",
        "//evil.example/oauth2/authorize?x",
        "/\\evil.example",
        "https://evil.example/",
        "https://evil.example/oauth2/authorize?x",
        "https://localhost:8443/oauth2/authorize?x",
        "/oauth2/authorize?a\r\nLocation: https://evil.example",
        "/oauth2/authorize/../../x?y",
        "javascript:alert(1)",
        "\u{2f}\u{2f}evil.example",
    ] {
        let mut browser = server.browser();
        assert_eq!(browser.get(&login_for(target)).await.field("return_to"), None, "{target:?}");
        assert_eq!(
            browser.sign_in_for(target, "ada@example.com", PASSWORD).await.location(),
            "/",
            "{target:?}"
        );
    }
    // A repeated parameter is ignored.
    let twice = format!("{}&return_to=%2F", login_for(AUTHORIZE));
    assert_eq!(server.browser().get(&twice).await.field("return_to"), None);
}

#[tokio::test]
async fn the_page_names_the_client() {
    let server = Server::start().await;
    let mut browser = server.browser();
    let page = browser.get(&login_for(AUTHORIZE)).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("to continue to <strong>Flyte &#60;CLI&#62;</strong>"));
    for unknown in ["/oauth2/authorize?client_id=other", "/oauth2/authorize?state=s"] {
        let page = browser.get(&login_for(unknown)).await;
        assert!(page.body.contains("to your account at <strong>localhost:8443</strong>"));
        assert_eq!(page.field("return_to").unwrap(), unknown);
    }
    let hinted =
        form_urlencoded::Serializer::new(AUTHORIZE.to_owned()).append_pair("login_hint", "a\"b@c").finish();
    assert_eq!(browser.get(&login_for(&hinted)).await.field("email").unwrap(), "a&#34;b@c");
    // A signed-in user who is sent here must sign in again.
    browser.sign_in("ada@example.com", PASSWORD).await;
    assert_eq!(browser.get(&login_for(AUTHORIZE)).await.field("email").unwrap(), "Ada@example.com");
}

#[tokio::test]
async fn an_outdated_hash_is_replaced() {
    use argon2::{Argon2, PasswordHash, PasswordHasher};
    let server = Server::start().await;
    let weak = Argon2::from(argon2::Params::new(8, 1, 1, None).unwrap());
    let weak: PasswordHash = weak.hash_password_with_salt(PASSWORD.as_bytes(), b"salt and pepper!").unwrap();
    assert!(server.state.store.set_password_hash("id-of-Ada", &weak.to_string(), 1).await.unwrap());
    let user = server.state.store.user_by_id("id-of-Ada").await.unwrap().unwrap();
    let (_, elsewhere) = server.state.sessions.start(&user).await.unwrap().unwrap();
    let mut browser = server.browser();
    assert_eq!(browser.sign_in("ada@example.com", "wrong horse").await.status, StatusCode::UNAUTHORIZED);
    let stored =
        async || server.state.store.user_by_id("id-of-Ada").await.unwrap().unwrap().password_hash.unwrap();
    assert_eq!(stored().await, weak.to_string());
    browser.sign_in("ada@example.com", PASSWORD).await;
    let upgraded = stored().await;
    assert!(upgraded.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{upgraded}");
    let elsewhere = HeaderMap::from_iter([(header::COOKIE, elsewhere)]);
    assert!(server.state.sessions.current(&elsewhere).await.unwrap().is_some(), "the password is the same");
    browser.sign_in("ada@example.com", PASSWORD).await;
    assert_eq!(stored().await, upgraded);
    // A password that was changed while the old one was being verified stays changed.
    let weak = weak.to_string();
    assert!(!server.state.store.upgrade_password_hash("id-of-Ada", &weak, "other").await.unwrap());
    assert_eq!(stored().await, upgraded);
}

#[tokio::test]
async fn a_password_changed_during_its_verification_is_refused() {
    for change in ["reset", "disable"] {
        let server = Server::start().await;
        let (store, now) = (&server.state.store, server.state.clock.now());
        let mut browser = server.browser();
        let csrf = browser.csrf().await;
        let before = server.state.passwords.computed();
        let change = async {
            // The old hash was read before; verifying it takes longer than the following steps.
            while server.state.passwords.computed() == before {
                tokio::task::yield_now().await;
            }
            assert!(match change {
                "reset" => store.set_password_hash("id-of-Ada", "$new", now).await.unwrap(),
                _ => store.disable_user("id-of-Ada", now).await.unwrap().is_some(),
            });
        };
        let fields = [("csrf", csrf.as_str()), ("email", "ada@example.com"), ("password", PASSWORD)];
        let (_, ()) = tokio::join!(browser.post("/login", &fields), change);
        assert!(server.state.sessions.current(&browser.headers()).await.unwrap().is_none());
        assert!(store.enable_user("id-of-Ada").await.unwrap());
        assert!(server.state.sessions.current(&browser.headers()).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn the_audit_log_has_user_and_address_and_no_secret() {
    use std::{io, sync::Mutex};

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
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone());
    let server = Server::start().await;
    let guard = flyte_testing::log_to(subscriber.finish());
    let mut browser = server.browser();
    browser.sign_in("ada@example.com", "hunter2hunter2").await;
    browser.sign_in("hunter3hunter3", "x").await;
    browser.sign_in("ada@example.com", PASSWORD).await;
    browser.post("/login", &[("email", "ada@example.com"), ("password", PASSWORD)]).await;
    drop(guard);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("audit")).collect();
    assert_eq!(lines.len(), 4, "{log}");
    assert!(lines[0].contains("event=\"sign_in_failed\" subject=\"id-of-Ada\""), "{}", lines[0]);
    assert!(lines[1].contains("event=\"sign_in_failed\"") && !lines[1].contains("subject="), "{}", lines[1]);
    assert!(lines[2].contains("event=\"signed_in\" subject=\"id-of-Ada\""), "{}", lines[2]);
    assert!(lines[3].contains("event=\"sign_in_refused\" reason=\"csrf\""), "{}", lines[3]);
    assert!(lines.iter().all(|line| line.contains("address=203.0.113.9")));
    let cookies: Vec<_> = browser.cookies.iter().map(|(_, value)| value.as_str()).collect();
    for secret in ["hunter", PASSWORD, "argon2id"].into_iter().chain(cookies) {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
