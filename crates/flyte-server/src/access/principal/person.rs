//! People: they have an account, and may do anything that its role lets them, anywhere.

use super::Standing;
use crate::{access::Caller, app::App};
use flyte_model::{Limit, Role};
use flyte_store::StoreError;

pub(super) async fn look_up(
    app: &App,
    caller: &Caller,
) -> Result<Result<Standing, &'static str>, StoreError> {
    let account = app.store.user_by_id(&caller.subject).await?;
    Ok(match account.filter(|account| account.disabled_at.is_none()) {
        Some(account) => {
            let role = if account.admin { Role::Admin } else { Role::Contributor };
            Ok(Standing { role, limit: Limit::default() })
        }
        None => Err("the account is disabled or gone"),
    })
}
