//! Accepted and refused access tokens.

use axum::response::IntoResponse as _;
use futures_util::FutureExt as _;
use http::HeaderValue;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::testing::Parts;
use super::*;
use flyte_model::{ClientId, Limit, Role, Scope, Scopes};
use flyte_store::{AuthorizationCode, BrowserSession, RevokedBy};
use flyte_store_sqlite::SqliteStore;
use flyte_testing::{self as testing, NOW};

const TTL: i64 = 3600;

/// A server with two accounts: Ada, and Root, who is an administrator.
async fn server() -> Parts {
    let app = Parts::new(|config| config.tokens.access_token_ttl = TTL).await;
    for name in ["Ada", "Root"] {
        let mut user = testing::user(name);
        user.admin = name == "Root";
        app.store.create_user(&user).await.unwrap();
    }
    app
}

fn grant(user: &str, family: &str) -> token::TokenGrant {
    token::TokenGrant {
        user_id: format!("user-{user}"),
        client_id: ClientId::from_static("flyte"),
        scopes: [Scope::OPENID, Scope::ALL].into(),
        audience: None,
        authenticated_at: NOW,
        session_id: "session".to_owned(),
        family_id: family.to_owned(),
    }
}

fn issue(app: &Parts, user: &str, family: &str) -> String {
    app.access.tokens().issue(&grant(user, family)).unwrap().token.expose_secret().to_owned()
}

