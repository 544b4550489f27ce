//! Jobs of CI systems: they may do what the trust rule says that their tokens were exchanged under, as long as it exists.

use super::Standing;
use crate::{access::Caller, app::App};
use flyte_store::StoreError;

pub(super) async fn look_up(
    app: &App,
    caller: &Caller,
) -> Result<Result<Standing, &'static str>, StoreError> {
    let rule = app.store.trust_rule_by_family(&caller.family_id).await?;
    Ok(match rule {
        Some(rule) => Ok(Standing { role: rule.rights.role, limit: rule.rights.limit }),
        None => Err("the trust rule is gone"),
    })
}
