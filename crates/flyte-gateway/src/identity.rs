//! The caller in the headers that a Flyte 2 backend reads.
//!
//! The backend believes these headers without verifying them, and shows them as "created by" and in `whoami`. So the
//! gateway removes every copy that a client sends ([`is_identity_header`]) and then sets its own. The claims are a JWT of
//! our signing keys, so a backend that does verify can use our JWKS. The `typ` of that JWT is [`TYP`], so this server
//! never accepts it as an access token, and its audience is the backend, so other resource servers refuse it too.
//!
//! A call does not cost a signature: the headers of a caller are kept for [`REUSE`] seconds. The account is read again
//! every [`ACCOUNT_CHECK_INTERVAL`] seconds; if its name or address has changed, the claims are signed again.

mod cache;
mod claims;
mod names;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

pub use self::{
    claims::{Actor, IdentityClaims, TYP},
    names::{CLAIMS_HEADER, IdentityHeaderNames, SUBJECT_HEADER, is_identity_header},
};

use self::{
    cache::{Cache, Entry},
    claims::Profile,
};
use flyte_access::Caller;
use flyte_keys::{KeyError, SigningKeys};
use flyte_model::clock::{Clock, UnixTime};
use flyte_store::{Store, StoreError};

/// The lifetime of the claims, in seconds. They end with the caller's token if that is sooner.
pub const LIFETIME: i64 = 300;
/// How long the same claims are sent again, in seconds. A call that waits in the backend still has valid claims for the rest
/// of [`LIFETIME`].
pub const REUSE: i64 = 60;
/// How long the caller's name and e-mail address are used without reading the account again, in seconds.
pub const ACCOUNT_CHECK_INTERVAL: i64 = 10;

/// The reason why a caller cannot be described to the backend.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The account or the API key was deleted after the token was verified.
    #[error("the account or API key of this token no longer exists")]
    Gone,
    /// The token has expired since it was verified.
    #[error("the token has expired")]
    Expired,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The claims could not be signed.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// The headers that describe one caller. There are at most four, each with one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders(Vec<(HeaderName, HeaderValue)>);

impl IdentityHeaders {
    /// The headers and their values.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

/// Describes callers to one backend.
#[derive(Debug)]
pub struct Identity {
    store: Arc<dyn Store>,
    clock: Clock,
    keys: Arc<SigningKeys>,
    issuer: String,
    audience: String,
    names: IdentityHeaderNames,
    cache: Cache,
}

impl Identity {
    /// Creates it without cached callers. `issuer` is this server's issuer identifier, `audience` the URL of the backend,
    /// and `names` has the headers that the backend is configured to read beside the default ones.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Clock,
        keys: Arc<SigningKeys>,
        issuer: &str,
        audience: &str,
        names: IdentityHeaderNames,
    ) -> Self {
        let audience = audience.trim_end_matches('/').to_owned();
        Self { store, clock, keys, issuer: issuer.to_owned(), audience, names, cache: Cache::default() }
    }

    /// Removes the headers of the client that say who it is, in every spelling, and sets those of `caller`.
    ///
    /// # Errors
    /// [`IdentityError`]; the client's headers are removed then too.
    pub async fn write(&self, caller: &Caller, headers: &mut HeaderMap) -> Result<(), IdentityError> {
        self.names.remove_from(headers);
        for (name, value) in self.of(caller).await?.iter() {
            headers.insert(name.clone(), value.clone());
        }
        Ok(())
    }

    /// Returns the headers that describe `caller`.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn of(&self, caller: &Caller) -> Result<Arc<IdentityHeaders>, IdentityError> {
        let now = self.clock.now();
        if caller.expires_at <= now {
            return Err(IdentityError::Expired);
        }
        // After a rotation of the keys, a key may have been removed because it leaked.
        let generation = self.keys.generation();
        let known = self
            .cache
            .get(caller)
            .filter(|known| known.generation == generation && now.saturating_sub(known.signed_at) < REUSE);
        if let Some(known) = &known
            && now.saturating_sub(known.checked_at) < ACCOUNT_CHECK_INTERVAL
        {
            return Ok(Arc::clone(&known.headers));
        }
        let profile = Box::pin(claims::look_up(&*self.store, caller)).await?.ok_or(IdentityError::Gone)?;
        let entry = match known.filter(|known| *known.profile == profile) {
            Some(known) => Entry { checked_at: now, ..known },
            None => Entry {
                headers: Arc::new(self.sign(caller, &profile, now)?),
                profile: Arc::new(profile),
                generation,
                signed_at: now,
                checked_at: now,
            },
        };
        let headers = Arc::clone(&entry.headers);
        self.cache.put(caller, entry, now);
        Ok(headers)
    }

    fn sign(
        &self,
        caller: &Caller,
        profile: &Profile,
        now: UnixTime,
    ) -> Result<IdentityHeaders, IdentityError> {
        let claims = IdentityClaims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            iat: now,
            exp: now.saturating_add(LIFETIME).min(caller.expires_at),
            ..profile.claims(caller)
        };
        let token = self.keys.sign(TYP, &claims)?;
        let mut headers = Vec::with_capacity(4);
        let mut add = |name: &HeaderName, text: &str| {
            // A subject or address with control characters is in the claims alone.
            if let Ok(mut value) = HeaderValue::from_bytes(text.as_bytes()) {
                value.set_sensitive(true);
                headers.push((name.clone(), value));
            }
        };
        add(&CLAIMS_HEADER, &token);
        add(&SUBJECT_HEADER, &claims.sub);
        if let Some(name) = &self.names.subject {
            add(name, &claims.sub);
        }
        if let (Some(name), Some(email)) = (&self.names.email, &claims.email) {
            add(name, email);
        }
        Ok(IdentityHeaders(headers))
    }
}

#[cfg(test)]
mod tests;
