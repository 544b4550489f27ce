//! Helpers for the tests of several crates: a moment, accounts, API keys, and a log that a test reads.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "for tests")]

use secrecy::{ExposeSecret as _, SecretString};
use tracing::{
    Subscriber,
    subscriber::{DefaultGuard, NoSubscriber},
};

use flyte_model::{Limit, Rights, Role, Scope, clock::UnixTime};
use flyte_secrets::{api_key_secret, opaque_token};
use flyte_store::{ApiKey, Store, User};

/// The time at which tests begin.
pub const NOW: UnixTime = 1_800_000_000;

/// Sends what this thread logs to `subscriber` until the returned value is dropped.
///
/// The second dispatcher, which discards everything, is necessary. With only one dispatcher, `tracing` asks the first
/// thread that reaches an event whether its subscriber is interested, and stores that answer for all threads. That
/// thread may belong to another test.
pub fn log_to(subscriber: impl Subscriber + Send + Sync + 'static) -> (tracing::Dispatch, DefaultGuard) {
    let discarding = tracing::Dispatch::new(NoSubscriber::default());
    (discarding, tracing::subscriber::set_default(subscriber))
}

/// Returns the account `user-NAME` with the address `name@example.com` and no password.
#[must_use]
pub fn user(name: &str) -> User {
    User {
        id: format!("user-{name}"),
        email: format!("{}@example.com", name.to_lowercase()),
        name: name.to_owned(),
        password_hash: None,
        admin: false,
        created_at: 0,
        disabled_at: None,
    }
}

/// Creates the API key `name` of a contributor with the scope `all` and the given changes. Returns it with its secret.
pub async fn api_key(
    store: &dyn Store,
    name: &str,
    change: impl FnOnce(&mut ApiKey),
) -> (ApiKey, SecretString) {
    let secret = api_key_secret::generate().unwrap();
    let mut key = ApiKey {
        client_id: name.parse().unwrap(),
        name: name.to_owned(),
        secret_hash: Some(opaque_token::hash(secret.expose_secret())),
        previous_secret: None,
        jwks: None,
        rights: Rights { role: Role::Contributor, scopes: [Scope::ALL].into(), limit: Limit::default() },
        created_by: "user-Ada".to_owned(),
        created_at: NOW,
        expires_at: None,
        last_used_at: None,
        family_id: format!("family-of-{name}"),
    };
    change(&mut key);
    store.create_api_key(&key).await.unwrap();
    (key, secret)
}
