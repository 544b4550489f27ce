//! The principals that started runs of a backend behind this server.
//!
//! The run of a backend has no record in [`super::RunStore`]: the backend has it. What this server remembers of it is the
//! principal whose rights limit those of the run's pods.

use async_trait::async_trait;

use super::{Creator, RunId, StoreError};
use flyte_model::clock::UnixMillis;

/// How long the principal is remembered, in milliseconds (90 days). Later the backend is asked again.
pub const RUN_STARTER_RETENTION: i64 = 90 * 86_400_000;

/// The principal that started a run of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStarter {
    /// The run.
    pub run: RunId,
    /// The principal, and its rights at that time.
    pub creator: Creator,
    /// The time at which it started the run.
    pub started_at: UnixMillis,
}

/// Storage of [`RunStarter`]s.
#[async_trait]
pub trait RunStarterStore: Send + Sync + 'static {
    /// Records the principal that started a run. A record that is older than `free_at` is that of an earlier run of the same
    /// name, which the backend has deleted: it is replaced. A younger one stays, and `false` is returned.
    async fn put_run_starter(&self, starter: &RunStarter, free_at: UnixMillis) -> Result<bool, StoreError>;
    /// Returns the principal that started this run, if it is recorded.
    async fn run_starter(&self, run: &RunId) -> Result<Option<RunStarter>, StoreError>;
    /// Deletes the record of this run, if there is one.
    async fn delete_run_starter(&self, run: &RunId) -> Result<(), StoreError>;
    /// Deletes the records of runs that were started before `before`; returns their number.
    async fn delete_run_starters(&self, before: UnixMillis) -> Result<u64, StoreError>;
}
