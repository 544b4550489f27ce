//! Workloads: pods of a cluster, which prove by tokens of their platform who they are. They have no secret of this
//! server.
//!
//! [`Workloads`] verifies these tokens and names the run that the pod works on; flyte-kubernetes implements it. The caller
//! is that run ([`PrincipalKind::Run`]), limited to its project and domain. Its rights
//! are never more than those that the principal that started the run has now: see `starters`.
//!
//! All tokens of a pod have one family, [`WorkloadId::family_id`], which contains its `uid`. The platform never uses that
//! again, so [`Access::end_workload`] ends the pod's rights for good: cached tokens, tokens of this server that it got in
//! exchange, and open streams.

pub(crate) mod starters;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use http::{HeaderMap, header};
use serde::Deserialize;

pub use self::starters::{RunStarters, StartedBy};
use super::{Access, Caller, Reason, cache::Verified, principal, token_of};
use flyte_model::{ClientId, PrincipalKind, Scope, clock::UnixTime};
use flyte_policy::Grants;
use flyte_store::RunId;

/// The prefix of the families of workloads. The families of other principals are UUIDs.
const FAMILY_PREFIX: &str = "pod:";
/// The `client_id` of pods, which are not registered as clients.
const CLIENT_ID: ClientId = ClientId::from_static("pod");

/// The identity of a pod. Two pods with the same name at different times differ in `uid`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorkloadId {
    /// Its namespace.
    pub namespace: String,
    /// Its name in the namespace.
    pub name: String,
    /// The identifier that no other object of the cluster has or had.
    pub uid: String,
}

impl WorkloadId {
    /// The family of all tokens of this pod. The parts have no slashes (Kubernetes, "Object Names and IDs"), so two pods
    /// never share a family.
    #[must_use]
    pub fn family_id(&self) -> String {
        format!("{FAMILY_PREFIX}{self}")
    }

    /// Returns the pod whose tokens have this family; `None` for the family of another principal.
    #[must_use]
    pub fn of_family(family_id: &str) -> Option<Self> {
        let mut parts = family_id.strip_prefix(FAMILY_PREFIX)?.split('/');
        let (namespace, name, uid) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || [namespace, name, uid].contains(&"") {
            return None;
        }
        Some(Self { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() })
    }
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.name, self.uid)
    }
}

/// A running pod, and what it works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The pod.
    pub id: WorkloadId,
    /// The run.
    pub run: RunId,
    /// The action of that run.
    pub action: String,
}

/// A verified token of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadToken {
    /// The pod that the token is bound to.
    pub workload: Workload,
    /// Identifier of the token in logs; empty if the platform gives it none.
    pub token_id: String,
    /// The time until which this server accepts the token, which may be earlier than its `exp`.
    pub expires_at: UnixTime,
}

/// Something that is needed to check a caller is out of reach. The text is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// The reason why a workload is not a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// The token is invalid, or its pod has no rights. The text is for the caller.
    #[error("{0}")]
    Invalid(&'static str),
    /// The platform cannot be asked, so it is unknown whether the token is valid.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The platform that pods run on.
#[async_trait]
pub trait Workloads: fmt::Debug + Send + Sync + 'static {
    /// Whether a token has the form of one of this platform's pods. Nothing is verified.
    fn recognizes(&self, token: &str) -> bool;

    /// Verifies a token and finds its pod, which must be running.
    ///
    /// # Errors
    /// [`WorkloadError`].
    async fn identify(&self, token: &str) -> Result<WorkloadToken, WorkloadError>;

    /// Returns a pod that is running.
    ///
    /// # Errors
    /// [`WorkloadError`].
    async fn running(&self, id: &WorkloadId) -> Result<Workload, WorkloadError>;
}

/// The platform, and the source of what this server does not know of its runs.
#[derive(Debug)]
struct Platform {
    workloads: Arc<dyn Workloads>,
    starters: Arc<dyn RunStarters>,
}

/// The platform that [`Access::accept_workloads`] sets.
#[derive(Debug, Default)]
pub(super) struct PlatformCell(OnceLock<Platform>);

impl PlatformCell {
    fn get(&self) -> Result<&Platform, WorkloadError> {
        self.0.get().ok_or(WorkloadError::Invalid("pods are not callers of this server"))
    }
}

