//! Signs a person in. One process at a time does so, under a lock that no refresh waits for.

use std::{path::PathBuf, time::Duration};

use super::{
    Session,
    holder::{Activity, Holder, LockNote, SignInOutcome},
    lock::{Lock, LockError},
    renewal::{CallerGone, RenewalError},
};
use crate::{
    AuthError, StepUp,
    discovery::Provider,
    flows,
    store::{Backend, MemoryReason, TokenStore},
    token::{AccessToken, IdClaims, TokenResponse},
    userinfo,
};

/// The longest wait for the sign-in of another process: longer than a person has for a sign-in.
const PATIENCE: Duration = Duration::from_secs(600);

/// The number of sign-in locks. A suspended process keeps its lock, and others use the next one. If all holders are suspended, a
/// sign-in continues without a lock.
const MAX_LOCKS: usize = 4;

/// The purpose of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To get a token. The login of another process will do.
    Token,
    /// To sign in again, even if there is a login.
    NewSignIn,
}

/// The lock that allows this process to ask the person.
struct SignInLock {
    lock: Lock,
    /// The path of the lock, next to which the note is written; `None` without a lock.
    path: Option<PathBuf>,
}

/// The outcome of waiting for the sign-in lock.
enum Turn {
    /// This process asks the person.
    Ours(SignInLock),
    /// Another process has asked the person meanwhile, with this outcome.
    Theirs(Result<AccessToken, AuthError>),
}

impl Session {
    /// Signs the person in as `step_up` requires. If another process is already doing that, shares its outcome. If the caller stops
    /// waiting, the sign-in ends and the previous login stays.
    pub(super) async fn sign_in(
        &self,
        purpose: Purpose,
        step_up: &StepUp,
        gone: CallerGone,
    ) -> Result<AccessToken, AuthError> {
        if !self.options.interaction.is_interactive() {
            return Err(self.login_required());
        }
        let outcome = self.sign_in_or_share(purpose, step_up, gone).await;
        match &outcome {
            // No sign-in has begun, and the call may not need one.
            Ok(_) | Err(AuthError::NoSignIn { .. }) => {}
            Err(error) => self.options.interaction.failed(error),
        }
        outcome
    }

    async fn sign_in_or_share(
        &self,
        purpose: Purpose,
        step_up: &StepUp,
        mut gone: CallerGone,
    ) -> Result<AccessToken, AuthError> {
        // Discovery comes first: if the server has no sign-in, the keyring must not prompt the person.
        let provider = tokio::select! {
            found = self.discover() => found?,
            _ = &mut gone => return Err(AuthError::Interrupted),
        };
        let store = &**self.store().await?;
        let (response, sign_in_lock) = tokio::select! {
            outcome = self.ask_person(store, &provider, purpose, step_up) => match outcome? {
                Asked::Here(response, lock) => (response, lock),
                Asked::Elsewhere(outcome) => return outcome,
            },
            _ = gone => return Err(AuthError::Interrupted),
        };
        let client_id = provider.client_id()?.clone();
        // A refresh in progress writes first, so that the new login replaces its result.
        let writing = match self.lock_for_writing().await {
            Ok(writing) => Some(writing),
            Err(error) => {
                tracing::warn!(%error, "the new login is stored without the lock");
                None
            }
        };
        let claims = response.id_claims();
        let (token, stored) = self.save_response(store, &provider, client_id, response, None).await;
        if stored.is_ok() {
            sign_in_lock.lock.note_outcome(sign_in_lock.path.as_deref(), SignInOutcome::SignedIn);
        }
        drop((writing, sign_in_lock));
        match stored {
            // The person asked for a login that stays.
            Err(error) if purpose == Purpose::NewSignIn => return Err(error.into()),
            stored => self.warn_unless(stored),
        }
        let name = match claims.as_ref().and_then(IdClaims::account) {
            Some(account) => Some(account),
            None => userinfo::account(self.http()?, &provider, &token)
                .await
                .or_else(|| claims.and_then(IdClaims::into_subject)),
        };
        self.options.interaction.signed_in(&self.options.endpoint.to_string(), name.as_deref());
        Ok(token)
    }

    async fn ask_person(
        &self,
        store: &dyn TokenStore,
        provider: &Provider,
        purpose: Purpose,
        step_up: &StepUp,
    ) -> Result<Asked, AuthError> {
        let sign_in_lock = match self.take_sign_in_lock(store, purpose, step_up).await? {
            Turn::Ours(lock) => lock,
            Turn::Theirs(outcome) => return Ok(Asked::Elsewhere(outcome)),
        };
        let path = sign_in_lock.path.as_deref();
        sign_in_lock.lock.note_activity(path, Activity::SigningIn);
        let signing_in = async {
            store.probe().await?;
            self.warn_of_memory(store);
            let (http, interaction) = (self.http()?, &*self.options.interaction);
            match self.uses_device_flow(provider) {
                true => {
                    flows::device::sign_in(http, provider, interaction, step_up, self.options.match_number)
                        .await
                }
                false => flows::pkce::sign_in(http, provider, interaction, step_up).await,
            }
        };
        match signing_in.await {
            Ok(response) => Ok(Asked::Here(response, sign_in_lock)),
            Err(error) => {
                // Written before the lock is released, because the waiting processes read it when they get the lock.
                if let Some(outcome) = SignInOutcome::of(&error) {
                    sign_in_lock.lock.note_outcome(path, outcome);
                }
                Err(error)
            }
        }
    }

