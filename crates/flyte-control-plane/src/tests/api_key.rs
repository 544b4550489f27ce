//! `ApiKeyService` and `AppsService`.

mod rights;

use serde_json::json;

use super::*;
use flyte_model::{Limit, PrincipalKind, Role};

pub(super) const CREATE_KEY: &str = "/flyteauth.ApiKeyService/CreateApiKey";
pub(super) const GET_KEY: &str = "/flyteauth.ApiKeyService/GetApiKey";
pub(super) const LIST_KEYS: &str = "/flyteauth.ApiKeyService/ListApiKeys";
pub(super) const DELETE_KEY: &str = "/flyteauth.ApiKeyService/DeleteApiKey";
pub(super) const ROTATE_KEY: &str = "/flyteauth.ApiKeyService/RotateApiKey";
pub(super) const CREATE_APP: &str = "/cloudidl.identity.AppsService/Create";
pub(super) const GET_APP: &str = "/cloudidl.identity.AppsService/Get";
pub(super) const LIST_APPS: &str = "/cloudidl.identity.AppsService/List";
pub(super) const UPDATE_APP: &str = "/cloudidl.identity.AppsService/Update";
pub(super) const DELETE_APP: &str = "/cloudidl.identity.AppsService/Delete";

impl Server {
    pub(super) async fn ok(&self, method: &str, user: &str, request: Value) -> Value {
        let answer = self.json(method, Some(user), &request).await;
        assert_eq!(answer.status, StatusCode::OK, "{method} {request}: {answer:?}");
        answer.json()
    }

