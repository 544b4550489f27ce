//! What the tests of this crate, and of those above it, verify callers with.
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

/// The parts of a server in memory.
#[derive(Clone, Debug)]
pub struct Parts {
    /// How it is set up.
    pub config: Arc<Config>,
    /// Set by hand; it begins at [`NOW`].
    pub clock: Clock,
    /// What it remembers: nothing.
    pub store: Arc<dyn Store>,
    /// What it signs tokens with.
    pub keys: Arc<SigningKeys>,
    /// Who did what.
    pub audit: Audit,
    /// Who may call.
    pub access: Arc<Access>,
}

impl Parts {
    /// An empty server at `https://localhost:8443/`, set up as `change` says.
    pub async fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_store(Arc::new(SqliteStore::in_memory().unwrap()), change).await
    }

    /// The same with this store.
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

    /// Another replica of the same server.
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
