//! Passwords: Argon2id, with a bounded number of hashes at the same time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, Version,
    password_hash::phc::{Output, ParamsString, Salt},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    hashing_memory::{HashingMemory, Lease},
    password_rules::{MAX_BYTES, PasswordOwner, PasswordRules, Weakness, normalize},
};

/// Memory of one hash in KiB, passes and lanes: the first choice of the OWASP Password Storage Cheat Sheet.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const OUTPUT_BYTES: usize = 32;

/// The maximum number of hashes computed at the same time, on any number of cores: each one needs its memory.
const MAX_WORKERS: usize = 4;

/// The number of waiting hashes for each worker: about one second of work at 70 hashes a second and core.
const QUEUE_PER_WORKER: usize = 64;

/// Seconds after which a refused client may try again.
const RETRY_AFTER_SECONDS: u32 = 2;

/// Characters of generated passwords: no two look alike.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Length of a generated password: 100 bits.
const GENERATED_LENGTH: usize = 20;

/// The reason why a password was not hashed or verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The rules do not allow it.
    #[error("this password cannot be used: {0}")]
    Weak(#[from] Weakness),
    /// Too many passwords are waiting already.
    #[error("too many people are signing in; try again in {retry_after} s")]
    Overloaded {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// No memory, random numbers or thread was available.
    #[error("hashing the password failed: {0}")]
    Failed(String),
}

/// Hashes and verifies passwords.
///
/// One hash takes 19 MiB and about 15 ms of a core. Therefore only a limited number is computed at the same time, a
/// limited number waits, and the others are refused: a flood of sign-ins uses little memory and blocks no other
/// requests. The memory of one hash is reused for the next one while any are waiting.
#[derive(Debug)]
pub struct Passwords {
    /// One permit for each hash that is being computed.
    workers: Arc<Semaphore>,
    /// One permit for each hash that is being computed or is waiting.
    places: Arc<Semaphore>,
    all_places: usize,
    computed: Arc<AtomicU64>,
    memory: HashingMemory,
    rules: Arc<PasswordRules>,
}

impl Passwords {
    /// Computes at most `max_concurrent` hashes at the same time; the number is limited to between one and four. The rules are
    /// for new passwords.
    #[must_use]
    pub fn new(max_concurrent: usize, rules: PasswordRules) -> Self {
        let workers = max_concurrent.clamp(1, MAX_WORKERS);
        let all_places = workers * (1 + QUEUE_PER_WORKER);
        Self {
            workers: Arc::new(Semaphore::new(workers)),
            places: Arc::new(Semaphore::new(all_places)),
            all_places,
            computed: Arc::default(),
            memory: HashingMemory::default(),
            rules: Arc::new(rules),
        }
    }

    /// Makes a password up: four groups of five characters.
    ///
    /// # Errors
    /// [`PasswordError::Failed`] if there are no random numbers.
    pub fn generate() -> Result<SecretString, PasswordError> {
        let mut bytes = zeroize::Zeroizing::new([0_u8; GENERATED_LENGTH]);
        aws_lc_rs::rand::fill(bytes.as_mut_slice())
            .map_err(|_| PasswordError::Failed("there are no random numbers".to_owned()))?;
        let mut password = String::with_capacity(GENERATED_LENGTH + GENERATED_LENGTH / 5);
        for (at, byte) in bytes.iter().enumerate() {
            if at > 0 && at % 5 == 0 {
                password.push('-');
            }
            // 256 is a multiple of 32, so all characters have the same probability.
            password.push(char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        }
        Ok(SecretString::from(password))
    }

    /// The minimum length of a new password in characters.
    #[must_use]
    pub fn min_length(&self) -> usize {
        self.rules.min_length()
    }

    /// Checks a new password against the rules, and returns its Argon2id hash in PHC string format. Every password that an
    /// account gets passes here.
    ///
    /// # Errors
    /// [`PasswordError`] if the password is not allowed or cannot be hashed.
    pub async fn hash(&self, password: SecretString, owner: PasswordOwner) -> Result<String, PasswordError> {
        let rules = Arc::clone(&self.rules);
        self.work(move |memory| {
            rules.check(&password, &owner).map_err(failed)??;
            hash_with_new_salt(&normalize(&password), memory)
        })
        .await?
    }

    /// Returns another hash of the password of an account, which stays valid whatever the rules are now.
    ///
    /// # Errors
    /// [`PasswordError::Overloaded`] and [`PasswordError::Failed`].
    pub async fn rehash(&self, password: SecretString) -> Result<String, PasswordError> {
        self.work(move |memory| hash_with_new_salt(&normalize(&password), memory)).await?
    }

    /// Whether `hash` is the hash of the password. Without a hash (there is no account, or it has no password) the
    /// result is `false` after the same amount of work, so the response time does not reveal which accounts exist.
    ///
    /// # Errors
    /// [`PasswordError::Overloaded`] and [`PasswordError::Failed`].
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, PasswordError> {
        self.work(move |memory| {
            let too_long = password.expose_secret().len() > MAX_BYTES;
            let password = if too_long { SecretString::default() } else { password };
            // Passwords of earlier versions were hashed as they were typed.
            let normal = normalize(&password);
            let is_normal = normal.expose_secret() == password.expose_secret();
            match hash.as_deref().map(PasswordHash::new) {
                Some(Ok(hash)) => {
                    let normal = is_password_of(&normal, &hash, memory)?;
                    let typed = !is_normal && is_password_of(&password, &hash, memory)?;
                    Ok((normal || typed) && !too_long)
                }
                other => {
                    if other.is_some() {
                        tracing::error!(
                            "a stored password hash is not in PHC string format; the account cannot sign in"
                        );
                    }
                    std::hint::black_box(hash_with_salt(&normal, b"salt of no account", memory)?);
                    if !is_normal {
                        std::hint::black_box(hash_with_salt(&password, b"salt of no account", memory)?);
                    }
                    Ok(false)
                }
            }
        })
        .await?
    }

    /// Whether a hash has other parameters than the current ones. Then it should be replaced while the password is
    /// known.
    #[must_use]
    pub fn is_outdated(hash: &str) -> bool {
        let Ok(hash) = PasswordHash::new(hash) else { return true };
        let Ok(params) = Params::try_from(&hash) else { return true };
        hash.algorithm != argon2::ARGON2ID_IDENT
            || hash.version != Some(Version::V0x13.into())
            || (params.m_cost(), params.t_cost(), params.p_cost()) != (MEMORY_KIB, PASSES, LANES)
            || hash.hash.is_none_or(|output| output.len() != OUTPUT_BYTES)
    }

    /// The number of hashes computed since the start.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    /// Runs slow work on a thread for blocking work when a worker is free.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Lease) -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let overloaded = |_| PasswordError::Overloaded { retry_after: RETRY_AFTER_SECONDS };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(overloaded)?;
        let failed = |error: &dyn std::fmt::Display| PasswordError::Failed(error.to_string());
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(|error| failed(&error))?;
        let computed = Arc::clone(&self.computed);
        let (places, memory) = (Arc::clone(&self.places), self.memory.clone());
        let all = self.all_places;
        tokio::task::spawn_blocking(move || {
            // The permits are held until the work ends, even if the caller no longer waits for it.
            let permits: [OwnedSemaphorePermit; 2] = [place, worker];
            computed.fetch_add(1, Ordering::Relaxed);
            let mut lease = memory.take(MEMORY_KIB as usize);
            let outcome = work(&mut lease);
            drop((lease, permits));
            if places.available_permits() == all {
                memory.release();
            }
            outcome
        })
        .await
        .map_err(|error| failed(&error))
    }
}

fn failed(error: impl std::fmt::Display) -> PasswordError {
    PasswordError::Failed(error.to_string())
}

/// Computes `output` in the leased memory.
fn compute(
    argon2: &Argon2<'_>,
    password: &SecretString,
    salt: &[u8],
    output: &mut [u8],
    lease: &mut Lease,
) -> Result<(), PasswordError> {
    let blocks = lease.blocks(argon2.params().block_count());
    argon2
        .hash_password_into_with_memory(password.expose_secret().as_bytes(), salt, output, blocks)
        .map_err(failed)
}

fn hash_with_new_salt(password: &SecretString, lease: &mut Lease) -> Result<String, PasswordError> {
    let mut salt = [0; 16];
    aws_lc_rs::rand::fill(&mut salt)
        .map_err(|_| PasswordError::Failed("the system returned no random numbers".to_owned()))?;
    hash_with_salt(password, &salt, lease)
}

fn hash_with_salt(password: &SecretString, salt: &[u8], lease: &mut Lease) -> Result<String, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT_BYTES)).map_err(failed)?;
    let params_text = ParamsString::try_from(&params).map_err(failed)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut output = [0; OUTPUT_BYTES];
    compute(&argon2, password, salt, &mut output, lease)?;
    let hash = PasswordHash {
        algorithm: argon2::ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: params_text,
        salt: Some(Salt::new(salt).map_err(failed)?),
        hash: Some(Output::new(&output).map_err(failed)?),
    };
    Ok(hash.to_string())
}

