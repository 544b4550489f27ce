//! The kinds of principals, and their current rights.
//!
//! A token states the kind of its subject, so subjects of different kinds cannot be confused. To add a kind, add its
//! variant to [`PrincipalKind`], a module beside this one with a `look_up` function, and an arm in [`look_up`].

mod api_key;
mod creator;
mod federated;
mod named;
mod person;
mod run;
mod workload;

pub use self::named::NamedPrincipal;
use super::{
    Access, Caller,
    workload::{Unavailable, Workload, WorkloadId, starters::StarterError},
};
use flyte_model::PrincipalKind;
use flyte_policy::Grants;
use flyte_store::{Creator, StoreError};

/// The current rights of a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EffectiveRights {
    /// What it may do, and where.
    pub(super) grants: Grants,
    /// The principal that started the run, if the principal is a run.
    pub(super) on_behalf_of: Option<Creator>,
}

impl EffectiveRights {
    /// The caller with these rights in place of its own.
    pub(super) fn given_to(self, caller: Caller) -> Caller {
        let Self { grants, on_behalf_of } = self;
        Caller { grants, on_behalf_of, ..caller }
    }
}

/// The rights of a principal could not be looked up.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookUpError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The platform of a workload, or its backend, is out of reach.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<StarterError> for LookUpError {
    fn from(error: StarterError) -> Self {
        match error {
            StarterError::Store(error) => Self::Store(error),
            StarterError::Backend(error) => Self::Unavailable(error),
        }
    }
}

/// Returns the current rights of a verified token's principal, or the reason why it has none. The result is valid for
/// [`super::ACCOUNT_CHECK_INTERVAL`]; a change that must take effect sooner revokes the principal's family.
pub(super) async fn look_up(
    access: &Access,
    caller: &Caller,
) -> Result<Result<EffectiveRights, &'static str>, LookUpError> {
    Ok(match caller.principal {
        PrincipalKind::Person => person::look_up(access, caller).await?,
        PrincipalKind::ApiKey => api_key::look_up(access, caller).await?,
        PrincipalKind::Federated => federated::look_up(access, caller).await?,
        PrincipalKind::Run => match WorkloadId::of_family(&caller.family_id) {
            Some(id) => workload::look_up(access, caller, &id).await?,
            None => run::look_up(access, caller).await?,
        },
    })
}

/// Returns the current rights of a running pod, or the reason why it has none.
pub(super) async fn rights_of_workload(
    access: &Access,
    workload: &Workload,
) -> Result<Result<EffectiveRights, &'static str>, LookUpError> {
    workload::rights(access, workload).await
}
