//! API keys, applications and trust rules.

use flyte_model::{ClientId, GrantType, Scope};
use flyte_store::{Client, ClientKind};
use flyte_testing::{NOW, api_key};
use http::StatusCode;

use super::{HOSTILE, Server};

#[tokio::test]
async fn an_api_key_is_shown_and_ended() {
    let server = Server::start().await;
    let store = &*server.parts.store;
    api_key(store, "ci", |key| key.created_by = "user-Vic".to_owned()).await;
    api_key(store, "old", |key| key.expires_at = Some(NOW - 1)).await;
    let root = server.browser("Root").await;
    let page = root.page("/admin/api-keys").await;
    assert!(
        page.contains("vic@example.com") && page.contains("expired") && page.contains("never expires"),
        "{page}"
    );
    let page = root.page("/admin/api-keys/ci").await;
    assert!(page.contains("contributor") && page.contains("everywhere"), "{page}");
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    root.fails("/admin/api-keys/ci", &[("act", "delete"), ("confirm", "")], status).await;
    let page = root.change("/admin/api-keys/ci", &[("act", "delete"), ("confirm", "ci")]).await;
    assert!(page.contains("Deleted.") && !page.contains("vic@example.com"), "{page}");
    let events = server.events("api_key_deleted").await;
    assert_eq!(events[0].record.client_id.as_deref(), Some("flyte-admin-pages"));
}

/// A registered client with hostile texts.
pub(super) fn client(id: &'static str) -> Client {
    Client {
        id: ClientId::from_static(id),
        name: HOSTILE.to_owned(),
        kind: ClientKind::Public,
        secret_hash: None,
        jwks: None,
        redirect_uris: vec![format!("https://app.example/{HOSTILE}")],
        post_logout_redirect_uris: Vec::new(),
        grant_types: vec![GrantType::AuthorizationCode],
        scopes: [Scope::OPENID].into(),
        first_party: false,
        may_keep_api_keys: false,
        id_token_signed_response_alg: None,
        created_at: NOW,
    }
}

#[tokio::test]
async fn an_application_is_shown_and_removed() {
    let server = Server::start().await;
    let client = client("web");
    let id = client.id.clone();
    server.parts.store.put_client(&client).await.unwrap();
    let own = Client { id: server.parts.config.public_client.client_id.clone(), ..client };
    server.parts.store.put_client(&own).await.unwrap();
    let root = server.browser("Root").await;
    let page = root.page("/admin/applications").await;
    assert!(page.contains("/admin/applications/web"), "{page}");
    // The client of the flyte command comes back with each start.
    let own = format!("/admin/applications/{}", own.id);
    assert!(root.page(&own).await.contains("cannot be removed here"));
    root.fails(&own, &[("act", "delete"), ("confirm", "flyte")], StatusCode::CONFLICT).await;
    let page = root.change("/admin/applications/web", &[("act", "delete"), ("confirm", "web")]).await;
    assert!(page.contains("Deleted."), "{page}");
    assert!(server.parts.store.client_by_id(&id).await.unwrap().is_none());
    assert_eq!(server.events("client_removed").await[0].record.subject.as_deref(), Some("user-Root"));
}

#[tokio::test]
async fn a_trust_rule_is_created_and_deleted() {
    let server = Server::start().await;
    let root = server.browser("Root").await;
    let claims = "repository=acme/ml\r\n\r\nref = refs/heads/*";
    let new = [
        ("act", "create"),
        ("name", "ci"),
        ("issuer", "https://token.actions.githubusercontent.com"),
        ("audience", "flyte"),
        ("role", "contributor"),
        ("claims", claims),
    ];
    let page = root.change("/admin/trust/new", &new).await;
    assert!(page.contains("refs/heads/*") && page.contains("acme/ml"), "{page}");
    let wrong: Vec<_> = new
        .iter()
        .map(|(name, value)| (*name, if *name == "claims" { "repository" } else { value }))
        .collect();
    let page = root.fails("/admin/trust/new", &wrong, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert!(page.contains("Claims has a line without =") && page.contains("repository</textarea>"), "{page}");
    let page = root.change("/admin/trust/ci", &[("act", "delete"), ("confirm", "ci")]).await;
    assert!(page.contains("Deleted."), "{page}");
    assert!(server.parts.store.list_trust_rules().await.unwrap().is_empty());
}