/// The issuer that a token names. Nothing is verified.
fn issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    Some(jsonwebtoken::dangerous::insecure_decode_claims::<Issuer>(token).ok()?.iss)
}

impl Caller {
    /// Returns the pod that calls; `None` if the caller is another principal.
    #[must_use]
    pub fn workload_id(&self) -> Option<WorkloadId> {
        WorkloadId::of_family(&self.family_id)
    }
}

impl Access {
    /// Accepts pods as callers from now on. `starters` knows the runs of the backend that the pods work for. Later calls
    /// have no effect.
    pub fn accept_workloads(&self, workloads: Arc<dyn Workloads>, starters: Arc<dyn RunStarters>) {
        // The first platform stays: callers may have been checked with it.
        let _ = self.platform.0.set(Platform { workloads, starters });
    }

    /// Whether pods are accepted and a token has the form of a pod's. Nothing is verified.
    #[must_use]
    pub fn recognizes_workload(&self, token: &str) -> bool {
        self.platform.0.get().is_some_and(|platform| platform.workloads.recognizes(token))
    }

    /// Whether `token` is to be verified as that of a pod: pods are accepted, and it names another issuer.
    pub(super) fn is_of_workload(&self, token: &str) -> bool {
        self.platform.0.get().is_some() && issuer(token).is_some_and(|issuer| issuer != self.config.issuer())
    }

    /// Whether `Authorization` has a token that names this server as its issuer, valid or not. Others are none of its business.
    #[must_use]
    pub fn has_own_token(&self, headers: &HeaderMap) -> bool {
        let tokens = headers.get_all(header::AUTHORIZATION).iter().filter_map(token_of);
        tokens.filter_map(issuer).any(|issuer| issuer == self.config.issuer())
    }

    /// Verifies the token of a pod, and returns the pod and its rights as a caller. The result is not cached.
    ///
    /// # Errors
    /// The [`Reason`] for refusing the token.
    pub async fn identify_workload(&self, token: &str) -> Result<(WorkloadToken, Caller), Reason> {
        let verified = self.platform.get()?.workloads.identify(token).await?;
        let caller = caller(&verified);
        if self.is_revoked(&caller) {
            return Err(Reason::Invalid("the pod has ended"));
        }
        let rights = principal::rights_of_workload(self, &verified.workload).await??;
        Ok((verified, rights.given_to(caller)))
    }

    /// [`Access::authenticate`] for the token of a pod. After each [`super::ACCOUNT_CHECK_INTERVAL`] the whole token is
    /// verified again, because the platform may have withdrawn its key.
    pub(super) async fn authenticate_workload(
        &self,
        token: &str,
        key: [u8; 32],
        keys_generation: u64,
    ) -> Result<Arc<Caller>, Reason> {
        let now = self.clock.now();
        let policies_generation = self.policies.generation();
        let (verified, caller) = self.identify_workload(token).await?;
        let caller = Arc::new(caller);
        let expires_at = verified.expires_at;
        let verified = Verified {
            caller: Arc::clone(&caller),
            expires_at,
            keys_generation,
            policies_generation,
            account_checked_at: now,
        };
        self.cache.put(key, verified, now);
        // The pod may have ended between its verification and the line above.
        self.require_not_revoked(&caller)
    }

    /// Returns a pod that is running.
    pub(super) async fn running_workload(&self, id: &WorkloadId) -> Result<Workload, WorkloadError> {
        self.platform.get()?.workloads.running(id).await
    }

    /// Ends the rights of a pod, at once and for good. To be called when the pod ends. Each replica sees the end itself.
    pub fn end_workload(&self, id: &WorkloadId) {
        self.revoked.insert_until_forgotten(&id.family_id(), self.clock.now());
        self.end_revoked_streams();
    }
}

/// The run that a pod works on, as a caller that has no rights yet.
fn caller(WorkloadToken { workload, token_id, expires_at }: &WorkloadToken) -> Caller {
    Caller {
        subject: workload.run.to_string(),
        client_id: CLIENT_ID,
        scopes: [Scope::ALL].into(),
        family_id: workload.id.family_id(),
        token_id: token_id.clone(),
        expires_at: *expires_at,
        principal: PrincipalKind::Run,
        authenticated_at: None,
        grants: Grants::none(),
        on_behalf_of: None,
    }
}

#[cfg(test)]
mod tests;
