//! CI jobs (workload identity federation): they have the rights of their trust rule while the rule exists.

use super::EffectiveRights;
use crate::{Access, Caller};
use flyte_store::StoreError;

pub(super) async fn look_up(
    access: &Access,
    caller: &Caller,
) -> Result<Result<EffectiveRights, &'static str>, StoreError> {
    let rule = access.store.trust_rule_by_family(&caller.family_id).await?;
    Ok(match rule {
        Some(rule) => {
            Ok(EffectiveRights { role: rule.rights.role, limit: rule.rights.limit, on_behalf_of: None })
        }
        None => Err("the trust rule is gone"),
    })
}
