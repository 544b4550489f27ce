//! Pods as callers: their service-account tokens, and the run, project and domain of each pod.
//!
//! A pod of a task gets a projected service-account token for the audience of this server from its kubelet. The token names
//! namespace, pod and UID. [`Cluster`] verifies it with the keys of the cluster, and finds the pod among those that it
//! watches. The `TaskAction` that owns the pod says what it works on; the labels of the pod must say the same. When the pod
//! ends, its rights end.
//!
//! Everything that is needed from the API server is read with this server's own service account: the keys (`keys`), and
//! pods and `TaskActions` by watches (`watch`) whose state is in `index`. If that is not allowed, the API server checks each
//! token (`review`). If the API server does not answer, the answer says so, and callers are not refused as strangers.
#![forbid(unsafe_code)]

mod api;
mod index;
mod keys;
mod object;
mod review;
#[cfg(test)]
mod tests;
mod token;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use self::{
    api::ApiServer,
    index::Index,
    keys::ClusterKeys,
    review::Reviews,
    token::{Demands, PodToken, Unverified},
    watch::{OnEnd, Pace},
};
pub use api::ApiError;
use flyte_access::workload::{Workload, WorkloadError, WorkloadId, WorkloadToken, Workloads};
use flyte_model::clock::Clock;
use flyte_settings::{KubernetesConfig, KubernetesVerification};

/// The default of [`Cluster::patience`].
const PATIENCE: Duration = Duration::from_secs(2);

/// How tokens are verified.
#[derive(Debug)]
enum Verification {
    /// With the keys of the cluster and the watches.
    Keys { keys: ClusterKeys, index: Arc<Index> },
    /// By the API server, for each token.
    Reviews(Reviews),
}

/// The cluster whose pods are callers.
pub struct Cluster {
    api: ApiServer,
    clock: Clock,
    demands: Demands,
    verification: Verification,
    pace: Pace,
    /// How long a token waits for the watches to report its pod, which may have started a moment ago.
    patience: Duration,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("demands", &self.demands).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Prepares the connection. `public_url` is the audience of the tokens, unless the settings name another. Nothing is sent
    /// yet, so this server starts while the API server is away.
    ///
    /// # Errors
    /// [`ApiError::Settings`] if there is no service account, or the file with the connection's settings cannot be used.
    pub async fn new(config: &KubernetesConfig, public_url: &str, clock: Clock) -> Result<Self, ApiError> {
        let api = ApiServer::new(config.kubeconfig.as_deref()).await?;
        let audience = config.audience.clone().unwrap_or_else(|| public_url.to_owned());
        let verification = match config.verification {
            KubernetesVerification::Keys => Verification::Keys {
                keys: ClusterKeys::new(api.clone(), clock.clone(), config.issuer.clone()),
                index: Arc::new(Index::new(clock.clone())),
            },
            KubernetesVerification::TokenReview => {
                Verification::Reviews(Reviews::new(api.clone(), clock.clone(), audience.clone()))
            }
        };
        let namespaces = match config.namespaces.as_slice() {
            [] => vec![api.default_namespace().to_owned()],
            namespaces => namespaces.to_vec(),
        };
        let demands = Demands { audience, namespaces, max_age: config.max_token_age };
        Ok(Self { api, clock, demands, verification, pace: Pace::default(), patience: PATIENCE })
    }

    /// Watches the cluster for as long as the future is polled, and calls `on_end` with each pod that has ended.
    pub async fn follow(self: Arc<Self>, on_end: OnEnd) {
        let Verification::Keys { keys, index } = &self.verification else {
            return std::future::pending().await;
        };
        // The first token need not wait for the keys, and a wrong setting is in the log at the start.
        let first = keys.with(None);
        let watches = watch::follow(
            self.api.clone(),
            Arc::clone(index),
            self.demands.namespaces.clone(),
            self.pace,
            on_end,
        );
        let ((), _) = tokio::join!(watches, first);
    }

    async fn verified(&self, token: &str) -> Result<(PodToken, Workload), WorkloadError> {
        let token = Unverified::read(token)?;
        let pod = token.check(&self.demands, self.clock.now())?;
        let workload = match &self.verification {
            Verification::Keys { keys, index } => {
                if keys.issuer().is_some_and(|issuer| issuer != token.claims().iss) {
                    return Err(WorkloadError::Invalid("the token is from another issuer than this cluster"));
                }
                token.verify(&*keys.with(token.kid()).await?)?;
                index.started(&pod.id, &pod.service_account, self.patience).await?
            }
            Verification::Reviews(reviews) => {
                reviews.review(token.text(), &pod).await?;
                reviews.running(&pod.id, Some(&pod.service_account)).await?
            }
        };
        Ok((pod, workload))
    }
}

#[async_trait]
impl Workloads for Cluster {
    fn recognizes(&self, token: &str) -> bool {
        let issuer = match &self.verification {
            Verification::Keys { keys, .. } => keys.issuer(),
            Verification::Reviews(_) => None,
        };
        Unverified::read(token)
            .is_ok_and(|token| token.is_of_pod() && issuer.is_none_or(|issuer| issuer == token.claims().iss))
    }

    async fn identify(&self, token: &str) -> Result<WorkloadToken, WorkloadError> {
        let (PodToken { token_id, expires_at, .. }, workload) = self.verified(token).await?;
        Ok(WorkloadToken { workload, token_id, expires_at })
    }

    async fn running(&self, id: &WorkloadId) -> Result<Workload, WorkloadError> {
        match &self.verification {
            Verification::Keys { index, .. } => index.running(id, None),
            Verification::Reviews(reviews) => reviews.running(id, None).await,
        }
    }
}
