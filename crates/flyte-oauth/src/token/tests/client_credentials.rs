//! `grant_type=client_credentials`: API keys.

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::*;
use crate::fixture::{NOW, api_key};
use flyte_access::policy;
use flyte_model::{ClientId, Limit, PrincipalKind, Role};
use flyte_secrets::api_key_secret;
use flyte_store::{ApiKey, AuditQuery, SecretRotation, StoreError};

#[tokio::test]
async fn a_key_gets_only_an_access_token() {
    let server = Server::start().await;
    let (_, secret) = api_key(&*server.state.store, "ci", |key| {
        key.rights.role = Role::Viewer;
        key.rights.limit = Limit { project: Some("p".into()), domain: Some("d".into()) };
    })
    .await;
    let answer = server.client_credentials("ci", secret.expose_secret()).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers[header::CACHE_CONTROL]),
        (200, &"no-store".parse().unwrap())
    );
    let body = answer.json();
    assert_eq!(body["scope"], "all", "the requested scopes that the key has");
    assert!(body.get("refresh_token").is_none() && body.get("id_token").is_none(), "{body}");
    let token = text(&body["access_token"]);
    let caller = server.caller(token).await.unwrap();
    assert_eq!((caller.subject.as_str(), caller.client_id.as_str()), ("ci", "ci"), "RFC 9068 section 2.2");
    assert_eq!(
        (caller.principal, caller.grants.role_over(&caller.grants.only_limit().unwrap()).unwrap()),
        (PrincipalKind::ApiKey, Role::Viewer)
    );
    assert!(policy::may_see(&caller, "p", Some("d")) && !policy::may_see(&caller, "p", Some("e")));
    assert_eq!(server.userinfo(token).await.status, 403, "a key is not a user");
    for pairs in [
        &[
            ("client_id", "ci"),
            ("client_secret", secret.expose_secret()),
            ("grant_type", "client_credentials"),
        ][..],
        &[
            ("client_id", "ci"),
            ("client_secret", secret.expose_secret()),
            ("grant_type", "client_credentials"),
            ("scope", "read"),
        ],
    ] {
        let answer = server.post("/oauth2/token", pairs).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["scope"], if pairs.len() == 4 { "read" } else { "all" });
    }
}

#[tokio::test]
async fn no_key_has_the_subject_of_a_user() {
    let server = Server::start().await;
    let (key, secret) = api_key(&*server.state.store, "ci", |key| key.rights.role = Role::Viewer).await;
    let answer = server.client_credentials("ci", secret.expose_secret()).await.json();
    let caller = server.caller(text(&answer["access_token"])).await.unwrap();
    assert_eq!(
        (caller.principal, caller.grants.role_over(&caller.grants.only_limit().unwrap()).unwrap()),
        (PrincipalKind::ApiKey, Role::Viewer)
    );
    // Audit records contain only the subject, so this key would look like the user.
    let client_id = ClientId::from_static("user-Ada");
    let named_as_ada = ApiKey { client_id, family_id: "another-family".to_owned(), ..key };
    let refused = server.state.store.create_api_key(&named_as_ada).await;
    assert!(matches!(refused, Err(StoreError::AlreadyExists { .. })), "{refused:?}");
}

#[tokio::test]
async fn malformed_secrets_get_a_specific_error() {
    let server = Server::start().await;
    let (_, secret) = api_key(&*server.state.store, "ci", |_| {}).await;
    let secret = secret.expose_secret();
    let other = api_key_secret::generate().unwrap();
    for (id, secret, reason) in [
        ("ci", other.expose_secret().to_owned(), "unknown, or its secret is missing or wrong"),
        ("cd", secret.to_owned(), "unknown, or its secret is missing or wrong"),
        ("ci", String::new(), "unknown, or its secret is missing or wrong"),
        ("ci", "hunter2".to_owned(), "unknown, or its secret is missing or wrong"),
        // An identifier outside the grammar gets the same error.
        ("c%C3%A9", "hunter2".to_owned(), "unknown, or its secret is missing or wrong"),
        ("ci", secret[..40].to_owned(), "truncated or altered"),
        ("ci", format!("{secret}x"), "truncated or altered"),
        // The error does not depend on the existence of the client.
        ("cd", secret[..40].to_owned(), "truncated or altered"),
        ("ci", format!("{secret}+"), "white space"),
        ("ci", format!("{secret}%0A"), "white space"),
        ("ci", format!("+{secret}"), "white space"),
    ] {
        let answer = server.client_credentials(id, &secret).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (401, "invalid_client"),
            "{id} {secret}"
        );
        let description = answer.json()["error_description"].as_str().unwrap().to_owned();
        assert!(description.contains(reason), "{id} {secret}: {description}");
        assert!(!description.contains("flyte_key_"), "{description}");
    }
}