/// Whether the hash belongs to the password. The hash is computed with its own parameters.
fn is_password_of(
    password: &SecretString,
    hash: &PasswordHash,
    lease: &mut Lease,
) -> Result<bool, PasswordError> {
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return Ok(false) };
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(failed)?;
    let version = hash.version.map(Version::try_from).transpose().map_err(failed)?.unwrap_or_default();
    let params = Params::try_from(hash).map_err(failed)?;
    let argon2 = Argon2::new(algorithm, version, params);
    let mut output = vec![0; expected.len()];
    compute(&argon2, password, salt, &mut output, lease)?;
    // Compares in constant time.
    Ok(Output::new(&output).map_err(failed)? == *expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_verified_by_its_hash() {
        let passwords = Passwords::new(1, PasswordRules::default());
        let hash = passwords.rehash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(!Passwords::is_outdated(&hash));
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horsE".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn a_missing_hash_costs_the_same_work_and_never_matches() {
        let passwords = Passwords::new(1, PasswordRules::default());
        for (password, hash) in [
            ("whatever".to_owned(), None),
            (String::new(), None),
            ("x".repeat(5000), None),
            ("whatever".to_owned(), Some("garbage")),
        ] {
            let before = passwords.computed();
            assert!(!passwords.verify(password.into(), hash.map(str::to_owned)).await.unwrap());
            assert_eq!(passwords.computed(), before + 1);
        }
    }

    #[tokio::test]
    async fn a_new_password_follows_the_rules() {
        let passwords = Passwords::new(1, PasswordRules::default());
        let hash = async |password: &str| passwords.hash(password.into(), PasswordOwner::default()).await;
        let refused = hash("short").await.unwrap_err();
        assert!(matches!(refused, PasswordError::Weak(Weakness::TooShort(15))), "{refused}");
        let refused = hash("passwordpassword").await.unwrap_err();
        assert!(matches!(refused, PasswordError::Weak(Weakness::Guessable)), "{refused}");
        let longest = format!("kettle over the quiet river {}", "x".repeat(1024 - 28));
        let hash = hash(&longest).await.unwrap();
        assert!(passwords.verify(longest.clone().into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(format!("{longest}x").into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn a_password_is_the_same_however_it_is_encoded() {
        let passwords = Passwords::new(1, PasswordRules::default());
        let (composed, decomposed) = ("the a\u{e9} by the quiet river", "the ae\u{301} by the quiet river");
        let hash = passwords.hash(decomposed.into(), PasswordOwner::default()).await.unwrap();
        for typed in [composed, decomposed] {
            assert!(passwords.verify(typed.into(), Some(hash.clone())).await.unwrap(), "{typed}");
        }
        // An earlier version hashed what was typed.
        let early = hash_of(decomposed, Params::new(64, 3, 2, Some(24)).unwrap());
        assert!(passwords.verify(decomposed.into(), Some(early)).await.unwrap());
    }

    #[tokio::test]
    async fn sign_ins_are_refused_under_overload() {
        let passwords = Passwords::new(1, PasswordRules::default());
        let held = passwords.places.clone().acquire_many_owned(64).await.unwrap();
        assert!(!passwords.verify("whatever".into(), None).await.unwrap());
        let last = passwords.places.clone().acquire_owned().await.unwrap();
        let refused = passwords.verify("whatever".into(), None).await;
        assert!(matches!(refused, Err(PasswordError::Overloaded { retry_after: 2 })));
        drop((held, last));
        assert!(!passwords.verify("whatever".into(), None).await.unwrap());
        assert_eq!(passwords.computed(), 2);
    }

    #[tokio::test]
    async fn a_cancelled_caller_keeps_its_place_until_the_work_is_done() {
        let passwords = Passwords::new(1, PasswordRules::default());
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (finish, may_finish) = std::sync::mpsc::channel::<()>();
        let work = passwords.work(move |_| {
            started.send(()).unwrap();
            may_finish.recv().unwrap();
        });
        tokio::select! {
            _ = work => panic!("the work must not finish"),
            ready = has_started => ready.unwrap(),
        }
        // The future is dropped, but its work continues.
        assert_eq!(passwords.workers.available_permits(), 0);
        finish.send(()).unwrap();
        let _one = passwords.workers.acquire().await.unwrap();
    }

    #[tokio::test]
    async fn only_memory_in_use_is_held() {
        let passwords = Arc::new(Passwords::new(2, PasswordRules::default()));
        let attempts: Vec<_> = (0..10)
            .map(|_| {
                let passwords = Arc::clone(&passwords);
                tokio::spawn(async move { passwords.verify("whatever".into(), None).await })
            })
            .collect();
        for attempt in attempts {
            assert!(!attempt.await.unwrap().unwrap());
            assert!(passwords.memory.idle_blocks().len() <= 2);
        }
        let _both = passwords.workers.acquire_many(2).await.unwrap();
        assert!(passwords.memory.idle_blocks().is_empty(), "no hash is waiting");
        assert_eq!(Passwords::new(64, PasswordRules::default()).workers.available_permits(), MAX_WORKERS);
    }

    #[tokio::test]
    async fn a_hash_is_verified_with_its_own_parameters() {
        let passwords = Passwords::new(1, PasswordRules::default());
        let other = hash_of("correct horse", Params::new(64, 3, 2, Some(24)).unwrap());
        assert!(passwords.verify("correct horse".into(), Some(other.clone())).await.unwrap());
        assert!(!passwords.verify("correct horsE".into(), Some(other)).await.unwrap());
    }

    /// Uses the high-level function of the crate.
    fn hash_of(password: &str, params: Params) -> String {
        use argon2::PasswordHasher as _;
        let argon2 = Argon2::new(Algorithm::Argon2i, Version::V0x13, params);
        let hash: PasswordHash =
            argon2.hash_password_with_salt(password.as_bytes(), b"some salt of tests").unwrap();
        hash.to_string()
    }

    #[test]
    fn other_parameters_are_outdated() {
        let other = "$argon2id$v=19$m=65536,t=2,p=1$gZiV/M1gPc22ElAH/Jh1Hw$CWOrkoo7oJBQ/iyh7uJ0LO2aLEfrHwTWllSAxT0zRno";
        assert!(Passwords::is_outdated(other));
        assert!(!Passwords::is_outdated(&other.replace("m=65536", "m=19456")));
        assert!(Passwords::is_outdated(&other.replace("m=65536", "m=19456").replace("argon2id", "argon2i")));
        assert!(Passwords::is_outdated("garbage"));
    }
}
