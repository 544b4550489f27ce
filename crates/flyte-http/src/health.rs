//! Health checks: whether the server runs, and whether it should get requests.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, extract::State, http::StatusCode, routing::get};

use flyte_store::Store;

/// Whether the server is about to stop; clones share the state.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Makes `/readyz` answer 503 from now on.
    pub fn drain(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_draining(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Something that the server needs besides its database.
#[derive(Clone)]
pub struct Dependency {
    name: &'static str,
    works: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Dependency {
    /// Calls it `name` in the answer while it does not work. `works` must not wait.
    pub fn new(name: &'static str, works: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { name, works: Arc::new(works) }
    }

    /// The dependency of a server that needs nothing else.
    #[must_use]
    pub fn none() -> Self {
        Self::new("", || true)
    }
}

impl fmt::Debug for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dependency").field(&self.name).finish()
    }
}

#[derive(Clone)]
struct Health {
    store: Arc<dyn Store>,
    readiness: Readiness,
    dependency: Dependency,
}

/// `GET /healthz` answers 200 as long as the process responds at all. `GET /readyz` answers 200 while the database
/// and the `dependency` work and the server is not about to stop.
pub fn router(store: Arc<dyn Store>, readiness: Readiness, dependency: Dependency) -> Router {
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready)).with_state(Health {
        store,
        readiness,
        dependency,
    })
}

async fn ready(State(health): State<Health>) -> (StatusCode, String) {
    let unready = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    if health.readiness.is_draining() {
        return unready("draining");
    }
    if let Err(error) = health.store.any_user().await {
        tracing::error!(%error, "not ready");
        return unready("database");
    }
    if !(health.dependency.works)() {
        return unready(health.dependency.name);
    }
    (StatusCode::OK, "ok\n".to_owned())
}
