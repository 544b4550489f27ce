//! The choice of an account for a request with `prompt=select_account` (OpenID Connect Core section 3.1.2.1).
//!
//! The page posts the choice, and the request starts again. Without a mark the page would be shown for ever. The mark
//! is a token of this server, in place of the mark that demands a sign-in. It contains the chosen browser session and
//! is bound to the rest of the request by a hash.

use serde::{Deserialize, Serialize};

use super::sign_in::{self, MARK_LIFETIME_SECONDS};
use crate::AuthorizationServer;
use flyte_keys::KeyError;
use flyte_model::clock::UnixTime;
use flyte_settings::endpoints;
use flyte_store::BrowserSession;

/// `typ` of the mark, so that no other token of this server is accepted as a mark (RFC 8725 section 3.11).
const TYP: &str = "flyte-account+jwt";

/// The choice of a session's account.
#[derive(Debug, Serialize, Deserialize)]
struct Choice {
    /// The time of the choice.
    iat: UnixTime,
    /// The hash of the request's query.
    req: String,
    /// The chosen session.
    sid: String,
}

/// Returns path and query of the request, with the mark for the chosen account.
///
/// # Errors
/// [`KeyError`] if the mark cannot be signed.
pub(super) fn chosen(
    server: &AuthorizationServer,
    query: &str,
    session: &BrowserSession,
) -> Result<String, KeyError> {
    let choice =
        Choice { iat: server.clock.now(), req: sign_in::fingerprint(query), sid: session.id.clone() };
    Ok(format!("{}?{}", endpoints::AUTHORIZE, sign_in::marked(query, &server.keys.sign(TYP, &choice)?)))
}

/// Whether a mark shows that this session's account was chosen for this request.
pub(super) fn is_chosen(
    server: &AuthorizationServer,
    query: &str,
    mark: &str,
    session: &BrowserSession,
) -> bool {
    let Ok(choice) = server.keys.verify::<Choice>(mark, TYP) else { return false };
    let age = server.clock.now().saturating_sub(choice.iat);
    choice.req == sign_in::fingerprint(query)
        && choice.sid == session.id
        && (0..=MARK_LIFETIME_SECONDS).contains(&age)
}

#[cfg(test)]
mod tests {
    use crate::fixture::{Answer, Browser, Server, authorize_query};
    use flyte_settings::endpoints;

    const CHOOSE: (&str, &str) = ("prompt", "select_account");
    const NATIVE: (&str, &str) = ("client_id", "native");

    /// Asserts that a page asks for the account and offers this one.
    fn offers(page: &Answer, email: &str) {
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(page.text().contains("Choose an account") && page.text().contains(email), "{}", page.text());
    }

    async fn press(browser: &mut Browser<'_>, page: &Answer, button: &str) -> Answer {
        browser.press(page, endpoints::ACCOUNT, button).await
    }

    /// Continues with the account that a page offers.
    async fn continue_with(browser: &mut Browser<'_>, page: &Answer) -> Answer {
        let next = press(browser, page, "continue").await.location().to_owned();
        browser.get(&next).await
    }

    #[tokio::test]
    async fn a_user_continues_with_their_account() {
        let server = Server::start().await;
        let mut browser = server.browser("Ada").await;
        server.state.clock.advance(1000);
        let page = browser.authorize(&[CHOOSE]).await;
        offers(&page, "ada@example.com");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("form-action 'self' http://localhost:53593;"), "{policy}");
        let next = press(&mut browser, &page, "continue").await.location().to_owned();
        let answer = browser.get(&next).await;
        assert!(!answer.query("code").is_empty(), "{}", answer.location());
        assert_eq!(answer.query("state"), "s t+a/t%e");
        // The choice is valid for this request and session, for one hour.
        offers(&browser.authorize(&[CHOOSE]).await, "ada@example.com");
        let (request, mark) = next.rsplit_once('&').unwrap();
        offers(&browser.get(&format!("{request}&nonce=other&{mark}")).await, "ada@example.com");
        offers(&browser.get(&format!("{request}&flyte_sign_in=e30.e30.e30")).await, "ada@example.com");
        server.state.clock.advance(3601);
        offers(&browser.get(&next).await, "ada@example.com");
        browser.sign_in("Bob").await;
        offers(&browser.get(&next).await, "bob@example.com");
    }

    #[tokio::test]
    async fn a_user_takes_another_account() {
        let server = Server::start().await;
        let mut browser = server.browser("Ada").await;
        let page = browser.authorize(&[CHOOSE]).await;
        let answer = press(&mut browser, &page, "another-account").await;
        assert_eq!(answer.query("another_account"), "1");
        let return_to = answer.return_to();
        // Ada stays signed in until another user signs in.
        offers(&browser.get(&return_to).await, "ada@example.com");
        browser.sign_in("Bob").await;
        let code = browser.get(&return_to).await.query("code");
        let tokens = server.redeem(&code).await.json();
        assert_eq!(Answer::claims(&tokens["id_token"])["sub"], "user-Bob");
    }

    #[tokio::test]
    async fn without_a_session_there_is_no_choice() {
        let server = Server::start().await;
        let mut browser = server.stranger();
        let return_to = browser.authorize(&[CHOOSE]).await.return_to();
        browser.sign_in("Ada").await;
        assert!(!browser.get(&return_to).await.query("code").is_empty(), "the sign-in was the choice");
    }

    #[tokio::test]
    async fn other_prompts_come_after_the_choice() {
        let server = Server::start().await;
        for change in [("prompt", "login select_account"), ("max_age", "10")] {
            let mut browser = server.browser("Ada").await;
            server.state.clock.advance(11);
            let page = browser.authorize(&[CHOOSE, change]).await;
            offers(&page, "ada@example.com");
            let return_to = continue_with(&mut browser, &page).await.return_to();
            browser.sign_in("Ada").await;
            assert!(!browser.get(&return_to).await.query("code").is_empty(), "{change:?}");
        }
        let mut browser = server.browser("Ada").await;
        let page = browser.authorize(&[NATIVE, CHOOSE]).await;
        offers(&page, "ada@example.com");
        let page = continue_with(&mut browser, &page).await;
        assert!(page.text().contains("Third-party program"), "{}", page.text());
        let answer = browser.press(&page, endpoints::CONSENT, "allow").await;
        assert!(!answer.query("code").is_empty(), "{}", answer.location());
    }

    #[tokio::test]
    async fn an_expected_account_is_not_offered_for_choice() {
        let server = Server::start().await;
        let tokens = server.tokens().await;
        let hint = ("id_token_hint", tokens["id_token"].as_str().unwrap());
        offers(&server.browser("Ada").await.authorize(&[CHOOSE, hint]).await, "ada@example.com");
        server.browser("Bob").await.authorize(&[CHOOSE, hint]).await.return_to();
    }

    #[tokio::test]
    async fn only_the_page_can_choose() {
        let server = Server::start().await;
        let mut browser = server.browser("Ada").await;
        let page = browser.authorize(&[CHOOSE]).await;
        let query = authorize_query(&[CHOOSE]);
        for decision in ["continue", "another-account"] {
            let fields = [("csrf", "AAAA"), ("request", query.as_str()), ("decision", decision)];
            assert_eq!(browser.post(endpoints::ACCOUNT, &fields).await.status, 403);
        }
        offers(&press(&mut browser, &page, "maybe").await, "ada@example.com");
        // Another user signed in meanwhile, so the page is not theirs.
        browser.sign_in("Bob").await;
        assert_eq!(press(&mut browser, &page, "continue").await.status, 403);
    }
}
