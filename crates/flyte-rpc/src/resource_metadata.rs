//! The protected resource metadata (RFC 9728).

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::Entrance;
use flyte_model::Scope;
use flyte_settings::endpoints;

/// RFC 9728 section 2.
#[derive(Serialize)]
struct ResourceMetadata<'a> {
    resource: &'a str,
    authorization_servers: [&'a str; 1],
    jwks_uri: String,
    scopes_supported: [Scope; 2],
    bearer_methods_supported: [&'static str; 1],
    resource_name: &'static str,
}

pub(crate) async fn resource_metadata(State(entrance): State<Arc<Entrance>>) -> Response {
    let issuer = entrance.config.issuer();
    Json(ResourceMetadata {
        resource: issuer,
        authorization_servers: [issuer],
        jwks_uri: entrance.config.url(endpoints::JWKS),
        scopes_supported: [Scope::ALL, Scope::READ],
        bearer_methods_supported: ["header"],
        resource_name: "Flyte control plane",
    })
    .into_response()
}
