//! Authorization codes, refresh tokens, and the families that connect everything that came from one authorization.
//!
//! A *family* begins with one authorization code. All refresh tokens rotated from it belong to the family, and all
//! access tokens name it (claim `fid`, see `flyte_access::token`). Revoking the family ends all of them.

use async_trait::async_trait;

use super::StoreError;
use flyte_model::{ClientId, Scopes, clock::UnixTime};
use flyte_secrets::SecretHash;

/// How long a family is kept after its revocation or its last possible refresh, in seconds. Access tokens must not live
/// longer, or they would outlive the record of their revocation.
pub const FAMILY_RETENTION: i64 = 86_400;

/// An authorization code that waits to be redeemed (RFC 6749 section 4.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationCode {
    /// SHA-256 of the code.
    pub code_hash: SecretHash,
    /// The family that begins when the code is redeemed; a UUID.
    pub family_id: String,
    /// The client that it was issued to.
    pub client_id: ClientId,
    /// The user who authorized.
    pub user_id: String,
    /// The browser session of the authorization, the `sid` of the ID token.
    pub session_id: String,
    /// The time at which the user authenticated.
    pub authenticated_at: UnixTime,
    /// `redirect_uri` of the authorization request, byte for byte.
    pub redirect_uri: String,
    /// `code_challenge` of the authorization request; the method is always S256 (RFC 7636).
    pub code_challenge: String,
    /// The scopes granted.
    pub scopes: Scopes,
    /// `resource` (RFC 8707) or `audience` that the access tokens are for.
    pub audience: Option<String>,
    /// `nonce` (OpenID Connect Core section 3.1.2.1).
    pub nonce: Option<String>,
    /// The time at which the code expires.
    pub expires_at: UnixTime,
}

/// The result of redeeming an authorization code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeRedemption {
    /// The code was presented for the first time and is redeemed now.
    Redeemed(AuthorizationCode),
    /// The code was redeemed before: everything that it gave is revoked now (RFC 6749 section 4.1.2).
    Replayed {
        /// The family that was revoked.
        family_id: String,
    },
    /// The code was never issued, or it expired.
    Unknown,
}

/// A refresh token that is about to be issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRefreshToken {
    /// SHA-256 of the token.
    pub token_hash: SecretHash,
    /// The time at which it expires if it is not rotated before.
    pub expires_at: UnixTime,
}

/// The grant behind a refresh token; it is the same for the whole family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The family that it belongs to.
    pub family_id: String,
    /// The client that it was issued to.
    pub client_id: ClientId,
    /// The user who authorized.
    pub user_id: String,
    /// The browser session of the authorization.
    pub session_id: String,
    /// The time at which the user authenticated.
    pub authenticated_at: UnixTime,
    /// The scopes granted, which a refresh can narrow but not widen (RFC 6749 section 6).
    pub scopes: Scopes,
    /// The audience of the access tokens.
    pub audience: Option<String>,
}

/// The result of rotating a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshRotation {
    /// The presented token is superseded by the new one.
    Rotated(RefreshToken),
    /// A superseded token was presented after the grace period or after its successor was used, or a void token was
    /// presented. The family is revoked now (RFC 9700 section 4.14.2).
    Reused {
        /// The family that was revoked.
        family_id: String,
        /// The user of the family, for the log.
        user_id: String,
        /// The client that presented the token.
        client_id: ClientId,
    },
    /// The token was never issued or has expired, its family is revoked, or it belongs to another client.
    Unknown,
}

/// The principal that asks for a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedBy<'a> {
    /// A client, which can revoke only its own tokens (RFC 7009 section 2.1).
    Client(&'a ClientId),
    /// The server.
    Server,
}

/// Storage of codes, refresh tokens and families.
#[async_trait]
pub trait GrantStore: Send + Sync + 'static {
    /// Adds a code if the browser session of its authorization still exists. Otherwise returns `false` and adds
    /// nothing, because the end of the session would have ended the code too.
    async fn create_code(&self, code: &AuthorizationCode) -> Result<bool, StoreError>;
    /// Returns the code if it is unredeemed and unexpired, without redeeming it. Callers check the request against it
    /// before [`GrantStore::redeem_code`], so that a stranger's wrong verifier does not use up the code.
    async fn peek_code(
        &self,
        code_hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<AuthorizationCode>, StoreError>;
    /// Redeems a code and, if `refresh` is set, begins its family with that refresh token; a replay revokes the family.
    /// This is one transaction, so a code is never redeemed without its family.
    async fn redeem_code(
        &self,
        code_hash: &SecretHash,
        refresh: Option<&NewRefreshToken>,
        now: UnixTime,
    ) -> Result<CodeRedemption, StoreError>;
    /// Returns the grant behind the token with `hash`, superseded or not, without rotating it. Returns `None` if the
    /// token was never issued or has expired, its family is revoked, or it does not belong to `client_id`. Callers
    /// reject a request for more scopes before [`GrantStore::rotate_refresh_token`], so that a mistake does not cost
    /// the client its token.
    async fn peek_refresh_token(
        &self,
        hash: &SecretHash,
        client_id: &ClientId,
        now: UnixTime,
    ) -> Result<Option<RefreshToken>, StoreError>;
    /// Returns the grant and the expiry of a token that is the newest of an active family, whichever client it belongs
    /// to. Returns `None` for all other tokens. Introspection uses it (RFC 7662).
    async fn active_refresh_token(
        &self,
        hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<(RefreshToken, UnixTime)>, StoreError>;
    /// Supersedes the token with `hash`, presented by `client_id`, with `next`.
    ///
    /// A token that was superseded less than `grace` seconds ago, and whose successor is unused, is rotated again,
    /// because the response with the successor was lost. The unused successor becomes void; presenting it counts as
    /// reuse of a superseded token. With a `grace` of 0, no token is rotated again.
    async fn rotate_refresh_token(
        &self,
        hash: &SecretHash,
        client_id: &ClientId,
        next: &NewRefreshToken,
        grace: i64,
        now: UnixTime,
    ) -> Result<RefreshRotation, StoreError>;
    /// Revokes the family of the refresh token with `hash` and returns the family. Returns `None` if the token does not
    /// exist or the family does not belong to the revoking principal.
    async fn revoke_refresh_token(
        &self,
        hash: &SecretHash,
        by: RevokedBy<'_>,
        now: UnixTime,
    ) -> Result<Option<String>, StoreError>;
    /// Revokes a family by its identifier. Returns `false` if it does not exist or does not belong to the revoking
    /// principal.
    async fn revoke_family(
        &self,
        family_id: &str,
        by: RevokedBy<'_>,
        now: UnixTime,
    ) -> Result<bool, StoreError>;
    /// Revokes and returns all families that the browser session authorized, as signing out does.
    async fn revoke_session_families(
        &self,
        session_id: &str,
        now: UnixTime,
    ) -> Result<Vec<String>, StoreError>;
    /// Returns the families revoked at or after `since`, and the identifiers that [`super::RevocationStore::revoke_id`]
    /// revoked. Each replica reads them in order to reject their access tokens.
    async fn families_revoked_since(&self, since: UnixTime) -> Result<Vec<String>, StoreError>;
    /// Removes codes, tokens and families that can no longer be used or replayed; returns their number.
    async fn delete_expired_grants(&self, now: UnixTime) -> Result<u64, StoreError>;
}