/// Stores a family, as a sign-in does.
async fn begin(app: &Parts, family: &str) {
    let session = BrowserSession {
        id: family.to_owned(),
        cookie_hash: fingerprint(family),
        user_id: "user-Ada".to_owned(),
        authenticated_at: NOW,
        expires_at: i64::MAX,
    };
    assert!(app.store.create_session(&session, None).await.unwrap());
    let code = AuthorizationCode {
        code_hash: fingerprint(family),
        family_id: family.to_owned(),
        client_id: ClientId::from_static("flyte"),
        user_id: "user-Ada".to_owned(),
        session_id: family.to_owned(),
        authenticated_at: NOW,
        redirect_uri: String::new(),
        code_challenge: String::new(),
        scopes: Scopes::new(),
        audience: None,
        nonce: None,
        expires_at: i64::MAX,
    };
    assert!(app.store.create_code(&code).await.unwrap());
    app.store.redeem_code(&code.code_hash, None, app.clock.now()).await.unwrap();
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn bearer(token: &str) -> HeaderMap {
    headers(&[("authorization", &format!("Bearer {token}"))])
}

async fn call(app: &Parts, token: &str) -> Result<Arc<Caller>, String> {
    app.access.authenticate(&bearer(token)).await.map_err(|error| error.to_string())
}

/// A token signed by this server with changed claims; a null value removes a claim.
fn signed_with(app: &Parts, typ: &str, changes: Value) -> String {
    let mut claims = json!({
        "iss": app.config.issuer(), "aud": app.config.issuer(), "sub": "user-Ada", "client_id": "flyte",
        "scope": "all", "iat": NOW, "exp": NOW + 60, "jti": "j", "fid": "f"
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    app.keys.sign(typ, &claims).unwrap()
}

/// The rights of a role everywhere.
fn role(role: Role) -> Grants {
    Grants::of_role(role, &Limit::default())
}

#[tokio::test]
async fn a_valid_token_identifies_the_caller() {
    let app = server().await;
    let issued = app.access.tokens().issue(&grant("Ada", "f")).unwrap();
    let ada = call(&app, issued.token.expose_secret()).await.unwrap();
    let expected = Caller {
        subject: "user-Ada".to_owned(),
        client_id: ClientId::from_static("flyte"),
        scopes: [Scope::OPENID, Scope::ALL].into(),
        family_id: "f".to_owned(),
        token_id: issued.jti,
        expires_at: NOW + TTL,
        principal: PrincipalKind::Person,
        authenticated_at: Some(NOW),
        grants: role(Role::Contributor),
        on_behalf_of: None,
    };
    assert_eq!(*ada, expected);
    let token = issue(&app, "Root", "f");
    for _ in 0..2 {
        assert_eq!(call(&app, &token).await.unwrap().grants, role(Role::Admin), "also from the cache");
    }
}

#[tokio::test]
async fn a_token_expires_with_and_without_the_cache() {
    let app = server().await;
    let (used, unused) = (issue(&app, "Ada", "f"), issue(&app, "Ada", "f"));
    for elapsed in [0, TTL - 1] {
        app.clock.advance(elapsed);
        assert!(call(&app, &used).await.is_ok());
    }
    app.clock.advance(1);
    for token in [&used, &unused] {
        assert_eq!(call(&app, token).await.unwrap_err(), "the token has expired");
    }
    assert_eq!(app.access.cache.len(), 0);
}

#[tokio::test]
async fn every_claim_is_checked() {
    let app = server().await;
    assert!(call(&app, &signed_with(&app, token::TYP, json!({}))).await.is_ok());
    let several = json!({"aud": ["https://elsewhere.example", app.config.issuer()]});
    assert!(call(&app, &signed_with(&app, token::TYP, several)).await.is_ok());
    for (changes, reason) in [
        (json!({"iss": "https://localhost:8443/"}), "another issuer"),
        (json!({"iss": "https://evil.example"}), "another issuer"),
        (json!({"aud": "https://elsewhere.example"}), "another audience"),
        (json!({"aud": "https://localhost:8443.evil.example"}), "another audience"),
        (json!({"aud": []}), "another audience"),
        // The audience of an ID token is the client.
        (json!({"aud": "flyte"}), "another audience"),
        (json!({"exp": NOW}), "expired"),
        (json!({"exp": NOW - 1}), "expired"),
        (json!({"exp": "never"}), "claims are invalid"),
        (json!({"exp": null}), "claims are invalid"),
        (json!({"iss": null}), "claims are invalid"),
        (json!({"aud": null}), "claims are invalid"),
        (json!({"sub": null}), "claims are invalid"),
        (json!({"fid": null}), "claims are invalid"),
        (json!({"client_id": null}), "claims are invalid"),
        (json!({"sub": "user-Missing"}), "disabled or gone"),
    ] {
        let error = call(&app, &signed_with(&app, token::TYP, changes.clone())).await.unwrap_err();
        assert!(error.contains(reason), "{changes}: {error}");
    }
    // An ID token with all claims of an access token is refused too.
    let error = call(&app, &signed_with(&app, "JWT", json!({}))).await.unwrap_err();
    assert_eq!(error, "the token is not an access token");
    // A token of another server with the same issuer.
    let error = call(&app, &issue(&server().await, "Ada", "f")).await.unwrap_err();
    assert_eq!(error, "the token was signed by an unknown key");
    assert_eq!(app.access.cache.len(), 2, "refused tokens are not cached");
}

#[tokio::test]
async fn a_revoked_family_is_refused_here_immediately_and_elsewhere_after_maintenance() {
    let app = server().await;
    let other = app.replica();
    begin(&app, "f").await;
    let (used, unused) = (issue(&app, "Ada", "f"), issue(&app, "Ada", "f"));
    let elsewhere = async |token: &str| other.authenticate(&bearer(token)).await.is_ok();
    other.maintain().await.unwrap();
    assert!(call(&app, &used).await.is_ok() && elsewhere(&used).await);

    assert!(app.store.revoke_family("f", RevokedBy::Server, app.clock.now()).await.unwrap());
    app.access.revoke_family("f");
    for token in [&used, &unused] {
        assert_eq!(call(&app, token).await.unwrap_err(), "the token has been revoked");
    }
    assert!(elsewhere(&used).await);
    other.maintain().await.unwrap();
    assert!(!elsewhere(&used).await && !elsewhere(&unused).await);
    // A server that starts now knows the revocation too.
    let started = app.replica();
    started.maintain().await.unwrap();
    assert!(started.authenticate(&bearer(&unused)).await.is_err());
    assert!(call(&app, &issue(&app, "Ada", "another")).await.is_ok());
}

#[tokio::test]
async fn a_revocation_is_kept_until_all_tokens_have_expired() {
    let app = Parts::new(|config| config.tokens.access_token_ttl = FAMILY_RETENTION).await;
    app.store.create_user(&testing::user("Ada")).await.unwrap();
    begin(&app, "f").await;
    let token = issue(&app, "Ada", "f");
    app.store.revoke_family("f", RevokedBy::Server, app.clock.now()).await.unwrap();
    app.access.revoke_family("f");
    app.access.maintain().await.unwrap();
    for _ in 0..24 {
        app.clock.advance(FAMILY_RETENTION / 24 - 1);
        app.access.maintain().await.unwrap();
        app.store.delete_expired_grants(app.clock.now()).await.unwrap();
        assert_eq!(call(&app, &token).await.unwrap_err(), "the token has been revoked");
    }
    app.clock.advance(24);
    app.access.maintain().await.unwrap();
    assert_eq!(call(&app, &token).await.unwrap_err(), "the token has expired");
    app.clock.advance(FAMILY_RETENTION);
    app.access.maintain().await.unwrap();
    assert!(!app.access.revoked.contains("f"), "revocations are forgotten at the end");
}

#[tokio::test]
async fn a_revocation_is_kept_until_the_store_returns_it() {
    let app = server().await;
    app.access.revoke_family("f");
    app.access.maintain().await.unwrap();
    app.clock.advance(10 * FAMILY_RETENTION);
    app.access.maintain().await.unwrap();
    assert!(call(&app, &issue(&app, "Ada", "f")).await.is_err());
}

#[tokio::test]
async fn a_revocation_by_a_server_with_a_slow_clock_is_found() {
    let app = server().await;
    begin(&app, "f").await;
    let token = issue(&app, "Ada", "f");
    app.access.maintain().await.unwrap();
    // By a server whose clock is 30 seconds behind, after this one has read the revocations.
    app.store.revoke_family("f", RevokedBy::Server, NOW - 30).await.unwrap();
    app.access.maintain().await.unwrap();
    assert!(call(&app, &token).await.is_err());
}

#[tokio::test]
async fn a_disabled_account_is_refused() {
    let app = server().await;
    let mut disabled = testing::user("Disabled");
    disabled.disabled_at = Some(NOW);
    app.store.create_user(&disabled).await.unwrap();
    for user in ["Disabled", "Missing"] {
        let error = call(&app, &issue(&app, user, "f")).await.unwrap_err();
        assert_eq!(error, "the account is disabled or gone", "{user}");
    }
    assert_eq!(app.access.cache.len(), 0);
    // A cached account is looked up again.
    let token = issue(&app, "Ada", "f");
    assert!(call(&app, &token).await.is_ok());
    app.store.disable_user("user-Ada", NOW).await.unwrap();
    app.clock.advance(ACCOUNT_CHECK_INTERVAL - 1);
    assert!(call(&app, &token).await.is_ok());
    app.clock.advance(1);
    assert_eq!(call(&app, &token).await.unwrap_err(), "the account is disabled or gone");
}

#[tokio::test]
async fn both_headers_are_accepted() {
    let app = server().await;
    let token = issue(&app, "Ada", "f");
    let (good, lower, wide) =
        (format!("Bearer {token}"), format!("bearer {token}"), format!("Bearer  {token} "));
    for accepted in [
        headers(&[("authorization", &good)]),
        headers(&[("authorization", &lower)]),
        headers(&[("authorization", &wide)]),
        headers(&[("flyte-authorization", &good)]),
        headers(&[("authorization", "Basic YTpi"), ("flyte-authorization", &good)]),
        // The proxy's own token.
        headers(&[("authorization", "Bearer proxy"), ("flyte-authorization", &good)]),
        headers(&[("authorization", &good), ("flyte-authorization", "Basic YTpi")]),
    ] {
        assert!(app.access.authenticate(&accepted).await.is_ok(), "{accepted:?}");
    }
    for missing in [
        headers(&[]),
        headers(&[("authorization", "")]),
        headers(&[("authorization", "Bearer")]),
        headers(&[("authorization", "Bearer ")]),
        headers(&[("authorization", &token)]),
        headers(&[("authorization", &format!("Basic {token}"))]),
        headers(&[("authorization", &format!("Bearer\t{token}"))]),
        headers(&[("cookie", &format!("access_token={token}"))]),
    ] {
        let error = app.access.authenticate(&missing).await.unwrap_err();
        assert!(matches!(error.reason, Reason::Missing), "{missing:?}: {error}");
    }
}

#[tokio::test]
async fn a_token_above_the_maximum_length_is_refused() {
    let app = server().await;
    let padded = |length: usize| "a".repeat(length);
    assert_eq!(call(&app, &padded(MAX_TOKEN + 1)).await.unwrap_err(), "the token is too long");
    assert_eq!(call(&app, &padded(MAX_TOKEN)).await.unwrap_err(), "the token is not a signed JWT");
}

#[tokio::test]
async fn the_challenge_contains_the_url_of_the_metadata() {
    let app = server().await;
    let challenge = async |headers: &HeaderMap| {
        let response = app.access.authenticate(headers).await.unwrap_err().into_response();
        assert_eq!(
            (response.status(), &response.headers()["cache-control"]),
            (http::StatusCode::UNAUTHORIZED, &HeaderValue::from_static("no-store"))
        );
        response.headers()["www-authenticate"].to_str().unwrap().to_owned()
    };
    let metadata = "resource_metadata=\"https://localhost:8443/.well-known/oauth-protected-resource\"";
    // RFC 6750 section 3.1: a request without a token gets no error code.
    assert_eq!(challenge(&HeaderMap::new()).await, format!("Bearer {metadata}"));
    let expired = signed_with(&app, token::TYP, json!({"exp": 1}));
    let header = challenge(&bearer(&expired)).await;
    let expected = "Bearer error=\"invalid_token\", error_description=\"the token has expired\", ";
    assert_eq!(header, format!("{expected}{metadata}"));
    // The header contains nothing from the token.
    let header = challenge(&bearer("\"injected\", error=\"x")).await;
    assert!(!header.contains("injected"), "{header}");
}

#[tokio::test]
async fn a_cached_token_of_a_removed_signing_key_is_refused() {
    let app = server().await;
    let token = issue(&app, "Ada", "family");
    assert!(call(&app, &token).await.is_ok());
    // A new key does not affect the token.
    app.keys.rotate_now().await.unwrap();
    assert!(call(&app, &token).await.is_ok());
    app.keys.replace_all().await.unwrap();
    let refused = call(&app, &token).await.unwrap_err();
    assert!(refused.contains("unknown key"), "{refused}");
    assert!(call(&app, &issue(&app, "Ada", "family")).await.is_ok());
}

#[tokio::test]
async fn a_stream_ends_when_the_rights_of_its_caller_are_reduced() {
    let app = server().await;
    let now =
        |of| Arc::new(Caller { subject: "user-Ada".to_owned(), grants: role(of), ..Caller::for_test() });
    let headers = bearer(&issue(&app, "Ada", "f"));
    let mut same = app.access.open_stream(&now(Role::Contributor), &headers).unwrap();
    let mut reduced = app.access.open_stream(&now(Role::Admin), &headers).unwrap();
    app.access.check_streams().await;
    assert_eq!(reduced.ended().await.to_string(), "the caller's rights have been reduced");
    assert!(same.ended().now_or_never().is_none(), "the stream stays open");
    app.clock.advance(ACCOUNT_CHECK_INTERVAL);
    app.access.check_streams().await;
    assert!(same.ended().now_or_never().is_none(), "the stream stays open");
}

#[tokio::test]
async fn a_stream_of_a_browser_session_ends_with_the_session_and_not_before() {
    let app = server().await;
    begin(&app, "f").await;
    let session = app.store.session_by_id("f", NOW).await.unwrap().unwrap();
    let ada = app.store.user_by_id("user-Ada").await.unwrap().unwrap();
    let caller = Arc::new(app.access.caller_of_session(&ada, &session).await.unwrap());
    // The token of an app is not one of this server.
    for headers in [HeaderMap::new(), bearer("app"), bearer(&issue(&app, "Ada", "other"))] {
        let mut stream = app.access.open_stream(&caller, &headers).unwrap();
        app.access.check_streams().await;
        assert!(stream.ended().now_or_never().is_none(), "{headers:?}");
    }
    let mut stream = app.access.open_stream(&caller, &HeaderMap::new()).unwrap();
    app.store.delete_session("f").await.unwrap();
    app.access.check_streams().await;
    assert_eq!(stream.ended().await.to_string(), "the user has signed out of this browser");
}

#[tokio::test]
async fn a_stream_ends_if_its_caller_cannot_be_checked_for_too_long() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    let app = Parts::with_store(Arc::new(SqliteStore::open(&path).unwrap()), |_| {}).await;
    app.store.create_user(&testing::user("Ada")).await.unwrap();
    let grants = role(Role::Contributor);
    let ada = Arc::new(Caller { subject: "user-Ada".to_owned(), grants, ..Caller::for_test() });
    let mut stream = app.access.open_stream(&ada, &bearer(&issue(&app, "Ada", "f"))).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    let rename =
        |from: &str, to: &str| other.execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}")).unwrap();
    rename("users", "away");
    for elapsed in [0, ACCOUNT_CHECK_INTERVAL - 1] {
        app.clock.advance(elapsed);
        app.access.check_streams().await;
        assert!(stream.ended().now_or_never().is_none(), "the failure may be short");
    }
    rename("away", "users");
    app.access.check_streams().await;
    rename("users", "away");
    app.clock.advance(1);
    for elapsed in [0, ACCOUNT_CHECK_INTERVAL - 1] {
        app.clock.advance(elapsed);
        app.access.check_streams().await;
        assert!(stream.ended().now_or_never().is_none(), "a lookup has succeeded since");
    }
    app.clock.advance(1);
    app.access.check_streams().await;
    assert_eq!(stream.ended().await, StreamEnd::Unchecked);
}
