//! Access tokens: JWTs by the profile of RFC 9068.

use std::sync::Arc;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use flyte_keys::{KeyError, SigningKeys};
use flyte_model::PrincipalKind;
use flyte_model::clock::{Clock, UnixTime};
use flyte_settings::Config;

/// `typ` of an access token (RFC 9068 section 2.1): an ID token can never pass for one.
pub const TYP: &str = "at+jwt";

/// Claims of an access token (RFC 9068 section 2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    /// Issuer identifier.
    pub iss: String,
    /// Whose authority it carries.
    pub sub: String,
    /// What it is for.
    pub aud: Audience,
    /// When it expires.
    pub exp: UnixTime,
    /// When it was issued.
    pub iat: UnixTime,
    /// Names this one token.
    pub jti: String,
    /// To which client it was issued.
    pub client_id: String,
    /// What was granted, separated by spaces.
    pub scope: String,
    /// When the person proved who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<UnixTime>,
    /// The browser session that authorized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Private claim: what kind of principal `sub` is; left out for people.
    #[serde(default, skip_serializing_if = "PrincipalKind::is_person")]
    pub principal: PrincipalKind,
    /// Private claim: the family, all that came of one authorization; revoking it ends this token.
    #[serde(rename = "fid")]
    pub family: String,
}

/// `aud`: one audience or several (RFC 7519 section 4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several, any of which may take the token.
    Many(Vec<String>),
}

impl Audience {
    /// Whether `audience` may take the token.
    #[must_use]
    pub fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

/// What tokens are issued for: one person's authorization of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenGrant {
    /// Who authorized.
    pub user_id: String,
    /// Which client.
    pub client_id: String,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// What for; this server where it was left open.
    pub audience: Option<String>,
    /// When the person proved who they are.
    pub authenticated_at: UnixTime,
    /// The browser session that authorized.
    pub session_id: String,
    /// All that came of the same authorization.
    pub family_id: String,
}

/// What tokens of a machine identity are issued for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineGrant {
    /// What kind of principal it is.
    pub principal: PrincipalKind,
    /// `sub`; unique among the principals of its kind.
    pub subject: String,
    /// Through which client.
    pub client_id: String,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// What for; this server where it was left open.
    pub audience: Option<String>,
    /// All tokens of the same principal; a UUID that is stored with it.
    pub family_id: String,
    /// The token's life in seconds, where it is to be shorter than the server's; the server's is the most.
    pub lifetime: Option<i64>,
}

/// A new access token.
#[derive(Debug)]
pub struct IssuedAccessToken {
    /// The token.
    pub token: SecretString,
    /// Its life in seconds.
    pub expires_in: i64,
    /// Its name in logs.
    pub jti: String,
}

/// Issues access tokens.
#[derive(Clone, Debug)]
pub struct TokenIssuer {
    config: Arc<Config>,
    clock: Clock,
    keys: Arc<SigningKeys>,
}

impl TokenIssuer {
    /// Tokens of the issuer in `config`, signed with `keys`.
    #[must_use]
    pub fn new(config: Arc<Config>, clock: Clock, keys: Arc<SigningKeys>) -> Self {
        Self { config, clock, keys }
    }

    /// Issues an access token.
    ///
    /// # Errors
    /// [`KeyError`] where it cannot be signed.
    pub fn issue(&self, grant: &TokenGrant) -> Result<IssuedAccessToken, KeyError> {
        let now = self.clock.now();
        let claims = AccessTokenClaims {
            iss: self.config.issuer().to_owned(),
            sub: grant.user_id.clone(),
            aud: self.audience(grant.audience.as_deref()),
            exp: now.saturating_add(self.config.tokens.access_token_ttl),
            iat: now,
            jti: Uuid::new_v4().to_string(),
            client_id: grant.client_id.clone(),
            scope: grant.scopes.join(" "),
            auth_time: Some(grant.authenticated_at),
            sid: Some(grant.session_id.clone()),
            principal: PrincipalKind::Person,
            family: grant.family_id.clone(),
        };
        self.sign(claims)
    }

    /// Issues an access token of a machine identity.
    ///
    /// # Errors
    /// [`KeyError`] where it cannot be signed.
    pub fn issue_to_machine(&self, grant: &MachineGrant) -> Result<IssuedAccessToken, KeyError> {
        let now = self.clock.now();
        let most = self.config.tokens.access_token_ttl;
        let claims = AccessTokenClaims {
            iss: self.config.issuer().to_owned(),
            sub: grant.subject.clone(),
            aud: self.audience(grant.audience.as_deref()),
            exp: now.saturating_add(grant.lifetime.map_or(most, |lifetime| lifetime.min(most))),
            iat: now,
            jti: Uuid::new_v4().to_string(),
            client_id: grant.client_id.clone(),
            scope: grant.scopes.join(" "),
            auth_time: None,
            sid: None,
            principal: grant.principal,
            family: grant.family_id.clone(),
        };
        self.sign(claims)
    }

    fn audience(&self, asked: Option<&str>) -> Audience {
        Audience::One(asked.unwrap_or(self.config.issuer()).to_owned())
    }

    fn sign(&self, claims: AccessTokenClaims) -> Result<IssuedAccessToken, KeyError> {
        let token = SecretString::from(self.keys.sign(TYP, &claims)?);
        Ok(IssuedAccessToken { token, expires_in: claims.exp.saturating_sub(claims.iat), jti: claims.jti })
    }
}
