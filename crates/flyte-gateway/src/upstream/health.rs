//! Health checks.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use tokio::time::timeout;

use super::{Outbound, Upstream, address::Address};
use crate::options::HealthOptions;

impl Upstream {
    /// The health check of the backend, if it has one.
    #[must_use]
    pub fn health(&self) -> Option<&HealthOptions> {
        self.options.health.as_ref()
    }

    /// Checks all addresses. To be called in the interval of [`HealthOptions::interval`].
    pub async fn check_health(&self) {
        let Some(health) = self.health() else { return };
        if self.known().is_empty() {
            self.maintain().await;
        }
        let known = self.known();
        let checks = known.iter().map(|address| async move {
            let is_healthy = self.is_healthy(address, health).await;
            address.note_health(is_healthy);
        });
        futures_util::future::join_all(checks).await;
    }

    async fn is_healthy(&self, address: &Arc<Address>, health: &HealthOptions) -> bool {
        let authority = self.options.url.authority();
        let uri = Uri::builder().scheme(self.options.url.scheme()).authority(authority);
        let Ok(uri) = uri.path_and_query(health.path.as_str()).build() else { return false };
        let mut request = Request::new(());
        *request.uri_mut() = uri;
        let mut nothing = Outbound::whole(Bytes::new());
        let answer = timeout(health.timeout, Arc::clone(address).send(request, &mut nothing)).await;
        matches!(answer, Ok(Ok(answer)) if answer.status() == StatusCode::OK)
    }
}
