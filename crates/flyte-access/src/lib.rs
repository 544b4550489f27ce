//! Who may call: access tokens, their verification and revocation, and what each caller may do.
//!
//! A token is verified once: what came of it is kept, bounded, under its SHA-256 until it expires. A revocation is kept by
//! family and looked at on each call, so that it takes effect at once on this replica, and within [`Access::maintain`]'s
//! interval on the others. No call that only presents a token it presented before touches the database.
#![forbid(unsafe_code)]

mod cache;
pub mod door;
mod error;
mod late;
pub mod policy;
mod principal;
mod revoked;
mod streams;
pub mod token;
mod usage;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use aws_lc_rs::digest;
use http::{HeaderMap, header};

use self::{
    cache::{Cache, Verified},
    late::Late,
    revoked::Revoked,
    streams::Streams,
    token::{AccessTokenClaims, TokenIssuer},
    usage::Usage,
};
pub use self::{
    error::{AccessError, RESOURCE_METADATA, Reason, step_up_challenge},
    streams::{OpenStream, StreamEnd, TooManyStreams},
};
use flyte_audit::{Audit, Detail, Event, Kind};
use flyte_keys::{SigningKeys, VerifyError};
use flyte_model::PrincipalKind;
use flyte_model::{
    Limit, Role,
    clock::{Clock, UnixTime},
};
use flyte_settings::Config;
use flyte_store::{FAMILY_RETENTION, Store, StoreError};

/// How long the answer to "does this principal still exist, and what may it do?" is believed, in seconds.
const ACCOUNT_CHECK_INTERVAL: i64 = 10;
/// How far back each look for revocations reaches, in seconds: more than replicas' clocks may differ.
const REVOCATION_OVERLAP: i64 = 30;
/// The longest token that is looked at, in bytes; ours are below a kilobyte.
const MAX_TOKEN: usize = 8 * 1024;

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whose authority the call is under: `sub`.
    pub subject: String,
    /// Through which client.
    pub client_id: String,
    /// What the token lets it do.
    pub scopes: Vec<String>,
    /// All that came of the same authorization; for a machine identity, all its tokens.
    pub family_id: String,
    /// This one token: `jti`.
    pub token_id: String,
    /// When this token expires: `exp`.
    pub expires_at: UnixTime,
    /// What kind of principal `subject` is.
    pub principal: PrincipalKind,
    /// When the person proved who they are: `auth_time`. A refresh does not change it; machines have none.
    pub authenticated_at: Option<UnixTime>,
    /// What the principal may do at most.
    pub role: Role,
    /// Where it may.
    pub limit: Limit,
}

/// Verifies callers, and issues access tokens.
#[derive(Debug)]
pub struct Access {
    config: Arc<Config>,
    clock: Clock,
    store: Arc<dyn Store>,
    keys: Arc<SigningKeys>,
    audit: Audit,
    tokens: TokenIssuer,
    cache: Cache,
    revoked: Revoked,
    usage: Usage,
    late: Late,
    streams: Arc<Streams>,
}

