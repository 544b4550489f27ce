//! The authorization endpoint (RFC 6749 section 3.1): the browser comes with a request and leaves with an answer.
//!
//! In order: whose request is it and where does the answer go (until that is known, errors are pages); is the request
//! good; who is signed in, and recently enough; did they agree; then a code. Whoever is sent away to sign in or to agree
//! comes back with the same request, and everything is checked again.

mod account;
mod answer;
pub mod request;
mod sign_in;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Url, form_urlencoded};
use uuid::Uuid;

use self::{
    answer::Answer,
    request::{AuthorizationRequest, Target},
};
use super::{
    error::{ErrorCode, OAuthError},
    form::Form,
    id_token,
    parameters::{MAX_QUERY_BYTES, Parameters},
};
use crate::AuthorizationServer;
use flyte_audit::{Detail, Event, Kind};
use flyte_identity::session::SignedIn;
use flyte_model::scope;
use flyte_pages::{self, AccountView, ConsentView};
use flyte_secrets::opaque_token;
use flyte_settings::endpoints;
use flyte_store::{AuthorizationCode, BrowserSession, Client, ClientKind, Consent};

pub(super) use answer::see_other;

/// What the person said on a page that the request led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// They have not been on one with this request.
    None,
    /// They agree.
    Allow,
    /// They do not agree.
    Deny,
    /// They go on with the account that they are signed in with.
    Continue,
    /// They want another account.
    AnotherAccount,
}

impl Decision {
    /// What the button of a page says; [`Decision::None`] for anything else.
    pub(super) fn parse(button: &str) -> Self {
        match button {
            "allow" => Self::Allow,
            "deny" => Self::Deny,
            "continue" => Self::Continue,
            "another-account" => Self::AnotherAccount,
            _ => Self::None,
        }
    }
}

/// What a good request comes to.
enum Outcome {
    /// The browser goes to a page of ours, by its path: the person must sign in, or has chosen an account.
    Visit(String),
    /// The person must choose an account.
    Choose(Box<AccountView>),
    /// The person must be asked for consent.
    Ask(Box<ConsentView>),
    /// The browser goes back to the client with a code.
    Code(SecretString),
}

/// Answers a request in a query.
pub(super) async fn get(
    State(server): State<Arc<AuthorizationServer>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    respond(&server, &headers, query.as_deref().unwrap_or_default(), Decision::None).await
}

/// Answers a request in a form by turning it into one in a query: the browser keeps the session's cookie
/// (`SameSite=Lax`) to itself when another site posts, but not when it is sent on.
pub(super) async fn post(form: Form) -> Result<Response, OAuthError> {
    let parameters = form.parameters()?;
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters.iter()).finish();
    Ok(see_other(&format!("{}?{query}", endpoints::AUTHORIZE)))
}

/// Answers the request in `query`, given what the person said to it.
pub(super) async fn respond(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    query: &str,
    decision: Decision,
) -> Response {
    let (request, mark) = sign_in::split(query);
    // What is no query of a URL would not come back from the sign-in page as it went there.
    if request.len() > MAX_QUERY_BYTES || !request.bytes().all(|byte| byte.is_ascii_graphic()) {
        return bad_request("it is too long, or it has characters that a URL cannot have");
    }
    let parameters = match Parameters::parse(request.as_bytes()) {
        Ok(parameters) => parameters,
        Err(error) => return bad_request(&error.to_string()),
    };
    let target = match Target::parse(&parameters) {
        Ok(target) => target,
        Err(error) => return bad_request(&error.to_string()),
    };
    let client = match server.store.client_by_id(target.client_id).await {
        Ok(Some(client)) => client,
        Ok(None) => return bad_request("its client_id is not registered here"),
        Err(error) => return failed(&error),
    };
    if !target.belongs_to(&client) {
        return bad_request("its redirect_uri is not one that the program registered here");
    }
    let answer = Answer {
        redirect_uri: target.redirect_uri,
        // A repeated state is an error that the answer then tells; neither value goes with it.
        state: parameters.one("state").unwrap_or_default(),
        issuer: server.config.issuer(),
    };
    let visit =
        Visit { server, headers, client: &client, target, whole: query, query: request, mark, decision };
    let outcome = match AuthorizationRequest::parse(&parameters, &client, server.config.issuer()) {
        Ok(request) => visit.decide(request).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(Outcome::Visit(location)) => see_other(&location),
        Ok(Outcome::Choose(view)) => flyte_pages::account_page(&server.config, headers, &view),
        Ok(Outcome::Ask(view)) => flyte_pages::consent_page(&server.config, headers, &view),
        Ok(Outcome::Code(code)) => answer.code(&code),
        Err(error) => answer.error(&error),
    }
}

