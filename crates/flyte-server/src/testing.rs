//! The parts of a server in memory, for tests.

use std::{collections::BTreeMap, sync::Arc};

use crate::app::{App, Parts, Serves};
use flyte_access::door;
use flyte_federation::TrustedIssuers;
use flyte_identity::{PasswordRules, Passwords};
use flyte_oauth::OutsideSignIns;
use flyte_objects::Objects;
use flyte_provider::Providers;
use flyte_settings::{Config, Environment, Flags, UpstreamConfig, load, settings};

pub(crate) use flyte_testing::{NOW, user};

/// An empty server at `https://localhost:8443/` with the clock at [`NOW`].
pub(crate) async fn app(change: impl FnOnce(&mut Config)) -> App {
    let parts = flyte_access::testing::Parts::new(change).await;
    App::new(Parts {
        issuers: Arc::new(TrustedIssuers::new(None, parts.clock.clone()).unwrap()),
        outside: OutsideSignIns::new(Providers::new(&parts.config, &parts.clock).unwrap(), &parts.clock),
        passwords: Passwords::new(1, PasswordRules::default()),
        administrative: Passwords::new(1, PasswordRules::default()),
        settings: Vec::new(),
        // The object store is not prepared; tests of objects use a data directory and prepare it.
        serves: match &parts.config.upstream {
            None => Serves::Embedded(Arc::new(Objects::new(&parts.config).unwrap())),
            Some(upstream) => {
                let known = door::Backend::new(&parts.config.projects).unwrap();
                Serves::Upstream(Box::new(upstream.clone()), Arc::new(known))
            }
        },
        config: parts.config,
        clock: parts.clock,
        store: parts.store,
        keys: parts.keys,
        audit: parts.audit,
        access: parts.access,
    })
}

/// The settings of a backend at this URL.
pub(crate) fn upstream(url: &str) -> UpstreamConfig {
    let settings = BTreeMap::from([(settings::UPSTREAM_URL.key, url.to_owned())]);
    let environment = Environment::from([("HOME", "/nowhere")]);
    load(&Flags { file: None, settings }, &environment).unwrap().config.upstream.unwrap()
}
