//! The state of a runner for the tests of this crate.

use std::sync::Arc;

use flyte_model::Stopping;
use flyte_runs::testing::Server;

use crate::State;

/// Builds the state of a runner for `server`.
pub(crate) fn state(server: &Server) -> State {
    State {
        config: Arc::clone(&server.config),
        clock: server.clock.clone(),
        store: Arc::clone(&server.store),
        runs: Arc::clone(&server.runs),
        identities: server.identities(),
        objects: Arc::clone(&server.objects),
        stopping: Stopping::default(),
        backups: |_| Vec::new(),
    }
}
