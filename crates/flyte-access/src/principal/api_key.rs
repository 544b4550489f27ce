//! API keys: they have the rights that were granted to them, until they are deleted or expire.

use super::{EffectiveRights, creator};
use crate::{Access, Caller};
use flyte_store::StoreError;

pub(super) async fn look_up(
    access: &Access,
    caller: &Caller,
) -> Result<Result<EffectiveRights, &'static str>, StoreError> {
    let key = access.store.api_key_by_id(&caller.client_id).await?;
    Ok(match key {
        // A new key with the name of a deleted key has another family.
        Some(key) if key.family_id != caller.family_id => Err("the API key was replaced"),
        Some(key) if key.expires_at.is_some_and(|end| end <= access.clock.now()) => {
            Err("the API key has expired")
        }
        Some(key) => {
            let own = creator::of_key(access, &key).await?;
            let grants = creator::limit(access, own, &key.created_by).await?;
            Ok(EffectiveRights { grants, on_behalf_of: None })
        }
        None => Err("the API key is gone"),
    })
}
