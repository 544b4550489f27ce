//! New secrets of API keys between the form that created them and the page that shows them.
//!
//! The form leads to the page by a redirect, so that reloading the page neither creates another secret nor shows this one
//! again. In between, the secret is only in memory, for the browser session that got it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use flyte_model::clock::UnixTime;
use secrecy::SecretString;

/// How long a secret waits for its page, in seconds.
const TTL: i64 = 60;

/// A new secret and the key that has it.
#[derive(Debug)]
pub(crate) struct NewSecret {
    /// The name of the key.
    pub(crate) name: String,
    /// Its `client_id`.
    pub(crate) client_id: String,
    /// The secret.
    pub(crate) secret: SecretString,
    /// Whether the key existed before.
    pub(crate) rotated: bool,
}

/// Secrets by the browser session that may see them, one for each.
#[derive(Debug, Default)]
pub struct ShownOnce(Mutex<HashMap<String, (UnixTime, NewSecret)>>);

impl Clone for ShownOnce {
    /// Returns an empty one: a secret is in one place.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl ShownOnce {
    /// Keeps a secret for a session.
    pub(crate) fn put(&self, session_id: &str, secret: NewSecret, now: UnixTime) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, (until, _)| *until > now);
        waiting.insert(session_id.to_owned(), (now.saturating_add(TTL), secret));
    }

    /// Takes the secret of a session.
    pub(crate) fn take(&self, session_id: &str, now: UnixTime) -> Option<NewSecret> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, (until, _)| *until > now);
        waiting.remove(session_id).map(|(_, secret)| secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_once_to_its_session_and_not_late() {
        let secret = || NewSecret {
            name: "ci".to_owned(),
            client_id: "ci".to_owned(),
            secret: "s".into(),
            rotated: false,
        };
        let waiting = ShownOnce::default();
        waiting.put("a", secret(), 100);
        assert!(waiting.take("b", 100).is_none());
        assert!(waiting.take("a", 100).is_some());
        assert!(waiting.take("a", 100).is_none());
        waiting.put("a", secret(), 100);
        assert!(waiting.take("a", 100 + TTL).is_none());
    }
}
