//! An authorization server for the tests of this crate and of the crates above it.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "for tests")]

use std::sync::Arc;

use flyte_access::Access;
use flyte_audit::Audit;
use flyte_federation::TrustedIssuers;
use flyte_identity::{PasswordRules, Passwords, Throttle, known_browser::KnownBrowsers, session::Sessions};
use flyte_keys::SigningKeys;
use flyte_model::clock::Clock;
use flyte_provider::Providers;
use flyte_settings::Config;
use flyte_store::Store;

use crate::{AuthorizationServer, OutsideSignIns};

/// Creates an authorization server from these parts.
#[must_use]
pub fn authorization_server(
    config: &Arc<Config>,
    clock: &Clock,
    store: &Arc<dyn Store>,
    keys: &Arc<SigningKeys>,
    audit: &Audit,
    access: &Arc<Access>,
) -> AuthorizationServer {
    AuthorizationServer {
        config: Arc::clone(config),
        clock: clock.clone(),
        store: Arc::clone(store),
        keys: Arc::clone(keys),
        audit: audit.clone(),
        issuers: Arc::new(TrustedIssuers::new(None, clock.clone()).unwrap()),
        outside: OutsideSignIns::new(Providers::new(config, clock).unwrap(), clock),
        access: Arc::clone(access),
        sessions: Sessions::new(Arc::clone(store), clock.clone(), config.session_ttl),
        known_browsers: KnownBrowsers::new(Arc::clone(keys)),
        passwords: Passwords::new(1, PasswordRules::default()),
        throttle: Throttle::new(clock.clone()),
    }
}
