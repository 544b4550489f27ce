//! Authentication of callers: access tokens, their verification and revocation, and each caller's rights.
//!
//! A token is verified once. The result is cached under the token's SHA-256 until the token expires; the cache is
//! bounded. Revocations are stored by family and checked on every call, so they take effect immediately on this
//! replica, and on the other replicas within the interval of [`Access::maintain`]. A call with a cached token does
//! not read the database.
#![forbid(unsafe_code)]

mod cache;
mod deleted_key_reports;
pub mod door;
mod error;
mod policies;
pub mod policy;
mod principal;
mod revoked;
mod session;
mod streams;
pub mod token;
mod usage;
pub mod workload;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use aws_lc_rs::digest;
use http::{HeaderMap, HeaderValue, header};

use self::{
    cache::{Cache, Verified},
    deleted_key_reports::DeletedKeyReports,
    policies::Policies,
    revoked::RevokedFamilies,
    streams::Streams,
    token::{AccessTokenClaims, TokenIssuer},
    usage::Usage,
    workload::PlatformCell,
};
pub use self::{
    error::{AccessError, RESOURCE_METADATA, Reason, step_up_challenge},
    principal::NamedPrincipal,
    streams::{OpenStream, StreamEnd, TooManyStreams},
};
use flyte_audit::{Audit, Detail, Event, Kind};
use flyte_keys::{SigningKeys, VerifyError};
use flyte_model::{
    ClientAddr, ClientId, PrincipalKind, Scopes,
    clock::{Clock, UnixTime},
};
use flyte_policy::{Grants, PolicySet};
use flyte_settings::Config;
use flyte_store::{Creator, FAMILY_RETENTION, SignInUse, Store, StoreError};

/// How long a lookup of a principal (does it exist, what are its rights?) is valid, in seconds.
const ACCOUNT_CHECK_INTERVAL: i64 = 10;
/// How far each read of revocations goes back, in seconds. It must be longer than the clocks of replicas can differ.
const REVOCATION_OVERLAP: i64 = 30;
/// The maximum length of a token, in bytes. The server's own tokens are shorter than a kilobyte.
const MAX_TOKEN: usize = 8 * 1024;

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The principal: `sub`.
    pub subject: String,
    /// The client that the token was issued to.
    pub client_id: ClientId,
    /// The scopes of the token.
    pub scopes: Scopes,
    /// All tokens of the same authorization; for a machine identity, all its tokens.
    pub family_id: String,
    /// Identifier of this token: `jti`.
    pub token_id: String,
    /// When this token expires: `exp`.
    pub expires_at: UnixTime,
    /// The kind of principal of `subject`.
    pub principal: PrincipalKind,
    /// The time at which the person signed in: `auth_time`. A refresh does not change it. `None` for machines.
    pub authenticated_at: Option<UnixTime>,
    /// What the principal may do, and where. This limits every call.
    pub grants: Grants,
    /// The principal that started the run, if the caller is a run or one of its pods.
    pub on_behalf_of: Option<Creator>,
}

impl Caller {
    /// Returns the identifier of the calling API key; `None` if the caller is another principal. It is the subject and
    /// the client of the key's tokens (RFC 9068 section 2.2).
    #[must_use]
    pub fn api_key_id(&self) -> Option<&ClientId> {
        (self.principal == PrincipalKind::ApiKey).then_some(&self.client_id)
    }
}

/// Verifies callers and issues access tokens.
#[derive(Debug)]
pub struct Access {
    config: Arc<Config>,
    clock: Clock,
    store: Arc<dyn Store>,
    keys: Arc<SigningKeys>,
    audit: Audit,
    tokens: TokenIssuer,
    cache: Cache,
    revoked: RevokedFamilies,
    policies: Policies,
    usage: Usage,
    deleted_key_reports: DeletedKeyReports,
    streams: Arc<Streams>,
    platform: PlatformCell,
}

