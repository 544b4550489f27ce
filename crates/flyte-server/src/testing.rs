//! A server's parts in memory, for the tests of the modules that answer requests.

use std::{path::Path, sync::Arc};

use secrecy::{ExposeSecret as _, SecretString};
use tracing::{
    Subscriber,
    subscriber::{DefaultGuard, NoSubscriber},
};

use crate::{
    access::Access,
    app::App,
    audit::Audit,
    identity::{Passwords, Throttle},
    keys::{SealingKey, SigningKeys},
    runs::Runs,
    trust::TrustedIssuers,
};
use flyte_model::{
    Limit, Rights, Role, Stopping,
    clock::{Clock, UnixTime},
};
use flyte_objects::Objects;
use flyte_secrets::{api_key_secret, opaque_token};
use flyte_settings::Config;
use flyte_store::{ApiKey, Store, User};
use flyte_store_sqlite::SqliteStore;

/// When tests begin.
pub(crate) const NOW: UnixTime = 1_800_000_000;

/// An empty server at `https://localhost:8443/` whose clock stands at [`NOW`].
pub(crate) async fn app(change: impl FnOnce(&mut Config)) -> App {
    let mut config = Config::for_test(Path::new("/nonexistent"));
    config.public_url = "https://localhost:8443/".parse().unwrap();
    change(&mut config);
    let clock = Clock::manual(NOW);
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let sealing = SealingKey::generate().unwrap();
    let access = Arc::new(Access::new());
    let keys = SigningKeys::load(store.clone(), sealing, clock.clone(), &config.tokens).await.unwrap();
    App {
        audit: Audit::start(Arc::clone(&store), clock.clone()),
        issuers: TrustedIssuers::new(None, clock.clone()).unwrap(),
        // Not prepared: tests of objects give a data directory and do that.
        objects: Objects::new(&config).unwrap(),
        config,
        throttle: Throttle::new(clock.clone()),
        keys,
        runs: Runs::new(Arc::clone(&store), clock.clone(), Arc::clone(&access)),
        apps: crate::apps::Apps::default(),
        logs: Arc::default(),
        stopping: Stopping::default(),
        access,
        passwords: Passwords::new(1),
        clock,
        store,
    }
}

/// Has what this thread logs go to `subscriber` until what is returned is dropped.
///
/// The second dispatcher, to nobody, is needed: where there is just one, `tracing` asks the thread that comes to an event first
/// whether anybody wants it, and remembers the answer for all threads. That may be the thread of another test.
pub(crate) fn log_to(
    subscriber: impl Subscriber + Send + Sync + 'static,
) -> (tracing::Dispatch, DefaultGuard) {
    let nobody = tracing::Dispatch::new(NoSubscriber::default());
    (nobody, tracing::subscriber::set_default(subscriber))
}

/// The account `user-NAME` with the address `name@example.com`, without password.
pub(crate) fn user(name: &str) -> User {
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

/// The API key `name` of a contributor with the scope `all`, with changes; and its secret.
pub(crate) async fn api_key(
    app: &App,
    name: &str,
    change: impl FnOnce(&mut ApiKey),
) -> (ApiKey, SecretString) {
    let secret = api_key_secret::generate().unwrap();
    let mut key = ApiKey {
        client_id: name.to_owned(),
        name: name.to_owned(),
        secret_hash: Some(opaque_token::hash(secret.expose_secret())),
        previous_secret: None,
        jwks: None,
        rights: Rights { role: Role::Contributor, scopes: vec!["all".to_owned()], limit: Limit::default() },
        created_by: "user-Ada".to_owned(),
        created_at: app.clock.now(),
        expires_at: None,
        last_used_at: None,
        family_id: format!("family-of-{name}"),
    };
    change(&mut key);
    app.store.create_api_key(&key).await.unwrap();
    (key, secret)
}
