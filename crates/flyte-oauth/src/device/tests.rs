//! The device authorization endpoint and the page for approval, through the router.

mod guessing;
mod page;

use std::net::{IpAddr, Ipv4Addr};

use http::{Request, header};
use serde_json::{Value, json};

use crate::{
    device::user_code::UserCode,
    fixture::{Answer, Pairs, Server, encode},
};
use flyte_model::{ClientAddr, ClientId};
use flyte_secrets::opaque_token;

const PATH: &str = "/oauth2/device_authorization";

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Sends a valid request of `flyte` with one parameter replaced, added, or removed (if empty).
async fn ask(server: &Server, name: &str, value: &str) -> Answer {
    let mut pairs = vec![("client_id", "flyte"), ("scope", "openid all")];
    pairs.retain(|(known, _)| *known != name);
    if !value.is_empty() {
        pairs.push((name, value));
    }
    server.post(PATH, &pairs).await
}

async fn ask_from(server: &Server, address: IpAddr, pairs: Pairs<'_>) -> Answer {
    let request = Request::post(PATH)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .extension(ClientAddr(address));
    server.send(request.body(encode(pairs).into()).unwrap()).await
}

#[tokio::test]
async fn a_device_gets_two_codes() {
    let server = Server::start().await;
    let answer = ask(&server, "audience", "https://localhost:8443").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    let device = answer.json();
    assert!(text(&device["device_code"]).starts_with("fld_") && text(&device["device_code"]).len() == 47);
    let user_code = text(&device["user_code"]);
    assert!(UserCode::parse(user_code).unwrap().to_string() == user_code && user_code.len() == 9);
    assert_eq!(device["verification_uri"], "https://localhost:8443/device");
    let complete = format!("https://localhost:8443/device?user_code={user_code}");
    assert_eq!(device["verification_uri_complete"], complete.as_str());
    assert_eq!((&device["expires_in"], &device["interval"]), (&json!(600), &json!(5)));
    let other = ask(&server, "", "").await.json();
    for field in ["device_code", "user_code"] {
        assert_ne!(device[field], other[field], "{field}");
    }
    // The store contains neither code.
    let hash = UserCode::parse(user_code).unwrap().hash();
    let stored = server.state.store.waiting_device(&hash, server.state.clock.now()).await.unwrap().unwrap();
    assert_eq!(stored.device_code_hash, opaque_token::hash(text(&device["device_code"])));
    assert_eq!((stored.client_id.as_str(), stored.address.as_str()), ("flyte", "203.0.113.9"));
}

#[tokio::test]
async fn invalid_device_requests_are_refused() {
    let server = Server::start().await;
    let mut client =
        server.state.store.client_by_id(&ClientId::from_static("native")).await.unwrap().unwrap();
    client.id = ClientId::from_static("browser only");
    client.grant_types.retain(|grant| *grant != flyte_model::GrantType::DeviceCode);
    server.state.store.put_client(&client).await.unwrap();
    for (name, value, status, error) in [
        ("client_id", "", 400, "invalid_request"),
        ("client_id", "no-client", 401, "invalid_client"),
        ("client_id", "web app", 401, "invalid_client"),
        ("client_secret", "s", 401, "invalid_client"),
        ("client_id", "browser only", 400, "unauthorized_client"),
        ("scope", "", 400, "invalid_scope"),
        ("scope", "openid admin", 400, "invalid_scope"),
        ("scope", "a\"", 400, "invalid_scope"),
        ("resource", "https://other.example", 400, "invalid_target"),
        ("audience", "https://other.example", 400, "invalid_target"),
        ("max_age", "soon", 400, "invalid_request"),
        ("max_age", "-1", 400, "invalid_request"),
    ] {
        let answer = ask(&server, name, value).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (status, error), "{name}={value}");
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    }
    let twice = [("client_id", "flyte"), ("scope", "all"), ("scope", "all")];
    assert_eq!(server.post(PATH, &twice).await.error(), "invalid_request");
    let get = Request::get(format!("{PATH}?client_id=flyte&scope=all")).body(Default::default()).unwrap();
    assert_eq!(server.send(get).await.status, 405);
}

#[tokio::test]
async fn the_lifetime_follows_the_setting() {
    let server = Server::with(|config| config.tokens.device_code_ttl = 30).await;
    let device = server.device().await;
    assert_eq!(device["expires_in"], 30);
    server.state.clock.advance(30);
    assert_eq!(server.poll(&device).await.error(), "expired_token");
}