#[tokio::test]
async fn a_key_and_its_tokens_expire_together() {
    let server = Server::start().await;
    let (_, secret) = api_key(&*server.state.store, "ci", |key| key.expires_at = Some(NOW + 100)).await;
    server.state.clock.advance(40);
    let body = server.client_credentials("ci", secret.expose_secret()).await.json();
    assert_eq!(body["expires_in"], 60, "no token outlives its key");
    server.state.clock.advance(59);
    let token = text(&body["access_token"]);
    assert!(server.caller(token).await.is_ok());
    server.state.clock.advance(1);
    assert!(server.caller(token).await.is_err());
    let answer = server.client_credentials("ci", secret.expose_secret()).await;
    assert_eq!(answer.error(), "invalid_client");
    assert!(answer.text().contains("the API key expired at 2027-01-15T08:01:40Z"), "{}", answer.text());
    // Only a caller with the right secret gets this error.
    let other = api_key_secret::generate().unwrap();
    let answer = server.client_credentials("ci", other.expose_secret()).await;
    assert!(!answer.text().contains("expired"), "{}", answer.text());
}

#[tokio::test]
async fn a_deleted_key_and_its_tokens_are_refused_immediately() {
    let server = Server::start().await;
    let (key, secret) = api_key(&*server.state.store, "ci", |_| {}).await;
    let body = server.client_credentials("ci", secret.expose_secret()).await.json();
    let token = text(&body["access_token"]);
    assert!(server.caller(token).await.is_ok());
    // Another replica deletes the key. This replica reads the revocation before its next lookup of the key, which is
    // after ten seconds.
    server.state.store.delete_api_key(&ClientId::from_static("ci"), server.state.clock.now()).await.unwrap();
    server.state.access.maintain().await.unwrap();
    assert_eq!(server.caller(token).await.unwrap_err(), "the token has been revoked");
    assert_eq!(server.client_credentials("ci", secret.expose_secret()).await.error(), "invalid_client");
    // A new key of the same name is another key.
    let (_, again) = api_key(&*server.state.store, "ci", |key| key.family_id = "another".into()).await;
    assert!(server.caller(token).await.is_err());
    assert_eq!(server.client_credentials("ci", secret.expose_secret()).await.error(), "invalid_client");
    let body = server.client_credentials("ci", again.expose_secret()).await.json();
    assert_ne!(server.caller(text(&body["access_token"])).await.unwrap().family_id, key.family_id);
}

#[tokio::test]
async fn both_secrets_work_until_the_overlap_ends() {
    let server = Server::start().await;
    let (_, old) = api_key(&*server.state.store, "ci", |_| {}).await;
    let before = server.client_credentials("ci", old.expose_secret()).await.json();
    let new = api_key_secret::generate().unwrap();
    let rotation = SecretRotation {
        secret_hash: flyte_secrets::opaque_token::hash(new.expose_secret()),
        previous_until: NOW + 60,
        family_id: "unused".into(),
        expires_at: None,
    };
    server.state.store.rotate_api_key(&ClientId::from_static("ci"), &rotation, NOW).await.unwrap();
    for (secret, ends_at) in [(&old, json!(NOW + 60)), (&new, Value::Null)] {
        let answer = server.client_credentials("ci", secret.expose_secret()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.json()["client_secret_expires_at"],
            ends_at,
            "the expiry of the secret that was sent"
        );
    }
    assert!(server.caller(text(&before["access_token"])).await.is_ok());
    let recorded = async || {
        server.state.audit.flush().await;
        let query = AuditQuery { limit: 100, ..AuditQuery::default() };
        server.state.store.list_audit_records(&query).await.unwrap().0
    };
    assert_eq!(recorded().await, [], "the use of a valid secret is not recorded");
    server.state.clock.advance(60);
    assert_eq!(server.client_credentials("ci", old.expose_secret()).await.error(), "invalid_client");
    assert_eq!(server.client_credentials("ci", new.expose_secret()).await.status, 200);
    let recorded = recorded().await;
    assert_eq!(recorded.len(), 1);
    let event = &recorded[0].record;
    assert_eq!((event.event.as_str(), event.object.as_deref()), ("api_key_used_after_deletion", Some("ci")));
    assert_eq!(event.details["reason"], "rotated");
}

#[tokio::test]
async fn the_last_use_is_written_later() {
    let server = Server::start().await;
    let (_, secret) = api_key(&*server.state.store, "ci", |_| {}).await;
    let used = async || {
        server.state.store.api_key_by_id(&ClientId::from_static("ci")).await.unwrap().unwrap().last_used_at
    };
    for _ in 0..3 {
        server.state.clock.advance(5);
        server.client_credentials("ci", secret.expose_secret()).await;
    }
    assert_eq!(used().await, None, "not during the request");
    server.state.access.write_usage().await.unwrap();
    assert_eq!(used().await, Some(NOW + 15));
}

