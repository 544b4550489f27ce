//! People: they have an account, and what the policies give it and its groups.

use super::EffectiveRights;
use crate::{Access, Caller};
use flyte_policy::Subject;
use flyte_store::StoreError;

pub(super) async fn look_up(
    access: &Access,
    caller: &Caller,
) -> Result<Result<EffectiveRights, &'static str>, StoreError> {
    if let Some(session) = caller.session_id()
        && access.store.session_by_id(session, access.clock.now()).await?.is_none()
    {
        return Ok(Err("the user has signed out of this browser"));
    }
    let account = access.store.user_by_id(&caller.subject).await?;
    Ok(match account.filter(|account| account.disabled_at.is_none()) {
        Some(account) => {
            let policies = access.policies.current(&*access.store).await?;
            let grants = policies.grants(&Subject::user(&account.id));
            Ok(EffectiveRights { grants, on_behalf_of: None })
        }
        None => Err("the account is disabled or gone"),
    })
}
