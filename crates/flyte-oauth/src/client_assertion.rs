//! Clients that sign assertions instead of sending a secret: `private_key_jwt` (RFC 7523 sections 2.2 and 3, OpenID Connect
//! Core section 9).

use aws_lc_rs::digest;
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::error::{ErrorCode, OAuthError};
use crate::AuthorizationServer;
use flyte_access::token::Audience;
use flyte_keys::jwks::{self, JwksError};
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;
use flyte_settings::Config;
use flyte_settings::endpoints;

/// `client_assertion_type` (RFC 7523 section 2.2).
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// `alg` of assertions that are taken: none with a shared secret, none that is going out of use.
pub const ALGORITHMS: [&str; 4] = ["ES256", "EdDSA", "RS256", "PS256"];

/// The longest assertion, in bytes.
const MAX_LENGTH: usize = 8 * 1024;
/// The longest life of an assertion in seconds: so long is its `jti` remembered.
const MAX_LIFE: i64 = 3600;
/// Seconds that a client's clock may be ahead of ours.
const LEEWAY: i64 = 60;

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

/// The client that an assertion says that it is from. Nothing is proved by that.
///
/// # Errors
/// `invalid_client` where it is no JWT with the claims of an assertion.
pub fn claimed_client(assertion: &str) -> Result<String, OAuthError> {
    if assertion.len() > MAX_LENGTH {
        return Err(refused("client_assertion is too long"));
    }
    let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(assertion)
        .map_err(|_| refused("client_assertion is not a JWT with iss, sub, aud and exp"))?;
    if claims.iss != claims.sub {
        return Err(refused("iss and sub of client_assertion must both be the client_id"));
    }
    Ok(claims.sub)
}

/// Checks that an assertion was signed by one of the client's keys, for this server, for now, and spends it.
///
/// # Errors
/// `invalid_client` that says what is wrong with it.
pub async fn verify(
    server: &AuthorizationServer,
    client_id: &str,
    jwks: &str,
    assertion: &str,
) -> Result<(), OAuthError> {
    let claims = signed_claims(jwks, assertion)?;
    if claims.iss != client_id || claims.sub != client_id {
        return Err(refused("iss and sub of client_assertion must both be the client_id"));
    }
    // Whoever else it is for could present it here.
    if matches!(&claims.aud, Audience::Many(many) if many.len() > 1) {
        return Err(refused("aud of client_assertion must be this server's issuer alone"));
    }
    if !is_for(&server.config, &claims.aud) {
        return Err(refused("aud of client_assertion must be this server's issuer"));
    }
    let now = server.clock.now();
    if claims.exp <= now {
        return Err(refused("client_assertion has expired"));
    }
    if claims.exp - now > MAX_LIFE + LEEWAY {
        return Err(refused("client_assertion lives longer than an hour"));
    }
    if [claims.nbf, claims.iat].into_iter().flatten().any(|from| from > now + LEEWAY) {
        return Err(refused("client_assertion is not good yet: is the client's clock right?"));
    }
    let Some(jti) = claims.jti.filter(|jti| !jti.is_empty()) else {
        return Err(refused("client_assertion has no jti"));
    };
    if !server.store.consume_jti(&name(client_id, &jti), claims.exp).await? {
        tracing::warn!(client_id, "a client's assertion was presented again");
        return Err(refused("client_assertion was used before: each request needs a new one"));
    }
    Ok(())
}

/// Whether one of the audiences is this server: by its issuer or, as RFC 7523 section 3 lets clients do, by an endpoint at which
/// they authenticate. Libraries name the one that they ask.
fn is_for(config: &Config, audience: &Audience) -> bool {
    let endpoints =
        [endpoints::TOKEN, endpoints::INTROSPECT, endpoints::REVOKE, endpoints::DEVICE_AUTHORIZATION];
    audience.contains(config.issuer()) || endpoints.iter().any(|path| audience.contains(&config.url(path)))
}

/// SHA-256 of who made an assertion and its `jti`.
fn name(client_id: &str, jti: &str) -> SecretHash {
    let mut context = digest::Context::new(&digest::SHA256);
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
    // RFC 7515 section 4.1.11: what must be understood, and is not, makes the token invalid.
    if header.crit.is_some() {
        return Err(refused("client_assertion has a crit header that is not understood"));
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
