//! Client authentication with signed assertions: `private_key_jwt` (RFC 7523 sections 2.2 and 3, OpenID Connect Core
//! section 9).

use aws_lc_rs::digest;
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::error::{ErrorCode, OAuthError};
use crate::AuthorizationServer;
use flyte_access::token::Audience;
use flyte_keys::jwks::{self, JwksError};
use flyte_model::{ClientId, clock::UnixTime};
use flyte_secrets::SecretHash;
use flyte_settings::Config;
use flyte_settings::endpoints;

/// `client_assertion_type` (RFC 7523 section 2.2).
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Accepted `alg` values of assertions: no shared secrets and no deprecated algorithms.
pub const ALGORITHMS: [&str; 4] = ["ES256", "EdDSA", "RS256", "PS256"];

/// The maximum length of an assertion, in bytes.
const MAX_BYTES: usize = 8 * 1024;
/// The maximum lifetime of an assertion in seconds. Its `jti` is stored for that time.
const MAX_LIFETIME_SECONDS: i64 = 3600;
/// How far a client's clock may be ahead of ours, in seconds.
const LEEWAY_SECONDS: i64 = 60;

/// Claims of an assertion (RFC 7523 section 3).
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: UnixTime,
    #[serde(default)]
    nbf: Option<UnixTime>,
    #[serde(default)]
    iat: Option<UnixTime>,
    #[serde(default)]
    jti: Option<String>,
}

/// Returns the client ID in an assertion. It is not verified.
///
/// # Errors
/// `invalid_client` if it is not a JWT with the claims of an assertion.
pub fn claimed_client(assertion: &str) -> Result<String, OAuthError> {
    if assertion.len() > MAX_BYTES {
        return Err(refused("client_assertion is too long"));
    }
    let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(assertion)
        .map_err(|_| refused("client_assertion is not a JWT with iss, sub, aud and exp"))?;
    if claims.iss != claims.sub {
        return Err(refused("iss and sub of client_assertion must both be the client_id"));
    }
    Ok(claims.sub)
}

/// Verifies that an assertion was signed with one of the client's keys, for this server, and is valid now. Marks it
/// as used.
///
/// # Errors
/// `invalid_client` with the reason.
pub async fn verify(
    server: &AuthorizationServer,
    client_id: &ClientId,
    jwks: &str,
    assertion: &str,
) -> Result<(), OAuthError> {
    let claims = signed_claims(jwks, assertion)?;
    if *client_id != *claims.iss || *client_id != *claims.sub {
        return Err(refused("iss and sub of client_assertion must both be the client_id"));
    }
    // Another audience could send the assertion to this server.
    if matches!(&claims.aud, Audience::Many(many) if many.len() > 1) {
        return Err(refused("aud of client_assertion must contain only this server's issuer"));
    }
    if !is_for(&server.config, &claims.aud) {
        return Err(refused("aud of client_assertion must be this server's issuer"));
    }
    let now = server.clock.now();
    if claims.exp <= now {
        return Err(refused("client_assertion has expired"));
    }
    if claims.exp - now > MAX_LIFETIME_SECONDS + LEEWAY_SECONDS {
        return Err(refused("client_assertion is valid for more than an hour"));
    }
    if [claims.nbf, claims.iat].into_iter().flatten().any(|from| from > now + LEEWAY_SECONDS) {
        return Err(refused("client_assertion is not valid yet: check the client's clock"));
    }
    let Some(jti) = claims.jti.filter(|jti| !jti.is_empty()) else {
        return Err(refused("client_assertion has no jti"));
    };
    if !server.store.consume_jti(&assertion_hash(client_id, &jti), claims.exp).await? {
        tracing::warn!(client_id = client_id.as_str(), "a client assertion was used twice");
        return Err(refused("client_assertion was used before: create a new one for each request"));
    }
    Ok(())
}

/// Whether one of the audiences is this server: its issuer or, as RFC 7523 section 3 allows, an endpoint that
/// authenticates clients. Libraries use the endpoint that they call.
fn is_for(config: &Config, audience: &Audience) -> bool {
    let endpoints =
        [endpoints::TOKEN, endpoints::INTROSPECT, endpoints::REVOKE, endpoints::DEVICE_AUTHORIZATION];
    audience.contains(config.issuer()) || endpoints.iter().any(|path| audience.contains(&config.url(path)))
}

/// SHA-256 of an assertion's client and `jti`.
fn assertion_hash(client_id: &ClientId, jti: &str) -> SecretHash {
    let mut context = digest::Context::new(&digest::SHA256);
    let client_id = client_id.as_str();
    context.update(&(client_id.len() as u64).to_be_bytes());
    context.update(client_id.as_bytes());
    context.update(jti.as_bytes());
    let mut hash = SecretHash::default();
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

fn signed_claims(jwks: &str, assertion: &str) -> Result<Claims, OAuthError> {
    let header = jsonwebtoken::decode_header(assertion)
        .map_err(|_| refused("client_assertion is not a signed JWT"))?;
    if !matches!(header.alg, Algorithm::ES256 | Algorithm::EdDSA | Algorithm::RS256 | Algorithm::PS256) {
        return Err(refused("alg of client_assertion must be ES256, EdDSA, RS256 or PS256"));
    }
    // RFC 7515 section 4.1.11: a header that must be understood but is unknown makes the token invalid.
    if header.crit.is_some() {
        return Err(refused("client_assertion has an unsupported crit header"));
    }
    let keys = jwks::parse(jwks).map_err(|_| refused("the client has no usable keys"))?;
    jwks::verify(&keys, assertion, header.kid.as_deref(), header.alg).map_err(|error| match error {
        JwksError::Ambiguous => {
            refused("client_assertion has no kid, and several keys of the client could have signed it")
        }
        JwksError::UnknownKey | JwksError::WrongAlgorithm | JwksError::BadSignature => {
            refused("client_assertion was not signed by a key of the client")
        }
    })
}

fn refused(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidClient, description)
}
