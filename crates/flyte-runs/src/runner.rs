//! What works on attempts, as the rest of the server knows it.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;

/// Works on attempts at tasks: on this machine, or by another system.
///
/// A runner is not called for single attempts. It takes them itself ([`Runs::claim`](super::Runs::claim)), asks which of them it
/// must stop ([`Runs::aborted_attempts`](super::Runs::aborted_attempts)), and reports on them; [`Runs::changed`](super::Runs::changed)
/// wakes it. So what creates or aborts a run does not depend on a runner that answers.
pub trait Runner: fmt::Debug + Send + Sync + 'static {
    /// Why this runner runs no task, for people. `None` if it runs tasks, and also if its settings leave that to others: the
    /// tasks then wait in the queue.
    fn refusal(&self) -> Option<String>;

    /// Works on attempts until the future is dropped. Tasks that run then continue, and the next call finds them.
    fn run(self: Arc<Self>) -> BoxFuture<'static, ()>;
}
