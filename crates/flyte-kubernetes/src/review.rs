//! The check of tokens by the API server (`TokenReview`), for clusters that do not let this server watch pods.
//!
//! The review accepts the tokens of pods that have ended, so the pod itself is read as well, each time. The number of reviews
//! at a time is limited, and tokens that were refused a moment ago are refused without asking again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest;
use k8s_openapi::{
    api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    api::{ApiError, ApiServer},
    object::{ActionRecord, Pod, PodRecord, TaskAction},
    token::PodToken,
    watch,
};
use flyte_access::workload::{Unavailable, Workload, WorkloadError, WorkloadId};
use flyte_model::clock::{Clock, UnixTime};

/// The most reviews at a time.
const MAX_REVIEWS: usize = 16;
/// How long a token waits for its review.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a refused token is refused without another review, in seconds.
const REFUSED_SECONDS: i64 = 30;
/// The most refused tokens that are remembered.
const MAX_REFUSED: usize = 4096;
/// The keys of `status.user.extra`.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Asks the API server.
#[derive(Debug)]
pub(crate) struct Reviews {
    api: ApiServer,
    clock: Clock,
    audience: String,
    slots: Semaphore,
    /// SHA-256 of refused tokens, and until when they are remembered.
    refused: Mutex<HashMap<[u8; 32], UnixTime>>,
}

fn unavailable(error: &ApiError) -> WorkloadError {
    Unavailable(error.to_string()).into()
}

impl Reviews {
    pub(crate) fn new(api: ApiServer, clock: Clock, audience: String) -> Self {
        Self { api, clock, audience, slots: Semaphore::new(MAX_REVIEWS), refused: Mutex::default() }
    }

    /// Has a token reviewed. `claims` are those that the token has; they were not verified.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub(crate) async fn review(&self, token: &str, claims: &PodToken) -> Result<(), WorkloadError> {
        const REFUSED: WorkloadError = WorkloadError::Invalid("the cluster refused the pod's token");
        let now = self.clock.now();
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        if self.refused().get(&key).is_some_and(|until| now < *until) {
            return Err(REFUSED);
        }
        let slot = tokio::time::timeout(PATIENCE, self.slots.acquire()).await;
        let Ok(Ok(_slot)) = slot else {
            return Err(Unavailable("too many tokens wait for their review".to_owned()).into());
        };
        let review = TokenReview {
            metadata: ObjectMeta::default(),
            spec: TokenReviewSpec { audiences: Some(vec![self.audience.clone()]), ..spec(token)? },
            status: None,
        };
        let answer: TokenReview = self
            .api
            .create("/apis/authentication.k8s.io/v1/tokenreviews", &review)
            .await
            .map_err(|error| unavailable(&error))?;
        if answer.status.is_some_and(|status| self.accepts(&status, claims)) {
            return Ok(());
        }
        let mut refused = self.refused();
        if refused.len() >= MAX_REFUSED {
            refused.retain(|_, until| now < *until);
            if refused.len() >= MAX_REFUSED {
                refused.clear();
            }
        }
        refused.insert(key, now.saturating_add(REFUSED_SECONDS));
        Err(REFUSED)
    }

    /// Whether the answer is about this audience and this pod.
    fn accepts(&self, status: &TokenReviewStatus, claims: &PodToken) -> bool {
        // An API server that knows no audiences leaves them out, and would accept tokens for others.
        let is_for_us = status.audiences.as_ref().is_some_and(|audiences| audiences.contains(&self.audience));
        let Some(user) = status.user.as_ref().filter(|_| status.authenticated == Some(true) && is_for_us)
        else {
            return false;
        };
        let empty = BTreeMap::new();
        let extra = user.extra.as_ref().unwrap_or(&empty);
        let is = |name: &str, value: &str| {
            extra.get(name).is_some_and(|values| matches!(values.as_slice(), [one] if one == value))
        };
        let PodToken { id, service_account, .. } = claims;
        let username = format!("system:serviceaccount:{}:{service_account}", id.namespace);
        user.username.as_deref() == Some(username.as_str()) && is(POD_NAME, &id.name) && is(POD_UID, &id.uid)
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], UnixTime>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a pod and its `TaskAction`, and returns what it works on if it runs.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub(crate) async fn running(
        &self,
        id: &WorkloadId,
        service_account: Option<&str>,
    ) -> Result<Workload, WorkloadError> {
        const ENDED: WorkloadError = WorkloadError::Invalid("the pod has ended");
        let path = watch::pod_path(&id.namespace, &id.name);
        let pod: Option<Pod> = self.api.object(&path).await.map_err(|error| unavailable(&error))?;
        let pod = pod.and_then(PodRecord::of).filter(|pod| pod.id == *id).ok_or(ENDED)?;
        if !pod.runs(self.clock.now()) {
            return Err(ENDED);
        }
        if service_account.is_some_and(|name| name != pod.service_account) {
            return Err(WorkloadError::Invalid("the pod has another service account than its token"));
        }
        let owner = pod.owner.as_ref().ok_or(WorkloadError::Invalid("the pod belongs to no task action"))?;
        let path = watch::action_path(&id.namespace, &owner.name);
        let action: Option<TaskAction> = self.api.object(&path).await.map_err(|error| unavailable(&error))?;
        let action = action
            .and_then(ActionRecord::of)
            .ok_or(WorkloadError::Invalid("the task action of the pod does not exist"))?;
        pod.workload(&action).map_err(WorkloadError::Invalid)
    }
}

/// The specification of a review. The type of its field `token` differs between versions of Kubernetes.
fn spec(token: &str) -> Result<TokenReviewSpec, WorkloadError> {
    serde_json::from_value(json!({"token": token})).map_err(|error| Unavailable(error.to_string()).into())
}
