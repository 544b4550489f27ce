//! Access tokens: JWTs as profiled by RFC 9068.

use std::sync::Arc;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use flyte_keys::{KeyError, SigningKeys};
use flyte_model::{
    ClientId, PrincipalKind, Scopes,
    clock::{Clock, UnixTime},
    space_separated,
};
use flyte_settings::Config;

/// `typ` of an access token (RFC 9068 section 2.1). It keeps ID tokens from being accepted as access tokens.
pub const TYP: &str = "at+jwt";

/// Claims of an access token (RFC 9068 section 2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    /// Issuer identifier.
    pub iss: String,
    /// The principal.
    pub sub: String,
    /// The audience.
    pub aud: Audience,
    /// Expiry time.
    pub exp: UnixTime,
    /// Time of issue.
    pub iat: UnixTime,
    /// Identifier of this token.
    pub jti: String,
    /// The client that the token was issued to.
    pub client_id: ClientId,
    /// The granted scopes, as one text.
    #[serde(with = "space_separated")]
    pub scope: Scopes,
    /// Time of the person's sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<UnixTime>,
    /// The browser session of the authorization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Private claim: the kind of principal of `sub`; omitted for people.
    #[serde(default, skip_serializing_if = "PrincipalKind::is_person")]
    pub principal: PrincipalKind,
    /// Private claim: the family, which is all tokens of one authorization. Revoking the family revokes this token.
    #[serde(rename = "fid")]
    pub family: String,
}

/// `aud`: one audience or several (RFC 7519 section 4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// A single audience.
    One(String),
    /// Several audiences. Each of them may accept the token.
    Many(Vec<String>),
}

impl Audience {
    /// Whether `audience` may accept the token.
    #[must_use]
    pub fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

/// The authorization of one client by one person, for which tokens are issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenGrant {
    /// The person who authorized the client.
    pub user_id: String,
    /// The client.
    pub client_id: ClientId,
    /// The granted scopes.
    pub scopes: Scopes,
    /// The audience; `None` means this server.
    pub audience: Option<String>,
    /// Time of the person's sign-in.
    pub authenticated_at: UnixTime,
    /// The browser session of the authorization.
    pub session_id: String,
    /// Identifier of all tokens of this authorization.
    pub family_id: String,
}

/// The grant for which a machine identity gets tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineGrant {
    /// The kind of principal.
    pub principal: PrincipalKind,
    /// `sub`; unique among the principals of one kind.
    pub subject: String,
    /// The client that the token is issued to.
    pub client_id: ClientId,
    /// The granted scopes.
    pub scopes: Scopes,
    /// The audience; `None` means this server.
    pub audience: Option<String>,
    /// Identifier of all tokens of this principal: a UUID that is stored with it.
    pub family_id: String,
    /// The token's lifetime in seconds, if it is shorter than the server's `access-token-ttl`.
    pub lifetime: Option<i64>,
}

/// A new access token.
#[derive(Debug)]
pub struct IssuedAccessToken {
    /// The token.
    pub token: SecretString,
    /// Lifetime in seconds.
    pub expires_in: i64,
    /// Identifier of the token in logs.
    pub jti: String,
}

/// Issues access tokens.
#[derive(Clone, Debug)]
pub struct TokenIssuer {
    config: Arc<Config>,
    clock: Clock,
    signing_keys: Arc<SigningKeys>,
}

impl TokenIssuer {
    /// Creates an issuer with the identifier in `config` and the given signing keys.
    #[must_use]
    pub fn new(config: Arc<Config>, clock: Clock, signing_keys: Arc<SigningKeys>) -> Self {
        Self { config, clock, signing_keys }
    }

    /// Issues an access token for a person.
    ///
    /// # Errors
    /// [`KeyError`] if the token cannot be signed.
    pub fn issue(&self, grant: &TokenGrant) -> Result<IssuedAccessToken, KeyError> {
        self.sign(AccessTokenClaims {
            auth_time: Some(grant.authenticated_at),
            sid: Some(grant.session_id.clone()),
            ..self.claims(&MachineGrant {
                principal: PrincipalKind::Person,
                subject: grant.user_id.clone(),
                client_id: grant.client_id.clone(),
                scopes: grant.scopes.clone(),
                audience: grant.audience.clone(),
                family_id: grant.family_id.clone(),
                lifetime: None,
            })
        })
    }

    /// Issues an access token for a machine identity.
    ///
    /// # Errors
    /// [`KeyError`] if the token cannot be signed.
    pub fn issue_to_machine(&self, grant: &MachineGrant) -> Result<IssuedAccessToken, KeyError> {
        self.sign(self.claims(grant))
    }

    /// The claims of every access token. `auth_time` and `sid` are empty; only a person's token has them.
    fn claims(&self, grant: &MachineGrant) -> AccessTokenClaims {
        let now = self.clock.now();
        let max_lifetime = self.config.tokens.access_token_ttl;
        let lifetime = grant.lifetime.map_or(max_lifetime, |lifetime| lifetime.min(max_lifetime));
        let audience = grant.audience.as_deref().unwrap_or(self.config.issuer());
        AccessTokenClaims {
            iss: self.config.issuer().to_owned(),
            sub: grant.subject.clone(),
            aud: Audience::One(audience.to_owned()),
            exp: now.saturating_add(lifetime),
            iat: now,
            jti: Uuid::new_v4().to_string(),
            client_id: grant.client_id.clone(),
            scope: grant.scopes.clone(),
            auth_time: None,
            sid: None,
            principal: grant.principal,
            family: grant.family_id.clone(),
        }
    }

    fn sign(&self, claims: AccessTokenClaims) -> Result<IssuedAccessToken, KeyError> {
        let token = SecretString::from(self.signing_keys.sign(TYP, &claims)?);
        Ok(IssuedAccessToken { token, expires_in: claims.exp.saturating_sub(claims.iat), jti: claims.jti })
    }
}