    /// Waits until no other process asks the person. It does not wait for a suspended process, which may never resume: later
    /// processes use the next lock.
    async fn take_sign_in_lock(
        &self,
        store: &dyn TokenStore,
        purpose: Purpose,
        step_up: &StepUp,
    ) -> Result<Turn, AuthError> {
        let interaction = &*self.options.interaction;
        for index in 0..MAX_LOCKS {
            let path = self.sign_in_lock_path(index);
            let before = path.as_deref().and_then(LockNote::read);
            let (lock, waited) = match Lock::try_take(path.as_deref())? {
                Some(lock) => (lock, false),
                None => {
                    let waiting = |holder: Option<&Holder>| interaction.waiting(holder);
                    match Lock::take_without_note(path.as_deref(), PATIENCE, waiting).await {
                        Ok(lock) => (lock, true),
                        Err(LockError::Error(error)) => return Err(error),
                        Err(LockError::Held(Some(holder))) if holder.is_suspended() => {
                            interaction.notice(&format!(
                                "{holder} is suspended in the middle of a sign-in, so this sign-in does not wait for it."
                            ));
                            continue;
                        }
                        Err(LockError::Held(holder)) => return Err(self.held_up(holder, Activity::SigningIn)),
                    }
                }
            };
            // The outcome of the other process's sign-in; `None` if that process died, or failed because of its machine or network.
            let after = path
                .as_deref()
                .and_then(LockNote::read)
                .filter(|after| waited && Some(after) != before.as_ref());
            let outcome = after.and_then(|after| after.outcome);
            if let Some(error) = outcome.clone().and_then(SignInOutcome::into_error) {
                // Otherwise each waiting command would ask the person the same question again.
                return Ok(Turn::Theirs(Err(error)));
            }
            // If the other process signed in, its login serves this process too, unless this sign-in requires a way or an account
            // that the other one may not have used. If only a token is needed, any new login serves.
            let shared = outcome.is_some()
                && step_up.acr_values.is_none()
                && step_up.max_age != Some(Duration::ZERO)
                && !interaction.selects_account();
            if shared || purpose == Purpose::Token {
                let token = match outcome {
                    // Its token may have expired since: a short token, a slow machine.
                    Some(_) => match self.renew_login().await {
                        Ok(token) => Some(token),
                        Err(RenewalError::NeedsPerson(_)) => None,
                        Err(RenewalError::Failed(error)) => return Ok(Turn::Theirs(Err(error))),
                    },
                    None => {
                        let token = store.load().await?.and_then(|login| self.stored_token(&login));
                        token.filter(|token| self.is_usable(token))
                    }
                };
                if let Some(token) = token {
                    self.set_current(Some(token.clone()));
                    return Ok(Turn::Theirs(Ok(token)));
                }
            }
            return Ok(Turn::Ours(SignInLock { lock, path }));
        }
        Ok(Turn::Ours(SignInLock { lock: Lock::Missing, path: None }))
    }

    /// The process that is asking the person now. A suspended process is returned only if there is no other.
    pub(super) fn find_signing_in_process(&self) -> Option<Holder> {
        let paths =
            (0..MAX_LOCKS).filter_map(|index| self.sign_in_lock_path(index).filter(|path| path.exists()));
        let held = paths.filter(|path| matches!(Lock::try_take(Some(path)), Ok(None)));
        let holders: Vec<_> = held.filter_map(|path| LockNote::holder(&path)).collect();
        holders.iter().find(|holder| !holder.is_suspended()).or(holders.first()).cloned()
    }

    /// Warns that the login ends with this process, unless the person chose that.
    fn warn_of_memory(&self, store: &dyn TokenStore) {
        if let Backend::Memory(reason @ (MemoryReason::NoHome | MemoryReason::Unwritable { .. })) =
            store.backend()
        {
            let next_step = match reason {
                MemoryReason::NoHome => "Set HOME (or XDG_DATA_HOME and XDG_STATE_HOME) to stay signed in.",
                _ => {
                    "To stay signed in, fix that, or set XDG_DATA_HOME and XDG_STATE_HOME to other directories."
                }
            };
            self.options.interaction.notice(&format!(
                "This login is kept in memory and ends with this command: {reason}. {next_step}"
            ));
        }
    }
}

/// The process that asked the person.
enum Asked {
    /// This process, with this answer.
    Here(TokenResponse, SignInLock),
    /// Another process, with this outcome.
    Elsewhere(Result<AccessToken, AuthError>),
}
