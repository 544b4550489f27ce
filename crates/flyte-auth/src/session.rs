//! One endpoint's login: the token in memory, in the store, and how it is renewed.
//!
//! A token's way: valid in memory, it is returned at once. Otherwise, one task at a time and one process at a time, the store
//! is read again (another process may have renewed it), then the refresh token is used. The store is written before the lock is
//! given up and before the new token is used. Only then, where somebody is there to ask, the person signs in: under a lock of its
//! own, because no refresh waits for a person.

mod cause;
mod created;
mod credentials;
mod holder;
mod lock;
mod machine;
mod options;
mod renewal;
mod sign_in;
mod sign_out;
#[cfg(test)]
mod tests;
mod turn;

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use flyte_config::AuthType;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Mutex, OnceCell, oneshot};

pub(crate) use self::lock::create_private_directory;
pub use self::{
    credentials::Credentials,
    holder::{Doing, Holder},
    options::{SessionOptions, state_dir},
    sign_out::SignedOut,
};
use self::{
    renewal::{Seen, Stop},
    sign_in::Wanted,
    turn::{Turn, Turns},
};
use crate::{
    Absence, AuthError, StepUp,
    clock::UnixTime,
    discovery::{self, Provider},
    http::Http,
    interaction::has_display,
    store::{self, Backend, KEYRING_TIMEOUT, Login, StoreOptions, TokenStore},
    token::{AccessToken, fingerprint, jwt_expiry},
};

/// The login of one endpoint. Everything is done on demand: making a session touches neither network nor disk.
#[derive(Debug)]
pub struct Session {
    options: SessionOptions,
    http: OnceLock<Http>,
    /// What the proxy in front of the control plane is shown.
    proxy: Mutex<Option<AccessToken>>,
    store: OnceCell<Arc<dyn TokenStore>>,
    provider: RwLock<Option<Arc<Provider>>>,
    current: RwLock<Option<AccessToken>>,
    /// SHA-256 of the token that the server turned down last: it is not taken from the store again.
    rejected: RwLock<Option<String>>,
    /// The tasks that renew without asking anybody take turns.
    renewals: Turns<Stop>,
    /// The tasks that ask the person take turns.
    sign_ins: Turns<AuthError>,
    /// Held by the one task that spends a refresh token, or writes or removes a login: what the lock is among processes.
    writing: Mutex<()>,
    /// Whether it was said that the machine's credentials end soon.
    end_told: std::sync::atomic::AtomicBool,
    /// Whether the control plane said that it has no sign-in.
    no_sign_in: std::sync::atomic::AtomicBool,
    /// Until when a token that is due but still good is used without trying again to renew it, Unix time in seconds.
    postponed: AtomicI64,
}

/// How long an early renewal that failed is not tried again, in seconds.
const POSTPONED_BY: i64 = 30;

/// The same where the server may have rotated the refresh token: the time in which it forgives the old one is short.
const SOON: i64 = 5;

/// How long a person may take to unlock the keyring at a desktop.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether a person may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    Allowed,
    Never,
}

/// How a login stands, for people; nothing of it is secret.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where tokens are kept.
    pub backend: Backend,
    /// Whether there is a login.
    pub signed_in: bool,
    /// When the access token expires, Unix time in seconds; `None` where that is not known.
    pub expires_at: Option<UnixTime>,
    /// Whether the access token renews itself.
    pub has_refresh_token: bool,
    /// Issuer identifier; `None` where another tool signed in.
    pub issuer: Option<String>,
    /// The client that was signed in as; `None` where another tool signed in.
    pub client_id: Option<String>,
    /// Who is signed in, as the ID token names them (e-mail address, user name or subject); `None` where none was given.
    pub subject: Option<String>,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// Where this CI job has the token of its own that stands in for a login; `None` where none is used.
    pub job: Option<String>,
}

