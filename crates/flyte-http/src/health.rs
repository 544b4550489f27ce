//! Health checks: whether the server runs, and whether it should get requests.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
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

/// `GET /healthz` answers 200 as long as the process responds at all. `GET /readyz` answers 200 while the database
/// works and the server is not about to stop.
pub fn router(store: Arc<dyn Store>, readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state((store, readiness))
}

async fn ready(State((store, readiness)): State<(Arc<dyn Store>, Readiness)>) -> (StatusCode, &'static str) {
    if readiness.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    match store.any_user().await {
        Ok(_) => (StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::error!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "database\n")
        }
    }
}
