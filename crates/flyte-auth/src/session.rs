//! The login of one endpoint: its token in memory, its stored tokens, and their renewal.
//!
//! A valid token in memory is returned at once. Otherwise one task of one process at a time reads the store again (another
//! process may have renewed the login), then uses the refresh token. It writes the store before it uses the new token and before
//! it releases the lock. If all that gives no token and a person can be asked, the person signs in. The sign-in has a separate
//! lock, so that no refresh waits for a person.

mod authorization;
mod credentials;
mod files;
mod holder;
mod lock;
mod lock_file;
mod machine;
mod options;
mod provider;
mod refresh;
mod renewal;
mod root_cause;
mod sign_in;
mod sign_out;
mod status;
mod stored_login;
#[cfg(test)]
mod tests;
mod turn;

use std::sync::{
    Arc, OnceLock, RwLock,
    atomic::{AtomicI64, Ordering},
};

use tokio::sync::{Mutex, OnceCell, oneshot};

pub use self::{
    authorization::Authorization,
    credentials::Credentials,
    holder::{Activity, Holder},
    options::{SessionOptions, state_dir},
    sign_out::SignedOut,
    status::Status,
};
pub(crate) use self::{lock::create_private_directory, options::data_dir};
use self::{
    renewal::{FailureCounts, RenewalError},
    sign_in::Purpose,
    turn::{Turn, Turns},
};
use crate::{
    Absence, AuthError, StepUp,
    discovery::Provider,
    http::Http,
    store::TokenStore,
    token::{AccessToken, fingerprint},
};

/// The login of one endpoint. Creating a session uses neither network nor disk; everything happens on demand.
#[derive(Debug)]
pub struct Session {
    options: SessionOptions,
    http: OnceLock<Http>,
    /// The token for a proxy in front of the control plane.
    proxy_token: Mutex<Option<AccessToken>>,
    store: OnceCell<Arc<dyn TokenStore>>,
    provider: RwLock<Option<Arc<Provider>>>,
    current: RwLock<Option<AccessToken>>,
    /// SHA-256 of the token that the server rejected last. A stored token with this hash is not used again.
    rejected: RwLock<Option<String>>,
    /// Serializes the tasks that renew the login without a person.
    renewals: Turns<RenewalError>,
    /// Serializes the tasks that ask the person.
    sign_ins: Turns<AuthError>,
    /// Held by the task that uses a refresh token, or writes or removes a login. It does for tasks what the lock does for processes.
    writing: Mutex<()>,
    /// Whether the person was warned that the machine's credentials expire soon.
    warned_of_expiry: std::sync::atomic::AtomicBool,
    /// Whether the control plane said that it has no sign-in.
    no_sign_in: std::sync::atomic::AtomicBool,
    /// The time of the next attempt after a failed early renewal, Unix time in seconds. The valid token is used until then.
    retry_at: AtomicI64,
}

/// The delay before another attempt after a failed early renewal, in seconds.
const RETRY_DELAY_SECONDS: i64 = 30;

/// The same delay if the server may have rotated the refresh token: it accepts the old one for a short time only.
const SHORT_RETRY_DELAY_SECONDS: i64 = 5;

/// Whether the person may be asked to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prompting {
    Allowed,
    Never,
}