impl Access {
    /// Creates it without any verified tokens and revocations; [`Access::maintain`] reads the revocations.
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
            revoked: RevokedFamilies::default(),
            policies: Policies::default(),
            usage: Usage::default(),
            deleted_key_reports: DeletedKeyReports::default(),
            streams: Arc::default(),
            platform: PlatformCell::default(),
        }
    }

    /// The issuer of access tokens.
    #[must_use]
    pub fn tokens(&self) -> &TokenIssuer {
        &self.tokens
    }

    /// Authenticates a caller by the bearer token in `authorization` (RFC 6750 section 2.1) or in
    /// `flyte-authorization`. The second header is for proxies that use the first one themselves.
    ///
    /// # Errors
    /// [`AccessError`] if the token is missing or invalid, or if the store fails.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<Caller>, AccessError> {
        let refused = |reason| AccessError::new(reason, &self.config);
        let token = bearer(headers).ok_or_else(|| refused(Reason::Missing))?;
        if token.len() > MAX_TOKEN {
            return Err(refused(Reason::Invalid("the token is too long")));
        }
        let key = fingerprint(token);
        let now = self.clock.now();
        // A token that was verified with an older set of keys is verified again: a key may have been removed because
        // it leaked.
        let keys_generation = self.keys.generation();
        // A caller that was looked up under other policies is looked up again: its rights may have changed.
        let policies_generation = match self.policies.generation() {
            Some(generation) => generation,
            None => {
                let policies = self.reload_policies().await;
                policies.map_err(|error| refused(Reason::Store(error)))?.generation()
            }
        };
        let policies_generation = Some(policies_generation);
        let known = self.cache.get(&key, now).filter(|known| known.keys_generation == keys_generation);
        if let Some(known) = known.as_ref().filter(|known| known.is_recent(now, policies_generation)) {
            let caller = self.require_not_revoked(&known.caller);
            if caller.is_err() {
                self.record_use_after_deletion(&known.caller).await;
            }
            return caller.map_err(refused);
        }
        if self.is_of_workload(token) {
            return self.authenticate_workload(token, key, keys_generation).await.map_err(refused);
        }
        let (claims, expires_at) = match known {
            Some(known) => (Arc::clone(&known.caller), known.expires_at),
            None => {
                let claims = self.verify(token).await.map_err(refused)?;
                let expires_at = claims.exp;
                (Arc::new(Caller::from(claims)), expires_at)
            }
        };
        if let Err(reason) = self.require_not_revoked(&claims) {
            self.record_use_after_deletion(&claims).await;
            return Err(refused(reason));
        }
        let rights = principal::look_up(self, &claims).await.map_err(|error| refused(error.into()))?;
        let rights = match rights {
            Ok(rights) => rights,
            Err(why) => {
                self.record_use_after_deletion(&claims).await;
                return Err(refused(Reason::Invalid(why)));
            }
        };
        let caller = Arc::new(rights.given_to((*claims).clone()));
        if caller.principal.is_person() {
            self.note_sign_in_use(&caller.family_id, None);
        }
        self.cache.put(
            key,
            Verified {
                caller: Arc::clone(&caller),
                expires_at,
                keys_generation,
                policies_generation,
                account_checked_at: now,
            },
            now,
        );
        Ok(caller)
    }

    /// Checks an access token for introspection. The checks are those of [`Access::authenticate`]; the result
    /// contains the token's claims.
    ///
    /// # Errors
    /// The [`Reason`] if the token is not active.
    pub async fn inspect(&self, token: &str) -> Result<AccessTokenClaims, Reason> {
        if token.len() > MAX_TOKEN {
            return Err(Reason::Invalid("the token is too long"));
        }
        let claims = self.verify(token).await?;
        let caller = Arc::new(Caller::from(claims.clone()));
        self.require_not_revoked(&caller)?;
        principal::look_up(self, &caller).await??;
        Ok(claims)
    }

    /// Checks the token's signature and claims (RFC 9068 section 4).
    async fn verify(&self, token: &str) -> Result<AccessTokenClaims, Reason> {
        let mut outcome = self.keys.verify::<AccessTokenClaims>(token, token::TYP);
        if matches!(outcome, Err(VerifyError::UnknownKey)) {
            // Another replica may have created the key in the meantime.
            match self.keys.reload().await {
                Ok(true) => outcome = self.keys.verify(token, token::TYP),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the signing keys could not be reloaded"),
            }
        }
        let claims = outcome.map_err(|error| match error {
            VerifyError::Malformed => Reason::Invalid("the token is not a signed JWT"),
            VerifyError::WrongType => Reason::Invalid("the token is not an access token"),
            VerifyError::UnknownKey => Reason::Invalid("the token was signed by an unknown key"),
            VerifyError::WrongAlgorithm | VerifyError::BadSignature => {
                Reason::Invalid("the token's signature is invalid")
            }
            VerifyError::BadClaims => Reason::Invalid("the token's claims are invalid"),
        })?;
        if claims.iss != self.config.issuer() {
            return Err(Reason::Invalid("the token is from another issuer"));
        }
        if !claims.aud.contains(self.config.issuer()) {
            return Err(Reason::Invalid("the token is for another audience"));
        }
        if claims.exp <= self.clock.now() {
            return Err(Reason::Invalid("the token has expired"));
        }
        Ok(claims)
    }

    /// Whether the caller's tokens have been revoked since the caller was authenticated.
    #[must_use]
    pub fn is_revoked(&self, caller: &Caller) -> bool {
        self.revoked.contains(&caller.family_id) || self.revoked.contains(&caller.token_id)
    }

    fn require_not_revoked(&self, caller: &Arc<Caller>) -> Result<Arc<Caller>, Reason> {
        if !self.is_revoked(caller) {
            return Ok(Arc::clone(caller));
        }
        let why =
            if caller.workload_id().is_some() { "the pod has ended" } else { "the token has been revoked" };
        Err(Reason::Invalid(why))
    }

    /// Records that a valid token was refused because its API key was deleted, replaced or has expired: someone has a
    /// copy of the token. Records this once a minute for each key. A token that was revoked itself is not recorded.
    async fn record_use_after_deletion(&self, caller: &Caller) {
        let Some(key_id) = caller.api_key_id() else { return };
        let now = self.clock.now();
        let gone = match self.store.api_key_by_id(key_id).await {
            Ok(None) => "deleted",
            Ok(Some(key)) if key.family_id != caller.family_id => "replaced",
            Ok(Some(key)) if key.expires_at.is_some_and(|end| end <= now) => "expired",
            Ok(Some(_)) => return,
            Err(error) => return tracing::warn!(%error, "the key of a refused token could not be looked up"),
        };
        if self.deleted_key_reports.allows(key_id, now) {
            let event = Event::new(Kind::ApiKeyUsedAfterDeletion).client(key_id).object(key_id.as_str());
            self.audit
                .record(event.detail(Detail::Reason, gone).detail(Detail::Token, &caller.token_id))
                .await;
        }
    }

    /// Refuses a family's tokens, or the one token with this `jti`, on this replica from now on. The other replicas
    /// read the revocation from the store.
    pub fn revoke_family(&self, family_id: &str) {
        self.revoked.insert(family_id);
        self.end_revoked_streams();
    }

    /// Notes that an API key got a token. [`Access::write_usage`] writes it to the store.
    pub fn note_api_key_use(&self, client_id: &ClientId, now: UnixTime) {
        self.usage.note_api_key(client_id.clone(), now);
    }

    /// Notes that a job got a token by the trust rule whose tokens belong to this family. [`Access::write_usage`]
    /// writes it to the store.
    pub fn note_trust_rule_use(&self, family_id: &str, now: UnixTime) {
        self.usage.note_trust_rule(family_id.to_owned(), now);
    }

    /// Notes the use of a person's token family from the address of the current request. `agent` is `User-Agent` if the request is
    /// the program's own, and not only one of its calls. [`Access::write_usage`] writes it to the store.
    pub fn note_sign_in_use(&self, family_id: &str, agent: Option<String>) {
        let address = ClientAddr::current().map(|client| client.0.to_string());
        self.usage.note_sign_in(family_id, SignInUse { at: self.clock.now(), address, agent });
    }

    /// Writes the times at which machine identities last got a token, and the last uses of people's. To be called at least once a minute and before
    /// shutdown.
    ///
    /// # Errors
    /// [`StoreError`]; the times are then kept for the next call.
    pub async fn write_usage(&self) -> Result<(), StoreError> {
        self.usage.write(&*self.store).await
    }

    /// Returns the policies as they are stored now. To be called after each change of them: from then on, all callers of this
    /// replica have their new rights. The other replicas see the change at the next [`Access::maintain`].
    ///
    /// # Errors
    /// [`StoreError`]; the known policies stay in effect.
    pub async fn reload_policies(&self) -> Result<Arc<PolicySet>, StoreError> {
        self.policies.current(&*self.store).await
    }

    /// Reads the revocations and policies of other replicas, and forgets revocations whose tokens have all expired. To be called
    /// at least once a second; it reads one short index range, and all policies if they have changed.
    ///
    /// # Errors
    /// [`StoreError`]; the known revocations and policies are kept.
    pub async fn maintain(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let since = match self.revoked.read_up_to() {
            Some(last) => last.min(now).saturating_sub(REVOCATION_OVERLAP),
            None => now.saturating_sub(FAMILY_RETENTION),
        };
        let families = self.store.families_revoked_since(since).await?;
        self.revoked.learn(families, now);
        self.end_revoked_streams();
        self.policies.current(&*self.store).await?;
        Ok(())
    }
}

