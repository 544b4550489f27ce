//! The creator of an API key or a trust rule: what it created may never do more than it may do itself.

use crate::Access;
use flyte_policy::{Grants, Permissions, Subject};
use flyte_store::{ApiKey, StoreError};

/// The longest chain of API keys that created each other. Keys that are created by keys cannot form a cycle, because the creator
/// is older; this bounds a damaged database.
const LONGEST_CHAIN: usize = 32;

/// Limits rights to what their creator may do now. A creator that is not known here, for example because its account was deleted,
/// is no limit: what must end with its creator is deleted with it.
///
/// Whether the account is disabled is not looked at: its API keys are deleted then, and its trust rules stay.
pub(super) async fn limit(access: &Access, own: Grants, created_by: &str) -> Result<Grants, StoreError> {
    let mut grants = own;
    let mut created_by = created_by.to_owned();
    for _ in 0..LONGEST_CHAIN {
        if let Some(user) = access.store.user_by_id(&created_by).await? {
            let policies = access.policies.current(&*access.store).await?;
            return Ok(grants.limited_by(&policies.grants(&Subject::user(&user.id))));
        }
        let Some(key) = access.store.api_key_by_subject(&created_by).await? else { return Ok(grants) };
        grants = grants.limited_by(&of_key(access, &key).await?);
        created_by = key.created_by;
    }
    Ok(Grants::none())
}

/// What an API key itself has: its own role, and what policies give it.
pub(super) async fn of_key(access: &Access, key: &ApiKey) -> Result<Grants, StoreError> {
    let policies = access.policies.current(&*access.store).await?;
    let permissions = Permissions::of_role(key.rights.role);
    Ok(policies.grants_beside(&Subject::application(key.client_id.as_str()), permissions, &key.rights.limit))
}
