//! Signing out on a client's request (OpenID Connect RP-Initiated Logout).
//!
//! With an ID token of the session that is open in this browser, the session ends at once. Without one anybody could
//! have made the browser come here, so the person is asked. The tokens that the session authorized end with it,
//! unless the person chooses to sign out of the browser alone.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use url::form_urlencoded;

use super::{
    authorize::see_other,
    error::OAuthError,
    form::Form,
    id_token::{self, IdTokenClaims},
    parameters::{self, MAX_QUERY_BYTES, Parameters},
    redirect_uri,
};
use crate::AuthorizationServer;
use flyte_audit::{Detail, Event, Kind};
use flyte_identity::session::SignedIn;
use flyte_pages::{self, LogoutView, csrf};
use flyte_settings::endpoints;
use flyte_store::{Client, StoreError};

/// Answers a request in a query.
pub(super) async fn get(
    State(server): State<Arc<AuthorizationServer>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    respond(&server, &headers, query.as_deref().unwrap_or_default(), None).await
}

/// Takes the answer of the confirmation page, or turns a request in a form into one in a query, which browsers send
/// their cookies along with.
pub(super) async fn post(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthError> {
    let form = form.parameters()?;
    let Some(token) = form.one(csrf::FIELD)? else {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(form.iter()).finish();
        return Ok(see_other(&format!("{}?{query}", endpoints::LOGOUT)));
    };
    if !csrf::verify(&headers, token) {
        return Ok(flyte_pages::error_page(
            StatusCode::FORBIDDEN,
            "This page is out of date",
            "You signed in or out since it was opened, or it was not this server that opened it. Go back and try again.",
        ));
    }
    let confirmed = form.one("decision")?.and_then(Extent::parse);
    Ok(respond(&server, &headers, form.one("request")?.unwrap_or_default(), confirmed).await)
}

/// What signing out ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// The browser's session alone. Programs that the person signed in with it, such as `flyte`, stay signed in.
    Browser,
    /// The session and all tokens that it authorized.
    BrowserAndPrograms,
}

impl Extent {
    /// What a button of a page says.
    fn parse(decision: &str) -> Option<Self> {
        match decision {
            "sign-out-browser" => Some(Self::Browser),
            "sign-out" => Some(Self::BrowserAndPrograms),
            _ => None,
        }
    }
}

/// What a logout request says (section 2).
struct LogoutRequest<'a> {
    hint: Option<&'a str>,
    client_id: Option<&'a str>,
    redirect_uri: Option<&'a str>,
    state: Option<&'a str>,
}

impl<'a> LogoutRequest<'a> {
    fn parse(parameters: &'a Parameters<'_>) -> Result<Self, parameters::ParameterError> {
        Ok(Self {
            hint: parameters.one("id_token_hint")?,
            client_id: parameters.one("client_id")?,
            redirect_uri: parameters.one("post_logout_redirect_uri")?,
            state: parameters.one("state")?,
        })
    }

    /// Where the browser goes afterwards.
    fn location(&self) -> Option<String> {
        let mut location = self.redirect_uri?.to_owned();
        if let Some(state) = self.state {
            parameters::append(&mut location, "state", state);
        }
        Some(location)
    }
}

async fn respond(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    query: &str,
    confirmed: Option<Extent>,
) -> Response {
    if query.len() > MAX_QUERY_BYTES {
        return bad_request("it is too long");
    }
    let parameters = match Parameters::parse(query.as_bytes()) {
        Ok(parameters) => parameters,
        Err(error) => return bad_request(&error.to_string()),
    };
    let request = match LogoutRequest::parse(&parameters) {
        Ok(request) => request,
        Err(error) => return bad_request(&error.to_string()),
    };
    let hint = request.hint.and_then(|hint| id_token::of_hint(server, hint));
    let outcome = async {
        let client = client(server, &request, hint.as_ref()).await?;
        if let Err(reason) = check(&request, hint.as_ref(), client.as_ref()) {
            return Ok(bad_request(reason));
        }
        let signed_in = server.sessions.current(headers).await?;
        let Some(signed_in) = signed_in else { return Ok(signed_out(&request)) };
        let known = hint.is_some_and(|hint| hint.sid == signed_in.session.id);
        // A program that proves that the session is its own has asked for all of it to end (section 2).
        if let Some(extent) = confirmed.or(known.then_some(Extent::BrowserAndPrograms)) {
            return end(server, &request, &signed_in, extent).await;
        }
        Ok(flyte_pages::confirm_logout_page(
            headers,
            &LogoutView {
                user_email: signed_in.user.email,
                client_name: client.map(|client| client.name),
                request: query.to_owned(),
                redirect_uri: request.redirect_uri.map(ToOwned::to_owned),
            },
        ))
    };
    outcome.await.unwrap_or_else(|error: StoreError| failed(&error))
}

/// The client that asks, by the hint or by its word.
async fn client(
    server: &AuthorizationServer,
    request: &LogoutRequest<'_>,
    hint: Option<&IdTokenClaims>,
) -> Result<Option<Client>, StoreError> {
    match hint.map(|hint| hint.aud.as_str()).or(request.client_id) {
        Some(id) => server.store.client_by_id(id).await,
        None => Ok(None),
    }
}

/// Refuses what does not fit together, above all a redirect to somewhere that no client registered (section 3).
fn check(
    request: &LogoutRequest<'_>,
    hint: Option<&IdTokenClaims>,
    client: Option<&Client>,
) -> Result<(), &'static str> {
    if let (Some(hint), Some(id)) = (hint, request.client_id)
        && hint.aud != id
    {
        return Err("its client_id is not the one that its id_token_hint was issued to");
    }
    match (request.redirect_uri, client) {
        (None, _) => Ok(()),
        (Some(uri), Some(client)) if redirect_uri::is_registered(&client.post_logout_redirect_uris, uri) => {
            Ok(())
        }
        (Some(_), Some(_)) => Err("its post_logout_redirect_uri is not one that the program registered here"),
        (Some(_), None) => Err("it has a post_logout_redirect_uri but does not say whose"),
    }
}

/// Ends the session, and revokes what it authorized if that is wanted.
async fn end(
    server: &AuthorizationServer,
    request: &LogoutRequest<'_>,
    signed_in: &SignedIn,
    extent: Extent,
) -> Result<Response, StoreError> {
    // Families first: when the second step fails, the person is still signed in and can try again.
    let families = match extent {
        Extent::Browser => Vec::new(),
        Extent::BrowserAndPrograms => {
            server.store.revoke_session_families(&signed_in.session.id, server.clock.now()).await?
        }
    };
    for family in &families {
        server.access.revoke_family(family);
    }
    let cookie = server.sessions.end(&signed_in.session).await?;
    let event = Event::new(Kind::SignedOut).subject(&signed_in.user.id);
    let event = event.detail(Detail::Session, &signed_in.session.id).detail(Detail::Families, families.len());
    server.audit.record(event).await;
    let mut response = signed_out(request);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

fn signed_out(request: &LogoutRequest<'_>) -> Response {
    match request.location() {
        Some(location) => see_other(&location),
        None => flyte_pages::signed_out_page().into_response(),
    }
}

fn bad_request(reason: &str) -> Response {
    flyte_pages::error_page(
        StatusCode::BAD_REQUEST,
        "This sign-out request is not valid",
        &format!(
            "The program that sent you here made a request that cannot be answered: {reason}. You are signed in as \
             before."
        ),
    )
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "a logout request failed");
    flyte_pages::error_page(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "The server could not sign you out. Try again.",
    )
}
