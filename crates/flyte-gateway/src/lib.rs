//! The gateway: forwards the calls that pass the door to a Flyte 2 backend.
//!
//! The way of a call: `call` decides by its head, `request` reads its messages and passes each of them to the
//! [door](flyte_access::door), `headers` writes what else goes up, [`Upstream`] sends exactly the bytes that were judged, and
//! `answer` passes the answer on frame by frame, until it ends as the protocol demands or something interrupts it.
//!
//! `flyte-rpc` has authenticated the caller before, and has put it into the extensions of the request.
#![forbid(unsafe_code)]

mod answer;
mod call;
mod filter;
mod gather;
mod headers;
pub mod identity;
mod interrupt;
mod message;
mod namesakes;
mod new_run;
mod options;
mod question;
mod refusal;
mod request;
mod reservation;
mod run_starter;
mod streaming;
mod upkeep;
mod upstream;
pub mod web;
mod whole;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use axum::{Router, routing::any};
use tokio::sync::Semaphore;

pub use self::{
    options::{HealthOptions, HttpVersion, Options, TlsOptions, UpstreamOptions},
    upkeep::Upkeep,
    upstream::{Upstream, UpstreamError},
};
use flyte_access::{Access, door::Storage};
use flyte_audit::Audit;
use flyte_keys::SigningKeys;
use flyte_model::{Stopping, clock::Clock};
use flyte_settings::Config;
use flyte_store::Store;

use self::{identity::Identity, reservation::Reservations};

/// What the gateway shares with the rest of the server.
pub struct Parts {
    /// The configuration: the public URL, and limits.
    pub config: Arc<Config>,
    /// The clock of the tokens.
    pub clock: Clock,
    /// Open streams end with their callers.
    pub access: Arc<Access>,
    /// The names of callers.
    pub store: Arc<dyn Store>,
    /// Sign the claims about callers for the backends.
    pub keys: Arc<SigningKeys>,
    /// Denied calls are recorded.
    pub audit: Audit,
    /// Streams end when the server stops.
    pub stopping: Stopping,
    /// Locates the objects of requests.
    pub storage: Arc<dyn Storage + Send + Sync>,
}

/// A backend.
struct Backend {
    upstream: Upstream,
    /// Describes callers to it.
    identity: Identity,
    /// The names that calls are about now.
    reservations: Reservations,
}

/// The gateway.
pub struct Gateway {
    parts: Parts,
    options: Options,
    backends: Vec<Arc<Backend>>,
    slots: Arc<Semaphore>,
    origin: headers::Origin,
}

impl Gateway {
    /// Creates it without connections.
    #[must_use]
    pub fn new(parts: Parts, options: Options) -> Self {
        let describe = |upstream: &UpstreamOptions| {
            let Parts { store, clock, keys, config, .. } = &parts;
            let (issuer, audience) = (config.issuer(), upstream.url.as_str());
            let (store, keys) = (Arc::clone(store), Arc::clone(keys));
            Identity::new(store, clock.clone(), keys, issuer, audience, upstream.identity_headers.clone())
        };
        let backend = |one: &UpstreamOptions| Backend {
            upstream: Upstream::new(one.clone()),
            identity: describe(one),
            reservations: Reservations::default(),
        };
        let backends = options.upstreams.iter().map(|one| Arc::new(backend(one))).collect();
        let slots = Arc::new(Semaphore::new(options.max_concurrent_calls.min(Semaphore::MAX_PERMITS)));
        let origin = headers::Origin::of(&parts.config.public_url);
        Self { parts, options, backends, slots, origin }
    }

    /// The backends.
    pub fn upstreams(&self) -> impl Iterator<Item = &Upstream> {
        self.backends.iter().map(|backend| &backend.upstream)
    }

    /// Whether a backend can be reached: [`Upstream::is_reachable`].
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.upstreams().any(Upstream::is_reachable)
    }

    /// The backend for requests with this host: the one that names it, or else the first one.
    fn backend(&self, host: Option<&str>) -> Option<Arc<Backend>> {
        let is_named = |host| self.backends.iter().find(|backend| backend.upstream.is_for(host));
        host.and_then(is_named).or(self.backends.first()).cloned()
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("options", &self.options)
            .field("upstreams", &self.upstreams().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// The routes of all calls that the backend answers: `/package.Service/Method`.
///
/// The gateway has its own limits of time and size, and it must notice at once that a caller is gone. Layers that limit these must
/// not be around it. One that reads what a refused caller still sends must be.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new().route("/{service}/{method}", any(call::serve)).with_state(gateway)
}
