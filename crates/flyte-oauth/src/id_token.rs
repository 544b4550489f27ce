//! ID tokens (OpenID Connect Core section 2).

use aws_lc_rs::digest::{self, SHA256, SHA512};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::AuthorizationServer;
use flyte_access::token::TokenGrant;
use flyte_keys::KeyError;
use flyte_model::clock::UnixTime;
use flyte_store::Client;

/// `typ` of ID tokens, which tells them from access tokens (`at+jwt`) of the same key.
const TYP: &str = "JWT";

/// The claims of an ID token. What `profile` and `email` ask for is at UserInfo (OpenID Connect Core section 5.4), so
/// that the token, which lands in logs and hints, tells nothing about the person but the identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdTokenClaims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is about.
    pub sub: String,
    /// The client that it is for, and no other.
    pub aud: String,
    /// The same: for those who look for it (OpenID Connect Core section 2).
    pub azp: String,
    /// When it expires.
    pub exp: UnixTime,
    /// When it was issued.
    pub iat: UnixTime,
    /// When the person proved who they are.
    pub auth_time: UnixTime,
    /// `nonce` of the authorization request; not in one that comes of a refresh (section 12.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Half of the hash of the access token that it came with (section 3.1.3.6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_hash: Option<String>,
    /// The browser session that authorized (OpenID Connect Front-Channel Logout section 3).
    pub sid: String,
}

/// Issues an ID token about the person of `grant`, to go with `access_token`, signed as its client registered.
///
/// # Errors
/// When it cannot be signed.
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

/// The claims of an ID token that comes back as a hint; `None` where it is not one of ours. It may have expired: it says
/// whom the client means, and grants nothing (OpenID Connect RP-Initiated Logout section 4).
#[must_use]
pub fn of_hint(server: &AuthorizationServer, token: &str) -> Option<IdTokenClaims> {
    let claims: IdTokenClaims = server.keys.verify(token, TYP).ok()?;
    (claims.iss == server.config.issuer()).then_some(claims)
}

/// The left half of the access token's hash, by the hash function of the ID token's `alg`.
fn at_hash(algorithm: &str, access_token: &str) -> String {
    let function = match algorithm {
        // Ed25519 hashes with SHA-512 inside (RFC 8032 section 5.1).
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
    fn the_hash_is_that_of_the_signature() {
        for (algorithm, length) in [("ES256", 16), ("RS256", 16), ("EdDSA", 32)] {
            let hash = URL_SAFE_NO_PAD.decode(at_hash(algorithm, "a.b.c")).unwrap();
            assert_eq!(hash.len(), length, "{algorithm}");
        }
        let whole = digest::digest(&SHA256, b"a.b.c");
        assert_eq!(at_hash("ES256", "a.b.c"), URL_SAFE_NO_PAD.encode(&whole.as_ref()[..16]));
    }
}
