use flyte_store::OutsideIdentity;

use super::*;

const ISSUER: &str = "https://id.example";

fn identity(subject: &str, user: &str) -> OutsideIdentity {
    OutsideIdentity {
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        provider: "corp".to_owned(),
        user_id: format!("user-{user}"),
        email: Some(format!("<b>{subject}</b>@corp.example")),
        linked_at: NOW,
        last_sign_in_at: None,
    }
}

fn form(subject: &str) -> String {
    format!("issuer=https%3A%2F%2Fid.example&subject={subject}")
}

#[tokio::test]
async fn a_connection_is_listed_and_removed() {
    let server = Server::start().await;
    let store = &server.parts.store;
    assert!(store.set_password_hash("user-Ada", "$hash", NOW).await.unwrap());
    for (subject, user) in [("1", "Ada"), ("2", "Ada"), ("3", "Bob")] {
        assert!(store.link_outside_identity(&identity(subject, user)).await.unwrap());
    }
    let ada = flyte_store::User { password_hash: Some("$hash".to_owned()), ..user("Ada") };
    let (session, cookie) = server.oauth.sessions.start(&ada).await.unwrap().unwrap();
    let ada = Browser { server: &server, session, cookies: pair(cookie.to_str().unwrap()) };
    let page = ada.page("/account/connections").await;
    assert!(
        page.contains("&#60;b&#62;1&#60;/b&#62;@corp.example") && !page.contains("@corp.example</b>"),
        "{page}"
    );
    assert!(!page.contains("&#60;b&#62;3"), "of another user");
    let answer = ada.post("/account/connections", &form("1")).await;
    assert_eq!(answer.location, "/account/connections?removed=1");
    assert!(!ada.page(&answer.location).await.contains("&#60;b&#62;1"));
    // Once more, and that of another user.
    for subject in ["1", "3"] {
        assert_eq!(ada.post("/account/connections", &form(subject)).await.status, StatusCode::SEE_OTHER);
    }
    assert!(store.outside_identity(ISSUER, "3").await.unwrap().is_some());
    let events = server.events("identity_unlinked").await;
    assert_eq!(events.len(), 1, "{events:?}");
    // An old sign-in removes nothing.
    server.parts.clock.advance(601);
    let answer = ada.post("/account/connections", &form("2")).await;
    assert_eq!(answer.location, "/login?return_to=%2Faccount%2Fconnections");
    assert!(store.outside_identity(ISSUER, "2").await.unwrap().is_some());
}

#[tokio::test]
async fn the_only_way_to_sign_in_stays() {
    let server = Server::start().await;
    let store = &server.parts.store;
    assert!(store.link_outside_identity(&identity("1", "Ada")).await.unwrap());
    let ada = server.browser("Ada").await;
    assert!(ada.page("/account/connections").await.contains("your only way to sign in"));
    let answer = ada.post("/account/connections", &form("1")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(store.outside_identity(ISSUER, "1").await.unwrap().is_some());
}