impl Access {
    /// Nothing verified, nothing revoked; [`Access::maintain`] reads the revocations.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        clock: Clock,
        store: Arc<dyn Store>,
        keys: Arc<SigningKeys>,
        audit: Audit,
    ) -> Self {
        let tokens = TokenIssuer::new(Arc::clone(&config), clock.clone(), Arc::clone(&keys));
        Self {
            config,
            clock,
            store,
            keys,
            audit,
            tokens,
            cache: Cache::default(),
            revoked: Revoked::default(),
            usage: Usage::default(),
            late: Late::default(),
            streams: Arc::default(),
        }
    }

    /// Issues access tokens.
    #[must_use]
    pub fn tokens(&self) -> &TokenIssuer {
        &self.tokens
    }

    /// Who calls, by the bearer token in `authorization` (RFC 6750 section 2.1) or, for proxies that take that header for
    /// themselves, `flyte-authorization`.
    ///
    /// # Errors
    /// [`AccessError`] where there is no token or it is not good, or where the store fails.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Caller>, AccessError> {
        let refused = |reason| AccessError::new(reason, &self.config);
        let token = bearer(headers).ok_or_else(|| refused(Reason::Missing))?;
        if token.len() > MAX_TOKEN {
            return Err(refused(Reason::Invalid("the token is too long")));
        }
        let key = fingerprint(token);
        let now = self.clock.now();
        // What was verified with other keys is verified again: one of them may have been dropped because it leaked.
        let keys = self.keys.generation();
        let known = self.cache.get(&key, now).filter(|known| known.keys == keys);
        if let Some(known) =
            known.as_ref().filter(|known| now - known.account_checked_at < ACCOUNT_CHECK_INTERVAL)
        {
            let caller = self.unless_revoked(&known.caller);
            if caller.is_err() {
                self.record_late(&known.caller).await;
            }
            return caller.map_err(refused);
        }
        let (claims, expires_at) = match known {
            Some(known) => (Arc::clone(&known.caller), known.expires_at),
            None => {
                let claims = self.verify(token).await.map_err(refused)?;
                let expires_at = claims.exp;
                (Arc::new(Caller::from(claims)), expires_at)
            }
        };
        if let Err(reason) = self.unless_revoked(&claims) {
            self.record_late(&claims).await;
            return Err(refused(reason));
        }
        let standing =
            principal::look_up(self, &claims).await.map_err(|error| refused(Reason::Store(error)))?;
        let standing = match standing {
            Ok(standing) => standing,
            Err(why) => {
                self.record_late(&claims).await;
                return Err(refused(Reason::Invalid(why)));
            }
        };
        let caller = Arc::new(Caller { role: standing.role, limit: standing.limit, ..(*claims).clone() });
        self.cache.put(
            key,
            Verified { caller: Arc::clone(&caller), expires_at, keys, account_checked_at: now },
            now,
        );
        Ok(caller)
    }

    /// What an access token is worth now, for whoever it was presented to: all that [`Access::authenticate`] checks, and
    /// what the token says.
    ///
    /// # Errors
    /// Why it is worth nothing.
    pub async fn inspect(&self, token: &str) -> Result<AccessTokenClaims, Reason> {
        if token.len() > MAX_TOKEN {
            return Err(Reason::Invalid("the token is too long"));
        }
        let claims = self.verify(token).await?;
        let caller = Arc::new(Caller::from(claims.clone()));
        self.unless_revoked(&caller)?;
        principal::look_up(self, &caller).await.map_err(Reason::Store)?.map_err(Reason::Invalid)?;
        Ok(claims)
    }

    /// Checks everything that the token itself says (RFC 9068 section 4).
    async fn verify(&self, token: &str) -> Result<AccessTokenClaims, Reason> {
        let mut outcome = self.keys.verify::<AccessTokenClaims>(token, token::TYP);
        if matches!(outcome, Err(VerifyError::UnknownKey)) {
            // Another replica may have made the key since.
            match self.keys.reload().await {
                Ok(true) => outcome = self.keys.verify(token, token::TYP),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the signing keys could not be read again"),
            }
        }
        let claims = outcome.map_err(|error| match error {
            VerifyError::Malformed => Reason::Invalid("the token is not a signed JWT"),
            VerifyError::WrongType => Reason::Invalid("the token is not an access token"),
            VerifyError::UnknownKey => Reason::Invalid("the token was signed by an unknown key"),
            VerifyError::WrongAlgorithm | VerifyError::BadSignature => {
                Reason::Invalid("the token's signature does not verify")
            }
            VerifyError::BadClaims => Reason::Invalid("the token's claims are not understood"),
        })?;
        if claims.iss != self.config.issuer() {
            return Err(Reason::Invalid("the token is another issuer's"));
        }
        if !claims.aud.contains(self.config.issuer()) {
            return Err(Reason::Invalid("the token is for another audience"));
        }
        if claims.exp <= self.clock.now() {
            return Err(Reason::Invalid("the token has expired"));
        }
        Ok(claims)
    }

    /// Whether the caller's tokens have been revoked since it was let in.
    #[must_use]
    pub fn is_revoked(&self, caller: &Caller) -> bool {
        self.revoked.contains(&caller.family_id) || self.revoked.contains(&caller.token_id)
    }

    fn unless_revoked(&self, caller: &Arc<Caller>) -> Result<Arc<Caller>, Reason> {
        if self.is_revoked(caller) {
            return Err(Reason::Invalid("the token has been revoked"));
        }
        Ok(Arc::clone(caller))
    }

    /// Records that a genuine token was refused because its API key is no more: whoever sent it has it from the key's holder.
    /// Once a minute for each key. A token that the key gave back by itself is not one.
    async fn record_late(&self, caller: &Caller) {
        if caller.principal != PrincipalKind::ApiKey {
            return;
        }
        let now = self.clock.now();
        let gone = match self.store.api_key_by_id(&caller.subject).await {
            Ok(None) => "deleted",
            Ok(Some(key)) if key.family_id != caller.family_id => "replaced",
            Ok(Some(key)) if key.expires_at.is_some_and(|end| end <= now) => "expired",
            Ok(Some(_)) => return,
            Err(error) => return tracing::warn!(%error, "the key of a refused token could not be looked up"),
        };
        if self.late.is_due(&caller.subject, now) {
            let event =
                Event::new(Kind::ApiKeyUsedAfterDeletion).client(&caller.client_id).object(&caller.subject);
            self.audit
                .record(event.detail(Detail::Reason, gone).detail(Detail::Token, &caller.token_id))
                .await;
        }
    }

    /// Refuses the family's tokens from now on, on this replica, or the one token with this `jti`; the store tells the others.
    pub fn revoke_family(&self, family_id: &str) {
        self.revoked.insert(family_id);
        self.end_revoked_streams();
    }

    /// Notes that a machine identity got a token; [`Access::write_usage`] makes it known.
    pub fn note_use(&self, principal: PrincipalKind, subject: &str, now: UnixTime) {
        self.usage.note(principal, subject, now);
    }

    /// Writes when machine identities last got a token. To be called more than once a minute, and at the end.
    ///
    /// # Errors
    /// [`StoreError`]; what was noted is then kept.
    pub async fn write_usage(&self) -> Result<(), StoreError> {
        self.usage.write(&*self.store).await
    }

    /// Takes over what was revoked elsewhere, and forgets what no living token can belong to any more. To be called at least
    /// once a second; it reads one short index range.
    ///
    /// # Errors
    /// [`StoreError`]; what is known so far stays.
    pub async fn maintain(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let since = match self.revoked.read_up_to() {
            Some(last) => last.min(now).saturating_sub(REVOCATION_OVERLAP),
            None => now.saturating_sub(FAMILY_RETENTION),
        };
        let families = self.store.families_revoked_since(since).await?;
        self.revoked.learn(families, now);
        self.end_revoked_streams();
        Ok(())
    }
}