    /// The token that the token endpoint issues for a secret, or the description of its error.
    pub(super) async fn token_of(&self, id: &str, secret: &str) -> Result<String, String> {
        let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let request = Request::post("/oauth2/token")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.into());
        let answer = self.send(request.unwrap()).await.json();
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        text("access_token").ok_or_else(|| text("error_description").unwrap())
    }

    pub(super) async fn call(&self, token: &str, method: &str, request: Value) -> Answer {
        let call = Request::post(method)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, bearer(token));
        self.send(call.body(request.to_string().into()).unwrap()).await
    }

    async fn client_ids(&self, user: &str) -> Vec<String> {
        let answer = self.ok(LIST_KEYS, user, json!({})).await;
        let keys = answer["apiKeys"].as_array().cloned().unwrap_or_default();
        keys.iter().map(|key| key["clientId"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_key_is_created_used_rotated_and_deleted() {
    let server = Server::start().await;
    let project = json!({"project": {"id": "p1"}});
    server.ok(CREATE, "Root", project).await;
    let access = json!({"role": "viewer", "scopes": ["read"], "project": "p1", "domain": "development"});
    let made =
        server.ok(CREATE_KEY, "Ada", json!({"name": "My CI", "access": access, "lifetime": 1000})).await;
    let expected = json!({
        "clientId": "my-ci", "name": "My CI", "access": access, "createdBy": "user-Ada",
        "createdByEmail": "ada@example.com", "createdByName": "Ada",
        "createdAt": NOW.to_string(), "expiresAt": (NOW + 1000).to_string()
    });
    assert_eq!(made["apiKey"], expected);
    for name in ["my-ci", "My CI"] {
        let found = server.ok(GET_KEY, "Ada", json!({"clientId": name})).await;
        assert_eq!(found, json!({"apiKey": expected}), "the secret is not returned again");
    }
    let first = made["clientSecret"].as_str().unwrap();
    let token = server.token_of("my-ci", first).await.unwrap();
    let me = server.call(&token, USER_INFO, json!({})).await.json();
    assert_eq!(me, json!({"subject": "my-ci", "name": "My CI"}));

    server.plane.clock.advance(5);
    let rotated = server.ok(ROTATE_KEY, "Ada", json!({"clientId": "my-ci", "overlap": "60"})).await;
    let second = rotated["clientSecret"].as_str().unwrap();
    assert_eq!(rotated["apiKey"]["previousSecretExpiresAt"], (NOW + 65).to_string());
    for secret in [first, second] {
        assert!(server.token_of("my-ci", secret).await.is_ok());
    }
    assert_eq!(server.call(&token, USER_INFO, json!({})).await.status, StatusCode::OK);
    // A second overlap would end the first secret before its announced time.
    let again = json!({"clientId": "my-ci", "overlap": "60"});
    let (code, message) = server.json(ROTATE_KEY, Some("Ada"), &again).await.error();
    assert_eq!(code, "failed_precondition");
    assert!(message.contains("2027-01-15T08:01:05Z") && message.contains("--overlap 0"), "{message}");
    assert!(server.token_of("my-ci", first).await.is_ok());
    // A rotation without overlap also revokes the tokens of the old secrets.
    let rotated = server.ok(ROTATE_KEY, "Ada", json!({"clientId": "my-ci"})).await;
    let third = rotated["clientSecret"].as_str().unwrap();
    for secret in [first, second] {
        assert!(server.token_of("my-ci", secret).await.is_err());
    }
    assert_eq!(server.call(&token, USER_INFO, json!({})).await.error().0, "unauthenticated");
    let token = server.token_of("my-ci", third).await.unwrap();
    server.plane.access.write_usage().await.unwrap();
    let found = server.ok(GET_KEY, "Ada", json!({"clientId": "my-ci"})).await;
    assert_eq!(found["apiKey"]["lastUsedAt"], (NOW + 5).to_string());

    server.ok(DELETE_KEY, "Ada", json!({"clientId": "My CI"})).await;
    assert_eq!(server.call(&token, USER_INFO, json!({})).await.error().0, "unauthenticated", "at once");
    assert!(server.token_of("my-ci", third).await.is_err());
    assert_eq!(server.json(GET_KEY, Some("Ada"), &json!({"clientId": "my-ci"})).await.error().0, "not_found");
    server.plane.audit.flush().await;
    let query = flyte_store::AuditQuery { limit: 100, ..Default::default() };
    let events = server.plane.store.list_audit_records(&query).await.unwrap().0;
    let events: Vec<_> = events.iter().rev().map(|event| event.record.event.as_str()).collect();
    let expected = [
        "project_created",
        "api_key_created",
        "api_key_rotated",
        "api_key_rotated",
        "api_key_used_after_deletion", // the first secret
        "api_key_used_after_deletion", // a token of the first secret; the tokens of the next minute are only counted
        "api_key_deleted",
        "api_key_used_after_deletion",
        "api_key_used_after_deletion", // the second secret, with the count of the calls since
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn a_deletion_is_finished_and_recorded_if_the_caller_disconnects() {
    let server = Server::start().await;
    let (key, _) = flyte_testing::api_key(&*server.plane.store, "ci", |_| {}).await;
    let request = Request::post(DELETE_KEY)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, bearer(&server.token("Root", &["all"])))
        .body(json!({"clientId": "ci"}).to_string().into())
        .unwrap();
    let mut answer = Box::pin(server.send(request));
    // Dropping the future is what a reset of the HTTP stream causes.
    assert!(futures_util::poll!(&mut answer).is_pending());
    drop(answer);
    let query = flyte_store::AuditQuery { limit: 100, ..Default::default() };
    let recorded = async {
        loop {
            let events = server.plane.store.list_audit_records(&query).await.unwrap().0;
            if let Some(event) = events.first() {
                return event.record.event.clone();
            }
        }
    };
    let recorded = tokio::time::timeout(std::time::Duration::from_secs(60), recorded).await;
    assert_eq!(recorded.as_deref(), Ok("api_key_deleted"));
    assert_eq!(server.plane.store.api_key_by_id(&key.client_id).await.unwrap(), None);
}

#[tokio::test]
async fn a_key_is_not_found_by_its_name() {
    let server = Server::start().await;
    let key = async |id: &str, name: &str| {
        flyte_testing::api_key(&*server.plane.store, id, |key| {
            (key.name, key.family_id) = (name.to_owned(), format!("family-{id}"));
        })
        .await
    };
    key("ci", "First").await;
    key("first-2", "ci").await;
    for method in [GET_KEY, DELETE_KEY, ROTATE_KEY] {
        let (code, message) = server.json(method, Some("Root"), &json!({"clientId": "ci"})).await.error();
        assert_eq!(code, "failed_precondition", "{method}");
        assert!(message.ends_with("say \"First\" or \"first-2\""), "{message}");
    }
    for text in ["First", "first-2"] {
        let found = server.ok(GET_KEY, "Root", json!({"clientId": text})).await;
        assert_eq!(found["apiKey"]["clientId"], if text == "First" { "ci" } else { "first-2" });
    }
    // The published plugin sends the client_id.
    assert_eq!(
        server.json(GET_APP, Some("Root"), &json!({"clientId": "First"})).await.error().0,
        "not_found"
    );
    server.ok(DELETE_APP, "Root", json!({"clientId": "ci"})).await;
    assert_eq!(server.client_ids("Root").await, ["first-2"]);
    server.ok(DELETE_KEY, "Root", json!({"clientId": "ci"})).await;
    assert!(server.client_ids("Root").await.is_empty());
}

#[tokio::test]
async fn a_deleted_keys_token_is_recorded_once_a_minute() {
    let server = Server::start().await;
    let (_, secret) = flyte_testing::api_key(&*server.plane.store, "ci", |_| {}).await;
    let token = server.token_of("ci", secret.expose_secret()).await.unwrap();
    assert_eq!(server.call(&token, USER_INFO, json!({})).await.status, StatusCode::OK);
    server.ok(DELETE_KEY, "Root", json!({"clientId": "ci"})).await;
    let recorded = async || {
        server.plane.audit.flush().await;
        let event = Some("api_key_used_after_deletion".to_owned());
        let query = flyte_store::AuditQuery { limit: 100, event, ..Default::default() };
        server.plane.store.list_audit_records(&query).await.unwrap().0
    };
    for expected in [1, 2] {
        for _ in 0..3 {
            assert_eq!(server.call(&token, USER_INFO, json!({})).await.error().0, "unauthenticated");
        }
        assert_eq!(recorded().await.len(), expected);
        server.plane.clock.advance(60);
    }
    let event = recorded().await.remove(0).record;
    assert_eq!((event.object.as_deref(), event.details["reason"].as_str()), (Some("ci"), "deleted"));
    assert!(!format!("{event:?}").contains(&token));
}

#[tokio::test]
async fn errors_name_the_invalid_field() {
    let server = Server::start().await;
    server.ok(CREATE_KEY, "Root", json!({"name": "taken"})).await;
    let access = |access: Value| json!({"name": "n", "access": access});
    for (request, field) in [
        (json!({}), "name "),
        (json!({"name": " "}), "name "),
        (json!({"name": "---"}), "name "),
        (json!({"name": "\u{e4}"}), "name "),
        (json!({"name": "a".repeat(64)}), "name "),
        (json!({"name": "a".repeat(256)}), "name "),
        (json!({"name": "a\u{1b}b"}), "name "),
        (json!({"name": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}), "name cannot be a UUID"),
        (json!({"name": "flyte-run"}), "name makes a client_id that the server uses itself"),
        (json!({"name": "Flyte Run"}), "name makes a client_id that the server uses itself"),
        (json!({"name": "flyte"}), "name makes a client_id that the server uses itself"),
        (access(json!({"role": "owner"})), "access.role must be viewer, contributor or admin"),
        (access(json!({"scopes": ["all", "openid"]})), "access.scopes has \"openid\""),
        (access(json!({"project": "nothing"})), "access.project "),
        (access(json!({"domain": "development"})), "access.domain needs access.project"),
        (access(json!({"project": "nothing", "domain": "d"})), "access.domain "),
        (json!({"name": "n", "lifetime": -1}), "lifetime "),
        (json!({"name": "n", "lifetime": i64::MAX}), "lifetime "),
        (json!({"name": "n", "lifetime": 5, "noExpiry": true}), "no_expiry cannot be with a lifetime"),
        (json!({"name": "n", "jwks": "{}"}), "jwks "),
    ] {
        let (code, message) = server.json(CREATE_KEY, Some("Root"), &request).await.error();
        assert_eq!(code, "invalid_argument", "{request}: {message}");
        assert!(message.starts_with(field), "{request}: {message}");
    }
    for name in ["taken", "Taken", "TAKEN!"] {
        let answer = server.json(CREATE_KEY, Some("Ada"), &json!({"name": name.trim_end_matches('!')})).await;
        assert_eq!(answer.error().0, "already_exists", "{name}");
    }
    for (method, request, field) in [
        (ROTATE_KEY, json!({"clientId": "taken", "overlap": -1}), "overlap "),
        (ROTATE_KEY, json!({"clientId": "taken", "overlap": 91 * 86_400}), "overlap "),
        (ROTATE_KEY, json!({"clientId": "taken", "lifetime": -1}), "lifetime "),
        (ROTATE_KEY, json!({"clientId": "taken", "lifetime": 1, "noExpiry": true}), "no_expiry "),
        (CREATE_APP, json!({"clientName": "n", "clientId": "flyte-run"}), "client_id makes a client_id"),
        (GET_KEY, json!({}), "client_id "),
        (LIST_KEYS, json!({"token": "x"}), "token"),
        (CREATE_APP, json!({"clientName": "n", "organization": "other"}), "organization "),
        (CREATE_APP, json!({"clientName": "n", "clientId": "A b"}), "client_id "),
        (CREATE_APP, json!({"clientId": "n"}), "client_name "),
        (CREATE_APP, json!({"clientName": "n", "grantTypes": ["PASSWORD"]}), "grant_types "),
        (CREATE_APP, json!({"clientName": "n", "jwksUri": "https://x"}), "jwks_uri "),
        (LIST_APPS, json!({"request": {"rawFilters": ["x"]}}), "request.filters "),
        (LIST_APPS, json!({"request": {"sortBy": {"key": "x"}}}), "request.sort_by "),
        (UPDATE_APP, json!({"clientId": "taken"}), "client_name "),
    ] {
        let (code, message) = server.json(method, Some("Root"), &request).await.error();
        assert_eq!(code, "invalid_argument", "{method} {request}: {message}");
        assert!(message.starts_with(field), "{method} {request}: {message}");
    }
}

#[tokio::test]
async fn a_text_that_is_no_client_id_names_no_key() {
    let server = Server::start().await;
    for method in [GET_KEY, GET_APP, DELETE_APP] {
        for id in ["ada\u{e9}", "a\u{0}b", "user-Ada"] {
            let (code, message) = server.json(method, Some("Root"), &json!({"clientId": id})).await.error();
            assert_eq!(code, "not_found", "{method} {id:?}: {message}");
            assert_eq!(message, format!("there is no API key {id:?}"), "{method}");
        }
    }
}

#[tokio::test]
async fn requests_of_the_published_plugin_are_accepted() {
    let server = Server::start().await;
    let request = json!({
        "clientId": "my-ci-key", "clientName": "my-ci-key",
        "grantTypes": ["CLIENT_CREDENTIALS", "AUTHORIZATION_CODE"],
        "redirectUris": ["http://localhost:8080/authorization-code/callback"], "responseTypes": ["CODE"],
        "tokenEndpointAuthMethod": "CLIENT_SECRET_BASIC", "consentMethod": "CONSENT_METHOD_REQUIRED"
    });
    let app = server.ok(CREATE_APP, "Root", request).await["app"].clone();
    assert_eq!(app["clientIdIssuedAt"], "2027-01-15T08:00:00Z");
    let token = server.token_of("my-ci-key", app["clientSecret"].as_str().unwrap()).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, bearer(&token).parse().unwrap());
    let caller = server.plane.access.authenticate(&headers).await.unwrap();
    assert_eq!(
        (caller.principal, caller.grants.role_over(&Limit::default())),
        (PrincipalKind::ApiKey, Some(Role::Contributor)),
        "the key is not an administrator, although its creator is"
    );
    let found = server.ok(GET_APP, "Root", json!({"clientId": "my-ci-key"})).await["app"].clone();
    assert_eq!((&found["clientName"], found.get("clientSecret")), (&json!("my-ci-key"), None));
    let renamed =
        server.ok(UPDATE_APP, "Root", json!({"clientId": "my-ci-key", "clientName": "Renamed"})).await;
    assert_eq!(renamed["app"]["clientName"], "Renamed");
    let skipped = json!({"clientName": "narrow", "skipDefaultPolicyAssignments": true});
    server.ok(CREATE_APP, "Root", skipped).await;
    let found = server.ok(GET_KEY, "Root", json!({"clientId": "narrow"})).await;
    assert_eq!(found["apiKey"]["access"]["role"], "viewer");
    let mut request = json!({"request": {"limit": 1}});
    let first = server.ok(LIST_APPS, "Root", request.clone()).await;
    request["request"]["token"] = first["token"].clone();
    let second = server.ok(LIST_APPS, "Root", request).await;
    let ids = [&first, &second].map(|page| page["apps"][0]["clientId"].as_str().unwrap());
    assert_eq!((ids, second.get("token")), (["narrow", "my-ci-key"], None));
    server.ok(DELETE_APP, "Root", json!({"clientId": "my-ci-key"})).await;
    assert_eq!(server.call(&token, USER_INFO, json!({})).await.error().0, "unauthenticated");
}
