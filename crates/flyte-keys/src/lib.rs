//! Keys that sign tokens.
//!
//! The keys live in the store, sealed; each process keeps the opened set in memory and replaces it whole, so that
//! signing and verifying never wait. [`SigningKeys::maintain`], called every so often, moves keys through their life
//! (`lifecycle`) and takes over what another replica changed. Replicas agree by compare-and-set on the stored set.
#![forbid(unsafe_code)]

pub mod jwks;
mod lifecycle;
mod pair;
mod sealing;
mod set;

use std::{
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    lifecycle::PUBLISH_LEAD,
    pair::{ALGORITHMS, RS256},
    sealing::SealingKey,
};

use self::{
    lifecycle::{Advance, NewKey, Policy, advance, start_over, supersede},
    pair::KeyPair,
    set::{Key, KeySet},
};
use flyte_model::clock::{Clock, UnixTime};
use flyte_settings::TokenConfig;
use flyte_store::{SealedSigningKey, Store, StoreError};

/// How many times to try again where another replica changes the keys at the same moment.
const ATTEMPTS: usize = 5;

/// Unknown `kid`s cause at most one look into the store in so many seconds.
const RELOAD_INTERVAL: i64 = 10;

/// Why keys could not be had or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key file cannot be used.
    #[error("cannot use the key file {}: {source}", path.display())]
    KeyFile {
        /// The key file.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The stored keys do not open with the key file.
    #[error(
        "the signing key {kid} in the database was not sealed with this server's key file: restore the key file \
         that belongs to the database from a backup"
    )]
    WrongSealingKey {
        /// The key that does not open.
        kid: String,
    },
    /// The configuration names an algorithm that the server does not sign with.
    #[error("cannot sign with {0:?}: choose one of ES256, EdDSA and RS256")]
    UnsupportedAlgorithm(String),
    /// There is no key for an algorithm that somebody chose.
    #[error("there is no signing key for {0:?}")]
    NoKeyFor(String),
    /// Replicas kept changing the keys at the same time.
    #[error("other replicas kept changing the signing keys at the same time")]
    Contended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cryptographic library failed.
    #[error("{0} failed")]
    Crypto(&'static str),
    /// The JWT library failed.
    #[error("preparing a token failed: {0}")]
    Jwt(#[source] jsonwebtoken::errors::Error),
    /// Claims that are not JSON.
    #[error("preparing a token failed: {0}")]
    Json(#[from] serde_json::Error),
}

/// Why a token does not verify. Says nothing that an attacker could use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not a signed JWT.
    #[error("the token is not a signed JWT")]
    Malformed,
    /// A JWT for another purpose, such as an ID token where an access token is due.
    #[error("the token is of another type")]
    WrongType,
    /// Signed by a key that this server does not know.
    #[error("the token was signed by a key that is not, or no longer, this server's")]
    UnknownKey,
    /// The header names another algorithm than that of its key.
    #[error("the token's algorithm is not that of its key")]
    WrongAlgorithm,
    /// Altered, or signed by another key than it says.
    #[error("the token's signature does not verify")]
    BadSignature,
    /// The claims are not those of such a token.
    #[error("the token's claims are not understood")]
    BadClaims,
}

/// The keys that sign tokens.
pub struct SigningKeys {
    store: Arc<dyn Store>,
    sealing: SealingKey,
    clock: Clock,
    config: TokenConfig,
    set: RwLock<Arc<KeySet>>,
    /// How often `set` was replaced.
    generation: AtomicU64,
    /// When an unknown `kid` last caused a look into the store.
    reloaded_at: AtomicI64,
}

impl SigningKeys {
    /// Opens the stored keys; makes the first one where there is none.
    ///
    /// # Errors
    /// [`KeyError`] where the store fails, the key file is not the one that sealed them, or the configured algorithm
    /// is not supported.
    pub async fn load(
        store: Arc<dyn Store>,
        sealing: SealingKey,
        clock: Clock,
        config: &TokenConfig,
    ) -> Result<Self, KeyError> {
        if !ALGORITHMS.contains(&config.signing_algorithm.as_str()) {
            return Err(KeyError::UnsupportedAlgorithm(config.signing_algorithm.clone()));
        }
        let keys = Self {
            store,
            sealing,
            clock,
            config: config.clone(),
            set: RwLock::new(Arc::new(KeySet::new(&config.signing_algorithm, Vec::new())?)),
            generation: AtomicU64::new(0),
            reloaded_at: AtomicI64::new(UnixTime::MIN),
        };
        keys.maintain().await?;
        Ok(keys)
    }

    /// Signs `claims` as a JWT of type `typ` (such as `at+jwt`, RFC 9068 section 2.1).
    ///
    /// # Errors
    /// [`KeyError`] where the claims are not JSON or the cryptographic library fails.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        self.current().sign(None, typ, claims)
    }

    /// Signs as [`SigningKeys::sign`] does, with the key for `algorithm`, such as [`RS256`].
    ///
    /// # Errors
    /// [`KeyError::NoKeyFor`] where there is no such key, and those of [`SigningKeys::sign`].
    pub fn sign_by(&self, algorithm: &str, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        self.current().sign(Some(algorithm), typ, claims)
    }

    /// `alg` of what [`SigningKeys::sign`] signs now.
    #[must_use]
    pub fn algorithm(&self) -> String {
        self.current().algorithm().unwrap_or(&self.config.signing_algorithm).to_owned()
    }

    /// Verifies that the token is a JWT of type `typ` signed by one of the keys, with that key's algorithm, and
    /// returns its claims. Time, issuer and audience are the caller's to check, against its own clock.
    ///
    /// # Errors
    /// [`VerifyError`]; on [`VerifyError::UnknownKey`], [`SigningKeys::reload`] may help.
    pub fn verify<T: DeserializeOwned>(&self, token: &str, typ: &str) -> Result<T, VerifyError> {
        self.current().verify(token, typ)
    }

    /// Whether there is a key with this `kid`: what it signed verifies.
    #[must_use]
    pub fn knows(&self, kid: &str) -> bool {
        self.current().pair(kid).is_some()
    }

    /// The public keys as a JSON Web Key Set (RFC 7517 section 5).
    #[must_use]
    pub fn jwks(&self) -> Bytes {
        self.current().jwks()
    }

    /// Moves the keys through their life as far as they are due, and takes over what another replica changed.
    ///
    /// # Errors
    /// [`KeyError`]; the keys in memory are then as before.
    pub async fn maintain(&self) -> Result<(), KeyError> {
        self.update(|stored, now| advance(stored, &Policy::of(&self.config), now)).await
    }

    /// Makes a key that signs from now on, without waiting for verifiers to have seen it: for when the active key
    /// may have leaked. Tokens signed so far stay valid until they expire.
    ///
    /// # Errors
    /// [`KeyError`]; the keys in memory are then as before.
    pub async fn rotate_now(&self) -> Result<(), KeyError> {
        self.update(|stored, now| supersede(stored, &Policy::of(&self.config), now)).await
    }

    /// Makes a key that signs from now on and drops all others, so that no token they signed verifies any more: for when a
    /// key has leaked. Whoever holds a refresh token gets new tokens by it.
    ///
    /// # Errors
    /// [`KeyError`]; the keys in memory are then as before.
    pub async fn replace_all(&self) -> Result<(), KeyError> {
        self.update(|_, _| start_over(&Policy::of(&self.config))).await
    }

    /// HMAC-SHA-256 of a message by the key file, for what must outlive the signing keys. A MAC for one `purpose` is none for
    /// another.
    #[must_use]
    pub fn mac(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        self.sealing.mac(purpose, message)
    }

    /// A number that changes whenever the keys do, for whoever remembers what they verified.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Takes over what another replica changed, on meeting an unknown key; `false` where the store was looked into
    /// too recently for that, so that made-up `kid`s cost nothing.
    ///
    /// # Errors
    /// [`KeyError`]; the keys in memory are then as before.
    pub async fn reload(&self) -> Result<bool, KeyError> {
        let now = self.clock.now();
        let last = self.reloaded_at.load(Ordering::SeqCst);
        if now.saturating_sub(last) < RELOAD_INTERVAL
            || self.reloaded_at.compare_exchange(last, now, Ordering::SeqCst, Ordering::SeqCst).is_err()
        {
            return Ok(false);
        }
        let stored = self.store.signing_keys().await?;
        self.install(&stored)?;
        Ok(true)
    }

    fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the stored set as `decide` says, again from the start where another replica was faster.
    async fn update(
        &self,
        decide: impl Fn(&[SealedSigningKey], UnixTime) -> Advance,
    ) -> Result<(), KeyError> {
        for _ in 0..ATTEMPTS {
            let stored = self.store.signing_keys().await?;
            if !stored.is_empty() {
                // With another server's key file nothing is changed: a key sealed with it would keep the right key file
                // from opening the set for good.
                self.install(&stored)?;
            }
            let now = self.clock.now();
            let mut next = decide(&stored, now);
            if !next.changed {
                return Ok(());
            }
            for new in std::mem::take(&mut next.create) {
                next.keys.push(self.generate(new, now).await?);
            }
            // In the store's order: every replica then publishes the same set, byte for byte.
            next.keys.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
            let expected: Vec<_> = stored.iter().map(|key| (key.id.clone(), key.state)).collect();
            if self.store.replace_signing_keys(&expected, &next.keys).await? {
                for key in &next.keys {
                    tracing::info!(kid = key.id, alg = key.algorithm, state = ?key.state, "signing key");
                }
                return self.install(&next.keys);
            }
        }
        Err(KeyError::Contended)
    }

    async fn generate(&self, new: NewKey, now: UnixTime) -> Result<SealedSigningKey, KeyError> {
        let NewKey { algorithm, state } = new;
        let alg = algorithm.clone();
        // An RSA key takes a good part of a second.
        let (pair, pkcs8) = tokio::task::spawn_blocking(move || KeyPair::generate(&alg))
            .await
            .map_err(|_| KeyError::Crypto("generating a signing key"))??;
        let id = pair.jwk()?.common.key_id.ok_or(KeyError::Crypto("naming a signing key"))?;
        Ok(SealedSigningKey {
            sealed_private_key: self.sealing.seal(&id, &pkcs8)?,
            id,
            algorithm,
            state,
            created_at: now,
            state_since: now,
        })
    }

    /// Replaces the set in memory by the stored one, unless it is that already.
    fn install(&self, stored: &[SealedSigningKey]) -> Result<(), KeyError> {
        let current = self.current();
        if current.is(stored) {
            return Ok(());
        }
        let keys = stored.iter().map(|key| self.open(key, &current)).collect::<Result<_, _>>()?;
        let set = KeySet::new(&self.config.signing_algorithm, keys)?;
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
        self.generation.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Opens a stored key, or takes it from the set in memory where it is there.
    fn open(&self, stored: &SealedSigningKey, current: &KeySet) -> Result<Key, KeyError> {
        let pair = match current.pair(&stored.id) {
            Some(pair) => pair,
            None => {
                let pkcs8 = self
                    .sealing
                    .open(&stored.id, &stored.sealed_private_key)
                    .ok_or_else(|| KeyError::WrongSealingKey { kid: stored.id.clone() })?;
                Arc::new(KeyPair::from_pkcs8(&stored.algorithm, &pkcs8)?)
            }
        };
        Key::new(stored.id.clone(), stored.state, pair)
    }
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKeys").field(&self.current()).finish()
    }
}

#[cfg(test)]
mod tests;
