//! Who acts: the kinds of principals, and what each may do now.
//!
//! A token says of which kind its subject is; subjects of different kinds can never be taken for each other. To add a kind:
//! its variant here, its module beside this one with a `look_up` like the others', and its arm in [`look_up`].

mod api_key;
mod federated;
mod person;
mod run;

use super::{Access, Caller};
use flyte_model::{Limit, PrincipalKind, Role};
use flyte_store::StoreError;

/// What a principal may do at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EffectiveRights {
    /// What it may do at most.
    pub(super) role: Role,
    /// Where.
    pub(super) limit: Limit,
}

/// What the principal of a verified token may do now, or why it may do nothing. The answer is believed for
/// [`super::ACCOUNT_CHECK_INTERVAL`]; what must take effect sooner is told by revoking the principal's family.
pub(super) async fn look_up(
    access: &Access,
    caller: &Caller,
) -> Result<Result<EffectiveRights, &'static str>, StoreError> {
    match caller.principal {
        PrincipalKind::Person => person::look_up(access, caller).await,
        PrincipalKind::ApiKey => api_key::look_up(access, caller).await,
        PrincipalKind::Federated => federated::look_up(access, caller).await,
        PrincipalKind::Run => run::look_up(access, caller).await,
    }
}
