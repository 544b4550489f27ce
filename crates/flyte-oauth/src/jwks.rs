//! The endpoint for the public signing keys (RFC 7517 section 5).

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

use crate::AuthorizationServer;

/// Returns the key set. The cache lifetime is shorter than the time for which a new key is published before its first
/// use.
pub(super) async fn get(State(server): State<Arc<AuthorizationServer>>) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, server.keys.jwks()).into_response()
}
