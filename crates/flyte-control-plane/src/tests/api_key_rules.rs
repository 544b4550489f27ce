//! Requirements for creating API keys and trust rules, which outlive the token of the request: a recent sign-in (RFC 9470),
//! and a client that may keep API keys.

use flyte_idl::flyteauth::CreateApiKeyRequest;
use serde_json::json;

use super::{
    api_key::{CREATE_APP, CREATE_KEY, DELETE_KEY, GET_KEY, LIST_KEYS, ROTATE_KEY, UPDATE_APP},
    protocol::{ALL, Protocol},
    trust::{CREATE_TRUST, trust},
    *,
};

/// Whether the header is a step-up challenge of RFC 9470.
fn is_challenge(header: &str) -> bool {
    header.starts_with("Bearer error=\"insufficient_user_authentication\"")
        && header.contains("max_age=\"900\"")
}

#[tokio::test]
async fn long_lived_keys_and_admin_keys_need_a_recent_sign_in() {
    let server = Server::with_project().await;
    let admin = json!({"role": "admin"});
    let request = json!({"name": "old", "access": admin, "noExpiry": true});
    server.ok(CREATE_KEY, "Root", request).await;
    server.ok(CREATE_KEY, "Root", json!({"name": "plain", "lifetime": 10_000})).await;
    server.plane.clock.advance(901);
    for (user, method, request, passes) in [
        ("Ada", CREATE_KEY, json!({"name": "a"}), true),
        ("Ada", CREATE_KEY, json!({"name": "b", "lifetime": 366 * 86_400}), true),
        ("Root", CREATE_APP, json!({"clientName": "c"}), true),
        ("Root", ROTATE_KEY, json!({"clientId": "plain"}), true),
        ("Root", ROTATE_KEY, json!({"clientId": "plain", "lifetime": 20_000}), true),
        ("Ada", CREATE_KEY, json!({"name": "d", "lifetime": 366 * 86_400 + 1}), false),
        ("Ada", CREATE_KEY, json!({"name": "d", "noExpiry": true}), false),
        ("Root", CREATE_KEY, json!({"name": "d", "access": admin}), false),
        ("Root", ROTATE_KEY, json!({"clientId": "old"}), false),
        ("Root", ROTATE_KEY, json!({"clientId": "plain", "noExpiry": true}), false),
        ("Root", CREATE_TRUST, json!({"trust": trust()}), false),
    ] {
        let answer = server.json(method, Some(user), &request).await;
        if passes {
            assert_eq!(answer.status, StatusCode::OK, "{method} {request}: {answer:?}");
            continue;
        }
        let challenge = answer.header("www-authenticate");
        assert!(is_challenge(challenge), "{method} {request}: {answer:?}");
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let (code, message) = answer.error();
        assert_eq!(code, "unauthenticated");
        assert!(message.contains("a sign-in of the last 15 minutes"), "{message}");
        // A user who has just signed in may do this. A refreshed token keeps the time of its sign-in.
        let now = server.plane.clock.now();
        let token = server.token_by("flyte", user, &["all"], now - 900);
        let answer = server.call(&token, method, request.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{method} {request}: {answer:?}");
        if method == CREATE_KEY {
            server.ok(DELETE_KEY, user, json!({"clientId": "d"})).await;
        }
    }
}

#[tokio::test]
async fn the_challenge_is_sent_in_each_protocol() {
    let server = Server::start().await;
    server.plane.clock.advance(901);
    let token = server.token("Ada", &["all"]);
    let request = CreateApiKeyRequest { name: "ci".to_owned(), no_expiry: true, ..Default::default() };
    for protocol in ALL {
        let request = protocol.request(CREATE_KEY, &request.encode_to_vec(), Some(&token));
        let answer = server.send(request).await;
        assert!(is_challenge(answer.header("www-authenticate")), "{protocol:?}: {answer:?}");
        let connect = matches!(protocol, Protocol::Connect | Protocol::ConnectGzip);
        assert_eq!(answer.status == StatusCode::UNAUTHORIZED, connect, "{protocol:?}");
    }
}

#[tokio::test]
async fn third_party_clients_need_may_keep_api_keys() {
    let server = Server::with_project().await;
    server.ok(CREATE_KEY, "Root", json!({"name": "ci", "lifetime": 1000})).await;
    let token = server.token_by("other", "Root", &["all"], NOW);
    let changes = [
        (CREATE_KEY, json!({"name": "new"})),
        (CREATE_APP, json!({"clientName": "new-2"})),
        (UPDATE_APP, json!({"clientId": "ci", "clientName": "Renamed"})),
        (ROTATE_KEY, json!({"clientId": "ci"})),
        (CREATE_TRUST, json!({"trust": trust()})),
        (DELETE_KEY, json!({"clientId": "ci"})),
    ];
    for (method, request) in &changes {
        let (code, message) = server.call(&token, method, request.clone()).await.error();
        assert_eq!(code, "permission_denied", "{method}: {message}");
        assert!(message.contains("--may-keep-api-keys"), "{message}");
    }
    for (method, request) in [(GET_KEY, json!({"clientId": "ci"})), (LIST_KEYS, json!({}))] {
        assert_eq!(server.call(&token, method, request).await.status, StatusCode::OK, "{method}");
    }
    let mut other = client("other", false);
    other.may_keep_api_keys = true;
    server.plane.store.put_client(&other).await.unwrap();
    for (method, request) in &changes {
        let answer = server.call(&token, method, request.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{method}: {answer:?}");
    }
}

#[tokio::test]
async fn a_key_gets_the_default_lifetime_of_the_settings() {
    let server = Server::with(|config| config.api_keys.default_lifetime = 5 * 86_400).await;
    for (method, request) in [
        (CREATE_KEY, json!({"name": "ours"})),
        // The published plugin cannot send a lifetime.
        (CREATE_APP, json!({"clientName": "published"})),
    ] {
        server.ok(method, "Ada", request).await;
    }
    for name in ["ours", "published"] {
        let found = server.ok(GET_KEY, "Ada", json!({"clientId": name})).await;
        assert_eq!(found["apiKey"]["expiresAt"], (NOW + 5 * 86_400).to_string(), "{name}");
    }
    let made = server.ok(CREATE_KEY, "Ada", json!({"name": "never", "noExpiry": true})).await;
    assert_eq!(made["apiKey"].get("expiresAt"), None);
}

#[tokio::test]
async fn a_rotation_changes_the_expiry_only_on_request() {
    let server = Server::start().await;
    server.ok(CREATE_KEY, "Ada", json!({"name": "ci", "lifetime": 1000})).await;
    server.plane.clock.advance(100);
    let end = async |request: Value| {
        server.ok(ROTATE_KEY, "Ada", request).await["apiKey"]["expiresAt"].as_str().map(str::to_owned)
    };
    assert_eq!(end(json!({"clientId": "ci"})).await, Some((NOW + 1000).to_string()));
    assert_eq!(end(json!({"clientId": "ci", "lifetime": 500})).await, Some((NOW + 600).to_string()));
    assert_eq!(end(json!({"clientId": "ci", "noExpiry": true})).await, None);
    assert_eq!(end(json!({"clientId": "ci", "lifetime": 50})).await, Some((NOW + 150).to_string()));
    // A new secret of an expired key would be useless.
    server.plane.clock.advance(50);
    let (code, message) = server.json(ROTATE_KEY, Some("Ada"), &json!({"clientId": "ci"})).await.error();
    assert_eq!(code, "failed_precondition");
    assert!(message.contains("expired at") && message.contains("--expires"), "{message}");
    assert_eq!(end(json!({"clientId": "ci", "lifetime": 50})).await, Some((NOW + 200).to_string()));
}

#[tokio::test]
async fn keys_of_a_disabled_account_end_at_once_on_every_replica() {
    let server = Server::start().await;
    let admin = json!({"role": "admin"});
    let made = server.ok(CREATE_KEY, "Root", json!({"name": "first", "access": admin})).await;
    let first = server.token_of("first", made["clientSecret"].as_str().unwrap()).await.unwrap();
    let made = server.call(&first, CREATE_KEY, json!({"name": "second"})).await.json();
    let secret = made["clientSecret"].as_str().unwrap().to_owned();
    let second = server.token_of("second", &secret).await.unwrap();
    for token in [&first, &second] {
        assert_eq!(server.call(token, USER_INFO, json!({})).await.status, StatusCode::OK);
    }
    // The command disables the account in the database, without the server.
    let ended =
        server.plane.store.disable_user("user-Root", server.plane.clock.now()).await.unwrap().unwrap();
    assert_eq!(ended.len(), 2);
    server.plane.access.maintain().await.unwrap();
    for token in [&first, &second] {
        assert_eq!(server.call(token, USER_INFO, json!({})).await.error().0, "unauthenticated");
    }
    assert!(server.token_of("second", &secret).await.is_err());
}
