use flyte_auth::api_key::ApiKey;
use flyte_model::Role;
use flyte_store::{ApiKeyQuery, RoleIn};

use super::*;

const PATH: &str = "/account/keys";
const SECRET: &str = "/account/keys/secret";

async fn keys(server: &Server, creator: &str) -> Vec<flyte_store::ApiKey> {
    let query = ApiKeyQuery { created_by: Some(creator.to_owned()), limit: 100, page_token: String::new() };
    server.parts.store.list_api_keys(&query).await.unwrap().0
}

/// The texts of the elements that show a secret: the portable key, and the client secret.
fn secrets(page: &str) -> Vec<String> {
    let parts = page.split("class=\"secret\"").skip(1);
    parts.map(|rest| rest.split('>').nth(1).unwrap().split('<').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_new_secret_is_shown_once_and_in_no_address() {
    let server = Server::start().await;
    let ada = server.browser("Ada").await;
    let other = server.browser("Ada").await;
    let answer = ada.post(PATH, "action=create&name=My+CI&role=viewer&lifetime=90").await;
    assert_eq!((answer.status, &*answer.location), (StatusCode::SEE_OTHER, SECRET), "{answer:?}");
    // Not in another browser of the same user.
    assert_eq!(other.get(SECRET).await.location, format!("{PATH}?done=seen"));
    let page = ada.page(SECRET).await;
    let shown = secrets(&page);
    assert_eq!(shown.len(), 2, "{page}");
    let portable = ApiKey::decode(&shown[0]).unwrap();
    assert_eq!(portable.client_id.as_str(), "my-ci");
    assert_eq!(portable.client_secret.expose_secret(), shown[1]);
    assert_eq!(portable.endpoint.dns(), "dns:///localhost:8443");
    let key = keys(&server, "user-Ada").await.remove(0);
    assert_eq!(key.secret_hash, Some(opaque_token::hash(&shown[1])));
    assert_eq!((key.rights.role, key.expires_at), (Role::Viewer, Some(NOW + 90 * 86_400)));
    // A reload does not show it, and does not create another one.
    let answer = ada.get(SECRET).await;
    assert_eq!(answer.location, format!("{PATH}?done=seen"));
    let page = ada.page(&answer.location).await;
    assert!(page.contains("shown once") && page.contains("My CI") && !page.contains(&shown[1]), "{page}");
    assert_eq!(keys(&server, "user-Ada").await.len(), 1);
    let events = server.events("api_key_created").await;
    assert_eq!(events[0].client_id.as_deref(), Some("flyte-account"));
}

#[tokio::test]
async fn a_key_is_rotated_and_deleted() {
    let server = Server::start().await;
    let ada = server.browser("Ada").await;
    ada.post(PATH, "action=create&name=ci&role=contributor&lifetime=30").await;
    let first = secrets(&ada.page(SECRET).await);
    assert_eq!(ada.post(PATH, "action=rotate&client_id=ci&overlap=86400&lifetime=").await.location, SECRET);
    let page = ada.page(SECRET).await;
    assert!(page.contains("has a new secret"), "{page}");
    assert_ne!(secrets(&page)[1], first[1]);
    assert!(ada.page(PATH).await.contains("The previous secret works until"));
    // Both secrets work, so a third one would end the first without a word.
    let answer = ada.post(PATH, "action=rotate&client_id=ci&overlap=86400&lifetime=").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.body.contains("was rotated before"), "{}", answer.body);
    assert_eq!(ada.post(PATH, "action=delete&client_id=ci").await.location, format!("{PATH}?done=deleted"));
    assert!(keys(&server, "user-Ada").await.is_empty());
    assert_eq!(ada.post(PATH, "action=delete&client_id=ci").await.status, StatusCode::SEE_OTHER, "once more");
    for fields in
        ["action=create&name=x&lifetime=soon", "action=rotate&client_id=x&overlap=long", "action=other", ""]
    {
        assert_eq!(ada.post(PATH, fields).await.status, StatusCode::BAD_REQUEST, "{fields}");
    }
}

#[tokio::test]
async fn users_see_and_give_no_more_than_they_have() {
    let server = Server::start().await;
    let root = flyte_store::User { admin: true, ..user("Root") };
    server.parts.store.create_user(&root).await.unwrap();
    let store = &server.parts.store;
    store.create_user_with(&user("Vera"), &[RoleIn::everywhere(Role::Viewer)]).await.unwrap();
    let (ada, vera, root) =
        (server.browser("Ada").await, server.browser("Vera").await, server.browser("Root").await);
    ada.post(PATH, "action=create&name=hers&role=viewer&lifetime=30").await;
    // The keys of others are neither listed nor changed, also for an administrator's list of the own ones.
    for page in [vera.page(PATH).await, root.page(PATH).await] {
        assert!(!page.contains("hers"), "{page}");
    }
    vera.post(PATH, "action=delete&client_id=hers").await;
    let answer = vera.post(PATH, "action=rotate&client_id=hers&overlap=0&lifetime=").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(keys(&server, "user-Ada").await.len(), 1);

    // The form offers the own roles, and another one is refused with the form as it was typed.
    assert!(!vera.page(PATH).await.contains("<option>contributor"));
    let answer = vera.post(PATH, "action=create&name=strong&role=contributor&lifetime=30").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(
        answer.body.contains("you are a viewer") && answer.body.contains("value=\"strong\""),
        "{}",
        answer.body
    );
    let answer = ada.post(PATH, "action=create&name=x&role=viewer&lifetime=30&project=nowhere").await;
    assert!(answer.body.contains("Project names no project."), "{}", answer.body);
    assert!(keys(&server, "user-Vera").await.is_empty());
}

#[tokio::test]
async fn a_strong_key_needs_a_recent_sign_in() {
    let server = Server::start().await;
    let ada = server.browser("Ada").await;
    server.parts.clock.advance(1000);
    let answer = ada.post(PATH, "action=create&name=for+ever&role=viewer&lifetime=never").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let again = "/login?return_to=%2Faccount%2Fkeys%3Fname%3Dfor%2520ever%26role%3Dviewer";
    assert!(answer.body.contains("Sign in again") && answer.body.contains(again), "{}", answer.body);
    // The way back fills the form.
    let page = ada.page("/account/keys?name=for%20ever&role=viewer&project=&domain=&lifetime=never").await;
    assert!(page.contains("value=\"for ever\"") && page.contains("value=\"never\" selected"), "{page}");
    let fresh = server.browser("Ada").await;
    let answer = fresh.post(PATH, "action=create&name=for+ever&role=viewer&lifetime=never").await;
    assert_eq!(answer.location, SECRET, "{answer:?}");
}

#[tokio::test]
async fn a_page_of_the_console_cannot_create_keys() {
    let server = Server::start().await;
    let ada = server.browser("Ada").await;
    let caller = server.parts.access.caller_of_session(&user("Ada"), &ada.session).await.unwrap();
    assert_eq!(caller.client_id.as_str(), "flyte-console");
    let calls = server.services.by(Arc::new(caller));
    let config = connectrpc::client::ClientConfig::new(http::Uri::from_static("http://localhost"));
    let client = flyte_idl::flyteauth::ApiKeyServiceClient::new(calls, config);
    let error =
        client.create_api_key(flyte_idl::flyteauth::CreateApiKeyRequest::default()).await.unwrap_err();
    let code = connectrpc::ErrorCode::PermissionDenied;
    assert_eq!(error.code, code);
}
