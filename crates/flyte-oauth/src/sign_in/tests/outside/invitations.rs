//! Invitations that are accepted by a sign-in at a provider.

use super::*;
use crate::sign_in::tests::account_link::link;
use flyte_store::LinkPurpose;

async fn confirm(browser: &mut Browser<'_>, href: &str) -> Page {
    let page = browser.get(href).await;
    assert!(page.body.contains("Accept with Corp"), "{}", page.body);
    let (csrf, token) = (page.field("csrf").unwrap(), page.field("token").unwrap());
    browser.post("/invitation", &[("csrf", &csrf), ("token", &token), ("provider", "corp")]).await
}

#[tokio::test]
async fn an_invitation_is_accepted_by_the_user_with_the_invited_address_only() {
    let world = World::start().await;
    let href = link(&world.server, LinkPurpose::Invitation, 3600).await;
    let mut browser = world.server.browser();
    let page = confirm(&mut browser, &href).await;
    assert!(page.body.contains("0; url=/login/with/corp"), "a form leads to no other server: {}", page.body);
    for claims in
        [json!({"email": "eve@example.com"}), json!({"email": "ada@example.com", "email_verified": false})]
    {
        confirm(&mut browser, &href).await;
        let page = sign_in(&world, &mut browser, claims).await;
        assert_eq!((page.status.as_u16(), title(&page)), (403, "This invitation is for another address"));
        assert!(page.body.contains("It is for Ada@example.com"), "{}", page.body);
        assert_eq!((who(&mut browser).await, world.account("u1").await), (None, None));
    }
    // Without the confirmation in this browser, the invitation does not count.
    let mut other = world.server.browser();
    let page = sign_in(&world, &mut other, json!({"email": "ada@example.com"})).await;
    assert_eq!(title(&page), "You have no account here yet");

    confirm(&mut browser, &href).await;
    let page = sign_in(&world, &mut browser, json!({"email": "ADA@example.com"})).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(who(&mut browser).await.as_deref(), Some("Ada@example.com"));
    assert_eq!(world.account("u1").await.as_deref(), Some("id-of-Ada"));
    assert_eq!(browser.get(&href).await.status, 410, "it is used");
    let events = world.events().await;
    assert!(events.iter().any(|(event, _)| event == "invitation_accepted"), "{events:?}");
}
