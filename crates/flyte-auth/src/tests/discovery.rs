//! Discovery.

use super::*;
use crate::{AuthError, Unattended, discovery::discover, oauth::ClientId};

async fn discover_at(served: &Served) -> Result<crate::discovery::Provider, AuthError> {
    discover(&served.http(), &served.endpoint(), &Overrides::default()).await
}

/// A server that gives this answer to every request.
async fn always(answer: impl IntoResponse + Clone + Send + Sync + 'static) -> Served {
    Served::new(Certificate::Good, |_| {
        Router::new().fallback(move || {
            let answer = answer.clone();
            async move { answer }
        })
    })
    .await
}

#[tokio::test]
async fn flytes_own_service_comes_first_and_the_document_completes_it() {
    let realm = Arc::new(Realm::default());
    realm.rules(|rules| rules.says_issuer = true);
    let served = realm.serve().await;
    let provider = discover_at(&served).await.unwrap();
    assert_eq!(provider.client_id, ClientId::parse("flyte"));
    assert_eq!(provider.header, "flyte-authorization");
    assert_eq!(provider.audience.as_deref(), Some("the-audience"));
    assert_eq!(provider.revocation_endpoint, Some(served.url("revoke")));
    assert!(provider.flyte && provider.answers_with_issuer);
}

#[tokio::test]
async fn any_provider_with_a_well_known_document_works() {
    let realm = Arc::new(Realm::default());
    realm.rules(|rules| rules.flyte = false);
    let served = realm.serve().await;
    let provider = discover_at(&served).await.unwrap();
    assert_eq!(provider.token_endpoint, served.url("token"));
    assert_eq!(provider.header, "authorization");
    assert!(!provider.flyte);
    // The document names no client, so the configuration has to.
    assert!(matches!(provider.client_id(), Err(AuthError::NoClientId { .. })));

    let openid = Served::new(Certificate::Good, |port| {
        let document = json!({
            "issuer": format!("https://localhost:{port}"),
            "authorization_endpoint": format!("https://localhost:{port}/a"),
            "token_endpoint": format!("https://localhost:{port}/t"),
            "scopes_supported": ["openid", "email"],
        });
        Router::new().route("/.well-known/openid-configuration", get(|| async { Json(document) }))
    })
    .await;
    assert_eq!(discover_at(&openid).await.unwrap().scopes, ["openid"]);
}

#[tokio::test]
async fn a_web_console_is_recognized() {
    for served in [
        always((
            [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
            "<!doctype html><title>Console</title>",
        ))
        .await,
        always(Redirect::temporary("https://login.example.com/")).await,
    ] {
        let error = discover_at(&served).await.unwrap_err();
        assert!(matches!(&error, AuthError::WrongEndpoint { .. }), "{error:?}");

        assert!(!error.is_authentication());
    }
}

#[tokio::test]
async fn an_invalid_answer_is_an_error() {
    let endless = "x".repeat(1024 * 1024);
    for served in [
        always(StatusCode::NOT_FOUND).await,
        always(([(header::CONTENT_TYPE, "application/proto")], "\u{1}\u{2}garbage")).await,
        always(([(header::CONTENT_TYPE, "application/proto")], endless)).await,
        always(([(header::CONTENT_TYPE, "application/proto")], "")).await,
    ] {
        let error = discover_at(&served).await.unwrap_err();
        assert!(matches!(&error, AuthError::Discovery { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_insecure_token_endpoint_is_rejected() {
    let served = Served::new(Certificate::Good, |port| {
        let document = json!({
            "issuer": format!("https://localhost:{port}"),
            "authorization_endpoint": format!("https://localhost:{port}/a"),
            "token_endpoint": "http://evil.example/token",
        });
        Router::new().route("/.well-known/oauth-authorization-server", get(|| async { Json(document) }))
    })
    .await;
    let error = discover_at(&served).await.unwrap_err();
    assert!(matches!(&error, AuthError::InsecureUrl { what: "token endpoint", .. }), "{error:?}");
}

#[tokio::test]
async fn the_result_of_discovery_is_cached() {
    let realm = Arc::new(Realm::default());
    let served = realm.serve().await;
    let found = served.session(Arc::new(Unattended)).provider().await.unwrap();
    let asked = realm.asked.lock().unwrap().len();
    let again = served.session(Arc::new(Unattended)).provider().await.unwrap();
    assert_eq!(found, again);
    assert_eq!(realm.asked.lock().unwrap().len(), asked);
    // A damaged cache is ignored.
    for entry in std::fs::read_dir(served.directory.path().join("state")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::write(path, "{").unwrap();
        }
    }
    assert_eq!(served.session(Arc::new(Unattended)).provider().await.unwrap(), found);
    assert!(realm.asked.lock().unwrap().len() > asked);
}
