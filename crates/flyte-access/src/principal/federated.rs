//! CI jobs (workload identity federation): they have the rights of their trust rule while the rule exists.

use super::{EffectiveRights, creator};
use crate::{Access, Caller};
use flyte_policy::Grants;
use flyte_store::StoreError;

pub(super) async fn look_up(
    access: &Access,
    caller: &Caller,
) -> Result<Result<EffectiveRights, &'static str>, StoreError> {
    let rule = access.store.trust_rule_by_family(&caller.family_id).await?;
    Ok(match rule {
        Some(rule) => {
            let own = Grants::of_role(rule.rights.role, &rule.rights.limit);
            let grants = creator::limit(access, own, &rule.created_by).await?;
            Ok(EffectiveRights { grants, on_behalf_of: None })
        }
        None => Err("the trust rule is gone"),
    })
}
