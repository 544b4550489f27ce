//! Sign-in through an outside provider (flyte-provider): the way there, and what is remembered until the browser comes back.
//!
//! `start` sends the browser to the provider, `callback` takes it back, `account` finds or creates the account, `connect`
//! connects an account whose user signs in here first, `recheck` asks the provider again later,
//! `leave` signs out there, and `backchannel` receives the provider's sign-outs.

mod account;
pub(super) mod backchannel;
pub(super) mod callback;
pub(super) mod connect;
mod failure;
pub(super) mod invitation;
pub(crate) mod leave;
pub(crate) mod recheck;

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Deserialize;

use crate::{AuthorizationServer, authorize::see_other};
use flyte_identity::cookie::{self, CookieSecret};
use flyte_model::{ClientAddr, clock::Clock};
use flyte_pages::{ProviderLink, ReturnTo, encode, error_page};
use flyte_provider::{Attempt, Attempts, Profile, Providers, Wishes};

/// The cookie of a browser that is at a provider: a random secret, to which everything that is remembered is bound. It has
/// no tokens.
const COOKIE: &str = "__Host-flyte_provider";
/// Lifetime of the cookie in seconds.
const COOKIE_SECONDS: i64 = 3600;
/// The maximum length of a hint at the user's address, in bytes.
const MAX_HINT_BYTES: usize = 254;

/// The outside providers, and the sign-ins that have begun.
#[derive(Debug)]
pub struct OutsideSignIns {
    /// The providers.
    pub providers: Providers,
    /// Browsers that are at a provider, by `state`.
    begun: Attempts<Begun>,
    /// Users of providers without an account, by the browser's cookie.
    unconnected: Attempts<Unconnected>,
    /// Browsers that sign out at a provider, by `state`, and where they continue.
    leaving: Attempts<Option<String>>,
}

/// A sign-in that has begun.
#[derive(Clone, Debug)]
struct Begun {
    attempt: Attempt,
    return_to: Option<ReturnTo>,
    /// Whether the user is signed in and wants to connect an identity, not to sign in.
    connects: bool,
}

/// A user of a provider who has signed in there, but has no account here.
#[derive(Clone, Debug)]
struct Unconnected {
    profile: Profile,
    return_to: Option<ReturnTo>,
}

impl OutsideSignIns {
    /// Creates the state for these providers.
    #[must_use]
    pub fn new(providers: Providers, clock: &Clock) -> Self {
        Self {
            providers,
            begun: Attempts::new(clock.clone()),
            unconnected: Attempts::new(clock.clone()),
            leaving: Attempts::new(clock.clone()),
        }
    }

    /// Returns the buttons of the sign-in page.
    pub(super) fn links(&self, return_to: Option<&ReturnTo>, another_account: bool) -> Vec<ProviderLink> {
        let link = |provider: &Arc<flyte_provider::Provider>| ProviderLink {
            label: provider.label().to_owned(),
            href: path_of(provider.name(), return_to, another_account),
        };
        self.providers.iter().map(link).collect()
    }
}

/// Returns path and query that begin a sign-in.
fn path_of(name: &str, return_to: Option<&ReturnTo>, another_account: bool) -> String {
    let return_to = return_to.map(|page| format!("return_to={}", encode(&page.to_string())));
    let another = another_account.then(|| "another_account=1".to_owned());
    let query: Vec<_> = return_to.into_iter().chain(another).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("/login/with/{name}{mark}{}", query.join("&"))
}

/// Query of `GET /login/with/{name}`.
#[derive(Deserialize)]
pub(super) struct StartQuery {
    #[serde(default)]
    return_to: String,
    another_account: Option<String>,
    connect: Option<String>,
}

/// `GET /login/with/{name}`: sends the browser to the provider.
pub(super) async fn start(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(ClientAddr(address)): Extension<ClientAddr>,
    Path(name): Path<String>,
    query: Result<Query<StartQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let Some(provider) = server.outside.providers.get(&name) else { return unknown() };
    // A page that calls in the background gets no cookie: its user sees no sign-in page.
    let is_background = headers.get("sec-fetch-mode").is_some_and(|mode| mode != "navigate");
    if is_background || headers.contains_key("sec-purpose") {
        return error_page(
            StatusCode::FORBIDDEN,
            "Open this page yourself",
            "A sign-in starts only if a person opens this page in a browser.",
        );
    }
    let query = query.ok().map(|Query(query)| query);
    let another_account = query.as_ref().is_some_and(|query| query.another_account.is_some());
    let connects = query.as_ref().is_some_and(|query| query.connect.is_some());
    let return_to = query.and_then(|query| ReturnTo::parse(&query.return_to));
    let mut wishes = wishes(return_to.as_ref(), another_account);
    if connects {
        // What must be recent is the sign-in here.
        wishes.max_age = None;
    }
    match provider.begin(&wishes).await {
        Ok((url, state, attempt)) => {
            let Some((secret, set_cookie)) = browser(&headers) else { return no_random_numbers() };
            let begun = Begun { attempt, return_to, connects };
            server.outside.begun.put(state.as_bytes(), secret.as_ref(), address, begun);
            let mut response = see_other(url.as_str());
            response.headers_mut().append(header::SET_COOKIE, set_cookie);
            response
        }
        Err(error) => failure::page(&server, provider, &error, return_to.as_ref(), address).await,
    }
}

/// What the pending request wants of the sign-in.
fn wishes(return_to: Option<&ReturnTo>, another_account: bool) -> Wishes {
    let parameter = |name: &str| return_to.and_then(|request| request.parameter(name));
    let prompts = parameter("prompt").unwrap_or_default();
    let prompts = |wanted: &str| prompts.split(' ').any(|prompt| prompt == wanted);
    // The page that connects an account needs a fresh proof, and so does a request that was not content with a session.
    let fresh = prompts("login")
        || parameter("flyte_sign_in").is_some()
        || return_to.is_some_and(ReturnTo::needs_recent_sign_in);
    let max_age = parameter("max_age").and_then(|age| age.parse().ok()).filter(|age: &i64| *age >= 0);
    Wishes {
        login_hint: parameter("login_hint")
            .filter(|hint| hint.len() <= MAX_HINT_BYTES && !hint.contains(char::is_control)),
        another_account: another_account || prompts("select_account"),
        max_age: if fresh { Some(0) } else { max_age },
    }
}

/// Returns the browser's secret, and its cookie. Tabs share it, so that each of them can finish.
fn browser(headers: &HeaderMap) -> Option<(CookieSecret, HeaderValue)> {
    let secret = cookie::read(headers, COOKIE).or_else(cookie::generate)?;
    let set = cookie::set(COOKIE, &secret, Some(COOKIE_SECONDS))?;
    Some((secret, set))
}

fn unknown() -> Response {
    error_page(
        StatusCode::NOT_FOUND,
        "Page not found",
        "This server has no sign-in provider with this name. Go to the sign-in page.",
    )
}

fn no_random_numbers() -> Response {
    flyte_pages::internal_error_page(&flyte_provider::ProviderError::Random)
}

/// The address of a request, for functions that record events.
type Address = IpAddr;
