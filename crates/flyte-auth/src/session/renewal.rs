//! Gets a token from the store or with the refresh token. Nothing here waits for a person.

use std::{path::PathBuf, sync::atomic::Ordering, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::oneshot;

use super::{
    Prompting, RETRY_DELAY_SECONDS, SHORT_RETRY_DELAY_SECONDS, Session,
    holder::{Activity, Holder},
    jitter,
    lock::{Lock, LockError},
    share_failure,
    sign_in::Purpose,
};
use crate::{
    AuthError, StepUp,
    discovery::Provider,
    flows,
    oauth::{ClientId, GrantType},
    store::{Backend, Login, LoginDetails, StoreError, TokenStore},
    token::{AccessToken, IdClaims, TokenResponse, fingerprint, jwt_expiry},
};

/// The number of times that a refresh is sent again if its answer may be lost.
const MAX_REPEATS: u32 = 2;

/// The longest wait for the refresh of another process: longer than its requests may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// The outcome of a refresh.
#[derive(Debug)]
pub(super) enum Refreshed {
    /// A new token.
    Token(AccessToken),
    /// The server ended the login.
    Ended {
        /// The reason that the server gave.
        reason: Option<String>,
    },
    /// There is no usable refresh token.
    Impossible,
}

/// Completes when the caller of a renewal stops waiting for it.
pub(super) type CallerGone = oneshot::Receiver<std::convert::Infallible>;

/// Whether this authorization server issued the login's tokens. A control plane that was moved or taken over must not receive
/// another server's refresh tokens. Logins of other tools do not name their issuer and count as issued by any.
pub(super) fn is_issued_by(login: &Login, provider: &Provider) -> bool {
    login
        .details
        .as_ref()
        .is_none_or(|details| details.issuer.is_empty() || details.issuer == provider.issuer)
}

/// Why a renewal gave no token.
#[derive(Clone, Debug)]
pub(super) enum RenewalError {
    /// The renewal failed.
    Failed(AuthError),
    /// A person has to sign in. The error is for the case that no person can be asked.
    NeedsPerson(AuthError),
}

impl From<AuthError> for RenewalError {
    fn from(error: AuthError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for RenewalError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// The numbers of failures at the time of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailureCounts {
    pub(super) renewals: u64,
    pub(super) sign_ins: u64,
}

/// Keeps other tasks and processes from using the refresh token and from writing the login, until dropped.
#[derive(Debug)]
pub(super) struct WriteGuard<'a> {
    _lock: Lock,
    _task: tokio::sync::MutexGuard<'a, ()>,
}

impl Session {
    /// Gets a token from the store, with the refresh token, or from the person. If a turn has failed since `before`, returns its
    /// failure.
    pub(super) async fn acquire(
        &self,
        prompting: Prompting,
        before: FailureCounts,
        mut gone: CallerGone,
    ) -> Result<AccessToken, AuthError> {
        let error = match self.acquire_without_prompting(before, &mut gone).await {
            Ok(token) => return Ok(token),
            Err(RenewalError::Failed(error)) => return Err(error),
            Err(RenewalError::NeedsPerson(error)) => error,
        };
        // A job fails at once, even if another process is asking a person.
        if prompting == Prompting::Never || !self.options.interaction.is_interactive() {
            return Err(self.root_cause(error).await);
        }
        let mut turn = self.sign_ins.take().await;
        if let Some(token) = self.current().filter(|token| self.is_usable(token)) {
            return Ok(token);
        }
        if let Some(error) = turn.failure_since(before.sign_ins) {
            return Err(error);
        }
        if matches!(error, AuthError::SessionEnded { .. }) {
            self.options.interaction.session_ended(&error);
        }
        let outcome = self.sign_in(Purpose::Token, &StepUp::default(), gone).await;
        share_failure(&mut turn, &outcome);
        outcome
    }

    async fn acquire_without_prompting(
        &self,
        before: FailureCounts,
        gone: &mut CallerGone,
    ) -> Result<AccessToken, RenewalError> {
        let mut turn = self.renewals.take().await;
        if let Some(token) = self.current().filter(|token| self.is_usable(token)) {
            return Ok(token);
        }
        if let Some(error) = turn.failure_since(before.renewals) {
            return Err(error);
        }
        let outcome = self.renew(gone).await;
        match &outcome {
            // If only the caller has stopped waiting, the waiting tasks are not affected.
            Ok(_) | Err(RenewalError::Failed(AuthError::Interrupted)) => {}
            Err(error) => turn.fail(error.clone()),
        }
        outcome
    }

    async fn renew(&self, gone: &mut CallerGone) -> Result<AccessToken, RenewalError> {
        self.authenticate_to_proxy().await?;
        if self.uses_machine_credentials() {
            return self.renew_machine_token_for(gone).await;
        }
        match self.renew_login().await {
            // A CI job with its own token needs no login and no store.
            Err(
                RenewalError::NeedsPerson(_)
                | RenewalError::Failed(AuthError::Store(_) | AuthError::State { .. }),
            ) if self.can_use_job_token() => self.renew_machine_token_for(gone).await,
            outcome => outcome,
        }
    }

    async fn renew_machine_token_for(&self, gone: &mut CallerGone) -> Result<AccessToken, RenewalError> {
        tokio::select! {
            outcome = self.renew_machine_token() => Ok(outcome?),
            _ = gone => Err(AuthError::Interrupted.into()),
        }
    }

    /// Gets the token of the stored login, and renews the login if necessary.
    pub(super) async fn renew_login(&self) -> Result<AccessToken, RenewalError> {
        let now = || self.options.clock.now();
        let store = self.store().await?;
        // Without a login there is nothing to renew, and no reason to wait for a lock.
        let Some(login) = store.load().await? else {
            return Err(RenewalError::NeedsPerson(self.login_required()));
        };
        let mut stored = self.stored_token(&login);
        if let Some(token) = stored.clone().filter(|token| self.is_usable(token)) {
            self.set_current(Some(token.clone()));
            return Ok(token);
        }

        let writing = match stored.clone().or_else(|| self.current()).filter(|token| token.is_valid(now())) {
            // The token is due for renewal but still valid. If the lock is taken, its holder is renewing: do not wait for it.
            Some(token) => match self.try_lock_for_writing().await? {
                Some(writing) => writing,
                None => return Ok(token),
            },
            None => self.lock_for_writing().await?,
        };
        // Another process may have renewed the login while this one waited.
        let login = store.load().await?;
        let mut error_without_person = self.login_required();
        if let Some(login) = login.filter(|login| !self.is_of_another_mode(login)) {
            stored = self.stored_token(&login);
            if let Some(token) = stored.clone().filter(|token| self.is_usable(token)) {
                self.set_current(Some(token.clone()));
                return Ok(token);
            }
            match self.refresh_login(&**store, &login).await {
                Ok(Refreshed::Token(token)) => return Ok(token),
                Ok(Refreshed::Ended { reason }) => {
                    let endpoint = self.options.endpoint.authority().to_owned();
                    error_without_person = AuthError::SessionEnded { endpoint, reason };
                }
                Ok(Refreshed::Impossible) => {}
                // A failed early renewal is not an error while the old token is valid.
                Err(error) => {
                    return match stored.filter(|token| token.is_valid(now())) {
                        Some(token) => {
                            tracing::warn!(%error, "the access token could not be renewed yet");
                            let delay = match error.answer_may_be_lost() {
                                true => SHORT_RETRY_DELAY_SECONDS,
                                false => RETRY_DELAY_SECONDS,
                            };
                            self.retry_at.store(now().saturating_add(delay), Ordering::Relaxed);
                            self.set_current(Some(token.clone()));
                            Ok(token)
                        }
                        None => Err(error.into()),
                    };
                }
            }
        }
        drop(writing);
        Err(RenewalError::NeedsPerson(error_without_person))
    }

    /// Keeps other tasks and processes from using the refresh token and from writing the login. Waits for them, and notifies the
    /// person of the wait.
    ///
    /// # Errors
    /// [`AuthError::HeldUp`] if another process takes too long.
    pub(super) async fn lock_for_writing(&self) -> Result<WriteGuard<'_>, AuthError> {
        let task = self.writing.lock().await;
        let path = self.shared_lock_path().await?;
        let waiting = |holder: Option<&Holder>| self.options.interaction.waiting(holder);
        match Lock::take(path.as_deref(), Activity::Renewing, PATIENCE, waiting).await {
            Ok(lock) => Ok(WriteGuard { _lock: lock, _task: task }),
            Err(LockError::Error(error)) => Err(error),
            Err(LockError::Held(holder)) => Err(self.held_up(holder, Activity::Renewing)),
        }
    }

    /// [`Self::lock_for_writing`], without waiting for other processes.
    async fn try_lock_for_writing(&self) -> Result<Option<WriteGuard<'_>>, AuthError> {
        let task = self.writing.lock().await;
        let path = self.shared_lock_path().await?;
        let lock = Lock::try_take(path.as_deref())?;
        if let Some(lock) = &lock {
            lock.note_activity(path.as_deref(), Activity::Renewing);
        }
        Ok(lock.map(|lock| WriteGuard { _lock: lock, _task: task }))
    }

    /// The lock file; `None` if the login is in memory, where no other process can use it.
    async fn shared_lock_path(&self) -> Result<Option<PathBuf>, AuthError> {
        let shared = !matches!(self.store().await?.backend(), Backend::Memory(_));
        Ok(self.lock_path().filter(|_| shared))
    }

    pub(super) fn held_up(&self, holder: Option<Holder>, activity: Activity) -> AuthError {
        let endpoint = self.options.endpoint.authority().to_owned();
        AuthError::HeldUp { endpoint, holder: holder.map(Box::new), activity }
    }

    /// Whether the access token of a login is still valid.
    fn has_valid_token(&self, login: &Login) -> bool {
        self.stored_token(login).is_some_and(|token| token.is_valid(self.options.clock.now()))
    }

    /// Renews a login with its refresh token. Only an OAuth error of the server ends the login, never a network error, a server
    /// fault or an unreadable answer. Only `invalid_grant` means that the refresh token itself has ended.
    pub(super) async fn refresh_login(
        &self,
        store: &dyn TokenStore,
        login: &Login,
    ) -> Result<Refreshed, AuthError> {
        let Some(refresh_token) = &login.refresh_token else { return Ok(Refreshed::Impossible) };
        if !is_issued_by(login, &*self.provider().await?) {
            tracing::warn!("the endpoint names another authorization server than the one that signed you in");
            return Ok(Refreshed::Impossible);
        }
        // Check the store before using the refresh token, so that a full disk or a locked keyring does not lose the new one.
        store.probe().await?;
        let mut reason = match self.refresh(store, login, refresh_token).await {
            Err(AuthError::Refused { code, description }) if code == "invalid_grant" => description,
            other => return self.judge_refusal(login, other),
        };
        // A tool that takes no lock may have rotated the refresh token meanwhile. Then its tokens are the current login.
        if let Some(newer) = store.load().await?
            && let Some(newer_token) = newer
                .refresh_token
                .as_ref()
                .filter(|token| token.expose_secret() != refresh_token.expose_secret())
        {
            let token = self.stored_token(&newer);
            if let Some(token) = token.filter(|token| token.is_fresh(self.options.clock.now())) {
                self.set_current(Some(token.clone()));
                return Ok(Refreshed::Token(token));
            }
            reason = match self.refresh(store, &newer, newer_token).await {
                Err(AuthError::Refused { code, description }) if code == "invalid_grant" => description,
                other => return self.judge_refusal(&newer, other),
            };
        }
        tracing::info!("the session has ended: the server rejected its refresh token");
        // In an interactive process, the next sign-in replaces the login.
        if !self.options.interaction.is_interactive() {
            store.clear().await?;
        }
        Ok(Refreshed::Ended { reason })
    }

    /// Judges a refresh that did not end the refresh token. After an OAuth error, the refresh token may still be active, but if the
    /// access token has expired too, the login is of no use and counts as ended.
    fn judge_refusal(
        &self,
        login: &Login,
        outcome: Result<AccessToken, AuthError>,
    ) -> Result<Refreshed, AuthError> {
        match outcome {
            Err(AuthError::Refused { code, description }) if !self.has_valid_token(login) => {
                let reason = match description {
                    Some(description) => format!("{code}: {description}"),
                    None => code,
                };
                Ok(Refreshed::Ended { reason: Some(reason) })
            }
            other => other.map(Refreshed::Token),
        }
    }

    async fn refresh(
        &self,
        store: &dyn TokenStore,
        login: &Login,
        refresh_token: &SecretString,
    ) -> Result<AccessToken, AuthError> {
        let provider = self.provider().await?;
        // The refresh token is bound to its client, even if the configuration now names another one.
        let client_id = match &login.details {
            Some(details) => &details.client_id,
            None => provider.client_id()?,
        };
        let form = [("refresh_token", refresh_token.expose_secret()), ("client_id", client_id.as_str())];
        let grant_type = GrantType::RefreshToken;
        let mut answer = flows::token_request(self.http()?, &provider, grant_type, &form).await;
        // The server may have rotated the token in a lost answer. It accepts the old token for a short time only, so send it again
        // now rather than with the next command.
        for _ in 0..MAX_REPEATS {
            match &answer {
                Err(error) if error.answer_may_be_lost() => {
                    tracing::debug!(%error, "the refresh is sent again");
                    answer = flows::token_request(self.http()?, &provider, grant_type, &form).await;
                }
                _ => break,
            }
        }
        let response = match answer {
            // If the token endpoint has moved since discovery, send the request there.
            Err(error) if error.may_have_moved() => match self.discover().await {
                Ok(found) if found.token_endpoint != provider.token_endpoint => {
                    flows::token_request(self.http()?, &found, grant_type, &form).await?
                }
                _ => return Err(error),
            },
            other => other?,
        };
        let client_id = client_id.clone();
        self.save_response(store, &provider, client_id, response, Some(login)).await
    }

    /// Stores the answer of the token endpoint before its token is used.
    pub(super) async fn save_response(
        &self,
        store: &dyn TokenStore,
        provider: &Provider,
        client_id: ClientId,
        response: TokenResponse,
        previous: Option<&Login>,
    ) -> Result<AccessToken, AuthError> {
        let now = self.options.clock.now();
        // The lifetime counts from this machine's clock, which may differ from the server's.
        let expires_at = response
            .expires_in
            .map(|seconds| now.saturating_add(seconds))
            .or_else(|| jwt_expiry(response.access_token.expose_secret()));
        let scopes = match (&response.scopes, previous.and_then(|login| login.details.as_ref())) {
            (Some(scopes), _) => scopes.clone(),
            // The server leaves the scopes out if they are the requested ones (RFC 6749 section 5.1) or unchanged.
            (None, Some(details)) => details.scopes.clone(),
            (None, None) => provider.scopes.clone(),
        };
        let login = Login {
            details: Some(LoginDetails {
                access_token_sha256: fingerprint(response.access_token.expose_secret()),
                issued_at: Some(now),
                expires_at,
                scopes,
                client_id,
                subject: response
                    .id_claims()
                    .and_then(IdClaims::into_subject)
                    .or_else(|| previous?.details.as_ref()?.subject.clone()),
                issuer: provider.issuer.clone(),
                auth_type: self.options.auth_type.as_str().to_owned(),
            }),
            access_token: response.access_token,
            // An answer without a refresh token leaves the previous one active.
            refresh_token: response
                .refresh_token
                .or_else(|| previous.and_then(|login| login.refresh_token.clone())),
        };
        store.save(&login).await?;
        self.retry_at.store(i64::MIN, Ordering::Relaxed);
        let lifetime = expires_at.map(|at| at - now);
        let token = AccessToken::new(login.access_token, expires_at, lifetime, jitter());
        self.set_current(Some(token.clone()));
        Ok(token)
    }
}
