//! Entering a code and approving the device.

use std::net::{IpAddr, Ipv4Addr};

use super::text;
use crate::fixture::{NOW, Server};
use flyte_model::{ClientId, Scopes};
use flyte_store::{AuditQuery, DeviceAuthorization, DevicePoll};

#[tokio::test]
async fn a_user_opens_the_link_and_approves_the_device() {
    let server = Server::start().await;
    let device = server.device().await;
    // The link from the device, opened on a phone without a signed-in user.
    let url = text(&device["verification_uri_complete"]).strip_prefix("https://localhost:8443").unwrap();
    let mut phone = server.stranger();
    phone.address = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
    let return_to = phone.get(url).await.return_to();
    assert_eq!(return_to, url, "the code is kept");
    phone.sign_in("Ada").await;
    server.state.clock.advance(90);
    let page = phone.get(&return_to).await;
    assert_eq!(page.status, 200);
    let shown = page.text();
    for part in [
        "Connect Flyte?",
        text(&device["user_code"]),
        "ada@example.com",
        "203.0.113.9",
        "The device is in another network than this browser.",
        "90 seconds ago, at <time datetime=\"2027-01-15T08:00Z\">08:00 UTC</time>",
        "See your e-mail address",
        "Client <code>flyte</code> at <strong>localhost:8443</strong>",
        "/login?return_to=%2Fdevice%3Fuser_code%3D",
    ] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    // The answer comes before the long list of what the device may do.
    assert!(shown.find("Approve</button>") < shown.find("It will be able to"), "{shown}");
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["x-frame-options"], "DENY");
    let (csrf, code) = (page.field("csrf"), page.field("user_code"));
    let page = phone.post("/device", &[("csrf", &csrf), ("user_code", &code), ("decision", "approve")]).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Flyte is connected") && page.text().contains("203.0.113.9"));
    assert_eq!(server.poll(&device).await.status, 200);
    // Reloading asks again and changes nothing.
    let page = phone.post("/device", &[("csrf", &csrf), ("user_code", &code), ("decision", "deny")]).await;
    assert_eq!(page.status, 404);
    assert!(page.text().contains("No device is waiting for this code."));
}

#[tokio::test]
async fn codes_may_be_typed_in_many_ways() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let form = browser.get("/device").await;
    assert_eq!(form.status, 200);
    assert!(form.text().contains("<label for=\"user_code\">Code</label>"));
    assert!(form.text().contains("method=\"get\" action=\"/device\""));
    for _ in 0..3 {
        let device = server.device().await;
        let code = text(&device["user_code"]);
        for typed in [
            code.to_lowercase(),
            code.replace('-', ""),
            code.replace('-', "+").to_lowercase(),
            format!("+{}%20", code.replace('0', "o").replace('1', "L")),
        ] {
            let page = browser.get(&format!("/device?user_code={typed}")).await;
            assert_eq!(page.status, 200, "{typed}");
            assert_eq!(page.field("user_code"), code, "compared as the device shows it");
        }
    }
}

#[tokio::test]
async fn invalid_codes_are_reported_and_not_counted() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    for _ in 0..20 {
        for typed in ["x", "WDJB-MJH", "WDJB-MJHU", "%FF", "%3Cscript%3E"] {
            let page = browser.get(&format!("/device?user_code={typed}")).await;
            // A value that cannot be decoded counts as absent.
            assert_eq!(page.status, if typed == "%FF" { 200 } else { 400 }, "{typed}");
            assert!(!page.text().contains("<script>"));
        }
    }
    let device = server.device().await;
    assert_eq!(browser.look_at(&device).await.status, 200);
}

#[tokio::test]
async fn unknown_expired_and_used_codes_get_the_same_page() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let [approved, denied, expired] = [server.device().await, server.device().await, server.device().await];
    browser.answer(&approved, "approve").await;
    browser.answer(&denied, "deny").await;
    let fetched = server.device().await;
    browser.answer(&fetched, "approve").await;
    server.poll(&fetched).await.json();
    server.state.clock.advance(600);
    let mut answers = Vec::new();
    for device in [&approved, &denied, &expired, &fetched, &serde_json::json!({"user_code": "WDJB-MJH7"})] {
        let mut browser = server.browser("Bob").await;
        browser.address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        let code = text(&device["user_code"]);
        let page = browser.look_at(device).await;
        answers.push((page.status.as_u16(), page.text().replace(code, "CODE")));
        server.state.clock.advance(600);
    }
    assert_eq!(answers[0].0, 404);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[tokio::test]
async fn a_decision_needs_a_signed_in_user() {
    let server = Server::start().await;
    let device = server.device().await;
    let code = text(&device["user_code"]);
    let mut stranger = server.stranger();
    assert_eq!(stranger.get("/device").await.return_to(), "/device");
    assert_eq!(
        stranger.get("/device?user_code=%22%3E&x=y").await.return_to(),
        "/device",
        "invalid values are dropped"
    );
    assert_eq!(stranger.get("/device?user_code=never-never").await.return_to(), "/device");
    let pairs = [("user_code", code), ("decision", "approve")];
    assert_eq!(stranger.post("/device", &pairs).await.status, 403);
    // The session ends while the page is open.
    let mut browser = server.browser("Ada").await;
    let page = browser.look_at(&device).await;
    server.state.clock.advance(server.state.config.session_ttl + 1);
    let fresh = server.device().await;
    let pairs = [("csrf", page.field("csrf")), ("user_code", text(&fresh["user_code"]).to_owned())];
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = browser.post("/device", &[&pairs[..], &[("decision", "approve")]].concat()).await;
    assert_eq!(answer.return_to(), format!("/device?user_code={}", text(&fresh["user_code"])));
    assert_eq!(server.poll(&fresh).await.error(), "authorization_pending");
}

