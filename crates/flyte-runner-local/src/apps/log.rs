//! The logs of apps.

use std::sync::Arc;

use futures_util::StreamExt as _;

use super::{Apps, directories};
use crate::{
    State,
    tail::{Followed, Logs},
};
use flyte_runs::{
    Watcher,
    log_source::{Lines, TailError},
};
use flyte_store::AppId;

/// The log of an app's process. `None` if the process has no directory.
pub(crate) fn log(
    state: &Arc<State>,
    apps: &Apps,
    logs: &Arc<Logs>,
    app: &AppId,
    number: u64,
) -> Option<Lines> {
    let directory = directories::of_process(&state.config.data_dir, app, number);
    if number == 0 || !directory.is_dir() {
        return None;
    }
    let changes = apps.changes.watch();
    let process = Process { state: Arc::clone(state), id: app.clone(), number, changes };
    Some(logs.follow(directory, process).boxed())
}

/// A process of an app.
struct Process {
    state: Arc<State>,
    id: AppId,
    number: u64,
    changes: Watcher,
}

impl Followed for Process {
    async fn changed(&mut self) {
        tokio::select! {
            () = self.changes.changed() => {}
            () = self.state.stopping.stopped() => {}
        }
    }

    /// Whether the app no longer has this process.
    async fn has_ended(&self) -> Result<bool, TailError> {
        if self.state.stopping.is_stopping() {
            return Err(TailError::Stopping);
        }
        let record = self.state.store.app_by_id(&self.id).await?;
        Ok(record.is_none_or(|record| record.process != Some(self.number)))
    }
}
