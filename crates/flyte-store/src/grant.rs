//! Authorization codes and refresh tokens, and the family that ties together all that came of one authorization.
//!
//! A *family* begins with one authorization code. Every refresh token rotated from it belongs to it, and every access
//! token names it (claim `fid`, see `access::token`). Revoking the family ends all of them.

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;

/// How long a family is remembered after it was revoked or could last be refreshed, in seconds: no access token may
/// live longer, or it would outlive the record of its revocation.
pub const FAMILY_RETENTION: i64 = 86_400;

/// An authorization code waiting to be redeemed (RFC 6749 section 4.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationCode {
    /// SHA-256 of the code.
    pub code_hash: SecretHash,
    /// The family that redeeming it begins; a UUID.
    pub family_id: String,
    /// The client that it was issued to.
    pub client_id: String,
    /// Who authorized.
    pub user_id: String,
    /// The browser session that authorized, the `sid` of the ID token.
    pub session_id: String,
    /// When the person proved who they are.
    pub authenticated_at: UnixTime,
    /// `redirect_uri` of the authorization request, byte for byte.
    pub redirect_uri: String,
    /// `code_challenge` of the authorization request; the method is always S256 (RFC 7636).
    pub code_challenge: String,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// `resource` (RFC 8707) or `audience` that the access tokens are for.
    pub audience: Option<String>,
    /// `nonce` (OpenID Connect Core section 3.1.2.1).
    pub nonce: Option<String>,
    /// When it ceases to be redeemable.
    pub expires_at: UnixTime,
}

/// What came of presenting an authorization code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeRedemption {
    /// First presentation: the code is spent now.
    Redeemed(AuthorizationCode),
    /// It had been spent before: all that it gave is revoked now (RFC 6749 section 4.1.2).
    Replayed {
        /// The family that was revoked.
        family_id: String,
    },
    /// It was never issued, or it expired.
    Unknown,
}

/// A refresh token about to be issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRefreshToken {
    /// SHA-256 of the token.
    pub token_hash: SecretHash,
    /// When it expires unless it is rotated first.
    pub expires_at: UnixTime,
}

/// What a refresh token stands for; the same for the whole family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The family that it belongs to.
    pub family_id: String,
    /// The client that it was issued to.
    pub client_id: String,
    /// Who authorized.
    pub user_id: String,
    /// The browser session that authorized.
    pub session_id: String,
    /// When the person proved who they are.
    pub authenticated_at: UnixTime,
    /// The scopes granted, which a refresh can narrow but not widen (RFC 6749 section 6).
    pub scopes: Vec<String>,
    /// What the access tokens are for.
    pub audience: Option<String>,
}

/// What came of presenting a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshRotation {
    /// The token presented is superseded by the new one.
    Rotated(RefreshToken),
    /// A superseded token was presented after the grace period, or after its successor had been used, or a void one: the
    /// family is revoked now (RFC 9700 section 4.14.2).
    Reused {
        /// The family that was revoked.
        family_id: String,
        /// Whose it was, for the log.
        user_id: String,
        /// Which client presented it.
        client_id: String,
    },
    /// It was never issued, it expired, its family is revoked, or it belongs to another client.
    Unknown,
}

/// Whose wish a revocation must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedBy<'a> {
    /// A client, which can revoke only its own (RFC 7009 section 2.1).
    Client(&'a str),
    /// The server.
    Server,
}

/// Storage of codes, refresh tokens and families.
#[async_trait]
pub trait GrantStore: Send + Sync + 'static {
    /// Adds a code, provided that the person's browser session that authorized it is still there; `false`, and no code,
    /// where it has ended meanwhile: what ended it would have ended the code too.
    async fn create_code(&self, code: &AuthorizationCode) -> Result<bool, StoreError>;
    /// The code as it stands, unspent and unexpired, without spending it: for checking what the request must match
    /// before [`GrantStore::redeem_code`], so that a stranger's guess at a verifier does not spend the code.
    async fn peek_code(
        &self,
        code_hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<AuthorizationCode>, StoreError>;
    /// Spends a code and, where `refresh` is given, begins its family with that refresh token; on a replay revokes the
    /// family. One transaction: a code is never spent without its family being there.
    async fn redeem_code(
        &self,
        code_hash: &SecretHash,
        refresh: Option<&NewRefreshToken>,
        now: UnixTime,
    ) -> Result<CodeRedemption, StoreError>;
    /// What the token with `hash` stands for, superseded or not, without rotating it; `None` where it was never issued,
    /// has expired, its family is revoked, or it is not `client_id`'s. For refusing a request for more than was granted
    /// before [`GrantStore::rotate_refresh_token`], so that a mistaken request does not cost the client its token.
    async fn peek_refresh_token(
        &self,
        hash: &SecretHash,
        client_id: &str,
        now: UnixTime,
    ) -> Result<Option<RefreshToken>, StoreError>;
    /// What the newest token of a living family stands for and when it expires, whosever it is; `None` for any other. For
    /// introspection (RFC 7662).
    async fn living_refresh_token(
        &self,
        hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<(RefreshToken, UnixTime)>, StoreError>;
    /// Supersedes the token with `hash`, presented by `client_id`, by `next`.
    ///
    /// A token that was superseded less than `grace` seconds ago, and whose successor has not been used yet, is rotated
    /// again: the response that carried the successor was lost. The unused successor is then void; presenting it is reuse
    /// like that of any superseded token. With a `grace` of 0 nothing is rotated again.
    async fn rotate_refresh_token(
        &self,
        hash: &SecretHash,
        client_id: &str,
        next: &NewRefreshToken,
        grace: i64,
        now: UnixTime,
    ) -> Result<RefreshRotation, StoreError>;
    /// Revokes the family of the refresh token with `hash`; returns the family, `None` where there is no such token or
    /// it is not the revoker's.
    async fn revoke_refresh_token(
        &self,
        hash: &SecretHash,
        by: RevokedBy<'_>,
        now: UnixTime,
    ) -> Result<Option<String>, StoreError>;
    /// Revokes a family by its identifier; `false` where there is none or it is not the revoker's.
    async fn revoke_family(
        &self,
        family_id: &str,
        by: RevokedBy<'_>,
        now: UnixTime,
    ) -> Result<bool, StoreError>;
    /// Revokes every family that the browser session authorized, as signing out does; returns them.
    async fn revoke_session_families(
        &self,
        session_id: &str,
        now: UnixTime,
    ) -> Result<Vec<String>, StoreError>;
    /// Families revoked at or after `since`, and what [`super::RevocationStore::revoke_id`] revoked: what each replica reads
    /// to refuse their access tokens.
    async fn families_revoked_since(&self, since: UnixTime) -> Result<Vec<String>, StoreError>;
    /// Removes codes, tokens and families that nothing can use or replay any more; returns how many.
    async fn delete_expired_grants(&self, now: UnixTime) -> Result<u64, StoreError>;
}
