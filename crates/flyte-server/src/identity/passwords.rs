//! People's passwords: Argon2id, a bounded number at a time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory of one hash in KiB, passes and lanes: the OWASP Password Storage Cheat Sheet's first choice.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const OUTPUT_BYTES: usize = 32;

/// How many wait for each one that is worked on: about a second's work at 70 hashes a second and core.
const QUEUE_PER_WORKER: usize = 64;

/// Seconds after which somebody who was turned away may come again.
const RETRY_AFTER: u32 = 2;

/// Why a password was neither hashed nor verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than [`Passwords::MIN_BYTES`] bytes or more than [`Passwords::MAX_BYTES`].
    #[error("a password has from {min} to {max} bytes", min = Passwords::MIN_BYTES, max = Passwords::MAX_BYTES)]
    Length,
    /// Too many wait already.
    #[error("too many people are signing in; try again in {retry_after} s")]
    Overloaded {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// There was no memory, no randomness or no thread for it.
    #[error("hashing the password failed: {0}")]
    Failed(String),
}

/// Hashes people's passwords and verifies them.
///
/// Each hash takes 19 MiB and some 15 ms of a core, so a limited number is worked on at a time, a limited number waits,
/// and the rest is turned away: a flood of sign-ins costs neither memory nor the other requests their threads.
#[derive(Debug)]
pub struct Passwords {
    /// A permit for each hash that is worked on.
    workers: Arc<Semaphore>,
    /// A permit for each that is worked on or waits.
    places: Arc<Semaphore>,
    computed: Arc<AtomicU64>,
}

impl Passwords {
    /// The shortest password taken (NIST SP 800-63B section 5.1.1.1), in bytes.
    pub const MIN_BYTES: usize = 8;
    /// The longest password taken, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// Hashes at most `max_concurrent` passwords at a time (at least one).
    #[must_use]
    pub fn new(max_concurrent: usize) -> Self {
        let workers = max_concurrent.clamp(1, 1024);
        Self {
            workers: Arc::new(Semaphore::new(workers)),
            places: Arc::new(Semaphore::new(workers * (1 + QUEUE_PER_WORKER))),
            computed: Arc::default(),
        }
    }

    /// Whether a password may be an account's.
    ///
    /// # Errors
    /// [`PasswordError::Length`].
    pub fn check(password: &SecretString) -> Result<(), PasswordError> {
        if (Self::MIN_BYTES..=Self::MAX_BYTES).contains(&password.expose_secret().len()) {
            Ok(())
        } else {
            Err(PasswordError::Length)
        }
    }

    /// The Argon2id hash of a new password, in PHC string format.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        Self::check(&password)?;
        self.work(move || {
            let mut salt = [0; 16];
            aws_lc_rs::rand::fill(&mut salt)
                .map_err(|_| PasswordError::Failed("no randomness".to_owned()))?;
            hash_with_salt(&password, &salt)
        })
        .await?
    }

    /// Whether the password is the one of `hash`. With no hash to compare with, because there is no such account or it
    /// has no password, the answer is no after the same work, so that its time does not tell which accounts exist.
    ///
    /// # Errors
    /// [`PasswordError::Overloaded`] and [`PasswordError::Failed`].
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, PasswordError> {
        self.work(move || {
            let too_long = password.expose_secret().len() > Self::MAX_BYTES;
            let password = if too_long { SecretString::default() } else { password };
            match hash.as_deref().map(PasswordHash::new) {
                Some(Ok(hash)) => {
                    let argon2 = argon2()?;
                    Ok(argon2.verify_password(password.expose_secret().as_bytes(), &hash).is_ok()
                        && !too_long)
                }
                other => {
                    if other.is_some() {
                        tracing::error!(
                            "a stored password hash is not in PHC string format; nobody can sign in with it"
                        );
                    }
                    std::hint::black_box(hash_with_salt(&password, b"nobody's account")?);
                    Ok(false)
                }
            }
        })
        .await?
    }

    /// Whether a hash was made with other parameters than those of today, and should be made anew while its password
    /// is at hand.
    #[must_use]
    pub fn is_outdated(hash: &str) -> bool {
        let Ok(hash) = PasswordHash::new(hash) else { return true };
        let Ok(params) = Params::try_from(&hash) else { return true };
        hash.algorithm != argon2::ARGON2ID_IDENT
            || hash.version != Some(Version::V0x13.into())
            || (params.m_cost(), params.t_cost(), params.p_cost()) != (MEMORY_KIB, PASSES, LANES)
            || hash.hash.is_none_or(|output| output.len() != OUTPUT_BYTES)
    }

    /// How many hashes were computed since the start.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    /// Does slow work on a thread of its own when its turn has come.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let overloaded = |_| PasswordError::Overloaded { retry_after: RETRY_AFTER };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(overloaded)?;
        let failed = |error: &dyn std::fmt::Display| PasswordError::Failed(error.to_string());
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(|error| failed(&error))?;
        let computed = Arc::clone(&self.computed);
        tokio::task::spawn_blocking(move || {
            // The permits live as long as the work, which goes on when the one who asked for it has gone.
            let _permits: [OwnedSemaphorePermit; 2] = [place, worker];
            computed.fetch_add(1, Ordering::Relaxed);
            work()
        })
        .await
        .map_err(|error| failed(&error))
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT_BYTES))
        .map_err(|error| PasswordError::Failed(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_with_salt(password: &SecretString, salt: &[u8]) -> Result<String, PasswordError> {
    let hash: PasswordHash = argon2()?
        .hash_password_with_salt(password.expose_secret().as_bytes(), salt)
        .map_err(|error| PasswordError::Failed(error.to_string()))?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_verified_by_its_hash() {
        let passwords = Passwords::new(1);
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(!Passwords::is_outdated(&hash));
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horsE".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn no_hash_costs_as_much_as_a_hash_and_is_never_right() {
        let passwords = Passwords::new(1);
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
    async fn the_length_is_limited() {
        let passwords = Passwords::new(1);
        for length in [0, 7, 1025] {
            let refused = passwords.hash("x".repeat(length).into()).await;
            assert!(matches!(refused, Err(PasswordError::Length)), "{length}");
        }
        let longest = passwords.hash("x".repeat(1024).into()).await.unwrap();
        assert!(passwords.verify("x".repeat(1024).into(), Some(longest.clone())).await.unwrap());
        assert!(!passwords.verify("x".repeat(1025).into(), Some(longest)).await.unwrap());
    }

    #[tokio::test]
    async fn an_overload_turns_people_away() {
        let passwords = Passwords::new(1);
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
    async fn somebody_who_leaves_keeps_the_place_until_the_work_is_done() {
        let passwords = Passwords::new(1);
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (finish, may_finish) = std::sync::mpsc::channel::<()>();
        let work = passwords.work(move || {
            started.send(()).unwrap();
            may_finish.recv().unwrap();
        });
        tokio::select! {
            _ = work => panic!("the work was not to finish"),
            ready = has_started => ready.unwrap(),
        }
        // The future is gone, the work is not.
        assert_eq!(passwords.workers.available_permits(), 0);
        finish.send(()).unwrap();
        let _one = passwords.workers.acquire().await.unwrap();
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
