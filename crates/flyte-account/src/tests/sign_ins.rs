use super::*;

const PATH: &str = "/account/sessions";

#[tokio::test]
async fn browsers_and_programs_are_listed_with_their_last_use() {
    let server = Server::start().await;
    let ada = server.browser("Ada").await;
    let other = server.browser("Ada").await;
    let bob = server.browser("Bob").await;
    server.program(&ada, "flyte", "family").await;
    server.parts.clock.advance(90);
    assert_eq!(server.call(&server.token("flyte", "family")).await, StatusCode::OK);
    let page = ada.page(PATH).await;
    assert!(page.contains("Firefox on Linux") && page.contains("this browser</span>"), "{page}");
    assert!(page.contains("203.0.113.9, the address of this browser"), "{page}");
    assert!(page.contains("signed in with a browser"), "{page}");
    assert_eq!(
        page.matches("2027-01-15 08:01:30 UTC</time></p>").count(),
        2,
        "this browser and the call: {page}"
    );
    for id in [&ada.session.id, &other.session.id, "family"] {
        assert!(page.contains(&format!("value=\"{id}\"")), "{page}");
    }
    assert!(!page.contains(&bob.session.id));
    // A token of another listing is not an error of the server.
    assert_eq!(ada.get("/account/sessions?token=AAAA").await.location, PATH);
}

#[tokio::test]
async fn one_is_signed_out_with_what_it_authorized() {
    let server = Server::start().await;
    let ada = server.browser("Ada").await;
    let other = server.browser("Ada").await;
    let bob = server.browser("Bob").await;
    server.program(&ada, "flyte", "mine").await;
    server.program(&other, "flyte", "others").await;
    let tokens = [server.token("flyte", "mine"), server.token("flyte", "others")];

    // Nothing of another user.
    for id in [&*bob.session.id, "unknown", ""] {
        assert_eq!(
            ada.post(PATH, &format!("extent=one&id={id}")).await.location,
            format!("{PATH}?ended=one")
        );
    }
    bob.page(PATH).await;
    let answer = ada.post(PATH, &format!("extent=one&id={}", other.session.id)).await;
    assert_eq!(answer.location, format!("{PATH}?ended=one"));
    assert!(ada.page(&answer.location).await.contains("It is signed out."));
    assert_eq!(other.get(PATH).await.status, StatusCode::SEE_OTHER);
    assert_eq!(server.call(&tokens[0]).await, StatusCode::OK);
    assert_eq!(server.call(&tokens[1]).await, StatusCode::UNAUTHORIZED);
    ada.post(PATH, "extent=one&id=mine").await;
    assert_eq!(server.call(&tokens[0]).await, StatusCode::UNAUTHORIZED);

    // The browser itself.
    let answer = ada.post(PATH, &format!("extent=one&id={}", ada.session.id)).await;
    assert_eq!(answer.location, "/signed-out");
    assert_eq!(ada.get(PATH).await.status, StatusCode::SEE_OTHER);
    let events = server.events("signed_out").await;
    assert_eq!(events.len(), 4, "{events:?}");
    assert!(events.iter().all(|event| event.client_id.as_deref() == Some("flyte-account")), "{events:?}");
}

#[tokio::test]
async fn everywhere_keeps_this_browser_only_if_the_button_says_so() {
    let server = Server::start().await;
    let ada = server.browser("Ada").await;
    let other = server.browser("Ada").await;
    let bob = server.browser("Bob").await;
    server.program(&ada, "flyte", "mine").await;
    let token = server.token("flyte", "mine");
    assert_eq!(ada.post(PATH, "extent=some").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.call(&token).await, StatusCode::OK);

    let answer = ada.post(PATH, "extent=others").await;
    assert_eq!(answer.location, format!("{PATH}?ended=others"));
    assert_eq!(ada.page(&answer.location).await.matches("value=\"one\"").count(), 1);
    assert_eq!(other.get(PATH).await.status, StatusCode::SEE_OTHER);
    assert_eq!(server.call(&token).await, StatusCode::UNAUTHORIZED);

    let answer = ada.post(PATH, "extent=all").await;
    assert_eq!(answer.location, "/signed-out");
    assert_eq!(ada.get(PATH).await.status, StatusCode::SEE_OTHER);
    bob.page(PATH).await;
}

#[tokio::test]
async fn many_are_listed_in_pages() {
    let server = Server::start().await;
    let ada = server.browser("Ada").await;
    for _ in 0..120 {
        server.oauth.sessions.start(&user("Ada")).await.unwrap().unwrap();
    }
    let (mut path, mut pages) = (PATH.to_owned(), Vec::new());
    loop {
        let page = ada.page(&path).await;
        let ids =
            page.split("name=\"id\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        pages.push(ids.collect::<Vec<_>>());
        match page.split("href=\"/account/sessions?token=").nth(1) {
            Some(rest) => path = format!("{PATH}?token={}", rest.split('"').next().unwrap()),
            None => break,
        }
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 21]);
    let mut all = pages.concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 121);
}
