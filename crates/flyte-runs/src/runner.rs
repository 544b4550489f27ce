//! The interface of the runner for the rest of the server.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;

/// Works on attempts at tasks: on this machine, or by another system.
///
/// A runner is not called for single attempts. It takes them itself ([`Runs::claim`](super::Runs::claim)), asks which of them it
/// must stop ([`Runs::aborted_attempts`](super::Runs::aborted_attempts)), and reports on them; [`Runs::changed`](super::Runs::changed)
/// wakes it. Therefore creating or aborting a run never depends on the runner.
pub trait Runner: fmt::Debug + Send + Sync + 'static {
    /// The reason for which this runner runs no task, as text for users. `None` if it runs tasks, and also if its settings turn it off:
    /// tasks then wait in the queue.
    fn refusal(&self) -> Option<String>;

    /// Works on attempts until the future is dropped. Tasks that run then continue, and the next call finds them.
    fn run(self: Arc<Self>) -> BoxFuture<'static, ()>;
}
