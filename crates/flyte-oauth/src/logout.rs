//! Sign-out on a client's request (OpenID Connect RP-Initiated Logout).
//!
//! If the request has an ID token of the browser's session, the session ends immediately. Without an ID token any
//! site could have sent the browser here, so the user must confirm. The tokens of the session are revoked too, unless
//! the user chooses to sign out of the browser only.

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
    client,
    error::OAuthError,
    form::Form,
    id_token::{self, IdTokenClaims},
    parameters::{self, MAX_QUERY_BYTES, Parameters},
    redirect_uri,
    sign_in::outside::leave,
};
use crate::AuthorizationServer;
use flyte_audit::{Detail, Event, Kind};
use flyte_identity::session::SignedIn;
use flyte_pages::{self, LogoutView, csrf};
use flyte_settings::endpoints;
use flyte_store::{Client, StoreError};

/// Handles a request in the query.
pub(super) async fn get(
    State(server): State<Arc<AuthorizationServer>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    respond(&server, &headers, query.as_deref().unwrap_or_default(), None, false).await
}

/// Handles the confirmation form. A logout request in a form is redirected to the same request in a query, because
/// browsers send their cookies with that.
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
            "You signed in or out after this page was opened, or another site sent the form. Go back and try again.",
        ));
    }
    let confirmed = form.one("decision")?.and_then(Extent::parse);
    let there = form.one("provider")?.is_some();
    Ok(respond(&server, &headers, form.one("request")?.unwrap_or_default(), confirmed, there).await)
}

/// The extent of a sign-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Only the browser session. Programs that the user signed in with it, for example `flyte`, stay signed in.
    Browser,
    /// The session and all its tokens.
    BrowserAndPrograms,
}

impl Extent {
    /// Parses the value of a page's button.
    fn parse(decision: &str) -> Option<Self> {
        match decision {
            "sign-out-browser" => Some(Self::Browser),
            "sign-out" => Some(Self::BrowserAndPrograms),
            _ => None,
        }
    }
}

/// A logout request (section 2).
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

    /// The redirect target after the sign-out.
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
    there: bool,
) -> Response {
    if query.len() > MAX_QUERY_BYTES {
        return bad_request("the request is too long");
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
        let client = requesting_client(server, &request, hint.as_ref()).await?;
        if let Err(reason) = check(&request, hint.as_ref(), client.as_ref()) {
            return Ok(bad_request(reason));
        }
        let signed_in = server.sessions.current(headers).await?;
        let Some(signed_in) = signed_in else { return Ok(signed_out(&request)) };
        let known = hint.is_some_and(|hint| hint.sid == signed_in.session.id);
        // A program that proves that the session is its own requests a complete sign-out (section 2).
        if let Some(extent) = confirmed.or(known.then_some(Extent::BrowserAndPrograms)) {
            return end(server, headers, &request, &signed_in, extent, there).await;
        }
        let provider = leave::provider_of(server, &signed_in.session.id).await?;
        Ok(flyte_pages::confirm_logout_page(
            headers,
            &LogoutView {
                user_email: signed_in.user.email,
                client_name: client.map(|client| client.name),
                request: query.to_owned(),
                provider: provider.map(|(provider, _)| provider.label().to_owned()),
                redirect_uri: request.redirect_uri.map(ToOwned::to_owned),
            },
        ))
    };
    outcome.await.unwrap_or_else(|error: StoreError| internal_error_page(&error))
}

/// Returns the requesting client, from the ID token or from `client_id`.
async fn requesting_client(
    server: &AuthorizationServer,
    request: &LogoutRequest<'_>,
    hint: Option<&IdTokenClaims>,
) -> Result<Option<Client>, StoreError> {
    match hint.map(|hint| hint.aud.as_str()).or(request.client_id) {
        Some(id) => client::registered(server, id).await,
        None => Ok(None),
    }
}

/// Refuses contradictory requests and redirects to a URI that the client has not registered (section 3).
fn check(
    request: &LogoutRequest<'_>,
    hint: Option<&IdTokenClaims>,
    client: Option<&Client>,
) -> Result<(), &'static str> {
    if let (Some(hint), Some(id)) = (hint, request.client_id)
        && hint.aud != id
    {
        return Err("client_id and id_token_hint belong to different clients");
    }
    match (request.redirect_uri, client) {
        (None, _) => Ok(()),
        (Some(uri), Some(client)) if redirect_uri::is_registered(&client.post_logout_redirect_uris, uri) => {
            Ok(())
        }
        (Some(_), Some(_)) => Err("post_logout_redirect_uri is not registered for the program"),
        (Some(_), None) => Err("post_logout_redirect_uri needs a client_id or an id_token_hint"),
    }
}

/// Ends the session, and revokes its tokens if requested. With `there`, the browser signs out at the provider after that.
async fn end(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    request: &LogoutRequest<'_>,
    signed_in: &SignedIn,
    extent: Extent,
    there: bool,
) -> Result<Response, StoreError> {
    let provider = if there { leave::provider_of(server, &signed_in.session.id).await? } else { None };
    // The families come first: if a later step fails, the user is still signed in and can try again.
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
    let left = match &provider {
        Some(provider) => leave::leave(server, headers, provider, request.location()).await,
        None => None,
    };
    let mut response = match left {
        Some((href, set_cookie)) => {
            let mut response = flyte_pages::continue_page(&href);
            response.headers_mut().append(header::SET_COOKIE, set_cookie);
            response
        }
        None => signed_out(request),
    };
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
        "The sign-out request is invalid",
        &format!(
            "The program that sent you here made an invalid request: {reason}. You are still signed in."
        ),
    )
}

fn internal_error_page(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "a logout request failed");
    flyte_pages::error_page(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "The server could not sign you out. Try again.",
    )
}