/// A good request of a known client, and the browser that it came with.
struct Visit<'a> {
    server: &'a AuthorizationServer,
    headers: &'a HeaderMap,
    client: &'a Client,
    target: Target<'a>,
    /// The query as it came.
    whole: &'a str,
    /// The query without the mark.
    query: &'a str,
    mark: Option<&'a str>,
    decision: Decision,
}

impl Visit<'_> {
    async fn decide(&self, request: AuthorizationRequest) -> Result<Outcome, OAuthError> {
        if self.decision == Decision::Deny {
            let who = self.server.sessions.current(self.headers).await?;
            self.decided(Kind::ConsentDenied, who.as_ref().map(|who| who.user.id.as_str()), &request.scopes)
                .await;
            return Err(OAuthError::new(ErrorCode::AccessDenied, "the person said no"));
        }
        let expected = self.expected_subject(&request)?;
        let signed_in = self.server.sessions.current(self.headers).await?;
        let (signed_in, demanded) = match signed_in {
            Some(signed_in) => {
                let demanded = self.was_demanded(&signed_in.session);
                (Some(signed_in), demanded)
            }
            None => (None, false),
        };
        if let Some(who) = &signed_in
            && let Some(outcome) = self.account(&request, expected.as_deref(), who, demanded)?
        {
            return Ok(outcome);
        }
        let Some(who) = signed_in.as_ref().filter(|who| {
            let recent = request
                .max_age
                .is_none_or(|age| sign_in::is_recent(&who.session, age, demanded, self.server.clock.now()));
            let new = demanded || !request.wants_new_sign_in();
            let right = expected.as_ref().is_none_or(|subject| *subject == who.user.id);
            recent && new && right
        }) else {
            return self.sign_in(&request, expected.as_deref(), signed_in.as_ref(), demanded);
        };
        if !self.has_consent(&request, who).await? {
            if request.prompt.none {
                let description = "the person has not agreed, and prompt=none forbids asking";
                return Err(OAuthError::new(ErrorCode::ConsentRequired, description));
            }
            return Ok(Outcome::Ask(Box::new(self.question(request, who))));
        }
        match self.issue(&request, who).await? {
            Some(code) => Ok(Outcome::Code(code)),
            // Signed out, or the password changed, in this very moment.
            None => self.sign_in(&request, expected.as_deref(), None, false),
        }
    }

    /// `sub` of the ID token that the client sent along.
    fn expected_subject(&self, request: &AuthorizationRequest) -> Result<Option<String>, OAuthError> {
        let Some(hint) = &request.id_token_hint else { return Ok(None) };
        id_token::of_hint(self.server, hint.expose_secret())
            .filter(|claims| claims.aud == self.client.id)
            .map(|claims| Some(claims.sub))
            .ok_or_else(|| {
                OAuthError::invalid_request("id_token_hint is not an ID token of this server for this client")
            })
    }

    /// Whether the person signed in because this very request demanded it.
    fn was_demanded(&self, session: &BrowserSession) -> bool {
        self.mark
            .and_then(|mark| sign_in::demand(self.server, self.query, mark))
            .is_some_and(|demand| demand.is_met_by(session))
    }

    /// Sends the person to sign in.
    fn sign_in(
        &self,
        request: &AuthorizationRequest,
        expected: Option<&str>,
        signed_in: Option<&SignedIn>,
        demanded: bool,
    ) -> Result<Outcome, OAuthError> {
        if request.prompt.none {
            let description = "nobody is signed in as the request wants, and prompt=none forbids asking";
            return Err(OAuthError::new(ErrorCode::LoginRequired, description));
        }
        if demanded && expected.is_some_and(|expected| signed_in.is_some_and(|who| who.user.id != expected)) {
            // They were asked, and signed in as somebody else (OpenID Connect Core section 3.1.2.2).
            let description = "the person signed in is not the one of id_token_hint";
            return Err(OAuthError::new(ErrorCode::LoginRequired, description));
        }
        let marked = signed_in.is_some()
            || request.wants_new_sign_in()
            || request.prompt.select_account
            || request.max_age.is_some();
        let session = signed_in.map(|signed_in| &signed_in.session);
        Ok(Outcome::Visit(sign_in::location(self.server, self.query, session, marked)?))
    }

    /// Lets a person who is signed in choose the account, if the request wants that; `None` once they have, or if the account
    /// is settled anyway: by `id_token_hint`, or by a sign-in for this very request.
    fn account(
        &self,
        request: &AuthorizationRequest,
        expected: Option<&str>,
        who: &SignedIn,
        demanded: bool,
    ) -> Result<Option<Outcome>, OAuthError> {
        if !request.prompt.select_account {
            return Ok(None);
        }
        match self.decision {
            Decision::Continue => {
                return Ok(Some(Outcome::Visit(account::chosen(self.server, self.query, &who.session)?)));
            }
            Decision::AnotherAccount => {
                let location = sign_in::location_of_another(self.server, self.query, &who.session)?;
                return Ok(Some(Outcome::Visit(location)));
            }
            Decision::None | Decision::Allow | Decision::Deny => {}
        }
        let chosen = |mark| account::is_chosen(self.server, self.query, mark, &who.session);
        let settled = demanded
            || expected.is_some_and(|expected| expected != who.user.id)
            || self.mark.is_some_and(chosen);
        let view = || AccountView {
            client_name: self.client.name.clone(),
            user_name: who.user.name.clone(),
            user_email: who.user.email.clone(),
            request: self.whole.to_owned(),
        };
        Ok((!settled).then(|| Outcome::Choose(Box::new(view()))))
    }

    /// Whether the person agreed: just now, or before, or need not be asked since the client is ours.
    async fn has_consent(&self, request: &AuthorizationRequest, who: &SignedIn) -> Result<bool, OAuthError> {
        let (user, client) = (&who.user.id, &self.client.id);
        if self.decision == Decision::Allow {
            let consent = Consent {
                user_id: user.clone(),
                client_id: client.clone(),
                scopes: request.scopes.clone(),
                granted_at: self.server.clock.now(),
            };
            self.server.store.add_consent(&consent).await?;
            self.decided(Kind::ConsentGiven, Some(&who.user.id), &request.scopes).await;
            return Ok(true);
        }
        if request.prompt.consent {
            return Ok(false);
        }
        if self.client.first_party {
            return Ok(true);
        }
        if self.client.kind == ClientKind::Public {
            // Any program can say that it is this one (RFC 8252 section 8.6): what the person said to it before is no answer.
            return Ok(false);
        }
        let consent = self.server.store.consent(user, client).await?;
        Ok(consent.is_some_and(|consent| scope::within(&request.scopes, &consent.scopes).is_ok()))
    }

    /// Records what the person said.
    async fn decided(&self, kind: Kind, subject: Option<&str>, scopes: &[String]) {
        let event = Event::new(kind).client(&self.client.id).detail(Detail::Scope, scope::join(scopes));
        self.server.audit.record(subject.into_iter().fold(event, Event::subject)).await;
    }

    /// What the consent page asks.
    fn question(&self, request: AuthorizationRequest, who: &SignedIn) -> ConsentView {
        let redirect_uri = Url::parse(self.target.redirect_uri).ok();
        let host = redirect_uri.as_ref().and_then(Url::host_str).unwrap_or_default();
        let port = redirect_uri.as_ref().and_then(Url::port).map(|port| format!(":{port}"));
        ConsentView {
            client_name: self.client.name.clone(),
            client_id: self.client.id.clone(),
            user_email: who.user.email.clone(),
            keeps_api_keys: self.client.may_keep_api_keys && scope::contains(&request.scopes, scope::ALL),
            scopes: request.scopes,
            redirect_host: format!("{host}{}", port.unwrap_or_default()),
            request: self.whole.to_owned(),
        }
    }

    /// Makes the code; `None` where the session has ended since it was looked at.
    async fn issue(
        &self,
        request: &AuthorizationRequest,
        who: &SignedIn,
    ) -> Result<Option<SecretString>, OAuthError> {
        let code = opaque_token::generate(opaque_token::Kind::AuthorizationCode)?;
        let life = self.server.config.tokens.authorization_code_ttl;
        let record = AuthorizationCode {
            code_hash: opaque_token::hash(code.expose_secret()),
            family_id: Uuid::new_v4().to_string(),
            client_id: self.client.id.clone(),
            user_id: who.user.id.clone(),
            session_id: who.session.id.clone(),
            authenticated_at: who.session.authenticated_at,
            redirect_uri: self.target.redirect_uri.to_owned(),
            code_challenge: request.code_challenge.clone(),
            scopes: request.scopes.clone(),
            audience: request.audience.clone(),
            nonce: request.nonce.clone(),
            expires_at: self.server.clock.now().saturating_add(life),
        };
        let created = self.server.store.create_code(&record).await?;
        Ok(created.then_some(code))
    }
}

/// The page for a request whose answer has nowhere to go.
fn bad_request(reason: &str) -> Response {
    flyte_pages::error_page(
        StatusCode::BAD_REQUEST,
        "This sign-in request is not valid",
        &format!(
            "The program that sent you here made a request that cannot be answered: {reason}. Nothing was shared with \
             it. Go back to the program and start again; if it happens again, tell its developers."
        ),
    )
}

/// The page for a failure before it is known where the answer goes.
fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "an authorization request failed");
    flyte_pages::error_page(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "The server could not read the request's registration. Go back to the program and start again.",
    )
}
