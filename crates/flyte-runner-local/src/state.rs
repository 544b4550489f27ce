//! The parts of the server that the runner uses.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use flyte_model::{Stopping, clock::Clock};
use flyte_objects::Objects;
use flyte_runs::{RunIdentities, Runs};
use flyte_settings::Config;
use flyte_store::Store;

/// The parts of the server that the runner uses.
#[derive(Clone, Debug)]
pub struct State {
    /// The settings.
    pub config: Arc<Config>,
    /// The clock.
    pub clock: Clock,
    /// The database, for apps.
    pub store: Arc<dyn Store>,
    /// The runs whose tasks run here.
    pub runs: Arc<Runs>,
    /// Issues the tokens of tasks.
    pub identities: RunIdentities,
    /// The inputs and outputs of tasks.
    pub objects: Arc<Objects>,
    /// Whether the server is stopping.
    pub stopping: Stopping,
    /// Lists the backups of a data directory, which tasks must not read.
    pub backups: fn(&Path) -> Vec<PathBuf>,
}
