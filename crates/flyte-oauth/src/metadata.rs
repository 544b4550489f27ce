//! The server's metadata (RFC 8414, OpenID Connect Discovery): the same data for both documents and for
//! `AuthMetadataService/GetOAuth2Metadata`.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use http::header;
use serde::{Deserialize, Serialize};

use super::{client_assertion, pkce};
use crate::AuthorizationServer;
use flyte_model::{GrantType, Scopes};
use flyte_settings::endpoints;

/// The server's metadata; the fields are those of RFC 8414 section 2 and OpenID Connect Discovery section 3.
#[derive(Clone, Debug, Serialize)]
pub struct Metadata {
    /// `iss` of all tokens and answers.
    pub issuer: String,
    /// The authorization endpoint.
    pub authorization_endpoint: String,
    /// The token endpoint.
    pub token_endpoint: String,
    /// The device authorization endpoint (RFC 8628 section 4).
    pub device_authorization_endpoint: String,
    /// The public signing keys.
    pub jwks_uri: String,
    /// The UserInfo endpoint.
    pub userinfo_endpoint: String,
    /// The token revocation endpoint (RFC 7009).
    pub revocation_endpoint: String,
    /// The token introspection endpoint (RFC 7662).
    pub introspection_endpoint: String,
    /// The logout endpoint (OpenID Connect RP-Initiated Logout section 2.1).
    pub end_session_endpoint: String,
    /// The supported scopes.
    pub scopes_supported: Scopes,
    /// Only `code`: no URL contains a token.
    pub response_types_supported: Vec<&'static str>,
    /// Only `query`.
    pub response_modes_supported: Vec<&'static str>,
    /// Grant types of the token endpoint.
    pub grant_types_supported: Vec<GrantType>,
    /// Client authentication methods of the token endpoint.
    pub token_endpoint_auth_methods_supported: Vec<&'static str>,
    /// `alg` values of assertions for `private_key_jwt`.
    pub token_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    /// Client authentication methods of the revocation endpoint: the same.
    pub revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    /// `alg` values of assertions there.
    pub revocation_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    /// Client authentication methods of the introspection endpoint: the same without `none`.
    pub introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    /// `alg` values of assertions there.
    pub introspection_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    /// PKCE methods (RFC 7636).
    pub code_challenge_methods_supported: Vec<&'static str>,
    /// Every client gets the same `sub`.
    pub subject_types_supported: Vec<&'static str>,
    /// Algorithms of the published keys.
    pub id_token_signing_alg_values_supported: Vec<String>,
    /// Claims of ID tokens and UserInfo responses.
    pub claims_supported: Vec<&'static str>,
    /// Supported values of `prompt`.
    pub prompt_values_supported: Vec<&'static str>,
    /// Every authorization response contains `iss` (RFC 9207).
    pub authorization_response_iss_parameter_supported: bool,
    /// The `claims` parameter is ignored.
    pub claims_parameter_supported: bool,
    /// The `request` parameter is refused.
    pub request_parameter_supported: bool,
    /// The `request_uri` parameter is refused. If this field were absent, it would mean `true`.
    pub request_uri_parameter_supported: bool,
}

