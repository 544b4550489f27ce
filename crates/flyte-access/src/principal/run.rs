//! Runs: a run may use its own project and domain while it is not finished and while its creator may use them.

use super::{EffectiveRights, api_key, federated, person};
use crate::{Access, Caller};
use flyte_model::{Limit, PrincipalKind, Role, Scopes, clock::UnixTime};
use flyte_store::{Creator, CreatorKind, Run, StoreError};

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
    let rights = match creator(access, &run).await? {
        Ok(rights) => rights,
        Err(why) => return Ok(Err(why)),
    };
    let limit = Limit { project: Some(run.id.project.clone()), domain: Some(run.id.domain.clone()) };
    if !rights.limit.covers(&limit) {
        return Ok(Err("the creator of the run may no longer use its project and domain"));
    }
    let role = rights.role.min(run.creator.role).min(Role::Contributor);
    Ok(Ok(EffectiveRights { role, limit }))
}

/// Returns the current rights of the run's creator.
async fn creator(access: &Access, run: &Run) -> Result<Result<EffectiveRights, &'static str>, StoreError> {
    let Creator { subject, kind, family_id, .. } = &run.creator;
    let caller = Caller {
        subject: subject.clone(),
        client_id: run.creator.client_id.clone(),
        scopes: Scopes::new(),
        family_id: family_id.clone(),
        token_id: String::new(),
        expires_at: UnixTime::MAX,
        principal: PrincipalKind::Person,
        authenticated_at: None,
        role: run.creator.role,
        limit: run.creator.limit.clone(),
    };
    match kind {
        CreatorKind::Person => person::look_up(access, &caller).await,
        CreatorKind::Federated => federated::look_up(access, &caller).await,
        CreatorKind::ApiKey => {
            let key = access.store.api_key_by_id(&run.creator.client_id).await?;
            // A key with a new secret is the same key with another family. A new key with the name of a deleted key
            // is not the same.
            let family_id = match key {
                Some(key) if key.created_at < run.created_at / MILLIS_PER_SECOND => key.family_id,
                _ => family_id.clone(),
            };
            api_key::look_up(access, &Caller { family_id, ..caller }).await
        }
    }
}
