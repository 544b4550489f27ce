//! Reads runs, their actions and attempts.

use bytes::Bytes;

use super::Runs;
use flyte_store::{
    Action, ActionId, ActionQuery, Attempt, Phase, QueuedAttempt, Run, RunId, RunQuery, StoreError,
};

impl Runs {
    /// The run of this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run(&self, id: &RunId) -> Result<Option<Run>, StoreError> {
        self.store.run_by_id(id).await
    }

    /// The action of this name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn action(&self, id: &ActionId) -> Result<Option<Action>, StoreError> {
        self.store.action_by_id(id).await
    }

    /// The action's `TaskSpec`, `TraceSpec` or `ConditionAction`, encoded.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn action_spec(&self, id: &ActionId) -> Result<Option<Bytes>, StoreError> {
        self.store.action_spec(id).await
    }

    /// The attempts at an action, the first one first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn attempts(&self, id: &ActionId) -> Result<Vec<Attempt>, StoreError> {
        self.store.attempts(id).await
    }

    /// An attempt that began earlier, as [`Runs::claim`] returned it. `None` if its action or run does not exist.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claimed(&self, id: &ActionId, attempt: u32) -> Result<Option<QueuedAttempt>, StoreError> {
        let Some(action) = self.store.action_by_id(id).await? else { return Ok(None) };
        let Some(run) = self.store.run_by_id(&id.run).await? else { return Ok(None) };
        let spec = self.store.action_spec(id).await?.unwrap_or_default();
        Ok(Some(QueuedAttempt { action, attempt, spec, run }))
    }

    /// The run's actions that changed with a version above `after`, in the order of their last changes, at most `limit`; only
    /// those that `parent` called, if it is given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn actions_since(
        &self,
        run: &RunId,
        parent: Option<&str>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Action>, StoreError> {
        self.store.actions_since(run, parent, after, limit).await
    }

    /// The number of an action's children in each phase.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_children(&self, id: &ActionId) -> Result<Vec<(Phase, u32)>, StoreError> {
        self.store.count_children(id).await
    }

    /// A page of runs, each with its root action, and the next page's token, empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    pub async fn list(&self, query: &RunQuery) -> Result<(Vec<(Run, Action)>, String), StoreError> {
        self.store.list_runs(query).await
    }

    /// A page of a run's actions and the next page's token, empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    pub async fn list_actions(
        &self,
        run: &RunId,
        query: &ActionQuery,
    ) -> Result<(Vec<Action>, String), StoreError> {
        self.store.list_actions(run, query).await
    }
}
