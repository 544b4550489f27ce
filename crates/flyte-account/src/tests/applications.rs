use flyte_model::{GrantType, Scope};
use flyte_store::{Client, ClientKind, Consent};

use super::*;

#[tokio::test]
async fn a_consent_is_listed_and_withdrawn() {
    let server = Server::start().await;
    let store = &server.parts.store;
    for id in ["web", "other"] {
        let client = Client {
            id: id.parse().unwrap(),
            name: format!("<b>{id}</b>"),
            kind: ClientKind::Public,
            secret_hash: None,
            jwks: None,
            redirect_uris: vec!["http://127.0.0.1/cb".to_owned()],
            post_logout_redirect_uris: vec![],
            grant_types: vec![GrantType::AuthorizationCode],
            scopes: [Scope::OPENID, Scope::ALL].into(),
            first_party: false,
            may_keep_api_keys: false,
            id_token_signed_response_alg: None,
            created_at: NOW,
        };
        store.put_client(&client).await.unwrap();
        for user in ["user-Ada", "user-Bob"] {
            let consent = Consent {
                user_id: user.to_owned(),
                client_id: client.id.clone(),
                scopes: [Scope::OPENID, Scope::ALL].into(),
                granted_at: NOW,
            };
            store.add_consent(&consent).await.unwrap();
        }
    }
    let ada = server.browser("Ada").await;
    server.program(&ada, "web", "family").await;
    let token = server.token("web", "family");
    assert_eq!(server.call(&token).await, StatusCode::OK);

    let page = ada.page("/account/applications").await;
    assert!(
        page.contains("&#60;b&#62;web&#60;/b&#62;") && page.contains("Do everything that you can do"),
        "{page}"
    );
    let answer = ada.post("/account/applications", "client_id=web").await;
    assert_eq!(answer.location, "/account/applications?withdrawn=1");
    let page = ada.page(&answer.location).await;
    assert!(!page.contains("<code>web</code>") && page.contains("<code>other</code>"), "{page}");
    assert_eq!(server.call(&token).await, StatusCode::UNAUTHORIZED, "its tokens have ended");
    assert!(store.consent("user-Bob", &"web".parse().unwrap()).await.unwrap().is_some());
    // Once more, from a page that is out of date.
    assert_eq!(ada.post("/account/applications", "client_id=web").await.status, StatusCode::SEE_OTHER);
    let events = server.events("consent_withdrawn").await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(
        (events[0].subject.as_deref(), events[0].client_id.as_deref()),
        (Some("user-Ada"), Some("web"))
    );
    for fields in ["", "client_id=%00"] {
        assert_eq!(ada.post("/account/applications", fields).await.status, StatusCode::BAD_REQUEST);
    }
}
