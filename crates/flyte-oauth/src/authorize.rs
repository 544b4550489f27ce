//! The authorization endpoint (RFC 6749 section 3.1).
//!
//! The steps: identify the client and the redirect URI (until then, errors are pages); validate the request; find the
//! signed-in user and check how recent the sign-in is; check consent; issue a code. A user who must sign in or
//! consent returns with the same request, and all steps run again.

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
    client,
    error::{ErrorCode, OAuthError},
    form::Form,
    id_token,
    parameters::{MAX_QUERY_BYTES, Parameters},
};
use crate::AuthorizationServer;
use flyte_audit::{Detail, Event, Kind};
use flyte_identity::session::SignedIn;
use flyte_model::{Scope, Scopes};
use flyte_pages::{self, ChooseAccountView, ConsentView};
use flyte_secrets::opaque_token;
use flyte_settings::endpoints;
use flyte_store::{AuthorizationCode, BrowserSession, Client, ClientKind, Consent};

pub(super) use answer::see_other;

/// The user's decision on a page of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// There was no page for this request yet.
    None,
    /// The user consents.
    Allow,
    /// The user refuses consent.
    Deny,
    /// The user continues with the signed-in account.
    Continue,
    /// The user wants another account.
    AnotherAccount,
}

impl Decision {
    /// Parses the value of a page's button; [`Decision::None`] for any other value.
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

/// The result of a valid request.
enum Outcome {
    /// A redirect to a page of this server, by path: the user must sign in, or has chosen an account.
    Visit(String),
    /// The user must choose an account.
    Choose(Box<ChooseAccountView>),
    /// The user must be asked for consent.
    Ask(Box<ConsentView>),
    /// The browser returns to the client with a code.
    Code(SecretString),
}

/// Handles a request in a query.
pub(super) async fn get(
    State(server): State<Arc<AuthorizationServer>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    respond(&server, &headers, query.as_deref().unwrap_or_default(), Decision::None).await
}

/// Handles a request in a form by redirecting it to a query. If another site posts a form, the browser does not send
/// the session cookie (`SameSite=Lax`), but it does so after the redirect.
pub(super) async fn post(form: Form) -> Result<Response, OAuthError> {
    let parameters = form.parameters()?;
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters.iter()).finish();
    Ok(see_other(&format!("{}?{query}", endpoints::AUTHORIZE)))
}

/// Answers the request in `query`, with the user's decision.
pub(super) async fn respond(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    query: &str,
    decision: Decision,
) -> Response {
    let (request, mark) = sign_in::split(query);
    // A query with other characters would return from the sign-in page changed.
    if request.len() > MAX_QUERY_BYTES || !request.bytes().all(|byte| byte.is_ascii_graphic()) {
        return bad_request("the request is too long or has characters that are not allowed in a URL");
    }
    let parameters = match Parameters::parse(request.as_bytes()) {
        Ok(parameters) => parameters,
        Err(error) => return bad_request(&error.to_string()),
    };
    let target = match Target::parse(&parameters) {
        Ok(target) => target,
        Err(error) => return bad_request(&error.to_string()),
    };
    let client = match client::registered(server, target.client_id).await {
        Ok(Some(client)) => client,
        Ok(None) => return bad_request("client_id is not registered at this server"),
        Err(error) => return internal_error_page(&error),
    };
    if !target.belongs_to(&client) {
        return bad_request("redirect_uri is not registered for the program");
    }
    let answer = Answer {
        redirect_uri: target.redirect_uri,
        // A repeated `state` is an error, and the response contains neither value.
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
        Ok(Outcome::Choose(view)) => flyte_pages::choose_account_page(&server.config, headers, &view),
        Ok(Outcome::Ask(view)) => flyte_pages::consent_page(&server.config, headers, &view),
        Ok(Outcome::Code(code)) => answer.code(&code),
        Err(error) => answer.error(&error),
    }
}

/// A request of a known client, and the browser that sent it.
struct Visit<'a> {
    server: &'a AuthorizationServer,
    headers: &'a HeaderMap,
    client: &'a Client,
    target: Target<'a>,
    /// The complete query.
    whole: &'a str,
    /// The query without the mark.
    query: &'a str,
    mark: Option<&'a str>,
    decision: Decision,
}

