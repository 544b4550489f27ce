//! Password guessing.

use super::*;

#[tokio::test]
async fn an_account_under_attack_waits_whether_it_exists_or_not() {
    for email in ["ada@example.com", "unknown@example.com"] {
        let server = Server::start().await;
        let mut browser = server.browser();
        for _ in 0..5 {
            assert_eq!(browser.sign_in(email, "wrong").await.status, StatusCode::UNAUTHORIZED);
        }
        let hashes = server.state.passwords.computed();
        let page = browser.sign_in_for(AUTHORIZE, email, PASSWORD).await;
        assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(page.header(header::RETRY_AFTER), "2");
        assert!(page.body.contains("Too many failed attempts. Try again in 2 seconds."));
        assert_eq!(page.field("email").unwrap(), email);
        assert_eq!(page.field("return_to").unwrap(), AUTHORIZE.replace('&', "&#38;"));
        assert_eq!(server.state.passwords.computed(), hashes);
        let mut elsewhere = server.browser();
        elsewhere.address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let expected =
            if email.starts_with("ada") { StatusCode::SEE_OTHER } else { StatusCode::UNAUTHORIZED };
        assert_eq!(elsewhere.sign_in(email, PASSWORD).await.status, expected, "only the attacker waits");
        server.state.clock.advance(2);
        browser.sign_in("ada@example.com", PASSWORD).await.location();
    }
}

#[tokio::test]
async fn guessing_from_many_addresses_does_not_lock_out_a_known_browser() {
    let server = Server::start().await;
    let mut known = server.browser();
    known.sign_in("ada@example.com", PASSWORD).await.location();
    for number in 0..50 {
        let mut stranger = server.browser();
        stranger.address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number));
        assert_eq!(stranger.sign_in("Ada@example.com", "wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    let mut new = server.browser();
    new.address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    assert_eq!(new.sign_in("ada@example.com", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    known.sign_in("ada@example.com", PASSWORD).await.location();
    // For another account the browser is unknown.
    assert_eq!(known.sign_in("elsewhere@example.com", "wrong").await.status, StatusCode::UNAUTHORIZED);
    // The cookie does not sign in, and guessing with it is limited.
    known.cookies.retain(|(name, _)| name != flyte_identity::session::COOKIE);
    assert!(known.cookie(flyte_identity::known_browser::COOKIE).is_some());
    for _ in 0..5 {
        assert_eq!(known.sign_in("ada@example.com", "wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(known.sign_in("ada@example.com", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn an_address_that_guesses_many_accounts_waits_and_the_right_password_passes() {
    let server = Server::start().await;
    let wrong =
        async |number: u32| server.browser().sign_in(&format!("{number}@example.com"), "wrong").await.status;
    for number in 0..120 {
        assert_eq!(wrong(number).await, StatusCode::UNAUTHORIZED);
    }
    let hashes = server.state.passwords.computed();
    for number in 0..120 {
        assert_eq!(wrong(number).await, StatusCode::TOO_MANY_REQUESTS, "a second try at {number}");
    }
    assert_eq!(server.state.passwords.computed(), hashes);
    server.browser().sign_in("ada@example.com", PASSWORD).await.location();
    // A mistake counts as a failure there.
    assert_eq!(server.browser().sign_in("ada@example.com", "wrong").await.status, StatusCode::UNAUTHORIZED);
    let page = server.browser().sign_in("ada@example.com", PASSWORD).await;
    assert_eq!((page.status, page.header(header::RETRY_AFTER)), (StatusCode::TOO_MANY_REQUESTS, "60"));
    let mut elsewhere = server.browser();
    elsewhere.address = "2001:db8::1".parse().unwrap();
    elsewhere.sign_in("ada@example.com", PASSWORD).await.location();
}

#[tokio::test]
async fn simultaneous_attempts_count_before_their_verification() {
    let server = Server::start().await;
    let mut browser = server.browser();
    let csrf = browser.csrf().await;
    let hashes = server.state.passwords.computed();
    let attempts = (0..30).map(|_| {
        let (mut browser, csrf) = (browser.clone(), csrf.clone());
        async move {
            let fields = [("csrf", csrf.as_str()), ("email", "ada@example.com"), ("password", "wrong")];
            browser.post("/login", &fields).await.status
        }
    });
    let statuses = futures_util::future::join_all(attempts).await;
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count(), 5);
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count(), 25);
    assert_eq!(server.state.passwords.computed(), hashes + 5);
}

#[tokio::test]
async fn an_overload_is_reported_and_not_counted_as_a_failure() {
    let server = Server::start().await;
    let mut browser = server.browser();
    let csrf = browser.csrf().await;
    // One password is being verified and 64 wait; the others are refused immediately.
    let attempts = (0..200_u32).map(|number| {
        let (mut browser, csrf) = (browser.clone(), csrf.clone());
        browser.address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number));
        async move {
            let email = format!("{number}@example.com");
            let fields = [("csrf", csrf.as_str()), ("email", &email), ("password", "wrong")];
            browser.post("/login", &fields).await
        }
    });
    let pages = futures_util::future::join_all(attempts).await;
    let mut busy = pages.iter().filter(|page| page.status == StatusCode::SERVICE_UNAVAILABLE).peekable();
    let page = busy.peek().expect("some were refused");
    assert_eq!(page.header(header::RETRY_AFTER), "2");
    assert!(page.body.contains("Too many people are signing in."));
    let email = page.field("email").unwrap();
    for _ in 0..5 {
        assert_eq!(browser.sign_in(&email, "wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(browser.sign_in(&email, "wrong").await.status, StatusCode::TOO_MANY_REQUESTS);
}
