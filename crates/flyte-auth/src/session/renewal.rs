//! Getting a token when memory has none: from the store, or by the refresh token. No person is waited for here.

use std::{path::PathBuf, sync::atomic::Ordering, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::oneshot;

use super::{
    Asking, POSTPONED_BY, SOON, Session,
    holder::{Doing, Holder},
    jitter, keep_old,
    lock::{Failed, Lock},
    share,
    sign_in::Wanted,
};
use crate::{
    AuthError, StepUp,
    discovery::Provider,
    flows,
    store::{Backend, Login, LoginDetails, StoreError, TokenStore},
    token::{AccessToken, IdClaims, TokenResponse, fingerprint, jwt_expiry},
};

/// How often a refresh is sent again whose answer may have been lost.
const REPEATS: u32 = 2;

/// How long another process's refresh is waited for: longer than its requests may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// What came of a refresh token.
#[derive(Debug)]
pub(super) enum Refreshed {
    /// A new token.
    Token(AccessToken),
    /// The server says that the login is over.
    Ended {
        /// What it says about it.
        reason: Option<String>,
    },
    /// There is no refresh token.
    Impossible,
}

/// Ends when the caller of a renewal stops waiting for it.
pub(super) type CallerGone = oneshot::Receiver<std::convert::Infallible>;

/// Whether the login's tokens may be shown to this authorization server: a control plane that was moved, or taken over, must
/// not collect another server's refresh tokens. Logins by another tool do not say who issued them.
pub(super) fn issued_by(login: &Login, provider: &Provider) -> bool {
    login
        .details
        .as_ref()
        .is_none_or(|details| details.issuer.is_empty() || details.issuer == provider.issuer)
}

/// Why there is no token without asking a person.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// This went wrong.
    Failed(AuthError),
    /// A person has to sign in; this is the error where none is there.
    Person(AuthError),
}

impl From<AuthError> for Stop {
    fn from(error: AuthError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// How many turns of each kind had failed when a caller came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) renewals: u64,
    pub(super) sign_ins: u64,
}

/// What keeps other tasks and processes from spending the refresh token and from writing the login, until it is dropped.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    _lock: Lock,
    _task: tokio::sync::MutexGuard<'a, ()>,
}

