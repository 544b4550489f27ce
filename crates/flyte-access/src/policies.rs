//! The snapshot of all policies, and its renewal.

use std::sync::{Arc, PoisonError, RwLock};

use flyte_policy::PolicySet;
use flyte_store::{Store, StoreError};

/// The latest snapshot of all policies. Callers read it without waiting; one reload runs at a time.
#[derive(Debug, Default)]
pub(super) struct Policies {
    current: RwLock<Option<Arc<PolicySet>>>,
    reload: tokio::sync::Mutex<()>,
}

impl Policies {
    fn known(&self) -> Option<Arc<PolicySet>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The generation of the snapshot; `None` if there is none yet.
    pub(super) fn generation(&self) -> Option<i64> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|set| set.generation())
    }

    /// Returns the policies as they are stored now. Reads all of them if they have changed, otherwise only their generation.
    pub(super) async fn current(&self, store: &dyn Store) -> Result<Arc<PolicySet>, StoreError> {
        let is_current = |generation| move |set: &Arc<PolicySet>| set.generation() == generation;
        let generation = store.policy_generation().await?;
        if let Some(known) = self.known().filter(is_current(generation)) {
            return Ok(known);
        }
        let _one_at_a_time = self.reload.lock().await;
        // Another task may have read them in the meantime.
        let generation = store.policy_generation().await?;
        if let Some(known) = self.known().filter(is_current(generation)) {
            return Ok(known);
        }
        let rows = store.policy_rows().await?;
        // With 100,000 bindings this takes long enough to hold other calls up.
        let set = tokio::task::spawn_blocking(move || PolicySet::new(rows))
            .await
            .map_err(|error| StoreError::Backend(error.into()))?;
        let set = Arc::new(set);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&set));
        Ok(set)
    }
}

#[cfg(test)]
mod tests;