impl Visit<'_> {
    async fn decide(&self, request: AuthorizationRequest) -> Result<Outcome, OAuthError> {
        if self.decision == Decision::Deny {
            let who = self.server.signed_in(self.headers).await?;
            self.decided(Kind::ConsentDenied, who.as_ref().map(|who| who.user.id.as_str()), &request.scopes)
                .await;
            return Err(OAuthError::new(ErrorCode::AccessDenied, "the user denied the request"));
        }
        let expected = self.expected_subject(&request)?;
        let signed_in = self.server.signed_in(self.headers).await?;
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
                let description = "the user has not consented, and prompt=none does not allow asking";
                return Err(OAuthError::new(ErrorCode::ConsentRequired, description));
            }
            return Ok(Outcome::Ask(Box::new(self.question(request, who))));
        }
        match self.issue(&request, who).await? {
            Some(code) => Ok(Outcome::Code(code)),
            // The user signed out, or the password changed, at this very moment.
            None => self.sign_in(&request, expected.as_deref(), None, false),
        }
    }

    /// Returns `sub` of the ID token in `id_token_hint`.
    fn expected_subject(&self, request: &AuthorizationRequest) -> Result<Option<String>, OAuthError> {
        let Some(hint) = &request.id_token_hint else { return Ok(None) };
        id_token::of_hint(self.server, hint.expose_secret())
            .filter(|claims| claims.aud == self.client.id)
            .map(|claims| Some(claims.sub))
            .ok_or_else(|| {
                OAuthError::invalid_request("id_token_hint is not an ID token of this server for this client")
            })
    }

    /// Whether the user signed in because this request demanded it.
    fn was_demanded(&self, session: &BrowserSession) -> bool {
        self.mark
            .and_then(|mark| sign_in::demand(self.server, self.query, mark))
            .is_some_and(|demand| demand.is_met_by(session))
    }

    /// Redirects the user to the sign-in page.
    fn sign_in(
        &self,
        request: &AuthorizationRequest,
        expected: Option<&str>,
        signed_in: Option<&SignedIn>,
        demanded: bool,
    ) -> Result<Outcome, OAuthError> {
        if request.prompt.none {
            let description = "the user must sign in, and prompt=none does not allow asking";
            return Err(OAuthError::new(ErrorCode::LoginRequired, description));
        }
        if demanded && expected.is_some_and(|expected| signed_in.is_some_and(|who| who.user.id != expected)) {
            // The user was asked and signed in with another account (OpenID Connect Core section 3.1.2.2).
            let description = "the signed-in user is not the user of id_token_hint";
            return Err(OAuthError::new(ErrorCode::LoginRequired, description));
        }
        let marked = signed_in.is_some()
            || request.wants_new_sign_in()
            || request.prompt.select_account
            || request.max_age.is_some();
        let session = signed_in.map(|signed_in| &signed_in.session);
        Ok(Outcome::Visit(sign_in::location(self.server, self.query, session, marked)?))
    }

    /// Asks a signed-in user to choose the account if the request has `prompt=select_account`. `None` if no question
    /// is needed: the user has chosen, or the account follows from `id_token_hint` or from a sign-in for this
    /// request.
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
        let view = || ChooseAccountView {
            client_name: self.client.name.clone(),
            user_name: who.user.name.clone(),
            user_email: who.user.email.clone(),
            request: self.whole.to_owned(),
        };
        Ok((!settled).then(|| Outcome::Choose(Box::new(view()))))
    }

    /// Whether there is consent: given now or before, or not required because the client is first-party.
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
            // Any program can use the ID of a public client (RFC 8252 section 8.6), so earlier consent does not
            // count.
            return Ok(false);
        }
        let consent = self.server.store.consent(user, client).await?;
        Ok(consent.is_some_and(|consent| request.scopes.is_within(&consent.scopes)))
    }

    /// Records the user's decision.
    async fn decided(&self, kind: Kind, subject: Option<&str>, scopes: &Scopes) {
        let event = Event::new(kind).client(&self.client.id).detail(Detail::Scope, scopes);
        self.server.audit.record(subject.into_iter().fold(event, Event::subject)).await;
    }

    /// Returns the content of the consent page.
    fn question(&self, request: AuthorizationRequest, who: &SignedIn) -> ConsentView {
        let redirect_uri = Url::parse(self.target.redirect_uri).ok();
        let host = redirect_uri.as_ref().and_then(Url::host_str).unwrap_or_default();
        let port = redirect_uri.as_ref().and_then(Url::port).map(|port| format!(":{port}"));
        ConsentView {
            client_name: self.client.name.clone(),
            client_id: self.client.id.clone(),
            user_email: who.user.email.clone(),
            manages_api_keys: self.client.may_keep_api_keys && request.scopes.contains(&Scope::ALL),
            scopes: request.scopes,
            redirect_host: format!("{host}{}", port.unwrap_or_default()),
            request: self.whole.to_owned(),
        }
    }

    /// Issues the code; `None` if the session has just ended.
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

/// The page for a request without a valid redirect URI.
fn bad_request(reason: &str) -> Response {
    flyte_pages::error_page(
        StatusCode::BAD_REQUEST,
        "The sign-in request is invalid",
        &format!(
            "The program that sent you here made an invalid request: {reason}. Go back to it and start again; if this \
             happens again, tell its developers."
        ),
    )
}

/// The page for a failure before the redirect URI is validated.
fn internal_error_page(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "an authorization request failed");
    flyte_pages::error_page(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "The server could not look up the program. Go back to it and start again.",
    )
}
