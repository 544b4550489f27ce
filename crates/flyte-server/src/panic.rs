//! What the client sees when a handler panics. The panic itself is logged by the hook that `serve` sets.

use std::any::Any;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

type Payload = Box<dyn Any + Send + 'static>;

/// An error as the Connect protocol writes it.
pub(super) fn connect_error(_: Payload) -> Response {
    let body = json!({"code": "internal", "message": "internal error"});
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}

/// An error page.
pub(super) fn page(_: Payload) -> Response {
    flyte_pages::error_page(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "The server could not answer because of a mistake of its own. Please try again.",
    )
}
