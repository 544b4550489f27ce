//! The keys that tokens are signed with (RFC 7517 section 5).

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

use crate::AuthorizationServer;

/// Answers the key set. Whoever keeps it does so for less time than a new key is published before it signs.
pub(super) async fn get(State(server): State<Arc<AuthorizationServer>>) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, server.keys.jwks()).into_response()
}
