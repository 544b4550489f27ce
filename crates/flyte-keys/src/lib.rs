//! The keys that sign tokens.
//!
//! The store has the keys in encrypted form. Each process keeps the decrypted set in memory and replaces it as a whole,
//! so signing and verifying never wait. [`SigningKeys::maintain`], called periodically, moves keys through their states
//! (`lifecycle`) and loads the changes of other replicas. Replicas agree by compare-and-set on the stored set.
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
use zeroize::Zeroizing;

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

/// How many times an update is retried if another replica changes the keys at the same moment.
const ATTEMPTS: usize = 5;

/// Unknown `kid`s cause at most one read of the store in this many seconds.
const RELOAD_INTERVAL: i64 = 10;

/// The reason why keys could not be loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key file cannot be used.
    #[error("cannot use the key file {}: {source}", path.display())]
    KeyFile {
        /// The key file.
        path: PathBuf,
        /// The error.
        source: std::io::Error,
    },
    /// The stored keys cannot be decrypted with the key file.
    #[error(
        "the signing key {kid} in the database was not encrypted with this server's key file: restore the key file \
         that belongs to the database from a backup"
    )]
    WrongSealingKey {
        /// The key that cannot be decrypted.
        kid: String,
    },
    /// The configuration names an algorithm that the server does not support.
    #[error("cannot sign with {0:?}: choose one of ES256, EdDSA and RS256")]
    UnsupportedAlgorithm(String),
    /// There is no key for a requested algorithm.
    #[error("there is no signing key for {0:?}")]
    NoKeyFor(String),
    /// Other replicas kept changing the keys at the same time.
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
    /// The claims cannot be encoded as JSON.
    #[error("preparing a token failed: {0}")]
    Json(#[from] serde_json::Error),
}

/// The reason why a token does not verify. It reveals nothing that an attacker could use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The token is not a signed JWT.
    #[error("the token is not a signed JWT")]
    Malformed,
    /// The token is a JWT for another purpose, for example an ID token in place of an access token.
    #[error("the token is of another type")]
    WrongType,
    /// The token was signed by a key that this server does not know.
    #[error("the token was signed by a key that does not, or no longer, belong to this server")]
    UnknownKey,
    /// The algorithm in the header is not that of the key.
    #[error("the token's algorithm is not that of its key")]
    WrongAlgorithm,
    /// The token was altered, or was signed by another key than its header names.
    #[error("the token's signature does not verify")]
    BadSignature,
    /// The claims do not have the expected form.
    #[error("the token's claims are not understood")]
    BadClaims,
}

/// The server's keys that sign tokens.
pub struct SigningKeys {
    store: Arc<dyn Store>,
    sealing: SealingKey,
    clock: Clock,
    config: TokenConfig,
    set: RwLock<Arc<KeySet>>,
    /// The number of times that `set` was replaced.
    generation: AtomicU64,
    /// The time at which an unknown `kid` last caused a read of the store.
    reloaded_at: AtomicI64,
}

impl SigningKeys {
    /// Loads the stored keys, and generates the first one if there are none.
    ///
    /// # Errors
    /// [`KeyError`] if the store fails, the key file cannot decrypt the keys, or the configured algorithm is not
    /// supported.
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

