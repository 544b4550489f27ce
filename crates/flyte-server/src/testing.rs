//! A server's parts in memory, for the tests of the modules that answer requests.

use std::sync::Arc;

use crate::{app::App, runs::Runs};
use flyte_access::testing::Parts;
use flyte_federation::TrustedIssuers;
use flyte_identity::{Passwords, Throttle, known_browser::KnownBrowsers, session::Sessions};
use flyte_model::Stopping;
use flyte_oauth::AuthorizationServer;
use flyte_objects::Objects;
use flyte_settings::Config;

pub(crate) use flyte_testing::{NOW, api_key, user};

/// An empty server at `https://localhost:8443/` whose clock stands at [`NOW`].
pub(crate) async fn app(change: impl FnOnce(&mut Config)) -> App {
    app_of(Parts::new(change).await)
}

/// A server of these parts.
pub(crate) fn app_of(Parts { config, clock, store, keys, audit, access }: Parts) -> App {
    let issuers = Arc::new(TrustedIssuers::new(None, clock.clone()).unwrap());
    let authorization_server = Arc::new(AuthorizationServer {
        config: Arc::clone(&config),
        clock: clock.clone(),
        store: Arc::clone(&store),
        keys: Arc::clone(&keys),
        audit: audit.clone(),
        issuers: Arc::clone(&issuers),
        access: Arc::clone(&access),
        sessions: Sessions::new(Arc::clone(&store), clock.clone(), config.session_ttl),
        known_browsers: KnownBrowsers::new(Arc::clone(&keys)),
        passwords: Passwords::new(1),
        throttle: Throttle::new(clock.clone()),
    });
    App {
        audit,
        issuers,
        // Not prepared: tests of objects give a data directory and do that.
        objects: Objects::new(&config).unwrap(),
        authorization_server,
        config,
        keys,
        runs: Runs::new(Arc::clone(&store), clock.clone(), Arc::clone(&access)),
        apps: crate::apps::Apps::default(),
        logs: Arc::default(),
        stopping: Stopping::default(),
        access,
        clock,
        store,
    }
}