#[tokio::test]
async fn only_keys_have_this_grant_type_and_no_other() {
    let server = Server::start().await;
    let (_, secret) = api_key(&*server.state.store, "ci", |_| {}).await;
    let secret = secret.expose_secret();
    for pairs in [
        &[("grant_type", "refresh_token"), ("refresh_token", "flr_x")][..],
        &[
            ("grant_type", "authorization_code"),
            ("code", "x"),
            ("redirect_uri", "x"),
            ("code_verifier", VERIFIER),
        ],
    ] {
        assert_eq!(
            server.post_as("/oauth2/token", ("ci", secret), pairs).await.error(),
            "unauthorized_client"
        );
    }
    let pairs = [("grant_type", "client_credentials")];
    assert_eq!(server.token(&pairs).await.error(), "unauthorized_client");
    let web = server.post_as("/oauth2/token", ("web+app", "p+w%3A%25%2B"), &pairs).await;
    assert_eq!(web.error(), "unauthorized_client");
    for (scope, error) in [("openid", "invalid_scope"), ("\"", "invalid_scope")] {
        let pairs = [("grant_type", "client_credentials"), ("scope", scope)];
        assert_eq!(server.post_as("/oauth2/token", ("ci", secret), &pairs).await.error(), error, "{scope}");
    }
    let pairs = [("grant_type", "client_credentials"), ("audience", "https://other.example")];
    assert_eq!(server.post_as("/oauth2/token", ("ci", secret), &pairs).await.error(), "invalid_target");
}

#[tokio::test]
async fn repeated_failures_delay_only_the_failing_client() {
    use flyte_model::ClientAddr;
    let server = Server::start().await;
    let (_, secret) = api_key(&*server.state.store, "ci", |_| {}).await;
    let (_, other) = api_key(&*server.state.store, "cd", |_| {}).await;
    let send = async |address: &str, client: &str, secret: &str| {
        let pairs = [("grant_type", "client_credentials"), ("client_id", client), ("client_secret", secret)];
        let request = request(Method::POST, "/oauth2/token")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .extension(ClientAddr(address.parse().unwrap()));
        server.send(request.body(encode(&pairs).into()).unwrap()).await
    };
    for _ in 0..100 {
        assert_eq!(send("203.0.113.1", "ci", "wrong").await.status, 401);
    }
    let answer = send("203.0.113.1", "ci", "wrong").await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (429, "temporarily_unavailable"));
    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    // A client with the right secret never waits.
    for _ in 0..200 {
        assert_eq!(send("203.0.113.1", "ci", secret.expose_secret()).await.status, 200);
        assert_eq!(send("203.0.113.1", "cd", other.expose_secret()).await.status, 200);
    }
    assert_eq!(
        send("203.0.113.1", "cd", "wrong").await.status,
        401,
        "another client gets the specific error"
    );
    assert_eq!(
        send("203.0.113.2", "ci", "wrong").await.status,
        401,
        "the same client gets it at another address"
    );
}

#[tokio::test]
async fn failures_of_one_client_do_not_block_refreshes_from_its_address() {
    let server = Server::start().await;
    let tokens = server.tokens().await;
    for _ in 0..101 {
        let pairs = [("grant_type", "client_credentials"), ("client_id", "ci"), ("client_secret", "wrong")];
        server.post("/oauth2/token", &pairs).await;
    }
    assert_eq!(server.refresh(text(&tokens["refresh_token"])).await.status, 200);
}

#[tokio::test]
async fn a_key_can_revoke_one_of_its_tokens() {
    let server = Server::start().await;
    let (_, secret) = api_key(&*server.state.store, "ci", |_| {}).await;
    let (_, others) = api_key(&*server.state.store, "cd", |_| {}).await;
    let issue =
        async || server.client_credentials("ci", secret.expose_secret()).await.json()["access_token"].clone();
    let (one, other) = (issue().await, issue().await);
    let token = [("token", text(&one))];
    assert_eq!(server.post_as("/oauth2/revoke", ("cd", others.expose_secret()), &token).await.status, 200);
    assert!(server.caller(text(&one)).await.is_ok(), "not another client's");
    assert_eq!(server.post_as("/oauth2/revoke", ("ci", secret.expose_secret()), &token).await.status, 200);
    assert!(server.caller(text(&one)).await.is_err(), "immediately");
    assert!(server.caller(text(&other)).await.is_ok());
    assert!(server.caller(text(&issue().await)).await.is_ok());
    let revoked = server.state.store.families_revoked_since(0).await.unwrap();
    assert_eq!(revoked.len(), 1, "for the other replicas");
}