impl Session {
    /// A session by these options.
    #[must_use]
    pub fn new(options: SessionOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            http: OnceLock::new(),
            proxy: Mutex::new(None),
            store: OnceCell::new(),
            provider: RwLock::new(None),
            current: RwLock::new(None),
            rejected: RwLock::new(None),
            renewals: Turns::default(),
            sign_ins: Turns::default(),
            writing: Mutex::default(),
            end_told: std::sync::atomic::AtomicBool::new(false),
            no_sign_in: std::sync::atomic::AtomicBool::new(false),
            postponed: AtomicI64::new(i64::MIN),
        })
    }

    /// What it was made of.
    #[must_use]
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// The HTTP client, for calls and OAuth requests alike.
    ///
    /// # Errors
    /// Those of [`Http::new`].
    pub fn http(&self) -> Result<&Http, AuthError> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        let client = Http::new(&self.options.http, self.options.endpoint.url().clone())?;
        Ok(self.http.get_or_init(|| client))
    }

    /// A valid access token; signs the person in where that is needed and somebody is there.
    ///
    /// A refresh that was begun is finished, also when the caller stops waiting: the answer may hold the only copy of a
    /// rotated refresh token. Waiting for a person ends with the caller. Tasks that wait for one renewal share its failure,
    /// so that one person is asked once.
    ///
    /// # Errors
    /// Everything that [`AuthError`] says.
    pub async fn token(self: &Arc<Self>) -> Result<AccessToken, AuthError> {
        self.obtain(Asking::Allowed).await
    }

    /// A valid access token without asking anybody; it may be refreshed.
    ///
    /// # Errors
    /// [`AuthError::LoginRequired`] where a person would have to sign in.
    pub async fn cached(self: &Arc<Self>) -> Result<AccessToken, AuthError> {
        self.obtain(Asking::Never).await
    }

    async fn obtain(self: &Arc<Self>, asking: Asking) -> Result<AccessToken, AuthError> {
        if let Some(token) = self.current().filter(|token| self.is_good(token)) {
            return Ok(token);
        }
        let seen = Seen { renewals: self.renewals.failures(), sign_ins: self.sign_ins.failures() };
        let session = Arc::clone(self);
        let (_caller, gone) = oneshot::channel();
        tokio::spawn(async move { session.acquire(asking, seen, gone).await })
            .await
            .map_err(|_| AuthError::Interrupted)?
    }

    /// Whether a token is used as it is: not due for a renewal, or due but good while renewing does not work.
    fn is_good(&self, token: &AccessToken) -> bool {
        let now = self.options.clock.now();
        token.is_fresh(now) || (now < self.postponed.load(Ordering::Relaxed) && token.is_valid(now))
    }

    /// Signs the person in, whatever tokens there are. A machine gets a new token by its own credentials.
    ///
    /// # Errors
    /// Everything that [`AuthError`] says; [`AuthError::LoginRequired`] where nobody is there. The login before stays.
    pub async fn login(self: &Arc<Self>) -> Result<AccessToken, AuthError> {
        self.login_with(StepUp::default()).await
    }

    /// [`Session::login`] by a sign-in that is what the server, or the person, asks for.
    ///
    /// # Errors
    /// Those of [`Session::login`].
    pub async fn login_with(self: &Arc<Self>, step_up: StepUp) -> Result<AccessToken, AuthError> {
        self.sign_in_again(None, step_up).await
    }

    /// Signs the person in again because the server asks for it (RFC 9470), unless another task has done so since `given` was
    /// sent. The login before stays where that fails.
    ///
    /// # Errors
    /// [`AuthError::StepUpRequired`] where nobody can sign in, and those of [`Session::login`].
    pub(crate) async fn step_up(
        self: &Arc<Self>,
        given: &AccessToken,
        step_up: StepUp,
    ) -> Result<AccessToken, AuthError> {
        if self.is_a_machines() || !self.options.interaction.is_interactive() {
            return Err(self.step_up_required(&step_up, false));
        }
        self.options.interaction.step_up(self.options.endpoint.authority(), &step_up);
        self.sign_in_again(Some(given.clone()), step_up).await
    }

    pub(crate) fn step_up_required(&self, step_up: &StepUp, tried: bool) -> AuthError {
        AuthError::StepUpRequired {
            endpoint: self.options.endpoint.authority().to_owned(),
            wanted: step_up.in_words(),
            max_age: step_up.max_age.map(|age| match age.as_secs() {
                seconds if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
                seconds => format!("{seconds}s"),
            }),
            tried,
        }
    }

    async fn sign_in_again(
        self: &Arc<Self>,
        given: Option<AccessToken>,
        step_up: StepUp,
    ) -> Result<AccessToken, AuthError> {
        let session = Arc::clone(self);
        let seen = self.sign_ins.failures();
        let (_caller, gone) = oneshot::channel();
        tokio::spawn(async move {
            if session.is_a_machines() {
                let _turn = session.renewals.take().await;
                session.greet_proxy().await?;
                session.set_current(None);
                return session.mint().await;
            }
            let mut turn = session.sign_ins.take().await;
            if let (Some(given), Some(current)) = (given, session.current())
                && given.secret() != current.secret()
                && session.is_good(&current)
            {
                return Ok(current);
            }
            if let Some(error) = turn.shared(seen) {
                return Err(error);
            }
            session.greet_proxy().await?;
            let outcome = session.sign_in(Wanted::SignIn, &step_up, gone).await;
            share(&mut turn, &outcome);
            outcome
        })
        .await
        .map_err(|_| AuthError::Interrupted)?
    }

    /// How the login stands, without the network.
    ///
    /// # Errors
    /// [`AuthError::Store`] where the store cannot be read.
    pub async fn status(&self) -> Result<Status, AuthError> {
        if self.is_a_machines() {
            return self.machine_status().await;
        }
        let looked = match self.store().await {
            Ok(store) => store.load().await.map(|login| (store, login)).map_err(AuthError::from),
            Err(error) => Err(error),
        };
        let (store, login) = match looked {
            // A job that has a token of its own needs no store.
            Err(_) if self.is_a_job() => return self.machine_status().await,
            other => other?,
        };
        // As tokens are got: a login that works comes first, and nobody is asked for another one.
        let now = self.options.clock.now();
        let works = login.as_ref().is_some_and(|login| {
            !self.is_of_another_mode(login)
                && (login.refresh_token.is_some() || expiry(login).is_none_or(|at| now < at))
        });
        if !works && self.is_a_job() {
            return self.machine_status().await;
        }
        let details = login.as_ref().and_then(|login| login.details.clone());
        Ok(Status {
            backend: store.backend(),
            signed_in: login.is_some(),
            expires_at: login.as_ref().and_then(expiry),
            has_refresh_token: login.as_ref().is_some_and(|login| login.refresh_token.is_some()),
            issuer: details.as_ref().map(|details| details.issuer.clone()),
            client_id: details.as_ref().map(|details| details.client_id.clone()),
            subject: details.as_ref().and_then(|details| details.subject.clone()),
            scopes: details.map(|details| details.scopes).unwrap_or_default(),
            job: None,
        })
    }

    /// Makes sure that exactly this token is not used again: the server turned it down. What discovery found is looked up
    /// anew too, since the header may have changed.
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

    /// Where and as what to sign in: from memory, else as found last time, else by discovery.
    ///
    /// # Errors
    /// Those of [`discovery::discover`].
    pub async fn provider(&self) -> Result<Arc<Provider>, AuthError> {
        if let Some(provider) = read(&self.provider).clone() {
            return Ok(provider);
        }
        if let Some(provider) = self.provider_path().and_then(|path| Provider::cached(&path)) {
            let provider = Arc::new(provider);
            *write(&self.provider) = Some(Arc::clone(&provider));
            return Ok(provider);
        }
        self.discover().await
    }

    async fn discover(&self) -> Result<Arc<Provider>, AuthError> {
        self.greet_proxy().await?;
        let found =
            discovery::discover(self.http()?, &self.options.endpoint, &self.options.overrides).await?;
        let provider = Arc::new(found);
        // A cache: without a place for it, the next command looks it up again.
        if let Some(path) = self.provider_path() {
            let made = path.parent().map_or(Ok(()), create_private_directory);
            match made {
                Ok(()) => provider.cache(&path),
                Err(error) => tracing::debug!(%error, "what discovery found is not kept"),
            }
        }
        *write(&self.provider) = Some(Arc::clone(&provider));
        Ok(provider)
    }

    async fn store(&self) -> Result<&Arc<dyn TokenStore>, AuthError> {
        self.store
            .get_or_try_init(|| async {
                if self.is_a_machines() {
                    return Ok(store::in_memory());
                }
                store::open(&self.store_options()).await.map_err(AuthError::from)
            })
            .await
    }

    fn store_options(&self) -> StoreOptions {
        StoreOptions {
            service: self.options.endpoint.keyring_service(),
            data_dir: self.options.data_dir.clone(),
            state_dir: self.options.state_dir.clone(),
            kind: self.options.token_store,
            keyring_timeout: KEYRING_TIMEOUT,
            unlock_timeout: self.unlock_timeout(),
        }
    }

    /// Uses this store, whatever the machine has.
    #[cfg(test)]
    pub(crate) fn use_store_for_test(&self, store: Arc<dyn TokenStore>) {
        self.store.set(store).unwrap();
    }

    /// Puts a login into the store, as an earlier command would have.
    #[cfg(test)]
    pub(crate) async fn keep_for_test(&self, login: &Login) {
        self.store().await.unwrap().save(login).await.unwrap();
        self.set_current(None);
    }

    /// Whether the login that is kept would not be used.
    #[cfg(test)]
    pub(crate) async fn is_of_another_mode_for_test(&self) -> bool {
        let login = self.store().await.unwrap().load().await.unwrap().unwrap();
        self.is_of_another_mode(&login)
    }

    /// A token out of the store, unless it is one that must not be used: turned down by the server, or of a sign-in by
    /// another mode than the configuration now asks for.
    fn usable(&self, login: &Login) -> Option<AccessToken> {
        let details = login.details.as_ref();
        if self.is_of_another_mode(login)
            || read(&self.rejected).as_ref() == Some(&fingerprint(login.access_token.expose_secret()))
        {
            return None;
        }
        let expires_at = expiry(login);
        let lifetime = details
            .and_then(|details| Some(details.expires_at? - details.issued_at?))
            .filter(|life| *life >= 0);
        Some(AccessToken::new(login.access_token.clone(), expires_at, lifetime, jitter()))
    }

    /// Whether the login came of another way to sign in than the configuration asks for now.
    fn is_of_another_mode(&self, login: &Login) -> bool {
        login.details.as_ref().is_some_and(|details| details.auth_type != self.options.auth_type.as_str())
    }

    fn current(&self) -> Option<AccessToken> {
        read(&self.current).clone()
    }

    fn set_current(&self, token: Option<AccessToken>) {
        *write(&self.current) = token;
    }

    /// How long the person may take to unlock the keyring: where nobody is there, or sees the question, no longer than the
    /// keyring itself may take.
    fn unlock_timeout(&self) -> Duration {
        match self.options.interaction.is_interactive() && has_display() {
            true => UNLOCK_TIMEOUT,
            false => KEYRING_TIMEOUT,
        }
    }

    /// The lock of refreshing and writing this login; never held while a person is waited for.
    fn lock_path(&self) -> Option<PathBuf> {
        Some(self.options.state_dir.as_ref()?.join("locks").join(format!("{}.lock", self.file_name())))
    }

    /// The lock of asking the person; the next one, and so on, where the process that has it is suspended.
    fn sign_in_lock_path(&self, step: usize) -> Option<PathBuf> {
        let name = match step {
            0 => format!("{}.sign-in.lock", self.file_name()),
            step => format!("{}.sign-in-{}.lock", self.file_name(), step + 1),
        };
        Some(self.options.state_dir.as_ref()?.join("locks").join(name))
    }

    fn provider_path(&self) -> Option<PathBuf> {
        Some(self.options.state_dir.as_ref()?.join(format!("{}.provider.json", self.file_name())))
    }

    /// A file name for the endpoint: any endpoint can be one, and none says where somebody signs in.
    fn file_name(&self) -> String {
        fingerprint(self.options.endpoint.url().as_str())
    }

    fn login_required(&self) -> AuthError {
        AuthError::LoginRequired {
            endpoint: self.options.endpoint.authority().to_owned(),
            absence: Absence::here(),
        }
    }

    /// Whether the person signs in on another device: as they asked, or because the choice is left open and there is no
    /// browser here.
    fn by_device(&self, provider: &Provider) -> bool {
        if self.options.headless || self.options.auth_type == AuthType::DeviceFlow {
            return true;
        }
        let instead = !self.options.auth_type_chosen
            && provider.device_authorization_endpoint.is_some()
            && !self.options.interaction.has_browser();
        if instead {
            self.options.interaction.device_instead();
        }
        instead
    }
}

/// Shares a failed sign-in with the tasks that wait. A caller that went away is no failure of those that still wait.
fn share(turn: &mut Turn<'_, AuthError>, outcome: &Result<AccessToken, AuthError>) {
    match outcome {
        Ok(_) | Err(AuthError::Interrupted) => {}
        Err(error) => turn.fail(error.clone()),
    }
}

/// When a stored token expires: by our own notes, else by the token itself.
fn expiry(login: &Login) -> Option<UnixTime> {
    match &login.details {
        Some(details) => details.expires_at,
        None => jwt_expiry(login.access_token.expose_secret()),
    }
}

/// A random number in 0..1; on a machine without randomness every refresh comes at the same point.
fn jitter() -> f64 {
    let mut byte = [0_u8; 1];
    let _ = aws_lc_rs::rand::fill(&mut byte);
    f64::from(byte[0]) / 256.0
}

/// The secret of a stored login, renewed answers included.
fn keep_old(new: Option<SecretString>, old: Option<&SecretString>) -> Option<SecretString> {
    new.or_else(|| old.cloned())
}

/// A lock whose holder panicked still guards a whole value: each is replaced in one go.
fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}
