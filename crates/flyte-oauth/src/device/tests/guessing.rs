//! Guessing of user codes.

use std::net::{IpAddr, Ipv4Addr};

use http::header;

use super::text;
use crate::{
    device::user_code::UserCode,
    fixture::{Server, user},
};
use flyte_store::{BrowserSession, User};

/// A code for which no device waits, except with a probability of one in a million million.
fn guess() -> String {
    UserCode::generate().unwrap().to_string()
}

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number))
}

#[tokio::test]
async fn guessing_is_limited_and_reveals_nothing() {
    let server = Server::start().await;
    let device = server.device().await;
    let mut browser = server.browser("Ada").await;
    for _ in 0..5 {
        assert_eq!(browser.get(&format!("/device?user_code={}", guess())).await.status, 404);
    }
    for code in [guess(), text(&device["user_code"]).to_owned()] {
        let page = browser.get(&format!("/device?user_code={code}")).await;
        assert_eq!(page.status, 429);
        assert_eq!(page.headers[header::RETRY_AFTER], "2");
        assert!(page.text().contains("Too many wrong codes. Try again in 2 seconds."));
    }
    assert_eq!(server.browser("Bob").await.look_at(&device).await.status, 200, "only Ada waits");
    server.state.clock.advance(2);
    assert_eq!(browser.look_at(&device).await.status, 200);
}

#[tokio::test]
async fn decisions_count_for_the_limit_too() {
    let server = Server::start().await;
    let device = server.device().await;
    let mut browser = server.browser("Ada").await;
    let csrf = browser.look_at(&device).await.field("csrf");
    for decision in ["approve", "deny", "approve", "deny", "other"] {
        let pairs = [("csrf", csrf.as_str()), ("user_code", &guess()), ("decision", decision)];
        assert_eq!(browser.post("/device", &pairs).await.status, 404);
    }
    let code = text(&device["user_code"]);
    let pairs = [("csrf", csrf.as_str()), ("user_code", code), ("decision", "deny")];
    assert_eq!(browser.post("/device", &pairs).await.status, 429);
    assert_eq!(server.poll(&device).await.error(), "authorization_pending");
}

#[tokio::test]
async fn a_code_that_is_passed_around_waits() {
    let server = Server::start().await;
    let device = server.device().await;
    let mut looks = 0;
    for number in 0..40 {
        let name = format!("person{number}");
        server.state.store.create_user(&user(&name)).await.unwrap();
        let mut browser = server.browser(&name).await;
        browser.address = address(number);
        looks += u32::from(browser.look_at(&device).await.status == 200);
    }
    assert_eq!(looks, 10);
}

/// An attacker with several accounts and addresses who tries codes for as long as a code is valid.
async fn attack(accounts: u32, addresses: u32) -> u32 {
    let server = Server::start().await;
    let mut browsers = Vec::new();
    for number in 0..accounts {
        let name = format!("mallory{number}");
        let mallory = User { id: format!("user-{name}"), ..user(&name) };
        server.state.store.create_user(&mallory).await.unwrap();
        let mut browser = server.browser(&name).await;
        browser.session = None::<BrowserSession>;
        browsers.push(browser);
    }
    let mut tried = 0;
    for second in 0..600 {
        for (number, browser) in (0_u32..).zip(&mut browsers) {
            // Five codes a second for each account, from all addresses in turn.
            for turn in 0..5 {
                browser.address = address((number + turn + second) % addresses);
                let page = browser.get(&format!("/device?user_code={}", guess())).await;
                match page.status.as_u16() {
                    404 => tried += 1,
                    429 => break,
                    other => panic!("{other}"),
                }
            }
        }
        server.state.clock.advance(1);
    }
    tried
}

#[tokio::test]
async fn brute_force_does_not_succeed() {
    // Within the ten minutes that a code is valid. With 2^40 codes and a thousand waiting devices, a hundred attempts
    // find one of them with a probability of one in ten million.
    let tried = attack(1, 50).await;
    assert!((5..=20).contains(&tried), "one account tried {tried} codes");
    let tried = attack(20, 1).await;
    assert!((20..=60).contains(&tried), "one address tried {tried} codes");
    let tried = attack(10, 10).await;
    assert!(tried <= 200, "ten accounts at ten addresses tried {tried} codes");
}