    /// Signs `claims` as a JWT of type `typ` (for example `at+jwt`, RFC 9068 section 2.1).
    ///
    /// # Errors
    /// [`KeyError`] if the claims cannot be encoded as JSON, or the cryptographic library fails.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        self.current().sign(None, typ, claims)
    }

    /// Signs like [`SigningKeys::sign`], with the key for `algorithm`, for example [`RS256`].
    ///
    /// # Errors
    /// [`KeyError::NoKeyFor`] if there is no such key, and the errors of [`SigningKeys::sign`].
    pub fn sign_by(&self, algorithm: &str, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        self.current().sign(Some(algorithm), typ, claims)
    }

    /// Returns the `alg` that [`SigningKeys::sign`] uses now.
    #[must_use]
    pub fn algorithm(&self) -> String {
        self.current().algorithm().unwrap_or(&self.config.signing_algorithm).to_owned()
    }

    /// Verifies that the token is a JWT of type `typ` and is signed by one of the keys with that key's algorithm.
    /// Returns its claims. The caller must check time, issuer and audience against its own clock.
    ///
    /// # Errors
    /// [`VerifyError`]; on [`VerifyError::UnknownKey`], [`SigningKeys::reload`] may help.
    pub fn verify<T: DeserializeOwned>(&self, token: &str, typ: &str) -> Result<T, VerifyError> {
        self.current().verify(token, typ)
    }

    /// Returns whether there is a key with this `kid`, so that its signatures verify.
    #[must_use]
    pub fn knows(&self, kid: &str) -> bool {
        self.current().pair(kid).is_some()
    }

    /// Returns the public keys as a JSON Web Key Set (RFC 7517 section 5).
    #[must_use]
    pub fn jwks(&self) -> Bytes {
        self.current().jwks()
    }

    /// Moves the keys to the states that are due, and loads the changes of other replicas.
    ///
    /// # Errors
    /// [`KeyError`]; the keys in memory then do not change.
    pub async fn maintain(&self) -> Result<(), KeyError> {
        self.update(|stored, now| advance(stored, &Policy::of(&self.config), now)).await
    }

    /// Generates a key that signs immediately, without waiting until verifiers have seen it. Use it if the active key
    /// may have leaked. Existing tokens stay valid until they expire.
    ///
    /// # Errors
    /// [`KeyError`]; the keys in memory then do not change.
    pub async fn rotate_now(&self) -> Result<(), KeyError> {
        self.update(|stored, now| supersede(stored, &Policy::of(&self.config), now)).await
    }

    /// Generates a key that signs immediately and removes all others, so that none of their tokens verifies. Use it if
    /// a key has leaked. Holders of refresh tokens get new access tokens with them.
    ///
    /// # Errors
    /// [`KeyError`]; the keys in memory then do not change.
    pub async fn replace_all(&self) -> Result<(), KeyError> {
        self.update(|_, _| start_over(&Policy::of(&self.config))).await
    }

    /// Returns the HMAC-SHA-256 of a message with the key file, for values that must outlive the signing keys. A MAC
    /// for one `purpose` is not valid for another.
    #[must_use]
    pub fn mac(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        self.sealing.mac(purpose, message)
    }

    /// Encrypts and authenticates something that a caller keeps and brings back, with the key file, which all replicas share. It
    /// can be decrypted only with the same `context`.
    ///
    /// # Errors
    /// [`KeyError::Crypto`].
    pub fn hide(&self, context: &str, content: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.sealing.hide(context, content)
    }

    /// Returns the content of [`Self::hide`]; `None` if it was made with another key or context, or was altered.
    #[must_use]
    pub fn reveal(&self, context: &str, hidden: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.sealing.reveal(context, hidden)
    }

    /// Returns a number that changes whenever the keys do. Caches of verified tokens depend on it.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Loads the changes of other replicas after an unknown key. Returns `false` if the store was read too recently, so
    /// that made-up `kid`s cost nothing.
    ///
    /// # Errors
    /// [`KeyError`]; the keys in memory then do not change.
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

    /// Changes the stored set with `decide`, and starts again if another replica was faster.
    async fn update(
        &self,
        decide: impl Fn(&[SealedSigningKey], UnixTime) -> Advance,
    ) -> Result<(), KeyError> {
        for _ in 0..ATTEMPTS {
            let stored = self.store.signing_keys().await?;
            if !stored.is_empty() {
                // With the key file of another server, nothing changes: a key encrypted with that file could not be
                // decrypted with the right one afterwards.
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
            // The order is that of the store, so every replica publishes the same set, byte for byte.
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
        // Generating an RSA key takes a large part of a second.
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

    /// Replaces the set in memory with the stored one, if they differ.
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

    /// Decrypts a stored key, or takes it from the set in memory.
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
