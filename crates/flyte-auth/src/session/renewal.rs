//! Gets a token from the store or with the refresh token. Nothing here waits for a person.

use std::{path::PathBuf, sync::atomic::Ordering, time::Duration};

use tokio::sync::oneshot;

use super::{
    Prompting, RETRY_DELAY_SECONDS, SHORT_RETRY_DELAY_SECONDS, Session,
    holder::{Activity, Holder},
    lock::{Lock, LockError},
    refresh::Refreshed,
    share_failure,
    sign_in::Purpose,
};
use crate::{
    AuthError, StepUp,
    store::{Backend, StoreError},
    token::AccessToken,
};

/// The longest wait for the refresh of another process: longer than its requests may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// Completes when the caller of a renewal stops waiting for it.
pub(super) type CallerGone = oneshot::Receiver<std::convert::Infallible>;

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
}
