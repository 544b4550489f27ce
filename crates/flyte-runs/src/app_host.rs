//! What keeps apps running, as the rest of the server knows it.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;

use super::Watcher;
use flyte_store::AppRecord;

/// Keeps apps running: on this machine, or by another system.
///
/// The database says what people want of an app and how the app fares ([`AppStore`](flyte_store::AppStore)). A host is told
/// only that something has changed; it reads the rest there, and notes there what it does.
pub trait AppHost: fmt::Debug + Send + Sync + 'static {
    /// Why this host runs no app, for people; `None` if it does.
    fn refusal(&self) -> Option<String>;

    /// Wakes the host, and all that [`AppHost::watch`], after an app was created, changed or deleted.
    fn notify(&self);

    /// Waits for changes of any app from now on, those that the host makes included. Changes are gathered for a moment.
    fn watch(&self) -> Watcher;

    /// The URL of an app that has a process; `None` if it has none.
    fn url(&self, app: &AppRecord) -> Option<String>;

    /// Removes what is left of an app that was deleted, now or, if it has a process, when that has ended.
    fn remove(&self, app: &AppRecord);

    /// Keeps apps running until the future is dropped. Apps that run then continue, and the next call finds them.
    fn run(self: Arc<Self>) -> BoxFuture<'static, ()>;
}
