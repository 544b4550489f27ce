//! Signing a person in: one process at a time, under a lock that no refresh waits for.

use std::{path::PathBuf, time::Duration};

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
    token::{AccessToken, IdClaims, TokenResponse},
    userinfo,
};

/// How long another process's sign-in is waited for: longer than a person has for one.
const PATIENCE: Duration = Duration::from_secs(600);

/// How many suspended sign-ins are stepped over, each with a lock of its own, before one goes on without a lock.
const STEPS: usize = 4;

/// Why the person is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A token is needed: any login that works will do, whoever made it.
    Token,
    /// A sign-in is wanted, whatever login there is.
    SignIn,
}

/// The right to ask the person.
struct Place {
    lock: Lock,
    /// Where it is noted who has it.
    path: Option<PathBuf>,
}

/// What became of waiting for one's turn to ask the person.
enum Turn {
    /// The person is asked here.
    Ours(Place),
    /// Another process has asked them meanwhile, with this outcome.
    Theirs(Result<AccessToken, AuthError>),
}

impl Session {
    /// Signs the person in as `step_up` asks, unless another process is at it: then its outcome is shared. A caller that goes
    /// away meanwhile ends it; the login before stays.
    pub(super) async fn sign_in(
        &self,
        wanted: Wanted,
        step_up: &StepUp,
        gone: CallerGone,
    ) -> Result<AccessToken, AuthError> {
        if !self.options.interaction.is_interactive() {
            return Err(self.login_required());
        }
        let outcome = self.sign_in_or_share(wanted, step_up, gone).await;
        match &outcome {
            // No sign-in has begun, and the call may need none.
            Ok(_) | Err(AuthError::NoSignIn { .. }) => {}
            Err(error) => self.options.interaction.failed(error),
        }
        outcome
    }

