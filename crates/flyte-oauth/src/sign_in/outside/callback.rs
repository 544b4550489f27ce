//! The return from a provider (OpenID Connect Core section 3.1.2.5).

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, header},
    response::Response,
};

use super::{
    Address, Begun, COOKIE, Unconnected,
    account::{self, Found},
    failure, invitation, recheck, unknown,
};
use crate::{
    AuthorizationServer,
    parameters::{MAX_QUERY_BYTES, Parameters},
};
use flyte_audit::{Detail, Event, Kind};
use flyte_identity::cookie;
use flyte_model::ClientAddr;
use flyte_pages::{ReturnTo, continue_page, internal_error_page};
use flyte_provider::{Callback, Confirmed, Profile, Provider, rules};
use flyte_store::{StoreError, User};

/// How old a sign-in counts as if the provider does not say when it was, in seconds. It is too old for everything that takes a
/// recent sign-in.
const UNKNOWN_AGE: i64 = 86_400;

/// The parameters of a callback.
struct Answer<'a> {
    state: &'a str,
    code: Option<&'a str>,
    error: Option<&'a str>,
    issuer: Option<&'a str>,
}

impl<'a> Answer<'a> {
    fn parse(parameters: &'a Parameters<'_>) -> Option<Self> {
        Some(Self {
            state: parameters.one("state").ok()??,
            code: parameters.one("code").ok()?,
            error: parameters.one("error").ok()?,
            issuer: parameters.one("iss").ok()?,
        })
    }
}

/// `GET /login/with/{name}/callback`
pub(in crate::sign_in) async fn get(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(ClientAddr(address)): Extension<ClientAddr>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(provider) = server.outside.providers.get(&name) else { return unknown() };
    let query = query.unwrap_or_default();
    let parameters = Parameters::parse(query.as_bytes()).ok().filter(|_| query.len() <= MAX_QUERY_BYTES);
    let answer = parameters.as_ref().and_then(Answer::parse);
    // Without the cookie of the browser that began it, nothing happens: no request to the provider, no session.
    let begun = answer.as_ref().and_then(|answer| {
        let browser = cookie::read(&headers, COOKIE)?;
        server.outside.begun.take(answer.state.as_bytes(), browser.as_ref())
    });
    let Some((answer, Begun { attempt, return_to, connects })) = answer.zip(begun) else {
        let event = Event::new(Kind::SignInRefused).from(address).detail(Detail::Reason, "state");
        server.audit.record(event.detail(Detail::Provider, provider.name())).await;
        return failure::not_begun(&server);
    };
    let return_to = return_to.as_ref();
    // RFC 9207 section 2.4: this comes before everything else in the answer, also before an error.
    if let Err(error) = provider.check_callback(answer.issuer).await {
        return failure::page(&server, provider, &error, return_to, address).await;
    }
    let code = match (answer.code, answer.error) {
        (Some(code), None) => code,
        (_, error) => {
            return failure::at_provider(&server, provider, error.unwrap_or("no code"), return_to);
        }
    };
    let callback = Callback { code: code.into(), issuer: answer.issuer.map(str::to_owned) };
    let confirmed = match provider.finish(&callback, &attempt).await {
        Ok(confirmed) => confirmed,
        Err(error) => return failure::page(&server, provider, &error, return_to, address).await,
    };
    if let Err(refusal) = rules::admit(provider.settings(), &confirmed.profile) {
        return failure::refused(&server, provider, &confirmed.profile, refusal, return_to, address).await;
    }
    // A largest age says nothing about this sign-in but that it is not older. The visitor chooses it.
    let was_demanded = attempt.max_age == Some(0);
    let visit = Visit { server: &server, provider, headers: &headers, address, return_to };
    let outcome = if connects {
        visit.connect(confirmed.profile).await
    } else {
        visit.enter(confirmed, was_demanded).await
    };
    match outcome {
        Ok(response) => response,
        Err(error) => internal_error_page(&error),
    }
}