impl Session {
    /// Creates a session with these options.
    #[must_use]
    pub fn new(options: SessionOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            http: OnceLock::new(),
            proxy_token: Mutex::new(None),
            store: OnceCell::new(),
            provider: RwLock::new(None),
            current: RwLock::new(None),
            rejected: RwLock::new(None),
            renewals: Turns::default(),
            sign_ins: Turns::default(),
            writing: Mutex::default(),
            warned_of_expiry: std::sync::atomic::AtomicBool::new(false),
            no_sign_in: std::sync::atomic::AtomicBool::new(false),
            retry_at: AtomicI64::new(i64::MIN),
        })
    }

    /// The options of the session.
    #[must_use]
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// The HTTP client for calls and OAuth requests.
    ///
    /// # Errors
    /// The errors of [`Http::new`].
    pub fn http(&self) -> Result<&Http, AuthError> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        let client = Http::new(&self.options.http, self.options.endpoint.url().clone())?;
        Ok(self.http.get_or_init(|| client))
    }

    /// Gets a valid access token. Signs the person in if necessary and possible.
    ///
    /// A started refresh finishes even if the caller stops waiting, because the answer may hold the only copy of a rotated refresh
    /// token. Waiting for a person ends with the caller. Tasks that wait for the same renewal share its failure, so that the person
    /// is asked only once.
    ///
    /// # Errors
    /// Any [`AuthError`].
    pub async fn token(self: &Arc<Self>) -> Result<AccessToken, AuthError> {
        self.obtain(Prompting::Allowed).await
    }

    /// Gets a valid access token without asking the person. It may be refreshed.
    ///
    /// # Errors
    /// [`AuthError::LoginRequired`] if a person would have to sign in.
    pub async fn cached(self: &Arc<Self>) -> Result<AccessToken, AuthError> {
        self.obtain(Prompting::Never).await
    }

    async fn obtain(self: &Arc<Self>, prompting: Prompting) -> Result<AccessToken, AuthError> {
        if let Some(token) = self.current().filter(|token| self.is_usable(token)) {
            return Ok(token);
        }
        let before = FailureCounts { renewals: self.renewals.failures(), sign_ins: self.sign_ins.failures() };
        let session = Arc::clone(self);
        let (_caller, gone) = oneshot::channel();
        tokio::spawn(async move { session.acquire(prompting, before, gone).await })
            .await
            .map_err(|_| AuthError::Interrupted)?
    }

    /// Whether a token is used without renewal: it is fresh, or it is valid and the last renewal failed a short time ago.
    fn is_usable(&self, token: &AccessToken) -> bool {
        let now = self.options.clock.now();
        token.is_fresh(now) || (now < self.retry_at.load(Ordering::Relaxed) && token.is_valid(now))
    }

    /// Signs the person in, even if there are valid tokens. A machine gets a new token with its credentials.
    ///
    /// # Errors
    /// Any [`AuthError`]; [`AuthError::LoginRequired`] if no person can be asked. The previous login stays.
    pub async fn login(self: &Arc<Self>) -> Result<AccessToken, AuthError> {
        self.login_with(StepUp::default()).await
    }

    /// [`Session::login`] with a sign-in that meets these requirements.
    ///
    /// # Errors
    /// The errors of [`Session::login`].
    pub async fn login_with(self: &Arc<Self>, step_up: StepUp) -> Result<AccessToken, AuthError> {
        self.sign_in_again(None, step_up).await
    }

    /// Signs the person in again because the server requires it (RFC 9470), unless another task has done so since `used` was sent.
    /// If that fails, the previous login stays.
    ///
    /// # Errors
    /// [`AuthError::StepUpRequired`] if no person can be asked, and the errors of [`Session::login`].
    pub(crate) async fn step_up(
        self: &Arc<Self>,
        used: &AccessToken,
        step_up: StepUp,
    ) -> Result<AccessToken, AuthError> {
        if self.uses_machine_credentials() || !self.options.interaction.is_interactive() {
            return Err(self.step_up_required(&step_up, false));
        }
        self.options.interaction.step_up(self.options.endpoint.authority(), &step_up);
        self.sign_in_again(Some(used.clone()), step_up).await
    }

    pub(crate) fn step_up_required(&self, step_up: &StepUp, tried: bool) -> AuthError {
        AuthError::StepUpRequired {
            endpoint: self.options.endpoint.authority().to_owned(),
            wanted: step_up.in_words(),
            max_age: step_up.max_age,
            tried,
        }
    }

    async fn sign_in_again(
        self: &Arc<Self>,
        used: Option<AccessToken>,
        step_up: StepUp,
    ) -> Result<AccessToken, AuthError> {
        let session = Arc::clone(self);
        let failures_before = self.sign_ins.failures();
        let (_caller, gone) = oneshot::channel();
        tokio::spawn(async move {
            if session.uses_machine_credentials() {
                let _turn = session.renewals.take().await;
                session.authenticate_to_proxy().await?;
                session.set_current(None);
                return session.renew_machine_token().await;
            }
            let mut turn = session.sign_ins.take().await;
            if let (Some(used), Some(current)) = (used, session.current())
                && used.secret() != current.secret()
                && session.is_usable(&current)
            {
                return Ok(current);
            }
            if let Some(error) = turn.failure_since(failures_before) {
                return Err(error);
            }
            session.authenticate_to_proxy().await?;
            let outcome = session.sign_in(Purpose::NewSignIn, &step_up, gone).await;
            share_failure(&mut turn, &outcome);
            outcome
        })
        .await
        .map_err(|_| AuthError::Interrupted)?
    }

    /// Drops a token that the server rejected, so that it is not used again. Discovery runs again too, because the header of the
    /// token may have changed.
    pub fn invalidate(&self, token: &AccessToken) {
        *write(&self.rejected) = Some(fingerprint(token.secret()));
        let mut current = write(&self.current);
        if current.as_ref().is_some_and(|current| current.secret() == token.secret()) {
            *current = None;
        }
        drop(current);
        *write(&self.provider) = None;
        if let Some(path) = self.provider_path() {
            let _ = std::fs::remove_file(path);
        }
    }

    fn current(&self) -> Option<AccessToken> {
        read(&self.current).clone()
    }

    fn set_current(&self, token: Option<AccessToken>) {
        *write(&self.current) = token;
    }

    fn login_required(&self) -> AuthError {
        AuthError::LoginRequired {
            endpoint: self.options.endpoint.authority().to_owned(),
            absence: Absence::of_this_process(),
        }
    }
}

/// Shares a failed sign-in with the waiting tasks. If only the caller has stopped waiting, the others are not affected.
fn share_failure(turn: &mut Turn<'_, AuthError>, outcome: &Result<AccessToken, AuthError>) {
    match outcome {
        Ok(_) | Err(AuthError::Interrupted) => {}
        Err(error) => turn.fail(error.clone()),
    }
}

/// A random number in 0..1. Without a source of randomness it is always 0, so that refreshes are not spread.
fn jitter() -> f64 {
    let mut byte = [0_u8; 1];
    let _ = aws_lc_rs::rand::fill(&mut byte);
    f64::from(byte[0]) / 256.0
}

/// Reads a value. A poisoned lock still holds a complete value, because values are replaced as a whole.
fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}
