//! What the server says about itself (RFC 8414, OpenID Connect Discovery): one description for both documents and for
//! `AuthMetadataService/GetOAuth2Metadata`.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use http::header;
use serde::Serialize;

use super::{endpoints, pkce, scope};
use crate::app::App;

/// The server's metadata; the fields are those of RFC 8414 section 2 and OpenID Connect Discovery section 3.
#[derive(Clone, Debug, Serialize)]
pub struct Metadata {
    /// `iss` of everything that it issues.
    pub issuer: String,
    /// Where people authorize.
    pub authorization_endpoint: String,
    /// Where clients get tokens.
    pub token_endpoint: String,
    /// The keys that tokens are signed with.
    pub jwks_uri: String,
    /// Who a token's person is.
    pub userinfo_endpoint: String,
    /// Where clients give tokens back (RFC 7009).
    pub revocation_endpoint: String,
    /// Where people sign out (OpenID Connect RP-Initiated Logout section 2.1).
    pub end_session_endpoint: String,
    /// Scopes that exist.
    pub scopes_supported: Vec<&'static str>,
    /// `code` alone: no token ever stands in a URL.
    pub response_types_supported: Vec<&'static str>,
    /// `query` alone.
    pub response_modes_supported: Vec<&'static str>,
    /// Grants of the token endpoint.
    pub grant_types_supported: Vec<&'static str>,
    /// How clients prove who they are at the token endpoint.
    pub token_endpoint_auth_methods_supported: Vec<&'static str>,
    /// How they do at the revocation endpoint: the same.
    pub revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    /// PKCE methods (RFC 7636).
    pub code_challenge_methods_supported: Vec<&'static str>,
    /// Every client sees the same `sub`.
    pub subject_types_supported: Vec<&'static str>,
    /// Algorithms of the keys that are published now.
    pub id_token_signing_alg_values_supported: Vec<String>,
    /// Claims of ID tokens and of UserInfo.
    pub claims_supported: Vec<&'static str>,
    /// Values of `prompt`.
    pub prompt_values_supported: Vec<&'static str>,
    /// `iss` stands in every authorization answer (RFC 9207).
    pub authorization_response_iss_parameter_supported: bool,
    /// The `claims` parameter is ignored.
    pub claims_parameter_supported: bool,
    /// The `request` parameter is refused.
    pub request_parameter_supported: bool,
    /// The `request_uri` parameter is refused. Left out, this would mean that it works.
    pub request_uri_parameter_supported: bool,
}

impl Metadata {
    /// The metadata of `app`.
    #[must_use]
    pub fn of(app: &App) -> Self {
        let config = &app.config;
        let authentication = vec!["none", "client_secret_basic", "client_secret_post"];
        Self {
            issuer: config.issuer().to_owned(),
            authorization_endpoint: config.url(endpoints::AUTHORIZE),
            token_endpoint: config.url(endpoints::TOKEN),
            jwks_uri: config.url(endpoints::JWKS),
            userinfo_endpoint: config.url(endpoints::USERINFO),
            revocation_endpoint: config.url(endpoints::REVOKE),
            end_session_endpoint: config.url(endpoints::LOGOUT),
            scopes_supported: scope::SUPPORTED.to_vec(),
            response_types_supported: vec!["code"],
            response_modes_supported: vec!["query"],
            grant_types_supported: vec!["authorization_code", "refresh_token"],
            token_endpoint_auth_methods_supported: authentication.clone(),
            revocation_endpoint_auth_methods_supported: authentication,
            code_challenge_methods_supported: vec![pkce::METHOD],
            subject_types_supported: vec!["public"],
            id_token_signing_alg_values_supported: vec![config.tokens.signing_algorithm.clone()],
            claims_supported: vec![
                "iss",
                "sub",
                "aud",
                "exp",
                "iat",
                "auth_time",
                "nonce",
                "at_hash",
                "azp",
                "sid",
                "name",
                "preferred_username",
                "email",
            ],
            prompt_values_supported: vec!["none", "login", "consent", "select_account"],
            authorization_response_iss_parameter_supported: true,
            claims_parameter_supported: false,
            request_parameter_supported: false,
            request_uri_parameter_supported: false,
        }
    }
}

/// Answers both well-known documents.
pub(super) async fn get(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(Metadata::of(&app)))
}
