//! Who acts: the kinds of principals, and what each may do now.
//!
//! A token says of which kind its subject is; subjects of different kinds can never be taken for each other. To add a kind:
//! its variant here, its module beside this one with a `look_up` like the others', and its arm in [`look_up`].

mod api_key;
mod federated;
mod person;
mod run;

use serde::{Deserialize, Serialize};

use super::Caller;
use crate::{
    app::App,
    store::{Limit, Role, StoreError},
};

/// What kind of principal the subject of a token is: the private claim `principal`, left out for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person with an account here; `sub` is the account's identifier.
    #[default]
    Person,
    /// An API key; `sub` is its `client_id`.
    ApiKey,
    /// A job of a trusted CI system; `sub` is the name of the trust rule, a colon, and the `sub` of the CI system's token.
    Federated,
    /// A run of this server; `sub` is `project/domain/name`.
    Run,
}

impl PrincipalKind {
    /// Whether it is the kind that tokens do not name.
    #[must_use]
    pub fn is_person(&self) -> bool {
        *self == Self::Person
    }
}

/// What a principal may do at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// What it may do at most.
    pub(super) role: Role,
    /// Where.
    pub(super) limit: Limit,
}

/// What the principal of a verified token may do now, or why it may do nothing. The answer is believed for
/// [`super::ACCOUNT_CHECK_INTERVAL`]; what must take effect sooner is told by revoking the principal's family.
pub(super) async fn look_up(
    app: &App,
    caller: &Caller,
) -> Result<Result<Standing, &'static str>, StoreError> {
    match caller.principal {
        PrincipalKind::Person => person::look_up(app, caller).await,
        PrincipalKind::ApiKey => api_key::look_up(app, caller).await,
        PrincipalKind::Federated => federated::look_up(app, caller).await,
        PrincipalKind::Run => run::look_up(app, caller).await,
    }
}
