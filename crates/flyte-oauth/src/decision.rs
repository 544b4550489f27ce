//! The endpoint for decisions on pages of an authorization request: consent, and the choice of an account.

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

/// Handles the decision and answers the authorization request. All checks run again: while the page was open, the
/// session may have ended and the client's registration may have changed.
pub(super) async fn post(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthError> {
    let parameters = form.parameters()?;
    // The token is bound to the session, so only the user who got the page can decide.
    if !csrf::verify(&headers, parameters.one(csrf::FIELD)?.unwrap_or_default()) {
        return Ok(flyte_pages::error_page(
            StatusCode::FORBIDDEN,
            "This page is out of date",
            "You signed in or out after this page was opened, or another site sent the form. Go back to the program and \
             start again.",
        ));
    }
    let request = parameters.one("request")?.unwrap_or_default();
    let decision = Decision::parse(parameters.one("decision")?.unwrap_or_default());
    Ok(authorize::respond(&server, &headers, request, decision).await)
}
