//! The interface to the logs of tasks and apps for the rest of the server.

use std::{fmt, io};

use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use flyte_store::{ActionId, AppId, StoreError};

/// The origin of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// The command's standard output.
    Stdout,
    /// The command's standard error.
    Stderr,
    /// The runner itself.
    System,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The time at which it was read from the command.
    pub time: Timestamp,
    /// Its origin.
    pub stream: Stream,
    /// The line without its end.
    pub text: String,
}

/// The reason why a log cannot be followed further.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The server is stopping. A client can continue with the next one.
    #[error("the server is stopping")]
    Stopping,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log cannot be read.
    #[error("the log cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A log from its first line to its last, in batches.
pub type Lines = BoxStream<'static, Result<Vec<Line>, TailError>>;

/// Provides the logs of attempts and apps.
pub trait LogSource: fmt::Debug + Send + Sync + 'static {
    /// The log of an attempt at an action. It ends with the attempt. If the attempt has not begun yet, it waits for it.
    fn of_attempt(&self, action: &ActionId, attempt: u32) -> Lines;

    /// The log of the app's process with this number. It ends with the process. `None` if there is no log.
    fn of_app(&self, app: &AppId, process: u64) -> Option<Lines>;
}
