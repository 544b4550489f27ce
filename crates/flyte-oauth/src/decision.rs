//! What the person said on a page that an authorization request led to: the one that asks for consent, or for the account.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::{HeaderMap, StatusCode};

use super::{
    authorize::{self, Decision},
    error::OAuthError,
    form::Form,
};
use crate::AuthorizationServer;
use flyte_pages::{self, csrf};

/// Takes the decision and answers the authorization request that it was about, all of which is checked again: the
/// session may have ended, and the client's registration changed, while the page was open.
pub(super) async fn post(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthError> {
    let parameters = form.parameters()?;
    // The token is bound to the session: only the person that the page was shown to can decide.
    if !csrf::verify(&headers, parameters.one(csrf::FIELD)?.unwrap_or_default()) {
        return Ok(flyte_pages::error_page(
            StatusCode::FORBIDDEN,
            "This page is out of date",
            "You signed in or out since it was opened, or it was not this server that opened it. Go back to the \
             program and start again.",
        ));
    }
    let request = parameters.one("request")?.unwrap_or_default();
    let decision = Decision::parse(parameters.one("decision")?.unwrap_or_default());
    Ok(authorize::respond(&server, &headers, request, decision).await)
}
