//! The parts of a server in memory, for tests.

use std::sync::Arc;

use crate::app::{App, Parts};
use flyte_federation::TrustedIssuers;
use flyte_identity::Passwords;
use flyte_objects::Objects;
use flyte_settings::Config;

pub(crate) use flyte_testing::{NOW, user};

/// An empty server at `https://localhost:8443/` with the clock at [`NOW`].
pub(crate) async fn app(change: impl FnOnce(&mut Config)) -> App {
    let parts = flyte_access::testing::Parts::new(change).await;
    App::new(Parts {
        issuers: Arc::new(TrustedIssuers::new(None, parts.clock.clone()).unwrap()),
        passwords: Passwords::new(1),
        // The object store is not prepared; tests of objects use a data directory and prepare it.
        objects: Arc::new(Objects::new(&parts.config).unwrap()),
        config: parts.config,
        clock: parts.clock,
        store: parts.store,
        keys: parts.keys,
        audit: parts.audit,
        access: parts.access,
    })
}