    async fn sign_in_or_share(
        &self,
        wanted: Wanted,
        step_up: &StepUp,
        mut gone: CallerGone,
    ) -> Result<AccessToken, AuthError> {
        // Where there is nothing to sign in to, neither the keyring nor the person is asked for anything.
        let provider = tokio::select! {
            found = self.discover() => found?,
            _ = &mut gone => return Err(AuthError::Interrupted),
        };
        let store = &**self.store().await?;
        let (response, place) = tokio::select! {
            outcome = self.ask_the_person(store, &provider, wanted, step_up) => match outcome? {
                Asked::Here(response, place) => (response, place),
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
        let claims = response.id_claims();
        let kept = self.keep(store, &provider, client_id, response, None).await;
        if kept.is_ok() {
            place.lock.note_end(place.path.as_deref(), Verdict::SignedIn);
        }
        drop((writing, place));
        if let Ok(token) = &kept {
            let name = match claims.as_ref().and_then(IdClaims::account) {
                Some(account) => Some(account),
                None => userinfo::account(self.http()?, &provider, token)
                    .await
                    .or_else(|| claims.and_then(IdClaims::into_subject)),
            };
            self.options.interaction.signed_in(&self.options.endpoint.to_string(), name.as_deref());
        }
        kept
    }

    async fn ask_the_person(
        &self,
        store: &dyn TokenStore,
        provider: &Provider,
        wanted: Wanted,
        step_up: &StepUp,
    ) -> Result<Asked, AuthError> {
        let place = match self.turn(store, wanted, step_up).await? {
            Turn::Ours(place) => place,
            Turn::Theirs(outcome) => return Ok(Asked::Elsewhere(outcome)),
        };
        let path = place.path.as_deref();
        place.lock.note(path, Doing::SigningIn);
        let signing_in = async {
            store.probe().await?;
            self.warn_of_memory(store);
            let (http, interaction) = (self.http()?, &*self.options.interaction);
            match self.by_device(provider) {
                true => flows::device::sign_in(http, provider, interaction, step_up).await,
                false => flows::pkce::sign_in(http, provider, interaction, step_up).await,
            }
        };
        match signing_in.await {
            Ok(response) => Ok(Asked::Here(response, place)),
            Err(error) => {
                // Before the lock is given up: those who wait read it when they have the lock.
                if let Some(verdict) = Verdict::of(&error) {
                    place.lock.note_end(path, verdict);
                }
                Err(error)
            }
        }
    }

    /// Waits until nobody else asks the person. A suspended process is not waited for, as it may never go on: those that come
    /// after it take turns at the next lock.
    async fn turn(
        &self,
        store: &dyn TokenStore,
        wanted: Wanted,
        step_up: &StepUp,
    ) -> Result<Turn, AuthError> {
        let interaction = &*self.options.interaction;
        for step in 0..STEPS {
            let path = self.sign_in_lock_path(step);
            let before = path.as_deref().and_then(Record::read);
            let (lock, waited) = match Lock::try_take(path.as_deref())? {
                Some(lock) => (lock, false),
                None => {
                    let waiting = |holder: Option<&Holder>| interaction.waiting(holder);
                    match Lock::take_silently(path.as_deref(), PATIENCE, waiting).await {
                        Ok(lock) => (lock, true),
                        Err(Failed::Error(error)) => return Err(error),
                        Err(Failed::Held(Some(holder))) if holder.is_suspended() => {
                            interaction.notice(&format!(
                                "{holder} is suspended in the middle of a sign-in and is not waited for."
                            ));
                            continue;
                        }
                        Err(Failed::Held(holder)) => return Err(self.held_up(holder, Doing::SigningIn)),
                    }
                }
            };
            // How the sign-in ended that was waited for; nothing where it died, or failed for a reason of its own.
            let after = path
                .as_deref()
                .and_then(Record::read)
                .filter(|after| waited && Some(after) != before.as_ref());
            let verdict = after.and_then(|after| after.verdict);
            if let Some(error) = verdict.clone().and_then(Verdict::into_error) {
                // Nobody wants to be asked the same once more by each command that waited.
                return Ok(Turn::Theirs(Err(error)));
            }
            // It signed in: its login is this one's too, unless a way to sign in, or an account, is asked for that it may not have
            // used. And somebody may have signed in since this process looked, also where it did not have to wait.
            let shared = verdict.is_some()
                && step_up.acr_values.is_none()
                && step_up.max_age != Some(Duration::ZERO)
                && !interaction.selects_account();
            if (shared || wanted == Wanted::Token)
                && let Some(token) = store.load().await?.and_then(|login| self.usable(&login))
                && self.is_good(&token)
            {
                self.set_current(Some(token.clone()));
                return Ok(Turn::Theirs(Ok(token)));
            }
            return Ok(Turn::Ours(Place { lock, path }));
        }
        Ok(Turn::Ours(Place { lock: Lock::Missing, path: None }))
    }

    /// Who is asking the person now, as far as another process is; one that is suspended only where no other is.
    pub(super) fn signing_in(&self) -> Option<Holder> {
        let paths = (0..STEPS).filter_map(|step| self.sign_in_lock_path(step).filter(|path| path.exists()));
        let held = paths.filter(|path| matches!(Lock::try_take(Some(path)), Ok(None)));
        let holders: Vec<_> = held.filter_map(|path| Record::holder(&path)).collect();
        holders.iter().find(|holder| !holder.is_suspended()).or(holders.first()).cloned()
    }

    /// Says that the sign-in will not last, where nobody has chosen that.
    fn warn_of_memory(&self, store: &dyn TokenStore) {
        if let Backend::Memory(reason @ (MemoryReason::NoHome | MemoryReason::Unwritable { .. })) =
            store.backend()
        {
            let what = match reason {
                MemoryReason::NoHome => "Set HOME (or XDG_DATA_HOME and XDG_STATE_HOME) to stay signed in.",
                _ => {
                    "To stay signed in, mend that, or set XDG_DATA_HOME and XDG_STATE_HOME to other directories."
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
    Here(TokenResponse, Place),
    Elsewhere(Result<AccessToken, AuthError>),
}