impl Session {
    /// A token from the store, by the refresh token, or by the person, for a caller that had `seen` so many failures.
    pub(super) async fn acquire(
        &self,
        asking: Asking,
        seen: Seen,
        mut gone: CallerGone,
    ) -> Result<AccessToken, AuthError> {
        let over = match self.without_asking(seen, &mut gone).await {
            Ok(token) => return Ok(token),
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Person(over)) => over,
        };
        // A job is told at once, whoever else is asked meanwhile.
        if asking == Asking::Never || !self.options.interaction.is_interactive() {
            return Err(self.cause_of(over).await);
        }
        let mut turn = self.sign_ins.take().await;
        if let Some(token) = self.current().filter(|token| self.is_good(token)) {
            return Ok(token);
        }
        if let Some(error) = turn.shared(seen.sign_ins) {
            return Err(error);
        }
        if matches!(over, AuthError::SessionEnded { .. }) {
            self.options.interaction.session_ended(&over);
        }
        let outcome = self.sign_in(Wanted::Token, &StepUp::default(), gone).await;
        share(&mut turn, &outcome);
        outcome
    }

    async fn without_asking(&self, seen: Seen, gone: &mut CallerGone) -> Result<AccessToken, Stop> {
        let mut turn = self.renewals.take().await;
        if let Some(token) = self.current().filter(|token| self.is_good(token)) {
            return Ok(token);
        }
        if let Some(stop) = turn.shared(seen.renewals) {
            return Err(stop);
        }
        let outcome = self.renew(gone).await;
        match &outcome {
            // A caller that went away is no failure of those that still wait.
            Ok(_) | Err(Stop::Failed(AuthError::Interrupted)) => {}
            Err(stop) => turn.fail(stop.clone()),
        }
        outcome
    }

    async fn renew(&self, gone: &mut CallerGone) -> Result<AccessToken, Stop> {
        self.greet_proxy().await?;
        if self.is_a_machines() {
            return self.mint_for(gone).await;
        }
        match self.login_token().await {
            // A CI job has a token of its own, and needs neither a login nor a place for one.
            Err(Stop::Person(_) | Stop::Failed(AuthError::Store(_) | AuthError::State { .. }))
                if self.is_a_job() =>
            {
                self.mint_for(gone).await
            }
            outcome => outcome,
        }
    }

    async fn mint_for(&self, gone: &mut CallerGone) -> Result<AccessToken, Stop> {
        tokio::select! {
            outcome = self.mint() => Ok(outcome?),
            _ = gone => Err(AuthError::Interrupted.into()),
        }
    }

    /// A token of the login that is stored, renewed where it has to be.
    async fn login_token(&self) -> Result<AccessToken, Stop> {
        let now = || self.options.clock.now();
        let store = self.store().await?;
        // Without a login there is nothing to renew, and no reason to wait for anybody.
        let Some(login) = store.load().await? else { return Err(Stop::Person(self.login_required())) };
        let mut known = self.usable(&login);
        if let Some(token) = known.clone().filter(|token| self.is_good(token)) {
            self.set_current(Some(token.clone()));
            return Ok(token);
        }

        let writing = match known.clone().or_else(|| self.current()).filter(|token| token.is_valid(now())) {
            // Due but still good: whoever has the lock is renewing it, nobody needs to wait.
            Some(token) => match self.try_writing().await? {
                Some(writing) => writing,
                None => return Ok(token),
            },
            None => self.writing().await?,
        };
        // Another process may have renewed it while this one waited.
        let login = store.load().await?;
        let mut over = self.login_required();
        if let Some(login) = login.filter(|login| !self.is_of_another_mode(login)) {
            known = self.usable(&login);
            if let Some(token) = known.clone().filter(|token| self.is_good(token)) {
                self.set_current(Some(token.clone()));
                return Ok(token);
            }
            match self.refresh_login(&**store, &login).await {
                Ok(Refreshed::Token(token)) => return Ok(token),
                Ok(Refreshed::Ended { reason }) => {
                    let endpoint = self.options.endpoint.authority().to_owned();
                    over = AuthError::SessionEnded { endpoint, reason };
                }
                Ok(Refreshed::Impossible) => {}
                // The old token still works: a failure to renew it early is no failure yet.
                Err(error) => {
                    return match known.filter(|token| token.is_valid(now())) {
                        Some(token) => {
                            tracing::warn!(%error, "the access token could not be renewed yet");
                            let wait = if error.answer_may_be_lost() { SOON } else { POSTPONED_BY };
                            self.postponed.store(now().saturating_add(wait), Ordering::Relaxed);
                            self.set_current(Some(token.clone()));
                            Ok(token)
                        }
                        None => Err(error.into()),
                    };
                }
            }
        }
        drop(writing);
        Err(Stop::Person(over))
    }

    /// Keeps every other task and process from the refresh token and from writing the login. Waits for those that are at it, and
    /// says so.
    ///
    /// # Errors
    /// [`AuthError::HeldUp`] where one takes longer than a network may.
    pub(super) async fn writing(&self) -> Result<Writing<'_>, AuthError> {
        let task = self.writing.lock().await;
        let path = self.shared_lock_path().await?;
        let waiting = |holder: Option<&Holder>| self.options.interaction.waiting(holder);
        match Lock::take(path.as_deref(), Doing::Renewing, PATIENCE, waiting).await {
            Ok(lock) => Ok(Writing { _lock: lock, _task: task }),
            Err(Failed::Error(error)) => Err(error),
            Err(Failed::Held(holder)) => Err(self.held_up(holder, Doing::Renewing)),
        }
    }

    /// [`Self::writing`] if no other process is at it.
    async fn try_writing(&self) -> Result<Option<Writing<'_>>, AuthError> {
        let task = self.writing.lock().await;
        let path = self.shared_lock_path().await?;
        let lock = Lock::try_take(path.as_deref())?;
        if let Some(lock) = &lock {
            lock.note(path.as_deref(), Doing::Renewing);
        }
        Ok(lock.map(|lock| Writing { _lock: lock, _task: task }))
    }

    /// The lock file; `None` where no other process has the login, which is in memory.
    async fn shared_lock_path(&self) -> Result<Option<PathBuf>, AuthError> {
        let shared = !matches!(self.store().await?.backend(), Backend::Memory(_));
        Ok(self.lock_path().filter(|_| shared))
    }

    pub(super) fn held_up(&self, holder: Option<Holder>, doing: Doing) -> AuthError {
        let endpoint = self.options.endpoint.authority().to_owned();
        AuthError::HeldUp { endpoint, holder: holder.map(Box::new), doing }
    }

    /// Whether the access token of a login can still be used.
    fn still_works(&self, login: &Login) -> bool {
        self.usable(login).is_some_and(|token| token.is_valid(self.options.clock.now()))
    }

    /// Renews a login by its refresh token. Only what the server says in OAuth's own terms ends it, never a network error, a
    /// server fault or an answer that cannot be read; and only `invalid_grant` says that the refresh token is over.
    pub(super) async fn refresh_login(
        &self,
        store: &dyn TokenStore,
        login: &Login,
    ) -> Result<Refreshed, AuthError> {
        let Some(refresh_token) = &login.refresh_token else { return Ok(Refreshed::Impossible) };
        if !issued_by(login, &*self.provider().await?) {
            tracing::warn!("the endpoint names another authorization server than the one that signed you in");
            return Ok(Refreshed::Impossible);
        }
        // Shown to work before the old refresh token is spent: a full disk or a locked keyring must not eat the new one.
        store.probe().await?;
        let mut reason = match self.refresh(store, login, refresh_token).await {
            Err(AuthError::Refused { code, description }) if code == "invalid_grant" => description,
            other => return self.refused(login, other),
        };
        // A tool that takes no lock may have rotated it meanwhile; then its tokens are the login now.
        if let Some(newer) = store.load().await?
            && let Some(newer_token) = newer
                .refresh_token
                .as_ref()
                .filter(|token| token.expose_secret() != refresh_token.expose_secret())
        {
            if let Some(token) = self.usable(&newer).filter(|token| token.is_fresh(self.options.clock.now()))
            {
                self.set_current(Some(token.clone()));
                return Ok(Refreshed::Token(token));
            }
            reason = match self.refresh(store, &newer, newer_token).await {
                Err(AuthError::Refused { code, description }) if code == "invalid_grant" => description,
                other => return self.refused(&newer, other),
            };
        }
        tracing::info!("the session has ended: the server no longer takes its refresh token");
        // A person signs in next, which replaces it.
        if !self.options.interaction.is_interactive() {
            store.clear().await?;
        }
        Ok(Refreshed::Ended { reason })
    }

    /// What a refresh came to that did not end the refresh token itself. Refused in OAuth's terms, that may still be good, but
    /// it is of no use once the access token is over: the person can sign in again.
    fn refused(
        &self,
        login: &Login,
        outcome: Result<AccessToken, AuthError>,
    ) -> Result<Refreshed, AuthError> {
        match outcome {
            Err(AuthError::Refused { code, description }) if !self.still_works(login) => {
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
        // Bound to the client that it was issued to, whatever the configuration says now.
        let client_id = match &login.details {
            Some(details) => details.client_id.as_str(),
            None => provider.client_id()?,
        };
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose_secret()),
            ("client_id", client_id),
        ];
        let mut answer = flows::token_request(self.http()?, &provider, &form).await;
        // The server may have rotated the token in an answer that was lost. It forgives the old one for a short while only:
        // now is the time to send it again, not the next command.
        for _ in 0..REPEATS {
            match &answer {
                Err(error) if error.answer_may_be_lost() => {
                    tracing::debug!(%error, "the refresh is sent again");
                    answer = flows::token_request(self.http()?, &provider, &form).await;
                }
                _ => break,
            }
        }
        let response = match answer {
            // The endpoint may have moved since it was looked up; asked again only if it really did.
            Err(error) if error.may_have_moved() => match self.discover().await {
                Ok(found) if found.token_endpoint != provider.token_endpoint => {
                    flows::token_request(self.http()?, &found, &form).await?
                }
                _ => return Err(error),
            },
            other => other?,
        };
        let client_id = client_id.to_owned();
        self.keep(store, &provider, client_id, response, Some(login)).await
    }

    /// Writes the answer of the token endpoint to the store, and only then lets it be used.
    pub(super) async fn keep(
        &self,
        store: &dyn TokenStore,
        provider: &Provider,
        client_id: String,
        response: TokenResponse,
        before: Option<&Login>,
    ) -> Result<AccessToken, AuthError> {
        let now = self.options.clock.now();
        // By this machine's clock: whatever the server's says, this much time is left.
        let expires_at = response
            .expires_in
            .map(|seconds| now.saturating_add(seconds))
            .or_else(|| jwt_expiry(response.access_token.expose_secret()));
        let scopes = match (&response.scope, before.and_then(|login| login.details.as_ref())) {
            (Some(scope), _) => scope.split_ascii_whitespace().map(str::to_owned).collect(),
            // Left out where it is what was asked for (RFC 6749 section 5.1), or granted before.
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
                    .or_else(|| before?.details.as_ref()?.subject.clone()),
                issuer: provider.issuer.clone(),
                auth_type: self.options.auth_type.as_str().to_owned(),
            }),
            access_token: response.access_token,
            refresh_token: keep_old(
                response.refresh_token,
                before.and_then(|login| login.refresh_token.as_ref()),
            ),
        };
        store.save(&login).await?;
        self.postponed.store(i64::MIN, Ordering::Relaxed);
        let lifetime = expires_at.map(|at| at - now);
        let token = AccessToken::new(login.access_token, expires_at, lifetime, jitter());
        self.set_current(Some(token.clone()));
        Ok(token)
    }
}
