//! The JSON body of a request.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use crate::{error::ScimError, response::MEDIA_TYPE};

/// A JSON body, with the media type of SCIM or of JSON.
#[derive(Debug)]
pub(crate) struct Body(pub(crate) Value);

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    [MEDIA_TYPE, "application/json"].iter().any(|known| essence.eq_ignore_ascii_case(known))
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ScimError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ScimError> {
        if !is_json(request.headers()) {
            return Err(ScimError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("the body must be {MEDIA_TYPE} or application/json"),
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection: BytesRejection| ScimError::new(rejection.status(), rejection.body_text()))?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| ScimError::syntax(format!("the body is not JSON: {error}")))
    }
}
