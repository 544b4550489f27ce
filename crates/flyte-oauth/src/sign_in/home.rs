//! `GET /`: the home page.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};
use flyte_pages::{HomeView, home_page, internal_error_page};

use super::authority;
use crate::AuthorizationServer;

/// `GET /`
pub(super) async fn show(State(server): State<Arc<AuthorizationServer>>, headers: HeaderMap) -> Response {
    let signed_in = match server.sessions.current(&headers).await {
        Ok(signed_in) => signed_in,
        Err(error) => return internal_error_page(&error),
    };
    let view = HomeView {
        email: signed_in.as_ref().map(|signed_in| signed_in.user.email.as_str()),
        fingerprint: authority::fingerprint(&server.config),
    };
    home_page(&server.config, &headers, &view)
}
