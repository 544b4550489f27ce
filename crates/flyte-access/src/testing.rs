//! A server in memory, for the tests of this crate and of the crates above it.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "for tests")]

use std::{path::Path, sync::Arc};

use flyte_model::clock::Clock;
use flyte_settings::Config;
use flyte_store::Store;
use flyte_store_sqlite::SqliteStore;
use flyte_testing::NOW;

use crate::Access;
use flyte_audit::Audit;
use flyte_keys::{SealingKey, SigningKeys};

/// The parts of a server, in memory.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// A clock that tests set; it starts at [`NOW`].
    pub clock: Clock,
    /// The store; empty at first.
    pub store: Arc<dyn Store>,
    /// The keys that sign tokens.
    pub keys: Arc<SigningKeys>,
    /// The audit log.
    pub audit: Audit,
    /// Authentication of callers.
    pub access: Arc<Access>,
}

impl Parts {
    /// Creates an empty server at `https://localhost:8443/`; `change` changes its configuration.
    pub async fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_store(Arc::new(SqliteStore::in_memory().unwrap()), change).await
    }

    /// Creates the same server with this store.
    pub async fn with_store(store: Arc<dyn Store>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::for_test(Path::new("/nonexistent"));
        config.public_url = "https://localhost:8443/".parse().unwrap();
        change(&mut config);
        let (config, clock) = (Arc::new(config), Clock::manual(NOW));
        let sealing = SealingKey::generate().unwrap();
        let keys = SigningKeys::load(Arc::clone(&store), sealing, clock.clone(), &config.tokens);
        let keys = Arc::new(keys.await.unwrap());
        let audit = Audit::start(Arc::clone(&store), clock.clone());
        Self {
            access: Arc::new(access(&config, &clock, &store, &keys, &audit)),
            config,
            clock,
            store,
            keys,
            audit,
        }
    }

    /// Creates another replica of the same server.
    #[must_use]
    pub fn replica(&self) -> Access {
        access(&self.config, &self.clock, &self.store, &self.keys, &self.audit)
    }
}

fn access(
    config: &Arc<Config>,
    clock: &Clock,
    store: &Arc<dyn Store>,
    keys: &Arc<SigningKeys>,
    audit: &Audit,
) -> Access {
    Access::new(Arc::clone(config), clock.clone(), Arc::clone(store), Arc::clone(keys), audit.clone())
}
