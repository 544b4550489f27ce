//! The interface of this crate to the server: runs tasks, keeps apps running, and provides their logs.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};

use super::{
    State,
    apps::{self, Apps},
    root, scheduler,
    tail::{self, Logs},
};
use flyte_runs::{AppHost, LogSource, Runner, Watcher, log_source::Lines};
use flyte_store::{ActionId, AppId, AppRecord};

/// Runs tasks and apps as processes on this machine.
#[derive(Debug)]
pub struct LocalRunner {
    state: Arc<State>,
    logs: Arc<Logs>,
    apps: Arc<Apps>,
}

impl LocalRunner {
    /// Creates a runner for the tasks and apps of this server.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self { state: Arc::new(state), logs: Arc::default(), apps: Arc::default() }
    }
}

impl Runner for LocalRunner {
    fn refusal(&self) -> Option<String> {
        let config = &self.state.config;
        root::refusal(config).filter(|_| config.runner.max_tasks > 0).map(str::to_owned)
    }

    fn run(self: Arc<Self>) -> BoxFuture<'static, ()> {
        scheduler::run(Arc::clone(&self.state)).boxed()
    }
}

impl AppHost for LocalRunner {
    fn refusal(&self) -> Option<String> {
        root::refusal(&self.state.config).map(str::to_owned)
    }

    fn notify(&self) {
        self.apps.changes.notify();
    }

    fn watch(&self) -> Watcher {
        self.apps.changes.watch_gathered()
    }

    fn url(&self, app: &AppRecord) -> Option<String> {
        app.port.map(|port| apps::url(&self.state.config, port))
    }

    fn remove(&self, app: &AppRecord) {
        apps::remove(&self.state.config, app);
    }

    fn run(self: Arc<Self>) -> BoxFuture<'static, ()> {
        apps::run(Arc::clone(&self.state), Arc::clone(&self.apps)).boxed()
    }
}

impl LogSource for LocalRunner {
    fn of_attempt(&self, action: &ActionId, attempt: u32) -> Lines {
        tail::of_attempt(&self.state, &self.logs, action, attempt)
    }

    fn of_app(&self, app: &AppId, process: u64) -> Option<Lines> {
        apps::log(&self.state, &self.apps, &self.logs, app, process)
    }
}
