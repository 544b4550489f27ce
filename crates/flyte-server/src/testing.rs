//! A server's parts in memory, for the tests of the modules that answer requests.

use std::{path::Path, sync::Arc};

use crate::{
    access::Access,
    app::App,
    audit::Audit,
    clock::{Clock, UnixTime},
    config::Config,
    identity::{Passwords, Throttle},
    keys::{SealingKey, SigningKeys},
    store::{Store, User, sqlite::SqliteStore},
};

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
    let keys = SigningKeys::load(store.clone(), sealing, clock.clone(), &config.tokens).await.unwrap();
    App {
        audit: Audit::start(Arc::clone(&store), clock.clone()),
        config,
        throttle: Throttle::new(clock.clone()),
        clock,
        store,
        keys,
        access: Access::new(),
        passwords: Passwords::new(1),
    }
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