impl Metadata {
    /// Returns the metadata of `server`.
    #[must_use]
    pub fn of(server: &AuthorizationServer) -> Self {
        let config = &server.config;
        let authentication = vec!["none", "client_secret_basic", "client_secret_post", "private_key_jwt"];
        let algorithms_of_clients = client_assertion::ALGORITHMS.to_vec();
        Self {
            issuer: config.issuer().to_owned(),
            authorization_endpoint: config.url(endpoints::AUTHORIZE),
            token_endpoint: config.url(endpoints::TOKEN),
            device_authorization_endpoint: config.url(endpoints::DEVICE_AUTHORIZATION),
            jwks_uri: config.url(endpoints::JWKS),
            userinfo_endpoint: config.url(endpoints::USERINFO),
            revocation_endpoint: config.url(endpoints::REVOKE),
            introspection_endpoint: config.url(endpoints::INTROSPECT),
            end_session_endpoint: config.url(endpoints::LOGOUT),
            scopes_supported: Scopes::supported(),
            response_types_supported: vec!["code"],
            response_modes_supported: vec!["query"],
            grant_types_supported: GrantType::ALL.to_vec(),
            token_endpoint_auth_methods_supported: authentication.clone(),
            token_endpoint_auth_signing_alg_values_supported: algorithms_of_clients.clone(),
            introspection_endpoint_auth_methods_supported: authentication[1..].to_vec(),
            introspection_endpoint_auth_signing_alg_values_supported: algorithms_of_clients.clone(),
            revocation_endpoint_auth_methods_supported: authentication,
            revocation_endpoint_auth_signing_alg_values_supported: algorithms_of_clients,
            code_challenge_methods_supported: vec![pkce::METHOD],
            subject_types_supported: vec!["public"],
            id_token_signing_alg_values_supported: algorithms(&server.keys.jwks()),
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
                "given_name",
                "family_name",
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

/// Returns the algorithms of a key set. The configured algorithm is not enough: after it was changed, keys of both
/// algorithms are used for some time.
fn algorithms(jwks: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct KeySet {
        keys: Vec<Key>,
    }
    #[derive(Deserialize)]
    struct Key {
        alg: String,
    }
    // The server created the set itself. If it could not be parsed, the server would have no keys.
    let keys = serde_json::from_slice(jwks).map_or_else(|_| Vec::new(), |set: KeySet| set.keys);
    let mut algorithms: Vec<String> = keys.into_iter().map(|key| key.alg).collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    algorithms
}

/// Returns both well-known documents.
pub(super) async fn get(State(server): State<Arc<AuthorizationServer>>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(Metadata::of(&server)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::Server;

    #[test]
    fn each_algorithm_is_listed_once() {
        let jwks = br#"{"keys":[{"alg":"RS256"},{"alg":"ES256","kid":"a"},{"alg":"ES256","kid":"b"}]}"#;
        assert_eq!(super::algorithms(jwks), ["ES256", "RS256"]);
    }

    #[tokio::test]
    async fn both_documents_describe_the_server() {
        let server = Server::start().await;
        let answer = server.stranger().get("/.well-known/oauth-authorization-server").await;
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        let metadata = answer.json();
        for (field, expected) in [
            ("issuer", json!("https://localhost:8443")),
            ("token_endpoint", json!("https://localhost:8443/oauth2/token")),
            ("response_types_supported", json!(["code"])),
            ("device_authorization_endpoint", json!("https://localhost:8443/oauth2/device_authorization")),
            (
                "grant_types_supported",
                json!([
                    "authorization_code",
                    "refresh_token",
                    "urn:ietf:params:oauth:grant-type:device_code",
                    "client_credentials",
                    "urn:ietf:params:oauth:grant-type:token-exchange"
                ]),
            ),
            ("code_challenge_methods_supported", json!(["S256"])),
            ("id_token_signing_alg_values_supported", json!(["ES256", "RS256"])),
            ("authorization_response_iss_parameter_supported", json!(true)),
            ("request_uri_parameter_supported", json!(false)),
        ] {
            assert_eq!(metadata[field], expected, "{field}");
        }
        assert_eq!(server.stranger().get("/.well-known/openid-configuration").await.json(), metadata);
    }

    #[tokio::test]
    async fn every_listed_endpoint_exists() {
        let server = Server::start().await;
        let metadata = server.stranger().get("/.well-known/openid-configuration").await.json();
        let urls = metadata.as_object().unwrap().iter().filter(|(name, _)| name.ends_with("_endpoint"));
        let urls: Vec<_> = urls.map(|(_, url)| url).chain([&metadata["jwks_uri"]]).collect();
        assert_eq!(urls.len(), 8);
        for url in urls {
            let path = url.as_str().unwrap().strip_prefix("https://localhost:8443").unwrap();
            assert_ne!(server.stranger().get(path).await.status, 404, "{path}");
        }
    }

    #[tokio::test]
    async fn only_public_keys_are_published() {
        let server = Server::start().await;
        let answer = server.stranger().get("/oauth2/jwks").await;
        assert_eq!(answer.headers["content-type"], "application/jwk-set+json");
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        let keys = answer.json()["keys"].as_array().unwrap().clone();
        assert!(!keys.is_empty());
        assert!(keys.iter().all(|key| key.get("d").is_none() && key["kid"].is_string()));
    }
}
