//! Responses with the media type of SCIM (RFC 7644 section 8.1).

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

/// The media type of SCIM messages.
pub(crate) const MEDIA_TYPE: &str = "application/scim+json";

/// A response with a JSON body.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, Body::from(body.to_string())).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response with a resource: with its `ETag`, and its `Location` if it is new.
pub(crate) fn resource(status: StatusCode, body: &Value, etag: &str) -> Response {
    let mut response = json(status, body);
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    let location = body.pointer("/meta/location").and_then(Value::as_str);
    if let Some(location) = location.and_then(|location| HeaderValue::from_str(location).ok()) {
        response.headers_mut().insert(header::LOCATION, location.clone());
        response.headers_mut().insert(header::CONTENT_LOCATION, location);
    }
    response
}
