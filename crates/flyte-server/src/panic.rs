//! Responses after a panic in a handler. The hook that `serve` installs logs the panic.

use std::any::Any;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

type Payload = Box<dyn Any + Send + 'static>;

/// An error in the format of the Connect protocol.
pub(super) fn connect_error(_: Payload) -> Response {
    let body = json!({"code": "internal", "message": "internal error"});
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}

/// An error of SCIM.
pub(super) fn scim_error(_: Payload) -> Response {
    flyte_scim::internal_error()
}

/// An error page.
pub(super) fn page(_: Payload) -> Response {
    flyte_pages::error_page(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "The server has an internal error. Try again.",
    )
}