/// For tests.
#[cfg(any(test, feature = "testing"))]
impl Access {
    /// The time at which revocations were last read.
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
            scopes: claims.scope,
            family_id: claims.family,
            token_id: claims.jti,
            expires_at: claims.exp,
            principal: claims.principal,
            authenticated_at: claims.auth_time.filter(|_| claims.principal.is_person()),
            // No rights until the principal is looked up.
            grants: Grants::none(),
            on_behalf_of: None,
        }
    }
}

/// For tests.
#[cfg(any(test, feature = "testing"))]
impl Caller {
    /// A person with the role `viewer` everywhere. Tests change the fields that they need.
    #[must_use]
    pub fn for_test() -> Self {
        Self {
            subject: String::new(),
            client_id: ClientId::from_static("flyte"),
            scopes: Scopes::new(),
            family_id: String::new(),
            token_id: String::new(),
            expires_at: UnixTime::MAX,
            principal: PrincipalKind::Person,
            authenticated_at: None,
            grants: Grants::of_role(flyte_model::Role::Viewer, &flyte_model::Limit::default()),
            on_behalf_of: None,
        }
    }
}

/// Returns the request's bearer token. If both headers have one, `authorization` belongs to the proxy.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    [headers.get("flyte-authorization"), headers.get(header::AUTHORIZATION)]
        .into_iter()
        .flatten()
        .find_map(token_of)
}

/// The bearer token in the value of a header.
fn token_of(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn fingerprint(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash
}

/// The time before which a revocation can be forgotten: all tokens issued before it have expired.
fn forgotten_after(now: UnixTime) -> UnixTime {
    now.saturating_sub(FAMILY_RETENTION)
}