#[tokio::test]
async fn a_device_can_require_a_recent_sign_in() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    server.state.clock.advance(900);
    let ask_with = async |max_age: &str| ask(&server, "max_age", max_age).await.json();
    // The sign-in is recent enough.
    let device = ask_with("900").await;
    assert_eq!(browser.answer(&device, "approve").await.status, 200);
    let expected = server.state.clock.now() - 900;
    assert_eq!(Answer::claims(&server.poll(&device).await.json()["access_token"])["auth_time"], expected);
    // The sign-in is too old: the browser goes to the sign-in page once, and back to the question.
    for max_age in ["899", "0"] {
        let mut browser = server.browser("Ada").await;
        server.state.clock.advance(900);
        let device = ask_with(max_age).await;
        server.state.clock.advance(60);
        let return_to = browser.look_at(&device).await.return_to();
        assert!(return_to.starts_with("/device?user_code="), "{return_to}");
        assert_eq!(server.poll(&device).await.error(), "authorization_pending");
        browser.sign_in("Ada").await;
        let signed_in = server.state.clock.now();
        server.state.clock.advance(10);
        assert_eq!(browser.get(&return_to).await.status, 200);
        assert_eq!(browser.answer(&device, "approve").await.status, 200);
        let tokens = server.poll(&device).await.json();
        assert_eq!(Answer::claims(&tokens["access_token"])["auth_time"], signed_in);
    }
    // The page was opened in time but submitted too late.
    let mut browser = server.browser("Ada").await;
    server.state.clock.advance(1);
    let device = ask_with("5").await;
    let page = browser.look_at(&device).await;
    let (csrf, code) = (page.field("csrf"), page.field("user_code"));
    server.state.clock.advance(5);
    let pairs = |decision| [("csrf", csrf.as_str()), ("user_code", code.as_str()), ("decision", decision)];
    browser.post("/device", &pairs("approve")).await.return_to();
    assert_eq!(server.poll(&device).await.error(), "authorization_pending");
    assert_eq!(browser.post("/device", &pairs("deny")).await.status, 200, "a denial needs no sign-in");
    server.state.clock.advance(5);
    assert_eq!(server.poll(&device).await.error(), "access_denied");
}

#[tokio::test]
async fn an_address_that_requests_too_many_codes_waits() {
    let server = Server::start().await;
    let pairs = [("client_id", "flyte"), ("scope", "all")];
    let address = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
    for _ in 0..30 {
        assert_eq!(ask_from(&server, address, &pairs).await.status, 200);
    }
    let refused = ask_from(&server, address, &pairs).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (429, "temporarily_unavailable"));
    assert_eq!(refused.headers[header::RETRY_AFTER], "2");
    assert_eq!(server.device().await["expires_in"], 600, "from another address");
    server.state.clock.advance(2);
    assert_eq!(ask_from(&server, address, &pairs).await.status, 200);
}

/// A device of `flyte` that shows a number, and the number.
async fn numbered(server: &Server) -> (Value, String) {
    let device = ask(server, "number_matching", "true").await.json();
    let number = text(&device["matching_number"]).to_owned();
    (device, number)
}

/// Answers the page about a device with this number.
async fn approve(browser: &mut crate::fixture::Browser<'_>, device: &Value, number: &str) -> Answer {
    let page = browser.look_at(device).await;
    assert!(page.text().contains("Number that your device shows"), "{}", page.text());
    assert!(number.is_empty() || !page.text().contains(&format!(">{number}<")), "the page does not show it");
    let (csrf, code) = (page.field("csrf"), page.field("user_code"));
    let pairs = [("csrf", &*csrf), ("user_code", &code), ("decision", "approve"), ("number", number)];
    browser.post("/device", &pairs).await
}

#[tokio::test]
async fn a_device_that_shows_a_number_needs_it_for_the_approval() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let (device, number) = numbered(&server).await;
    assert!(number.len() == 2 && number.parse::<u8>().unwrap() >= 10, "{number}");
    // What is no number is not an attempt.
    for entered in ["", "4", "x7", "470"] {
        let answer = approve(&mut browser, &device, entered).await;
        assert_eq!(answer.status, 400, "{entered}");
        assert!(answer.text().contains("Enter the two digits."), "{}", answer.text());
        assert_eq!(server.poll(&device).await.error(), "authorization_pending");
        server.state.clock.advance(6);
    }
    assert_eq!(approve(&mut browser, &device, &number).await.status, 200);
    assert_eq!(server.poll(&device).await.status, 200);
    // A client that does not know of numbers is not asked for one.
    let device = server.device().await;
    assert!(device.get("matching_number").is_none());
    assert_eq!(browser.answer(&device, "approve").await.status, 200);
    assert_eq!(server.poll(&device).await.status, 200);
}

#[tokio::test]
async fn a_wrong_number_ends_the_code() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let (device, number) = numbered(&server).await;
    let (other, _) = numbered(&server).await;
    let wrong =
        if number == "99" { "98".to_owned() } else { (number.parse::<u8>().unwrap() + 1).to_string() };
    let answer = approve(&mut browser, &device, &wrong).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("The number is wrong"), "{}", answer.text());
    assert_eq!(server.poll(&device).await.error(), "access_denied");
    // The right one comes too late, and is right for its own device only.
    assert_eq!(browser.look_at(&device).await.status, 404);
    assert_eq!(server.poll(&other).await.error(), "authorization_pending");
    // A denial needs no number.
    assert_eq!(browser.answer(&other, "deny").await.status, 200);
    server.state.audit.flush().await;
    let query = flyte_store::AuditQuery {
        limit: 10,
        event: Some("device_denied".to_owned()),
        ..flyte_store::AuditQuery::default()
    };
    let (events, _) = server.state.store.list_audit_records(&query).await.unwrap();
    let reasons: Vec<_> = events.iter().map(|event| event.record.details.get("reason").cloned()).collect();
    assert_eq!(reasons, [None, Some("wrong number".to_owned())]);
}

#[tokio::test]
async fn the_setting_decides_about_numbers() {
    use flyte_settings::NumberMatching::{Off, Required};
    let server = Server::with(|config| config.tokens.device_match = Required).await;
    let refused = ask(&server, "", "").await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "number_matching_required"));
    numbered(&server).await;
    let server = Server::with(|config| config.tokens.device_match = Off).await;
    assert!(ask(&server, "number_matching", "true").await.json().get("matching_number").is_none());
    assert_eq!(ask(&server, "number_matching", "yes").await.error(), "invalid_request");
}
