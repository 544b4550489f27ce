//! The kinds of principals, and their current rights.
//!
//! A token states the kind of its subject, so subjects of different kinds cannot be confused. To add a kind, add its
//! variant to [`PrincipalKind`], a module beside this one with a `look_up` function, and an arm in [`look_up`].

mod api_key;
mod federated;
mod person;
mod run;

use super::{Access, Caller};
use flyte_model::{Limit, PrincipalKind, Role};
use flyte_store::StoreError;

/// The current rights of a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EffectiveRights {
    /// Its role.
    pub(super) role: Role,
    /// The projects and domains to which the role applies.
    pub(super) limit: Limit,
}

/// Returns the current rights of a verified token's principal, or the reason why it has none. The result is valid for
/// [`super::ACCOUNT_CHECK_INTERVAL`]; a change that must take effect sooner revokes the principal's family.
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