#[tokio::test]
async fn only_a_device_that_can_be_shown_is_decided() {
    let server = Server::start().await;
    let user_code = crate::device::user_code::UserCode::parse("WDJB-MJH7").unwrap();
    let device = DeviceAuthorization {
        device_code_hash: [1; 32],
        user_code_hash: user_code.hash(),
        family_id: "family".to_owned(),
        client_id: ClientId::from_static("gone"),
        scopes: Scopes::new(),
        audience: None,
        max_age: None,
        match_number: None,
        address: "203.0.113.9".to_owned(),
        interval: 5,
        created_at: NOW,
        expires_at: NOW + 600,
    };
    server.state.store.create_device(&device).await.unwrap();
    let mut browser = server.browser("Ada").await;
    let csrf = browser.look_at(&server.device().await).await.field("csrf");
    let pairs = [("csrf", csrf.as_str()), ("user_code", "WDJB-MJH7"), ("decision", "approve")];
    assert_eq!(browser.post("/device", &pairs).await.status, 404, "its client was deleted");
    let polled = server
        .state
        .store
        .poll_device(&device.device_code_hash, &ClientId::from_static("gone"), NOW)
        .await
        .unwrap();
    assert_eq!(polled, DevicePoll::Pending);
}

#[tokio::test]
async fn only_the_page_can_decide() {
    let server = Server::start().await;
    let device = server.device().await;
    let code = text(&device["user_code"]);
    let mut browser = server.browser("Ada").await;
    let csrf = browser.look_at(&device).await.field("csrf");
    for pairs in [
        vec![("user_code", code), ("decision", "approve")],
        vec![("csrf", "AAAA"), ("user_code", code), ("decision", "approve")],
    ] {
        assert_eq!(browser.post("/device", &pairs).await.status, 403);
    }
    let pairs = [("csrf", csrf.as_str()), ("user_code", code), ("decision", "approve")];
    assert_eq!(server.browser("Bob").await.post("/device", &pairs).await.status, 403);
    // Another user signed in meanwhile, so the page is not theirs.
    browser.sign_in("Bob").await;
    assert_eq!(browser.post("/device", &pairs).await.status, 403);
    // A link never approves, with any parameters.
    let page = browser.get(&format!("/device?user_code={code}&decision=approve")).await;
    assert_eq!(page.status, 200);
    let unclear = [("csrf", page.field("csrf")), ("user_code", code.to_owned())];
    let unclear: Vec<_> = unclear.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = browser.post("/device", &unclear).await;
    assert!(page.text().contains("Connect Flyte?"), "asked again");
    assert_eq!(server.poll(&device).await.error(), "authorization_pending", "not approved");
}

#[tokio::test]
async fn first_party_clients_are_asked_about_too() {
    // A sign-in by code needs consent each time, even if consent was given before: the user who reads the code may
    // not be the one who started the device.
    let server = Server::start().await;
    let ask = [("client_id", "native"), ("scope", "openid offline_access")];
    for _ in 0..2 {
        let device = server.post(super::PATH, &ask).await.json();
        let mut browser = server.browser("Ada").await;
        let page = browser.look_at(&device).await;
        assert!(page.text().contains("Connect Third-party program?"), "{}", page.text());
        assert!(page.text().contains("the same address as this browser"));
        assert!(!page.text().contains("another network"));
        assert!(page.text().contains("Stay signed in when you are away"));
        assert!(!page.text().contains("Do everything that you can do in Flyte"));
        browser.answer(&device, "approve").await;
    }
    assert!(
        server.state.store.consent("user-Ada", &ClientId::from_static("native")).await.unwrap().is_none()
    );
}

#[tokio::test]
async fn the_audit_log_has_user_and_device_and_no_code() {
    let server = Server::start().await;
    let [approved, denied] = [server.device().await, server.device().await];
    let mut browser = server.browser("Ada").await;
    browser.address = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
    browser.answer(&approved, "approve").await;
    browser.answer(&denied, "deny").await;
    for _ in 0..9 {
        browser.look_at(&approved).await;
    }
    // Events that a stranger can cause without limit do not fill the disk.
    server.stranger().post("/device", &[("user_code", "WDJB-MJH7"), ("decision", "approve")]).await;
    server.poll(&approved).await.json();
    server.state.clock.advance(600);
    assert_eq!(server.poll(&approved).await.error(), "invalid_grant");
    server.state.audit.flush().await;
    let query = AuditQuery { limit: 100, ..AuditQuery::default() };
    let (records, _) = server.state.store.list_audit_records(&query).await.unwrap();
    let mut events: Vec<_> = records.iter().rev().map(|stored| stored.record.event.as_str()).collect();
    events.dedup();
    assert_eq!(events, ["device_approved", "device_denied", "device_code_failed", "device_code_replayed"]);
    assert_eq!(records.len(), 3 + 5, "the sixth guess was not looked up");
    let first = &records.last().unwrap().record;
    assert_eq!(first.subject.as_deref(), Some("user-Ada"));
    assert_eq!((first.client_id.as_deref(), first.address.as_deref()), (Some("flyte"), Some("198.51.100.7")));
    let session = &browser.session.as_ref().unwrap().id;
    for (detail, value) in
        [("email", "ada@example.com"), ("device_address", "203.0.113.9"), ("session_id", session)]
    {
        assert_eq!(first.details[detail], value, "{detail}");
    }
    let log = format!("{records:?}");
    for device in [&approved, &denied] {
        for code in ["device_code", "user_code"] {
            assert!(!log.contains(text(&device[code])), "{code}");
        }
    }
}
