//! ID tokens (OpenID Connect Core section 2).

use aws_lc_rs::digest::{self, SHA256, SHA512};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::AuthorizationServer;
use flyte_access::token::TokenGrant;
use flyte_keys::KeyError;
use flyte_model::{ClientId, clock::UnixTime};
use flyte_store::Client;

/// `typ` of ID tokens. It distinguishes them from access tokens (`at+jwt`) of the same key.
const TYP: &str = "JWT";

/// The claims of an ID token. The claims for `profile` and `email` are at UserInfo (OpenID Connect Core section 5.4).
/// ID tokens appear in logs and hints, so they contain no personal data except the identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdTokenClaims {
    /// The issuer.
    pub iss: String,
    /// The user.
    pub sub: String,
    /// The client, which is the only audience.
    pub aud: ClientId,
    /// The same client, for programs that require it (OpenID Connect Core section 2).
    pub azp: ClientId,
    /// Expiry time.
    pub exp: UnixTime,
    /// Time of issue.
    pub iat: UnixTime,
    /// Time of the user's sign-in.
    pub auth_time: UnixTime,
    /// `nonce` of the authorization request; absent after a refresh (section 12.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Half of the hash of the accompanying access token (section 3.1.3.6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_hash: Option<String>,
    /// The browser session of the authorization (OpenID Connect Front-Channel Logout section 3).
    pub sid: String,
}

/// Issues an ID token for the user of `grant` and the given access token, with the algorithm that its client has
/// registered.
///
/// # Errors
/// [`KeyError`] if the token cannot be signed.
pub fn issue(
    server: &AuthorizationServer,
    client: &Client,
    grant: &TokenGrant,
    nonce: Option<String>,
    access_token: &SecretString,
) -> Result<String, KeyError> {
    let now = server.clock.now();
    let algorithm = client.id_token_signed_response_alg.clone().unwrap_or_else(|| server.keys.algorithm());
    let claims = IdTokenClaims {
        iss: server.config.issuer().to_owned(),
        sub: grant.user_id.clone(),
        aud: grant.client_id.clone(),
        azp: grant.client_id.clone(),
        exp: now.saturating_add(server.config.tokens.access_token_ttl),
        iat: now,
        auth_time: grant.authenticated_at,
        nonce,
        at_hash: Some(at_hash(&algorithm, access_token.expose_secret())),
        sid: grant.session_id.clone(),
    };
    server.keys.sign_by(&algorithm, TYP, &claims)
}

/// Returns the claims of an ID token in a hint; `None` if this server did not issue it. It may have expired: it only
/// identifies a user and grants nothing (OpenID Connect RP-Initiated Logout section 4).
#[must_use]
pub fn of_hint(server: &AuthorizationServer, token: &str) -> Option<IdTokenClaims> {
    let claims: IdTokenClaims = server.keys.verify(token, TYP).ok()?;
    (claims.iss == server.config.issuer()).then_some(claims)
}

/// The left half of the access token's hash, with the hash function of the ID token's `alg`.
fn at_hash(algorithm: &str, access_token: &str) -> String {
    let function = match algorithm {
        // Ed25519 uses SHA-512 internally (RFC 8032 section 5.1).
        "EdDSA" => &SHA512,
        _ => &SHA256,
    };
    let hash = digest::digest(function, access_token.as_bytes());
    let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_function_follows_from_the_algorithm() {
        for (algorithm, length) in [("ES256", 16), ("RS256", 16), ("EdDSA", 32)] {
            let hash = URL_SAFE_NO_PAD.decode(at_hash(algorithm, "a.b.c")).unwrap();
            assert_eq!(hash.len(), length, "{algorithm}");
        }
        let whole = digest::digest(&SHA256, b"a.b.c");
        assert_eq!(at_hash("ES256", "a.b.c"), URL_SAFE_NO_PAD.encode(&whole.as_ref()[..16]));
    }
}
