use super::*;

#[tokio::test]
async fn a_user_changes_the_own_name_only() {
    let server = Server::start().await;
    let ada = server.browser("Ada").await;
    assert!(ada.page("/account/profile").await.contains("value=\"Ada\""));
    let answer = ada.post("/account/profile", "name=+Ada+Lovelace+&user=user-Bob").await;
    assert_eq!((answer.status, &*answer.location), (StatusCode::SEE_OTHER, "/account/profile?changed=1"));
    let page = ada.page("/account/profile?changed=1").await;
    assert!(page.contains("Ada Lovelace") && page.contains("Your name was changed."), "{page}");
    let user = async |id| server.parts.store.user_by_id(id).await.unwrap().unwrap().name;
    assert_eq!((&*user("user-Ada").await, &*user("user-Bob").await), ("Ada Lovelace", "Bob"));
}

#[tokio::test]
async fn a_name_that_is_refused_changes_nothing_and_stays_in_the_form() {
    let server = Server::start().await;
    let ada = server.browser("Ada").await;
    let long = format!("name={}", "x".repeat(257));
    for (fields, told) in [
        ("name=%20", "Enter a name."),
        ("name=a%E2%80%AEb", "The name must have no control characters"),
        (&*long, "The name must have at most 256 bytes"),
    ] {
        let answer = ada.post("/account/profile", fields).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{fields}");
        assert!(answer.body.contains(told), "{fields}: {}", answer.body);
    }
    // A form of another site, and one of another session.
    let bob = server.browser("Bob").await;
    let form = |cookies: &str| {
        Request::post("/account/profile")
            .header(header::COOKIE, cookies)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    };
    for cookies in [&ada.cookies, &bob.cookies] {
        let answer = server.send(form(cookies), "name=Eve&csrf=AAAA").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(server.parts.store.user_by_id("user-Ada").await.unwrap().unwrap().name, "Ada");
}
