//! Signing a person in: one process at a time, under a lock that no refresh waits for.

use std::time::Duration;

use super::{
    Session,
    holder::{Doing, Holder, Record, Verdict},
    lock::{Failed, Lock},
    renewal::CallerGone,
};
use crate::{
    AuthError, StepUp,
    discovery::Provider,
    flows,
    store::{Backend, MemoryReason, TokenStore},
    token::{AccessToken, IdClaims, TokenResponse, fingerprint},
};

/// How long another process's sign-in is waited for: longer than a person has for one.
const PATIENCE: Duration = Duration::from_secs(600);

/// What became of waiting for one's turn to ask the person.
enum Place {
    /// The person is asked here.
    Ours(Lock),
    /// Another process has asked them meanwhile, with this outcome.
    Theirs(Result<AccessToken, AuthError>),
}

impl Session {
    /// Signs the person in as `step_up` asks, unless another process is at it: then its outcome is shared. A caller that goes away meanwhile ends it;
    /// the login before stays.
    pub(super) async fn sign_in(&self, step_up: &StepUp, gone: CallerGone) -> Result<AccessToken, AuthError> {
        if !self.options.interaction.is_interactive() {
            return Err(self.login_required());
        }
        let outcome = self.sign_in_or_share(step_up, gone).await;
        match &outcome {
            // No sign-in has begun, and the call may need none.
            Ok(_) | Err(AuthError::NoSignIn { .. }) => {}
            Err(error) => self.options.interaction.failed(error),
        }
        outcome
    }

    async fn sign_in_or_share(
        &self,
        step_up: &StepUp,
        mut gone: CallerGone,
    ) -> Result<AccessToken, AuthError> {
        // Where there is nothing to sign in to, neither the keyring nor the person is asked for anything.
        let provider = tokio::select! {
            found = self.discover() => found?,
            _ = &mut gone => return Err(AuthError::Interrupted),
        };
        let store = &**self.store().await?;
        let (response, lock) = tokio::select! {
            outcome = self.ask_the_person(store, &provider, step_up) => match outcome? {
                Asked::Here(response, lock) => (response, lock),
                Asked::Elsewhere(outcome) => return outcome,
            },
            _ = gone => return Err(AuthError::Interrupted),
        };
        let client_id = provider.client_id()?.to_owned();
        // A refresh that is under way writes first: what the person has just done is the login from now on.
        let writing = match self.writing().await {
            Ok(writing) => Some(writing),
            Err(error) => {
                tracing::warn!(%error, "the new login is kept nevertheless");
                None
            }
        };
        let name = response.id_claims().and_then(IdClaims::into_subject);
        let kept = self.keep(store, &provider, client_id, response, None).await;
        drop((writing, lock));
        if kept.is_ok() {
            self.options.interaction.signed_in(&self.options.endpoint.to_string(), name.as_deref());
        }
        kept
    }

    async fn ask_the_person(
        &self,
        store: &dyn TokenStore,
        provider: &Provider,
        step_up: &StepUp,
    ) -> Result<Asked, AuthError> {
        let lock = match self.place(store, step_up).await? {
            Place::Ours(lock) => lock,
            Place::Theirs(outcome) => return Ok(Asked::Elsewhere(outcome)),
        };
        let path = self.sign_in_lock_path();
        lock.note(path.as_deref(), Doing::SigningIn);
        self.warn_of_memory(store);
        let signing_in = async {
            store.probe().await?;
            let (http, interaction) = (self.http()?, &*self.options.interaction);
            match self.by_device(provider) {
                true => flows::device::sign_in(http, provider, interaction, step_up).await,
                false => flows::pkce::sign_in(http, provider, interaction, step_up).await,
            }
        };
        match signing_in.await {
            Ok(response) => Ok(Asked::Here(response, lock)),
            Err(error) => {
                // Before the lock is given up: those who wait read it when they have the lock.
                if let Some(verdict) = Verdict::of(&error) {
                    lock.note_end(path.as_deref(), verdict);
                }
                Err(error)
            }
        }
    }

    /// Waits until nobody else asks the person. A suspended process is not waited for: it may never go on.
    async fn place(&self, store: &dyn TokenStore, step_up: &StepUp) -> Result<Place, AuthError> {
        let path = self.sign_in_lock_path();
        let path = path.as_deref();
        if let Some(lock) = Lock::try_take(path)? {
            return Ok(Place::Ours(lock));
        }
        let interaction = &*self.options.interaction;
        let known = |record: &Option<Record>| record.as_ref().and_then(|record| record.verdict.clone());
        let (before, login_before) = (path.and_then(Record::read), self.fingerprint_of(store).await?);
        let waiting = |holder: Option<&Holder>| interaction.waiting(holder);
        let lock = match Lock::take_silently(path, PATIENCE, waiting).await {
            Ok(lock) => lock,
            Err(Failed::Error(error)) => return Err(error),
            Err(Failed::Held(Some(holder))) if holder.is_suspended() => {
                interaction.notice(&format!(
                    "{holder} is suspended in the middle of a sign-in, so you sign in here instead."
                ));
                Lock::Missing
            }
            Err(Failed::Held(holder)) => return Err(self.held_up(holder, Doing::SigningIn)),
        };
        // It signed in: its login is this one's too, unless a way to sign in, or an account, is asked for that it may not have used.
        if step_up.acr_values.is_none()
            && !interaction.selects_account()
            && self.fingerprint_of(store).await? != login_before
            && let Some(token) = store.load().await?.and_then(|login| self.usable(&login))
            && self.is_good(&token)
        {
            self.set_current(Some(token.clone()));
            return Ok(Place::Theirs(Ok(token)));
        }
        // It did not: nobody wants to be asked the same once more by each command that waited.
        let after = path.and_then(Record::read);
        match known(&after) {
            Some(verdict) if after != before => Ok(Place::Theirs(Err(verdict.into_error()))),
            // It died, or failed for a reason of its own.
            _ => Ok(Place::Ours(lock)),
        }
    }

    async fn fingerprint_of(&self, store: &dyn TokenStore) -> Result<Option<String>, AuthError> {
        use secrecy::ExposeSecret as _;
        let login = store.load().await?;
        Ok(login.map(|login| fingerprint(login.access_token.expose_secret())))
    }

    /// Says that the sign-in will not last, where nobody has chosen that.
    fn warn_of_memory(&self, store: &dyn TokenStore) {
        if let Backend::Memory(reason @ (MemoryReason::NoHome | MemoryReason::Unwritable { .. })) =
            store.backend()
        {
            let what = match reason {
                MemoryReason::NoHome => "Set HOME (or XDG_DATA_HOME and XDG_STATE_HOME) to stay signed in.",
                _ => {
                    "Set XDG_DATA_HOME and XDG_STATE_HOME to directories that can be written to, to stay signed in."
                }
            };
            self.options.interaction.notice(&format!(
                "This login is kept in memory and ends with this command: {reason}. {what}"
            ));
        }
    }
}

/// Where the person was asked.
enum Asked {
    Here(TokenResponse, Lock),
    Elsewhere(Result<AccessToken, AuthError>),
}
