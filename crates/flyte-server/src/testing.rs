//! A server's parts in memory, for the tests of the modules that answer requests.

use std::sync::Arc;

use crate::{app::App, runs::Runs};
use flyte_access::testing::Parts;
use flyte_federation::TrustedIssuers;
use flyte_identity::{Passwords, Throttle, known_browser::KnownBrowsers, session::Sessions};
use flyte_model::Stopping;
use flyte_objects::Objects;
use flyte_settings::Config;

pub(crate) use flyte_testing::{NOW, api_key, log_to, user};

/// An empty server at `https://localhost:8443/` whose clock stands at [`NOW`].
pub(crate) async fn app(change: impl FnOnce(&mut Config)) -> App {
    app_of(Parts::new(change).await)
}

/// A server of these parts.
pub(crate) fn app_of(Parts { config, clock, store, keys, audit, access }: Parts) -> App {
    App {
        audit,
        issuers: TrustedIssuers::new(None, clock.clone()).unwrap(),
        // Not prepared: tests of objects give a data directory and do that.
        objects: Objects::new(&config).unwrap(),
        throttle: Throttle::new(clock.clone()),
        sessions: Sessions::new(Arc::clone(&store), clock.clone(), config.session_ttl),
        known_browsers: KnownBrowsers::new(Arc::clone(&keys)),
        config,
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
