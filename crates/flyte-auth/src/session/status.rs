//! The status of a login.

use super::{Session, stored_login::expiry};
use crate::{
    AuthError,
    clock::UnixTime,
    oauth::{ClientId, Scope},
    store::Backend,
};

/// The status of a login, for people. Nothing in it is secret.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where the tokens are stored.
    pub backend: Backend,
    /// Whether there is a login.
    pub signed_in: bool,
    /// The time at which the access token expires, Unix time in seconds; `None` if it is not known.
    pub expires_at: Option<UnixTime>,
    /// Whether the access token can be renewed without a person.
    pub has_refresh_token: bool,
    /// Issuer identifier; `None` if another tool signed in.
    pub issuer: Option<String>,
    /// The client that the tokens were issued to; `None` if another tool signed in.
    pub client_id: Option<ClientId>,
    /// The person, as the ID token names them (e-mail address, user name or subject); `None` if it does not.
    pub subject: Option<String>,
    /// The granted scopes.
    pub scopes: Vec<Scope>,
    /// The location of the CI job's own token that replaces a login; `None` if none is used.
    pub job_token: Option<String>,
}

impl Session {
    /// The status of the login. It does not use the network.
    ///
    /// # Errors
    /// [`AuthError::Store`] if the store cannot be read.
    pub async fn status(&self) -> Result<Status, AuthError> {
        if self.uses_machine_credentials() {
            return self.machine_status().await;
        }
        let loaded = match self.store().await {
            Ok(store) => store.load().await.map(|login| (store, login)).map_err(AuthError::from),
            Err(error) => Err(error),
        };
        let (store, login) = match loaded {
            // A job with its own token needs no store.
            Err(_) if self.can_use_job_token() => return self.machine_status().await,
            other => other?,
        };
        // Same order as for getting a token: a working login takes precedence over the job's own token.
        let now = self.options.clock.now();
        let works = login.as_ref().is_some_and(|login| {
            !self.is_of_another_mode(login)
                && (login.refresh_token.is_some() || expiry(login).is_none_or(|at| now < at))
        });
        if !works && self.can_use_job_token() {
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
            job_token: None,
        })
    }
}
