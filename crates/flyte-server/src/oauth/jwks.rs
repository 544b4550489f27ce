//! The keys that tokens are signed with (RFC 7517 section 5).

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

use crate::app::App;

/// Answers the key set. Whoever keeps it does so for less time than a new key is published before it signs.
pub(super) async fn get(State(app): State<Arc<App>>) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, app.keys.jwks()).into_response()
}
