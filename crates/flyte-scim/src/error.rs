//! Error responses (RFC 7644 section 3.12).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use flyte_store::{ScimRefusal, StoreError};

use crate::response;

/// The URN of error responses.
const SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// A request that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimError {
    /// The HTTP status.
    pub status: StatusCode,
    /// `scimType`; `None` if the RFC has none for the error.
    pub scim_type: Option<&'static str>,
    /// What happened, for people.
    pub detail: String,
}

impl ScimError {
    /// An error without a `scimType`.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, detail: detail.into() }
    }

    fn bad(scim_type: &'static str, detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, scim_type: Some(scim_type), detail: detail.into() }
    }

    /// `invalidFilter`.
    pub(crate) fn filter(detail: impl Into<String>) -> Self {
        Self::bad("invalidFilter", detail)
    }

    /// `invalidPath`.
    pub(crate) fn path(detail: impl Into<String>) -> Self {
        Self::bad("invalidPath", detail)
    }

    /// `invalidValue`.
    pub(crate) fn value(detail: impl Into<String>) -> Self {
        Self::bad("invalidValue", detail)
    }

    /// `invalidSyntax`.
    pub(crate) fn syntax(detail: impl Into<String>) -> Self {
        Self::bad("invalidSyntax", detail)
    }

    /// `noTarget`.
    pub(crate) fn no_target(detail: impl Into<String>) -> Self {
        Self::bad("noTarget", detail)
    }

    /// `mutability`.
    pub(crate) fn mutability(detail: impl Into<String>) -> Self {
        Self::bad("mutability", detail)
    }

    /// `uniqueness`.
    pub(crate) fn taken(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, scim_type: Some("uniqueness"), detail: detail.into() }
    }

    /// A resource that the client does not have.
    pub(crate) fn not_found(kind: &str, id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{kind} {id:?} does not exist"))
    }

    /// The resource has another version than `If-Match` says.
    pub(crate) fn stale() -> Self {
        let detail = "the resource has changed since the version in If-Match; read it again";
        Self::new(StatusCode::PRECONDITION_FAILED, detail)
    }
}

impl From<ScimRefusal> for ScimError {
    fn from(refusal: ScimRefusal) -> Self {
        let forbidden = |detail: &str| Self::new(StatusCode::FORBIDDEN, detail);
        match refusal {
            ScimRefusal::Taken(attribute) => {
                Self::taken(format!("another resource of this client has this {attribute}"))
            }
            ScimRefusal::AccountExists => Self::taken(
                "an account with this e-mail address exists, which this client did not provision and may not adopt",
            ),
            ScimRefusal::Administrator => forbidden(
                "this is an administrator's account: a SCIM client can neither adopt it nor change its e-mail address or \
                 externalId",
            ),
            ScimRefusal::Adopted => {
                forbidden("this account existed before it was adopted, so it keeps its e-mail address")
            }
            ScimRefusal::DisabledHere => {
                forbidden("an administrator of the server disabled this account; enable it there")
            }
            ScimRefusal::UnknownMember(id) => Self::value(format!("members: this client has no user {id:?}")),
        }
    }
}

impl From<StoreError> for ScimError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::AlreadyExists { kind, .. } => {
                Self::taken(format!("another {kind} has one of these values"))
            }
            StoreError::LastAdministrator => {
                Self::new(StatusCode::FORBIDDEN, "the server would have no administrator left")
            }
            StoreError::Missing { kind, id } => {
                tracing::error!(kind, id, "a SCIM key refers to something that does not exist");
                Self::new(StatusCode::CONFLICT, format!("the server has no {kind} {id:?}"))
            }
            StoreError::InUse { .. } | StoreError::InvalidPageToken | StoreError::Backend(_) => {
                tracing::error!(%error, "a SCIM request failed");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server's database failed; try again later")
            }
        }
    }
}

impl IntoResponse for ScimError {
    fn into_response(self) -> Response {
        let mut body = json!({
            "schemas": [SCHEMA],
            "status": self.status.as_str(),
            "detail": self.detail,
        });
        if let Some(scim_type) = self.scim_type {
            body["scimType"] = scim_type.into();
        }
        let mut response = response::json(self.status, &body);
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"SCIM\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
