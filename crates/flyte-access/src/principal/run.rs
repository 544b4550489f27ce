//! Runs: a run may use its own project and domain while it is not finished and while its creator may use them.

use super::{EffectiveRights, api_key, federated, named::without_rights, person};
use crate::{Access, Caller};
use flyte_model::{Limit, Role, Scopes, clock::UnixMillis};
use flyte_policy::{Grants, Permissions};
use flyte_store::{Creator, CreatorKind, StoreError};

/// Milliseconds in a second.
const MILLIS_PER_SECOND: i64 = 1000;

pub(super) async fn look_up(
    access: &Access,
    caller: &Caller,
) -> Result<Result<EffectiveRights, &'static str>, StoreError> {
    let Some(run) = access.store.run_by_family(&caller.family_id).await? else {
        return Ok(Err("the run is gone"));
    };
    if run.ended_at.is_some() {
        return Ok(Err("the run has ended"));
    }
    limited(access, &run.creator, run.created_at, &run.id.project, &run.id.domain).await
}

/// Returns the rights in a project and domain of a run that `creator` started at `started_at`.
pub(super) async fn limited(
    access: &Access,
    creator: &Creator,
    started_at: UnixMillis,
    project: &str,
    domain: &str,
) -> Result<Result<EffectiveRights, &'static str>, StoreError> {
    let rights = match current(access, creator, started_at).await? {
        Ok(rights) => rights,
        Err(why) => return Ok(Err(why)),
    };
    let limit = Limit { project: Some(project.to_owned()), domain: Some(domain.to_owned()) };
    let most = Permissions::of_role(creator.role.min(Role::Contributor));
    let permissions = rights.grants.permissions_over(&limit).intersection(most);
    if permissions.is_empty() || !creator.limit.covers(&limit) {
        return Ok(Err("the creator of the run may no longer use its project and domain"));
    }
    let grants = Grants::of(permissions, &limit);
    Ok(Ok(EffectiveRights { grants, on_behalf_of: Some(creator.clone()) }))
}

/// Returns the current rights of a run's creator.
async fn current(
    access: &Access,
    creator: &Creator,
    started_at: UnixMillis,
) -> Result<Result<EffectiveRights, &'static str>, StoreError> {
    let Creator { subject, kind, family_id, .. } = creator;
    let caller = Caller {
        client_id: creator.client_id.clone(),
        ..without_rights(subject, Scopes::new(), family_id.clone())
    };
    match kind {
        CreatorKind::Person => person::look_up(access, &caller).await,
        CreatorKind::Federated => federated::look_up(access, &caller).await,
        CreatorKind::ApiKey => {
            let key = access.store.api_key_by_id(&creator.client_id).await?;
            // A key with a new secret is the same key with another family. A new key with the name of a deleted key
            // is not the same.
            let family_id = match key {
                Some(key) if key.created_at < started_at / MILLIS_PER_SECOND => key.family_id,
                _ => family_id.clone(),
            };
            api_key::look_up(access, &Caller { family_id, ..caller }).await
        }
    }
}