/// A browser that has come back with a user.
struct Visit<'a> {
    server: &'a AuthorizationServer,
    provider: &'a Provider,
    headers: &'a HeaderMap,
    address: Address,
    return_to: Option<&'a ReturnTo>,
}

impl Visit<'_> {
    /// Signs the user in to the account, if there is one.
    async fn enter(&self, confirmed: Confirmed, was_demanded: bool) -> Result<Response, StoreError> {
        let profile = &confirmed.profile;
        if let Some(page) = invitation::accept(self.server, self.headers, profile, self.address).await? {
            return Ok(page);
        }
        match account::find(self.server, self.provider.settings(), &confirmed.profile, self.address).await? {
            Found::Account(user) => self.sign_in(&user, &confirmed, was_demanded).await,
            Found::Disabled => {
                failure::record(self.server, &confirmed.profile, "account disabled", self.address).await;
                Ok(failure::disabled(self.server, self.provider, self.return_to))
            }
            Found::None => {
                let profile = confirmed.profile;
                failure::record(self.server, &profile, "no account", self.address).await;
                let page = failure::no_account(self.server, self.provider, &profile, self.return_to);
                if let Some(browser) = cookie::read(self.headers, COOKIE) {
                    let unconnected = Unconnected { profile, return_to: self.return_to.cloned() };
                    let unconnected_of = &self.server.outside.unconnected;
                    unconnected_of.put(browser.as_ref(), browser.as_ref(), self.address, unconnected);
                }
                Ok(page)
            }
        }
    }

    /// Leads to the page that connects the user of the provider with the account that is signed in.
    async fn connect(&self, profile: Profile) -> Result<Response, StoreError> {
        let href = self.return_to.map_or_else(|| "/".to_owned(), ToString::to_string);
        if let Some(known) = self.server.store.outside_identity(&profile.issuer, &profile.subject).await? {
            let signed_in = self.server.sessions.current(self.headers).await?;
            if signed_in.is_some_and(|signed_in| signed_in.user.id == known.user_id) {
                return Ok(continue_page(&href));
            }
            failure::record(self.server, &profile, "connected to another account", self.address).await;
            return Ok(failure::connected_elsewhere(self.server, self.provider, &href));
        }
        if let Some(browser) = cookie::read(self.headers, COOKIE) {
            let unconnected = Unconnected { profile, return_to: self.return_to.cloned() };
            self.server.outside.unconnected.put(
                browser.as_ref(),
                browser.as_ref(),
                self.address,
                unconnected,
            );
        }
        Ok(continue_page("/login/connect"))
    }

    async fn sign_in(
        &self,
        user: &User,
        confirmed: &Confirmed,
        was_demanded: bool,
    ) -> Result<Response, StoreError> {
        let server = self.server;
        let now = server.clock.now();
        let profile = &confirmed.profile;
        let since = match profile.authenticated_at {
            // A new sign-in was asked for and checked, whatever the clocks say.
            Some(_) if was_demanded => now,
            Some(at) => at,
            // The provider may have let the browser through because of an earlier sign-in.
            None => now.saturating_sub(UNKNOWN_AGE),
        };
        if let Some(old) = server.sessions.current(self.headers).await? {
            server.sessions.end(&old.session).await?;
        }
        let Some((session, cookie)) = server.sessions.start_since(user, since).await? else {
            return Ok(failure::disabled(server, self.provider, self.return_to));
        };
        recheck::begin(server, self.provider, confirmed, &session.id).await?;
        let event = Event::new(Kind::SignedIn).from(self.address).subject(&user.id);
        let event = event.detail(Detail::Email, &user.email).detail(Detail::Session, session.id);
        server.audit.record(failure::with_profile(event, profile)).await;
        let href = self.return_to.map_or_else(|| "/".to_owned(), ToString::to_string);
        let mut response = continue_page(&href);
        response.headers_mut().append(header::SET_COOKIE, cookie);
        Ok(response)
    }
}
