//! The interface of the app host for the rest of the server.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;

use super::Watcher;
use flyte_store::AppRecord;

/// Keeps apps running: on this machine, or by another system.
///
/// The database stores the desired state of each app and its status ([`AppStore`](flyte_store::AppStore)). [`AppHost::notify`]
/// only says that something changed; the host reads what changed there, and writes there what it does.
pub trait AppHost: fmt::Debug + Send + Sync + 'static {
    /// The reason for which this host runs no app, as text for users; `None` if it runs apps.
    fn refusal(&self) -> Option<String>;

    /// Wakes the host and all watchers ([`AppHost::watch`]) after an app was created, changed or deleted.
    fn notify(&self);

    /// Waits for changes of any app from now on, also for those that the host makes. Several changes in a short time wake it once.
    fn watch(&self) -> Watcher;

    /// The URL of an app that has a process; `None` if it has none.
    fn url(&self, app: &AppRecord) -> Option<String>;

    /// Removes the files of a deleted app: now or, if it has a process, after that process has ended.
    fn remove(&self, app: &AppRecord);

    /// Keeps apps running until the future is dropped. Apps that run then continue, and the next call finds them.
    fn run(self: Arc<Self>) -> BoxFuture<'static, ()>;
}
