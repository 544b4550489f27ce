//! What the person said on the consent page.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::{HeaderMap, StatusCode};

use super::{
    authorize::{self, Decision},
    error::OAuthError,
    form::Form,
};
use crate::{
    app::App,
    web::{self, csrf},
};

/// Takes the decision and answers the authorization request that it was about, all of which is checked again: the
/// session may have ended, and the client's registration changed, while the page was open.
pub(super) async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthError> {
    let parameters = form.parameters()?;
    // The token is bound to the session: agreeing is the act of whoever the page was shown to.
    if !csrf::verify(&headers, parameters.one(csrf::FIELD)?.unwrap_or_default()) {
        return Ok(web::error_page(
            StatusCode::FORBIDDEN,
            "This page is out of date",
            "You signed in or out since it was opened, or it was not this server that opened it. Go back to the \
             program and start again.",
        ));
    }
    let request = parameters.one("request")?.unwrap_or_default();
    let decision = match parameters.one("decision")? {
        Some("allow") => Decision::Allow,
        Some("deny") => Decision::Deny,
        _ => Decision::None,
    };
    Ok(authorize::respond(&app, &headers, request, decision).await)
}