/// For tests.
#[cfg(any(test, feature = "testing"))]
impl Access {
    /// When revocations were last read.
    #[must_use]
    pub fn revocations_read_at(&self) -> Option<UnixTime> {
        self.revoked.read_up_to()
    }
}

impl From<AccessTokenClaims> for Caller {
    fn from(claims: AccessTokenClaims) -> Self {
        Self {
            subject: claims.sub,
            client_id: claims.client_id,
            scopes: claims.scope.split_ascii_whitespace().map(str::to_owned).collect(),
            family_id: claims.family,
            token_id: claims.jti,
            expires_at: claims.exp,
            principal: claims.principal,
            authenticated_at: claims.auth_time.filter(|_| claims.principal.is_person()),
            // Nothing, until the principal was looked up.
            role: Role::Viewer,
            limit: Limit::default(),
        }
    }
}

/// For tests.
#[cfg(any(test, feature = "testing"))]
impl Caller {
    /// A person who may do nothing, for tests to change.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            subject: String::new(),
            client_id: String::new(),
            scopes: Vec::new(),
            family_id: String::new(),
            token_id: String::new(),
            expires_at: UnixTime::MAX,
            principal: PrincipalKind::Person,
            authenticated_at: None,
            role: Role::Viewer,
            limit: Limit::default(),
        }
    }
}

/// The bearer token of a request. Where both headers have one, `authorization` is the proxy's.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    [headers.get("flyte-authorization"), headers.get(header::AUTHORIZATION)].into_iter().flatten().find_map(
        |value| {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
        },
    )
}

fn fingerprint(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash
}

/// The end of a family's memory: no token that was issued before its revocation lives longer.
fn forgotten_after(now: UnixTime) -> UnixTime {
    now.saturating_sub(FAMILY_RETENTION)
}
