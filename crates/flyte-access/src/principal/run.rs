//! Runs: each may work in its own project and domain while it goes on and while whoever started it may do so.

use super::{EffectiveRights, api_key, federated, person};
use crate::{Access, Caller};
use flyte_model::{Limit, PrincipalKind, Role, clock::UnixTime};
use flyte_store::{Creator, CreatorKind, Run, StoreError};

/// Milliseconds of a second.
const MILLIS: i64 = 1000;

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
    let standing = match creator(access, &run).await? {
        Ok(standing) => standing,
        Err(why) => return Ok(Err(why)),
    };
    let limit = Limit { project: Some(run.id.project.clone()), domain: Some(run.id.domain.clone()) };
    if !standing.limit.covers(&limit) {
        return Ok(Err("whoever started the run no longer works in its project and domain"));
    }
    let role = standing.role.min(run.creator.role).min(Role::Contributor);
    Ok(Ok(EffectiveRights { role, limit }))
}

/// What whoever started the run may do now.
async fn creator(access: &Access, run: &Run) -> Result<Result<EffectiveRights, &'static str>, StoreError> {
    let Creator { subject, kind, family_id, .. } = &run.creator;
    let caller = Caller {
        subject: subject.clone(),
        client_id: run.creator.client_id.clone(),
        scopes: Vec::new(),
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
            let key = access.store.api_key_by_id(subject).await?;
            // A key that got a new secret is still the same key, with another family; one that was made anew under the
            // name of a deleted one is not.
            let family_id = match key {
                Some(key) if key.created_at < run.created_at / MILLIS => key.family_id,
                _ => family_id.clone(),
            };
            api_key::look_up(access, &Caller { family_id, ..caller }).await
        }
    }
}
