//! Starts, monitors, restarts and stops each app.
//!
//! The database contains the wanted state of an app and the number of its process. The directory of the process contains
//! the state of the process. The watchdog compares both in each step, and it records the number and the port before it
//! starts a process. So it recovers from a crash of the server at any moment.

use std::{collections::HashSet, io, path::Path, sync::Arc, time::Duration};

use flyte_idl::flyteidl2::core::Container;
use tokio::{task::JoinSet, time::sleep};

use super::{Apps, command, directories, port};
use crate::{
    State,
    outcome::describe_end,
    process::{self, Found, Process, Supervisor},
    root,
};
use flyte_runs::Watcher;
use flyte_store::{AppChange, AppId, AppNote, AppQuery, AppRecord, AppStatus, StoreError};

/// The delay before the next try if the database or the disk failed.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The time between two checks of an app that does not answer yet.
const STARTUP_CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// The time between two checks of an app that answers.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The longest time between a failure and the next start.
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// The seconds for which an app must answer before its failures no longer count.
const STABLE_SECONDS: i64 = 60;
/// The number of processes of an app whose logs are kept.
const KEPT_LOGS: u64 = 3;

/// Why a step of a watchdog failed.
#[derive(Debug, thiserror::Error)]
enum WatchdogError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot use the app's directory: {0}")]
    Io(#[from] io::Error),
}

/// Keeps apps running until the future is dropped. Running apps then continue, and the next server finds them.
pub(crate) async fn run(state: Arc<State>, apps: Arc<Apps>) {
    if root::refusal(&state.config).is_some() {
        // The runner logs the reason.
        return std::future::pending().await;
    }
    while let Err(error) = remove_strays(&state).await {
        tracing::error!(%error, "cannot remove what deleted apps left behind");
        sleep(RETRY_DELAY).await;
    }
    let mut changed = apps.changes.watch();
    let mut watchdogs = JoinSet::new();
    let mut watched = HashSet::new();
    loop {
        changed.mark_seen();
        match state.store.busy_apps().await {
            Ok(ids) => {
                for id in ids {
                    if watched.insert(id.clone()) {
                        let watchdog = Watchdog::new(Arc::clone(&state), Arc::clone(&apps), id.clone());
                        watchdogs.spawn(watchdog.run());
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "cannot read the list of apps from the database");
                sleep(RETRY_DELAY).await;
                continue;
            }
        }
        tokio::select! {
            () = changed.changed() => {}
            Some(done) = watchdogs.join_next() => match done {
                Ok(id) => drop(watched.remove(&id)),
                Err(error) => {
                    tracing::error!(%error, "the watchdog of an app failed: restart the server to monitor the app again");
                }
            },
        }
    }
}

/// Stops processes and removes directories that belong to no app. They remain if the server was killed while it deleted or
/// replaced an app.
async fn remove_strays(state: &State) -> Result<(), WatchdogError> {
    let data_dir = &state.config.data_dir;
    let (mut wanted, mut apps) = (HashSet::new(), HashSet::new());
    let mut query = AppQuery { limit: 1000, ..AppQuery::default() };
    loop {
        let (page, token) = state.store.list_apps(&query).await?;
        for record in page {
            wanted.extend(record.process.map(|number| directories::of_process(data_dir, &record.id, number)));
            apps.insert(directories::of_app(data_dir, &record.id));
        }
        if token.is_empty() {
            break;
        }
        query.page_token = token;
    }
    for directory in directories::below(&directories::root(data_dir), 4)? {
        if !wanted.contains(&directory) {
            stop(&directory).await?;
        }
    }
    for directory in directories::below(&directories::root(data_dir), 3)? {
        if !apps.contains(&directory) {
            directories::remove(&directory)?;
        }
    }
    Ok(())
}

/// Stops the process in `directory` if one is running, and waits for its end.
async fn stop(directory: &Path) -> io::Result<()> {
    if let Found::Running(mut process) = process::find(directory).await? {
        process.stop();
        process.ended().await?;
    }
    Ok(())
}

/// Monitors one app.
struct Watchdog {
    state: Arc<State>,
    apps: Arc<Apps>,
    id: AppId,
    changed: Watcher,
    failures: u32,
}

/// What a watchdog does after a step.
enum Next {
    /// Take the next step at once.
    Continue,
    /// Take the next step after this time, or when the app changes.
    Wait(Duration),
    /// End: the app needs no watchdog.
    End,
}

impl Watchdog {
    fn new(state: Arc<State>, apps: Arc<Apps>, id: AppId) -> Self {
        let changed = apps.changes.watch();
        Self { state, apps, id, changed, failures: 0 }
    }

    async fn run(mut self) -> AppId {
        loop {
            self.changed.mark_seen();
            match self.step().await {
                Ok(Next::Continue) => {}
                Ok(Next::Wait(time)) => self.wait(time).await,
                Ok(Next::End) => return self.id,
                Err(error) => {
                    tracing::error!(%error, app = %self.id.name, "a step of the watchdog of an app failed");
                    sleep(RETRY_DELAY).await;
                }
            }
        }
    }

    /// Waits for this time, or until the app has another revision.
    async fn wait(&mut self, time: Duration) {
        let before = self.record().await.ok().flatten().map(|record| record.revision);
        let end = sleep(time);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return,
                () = self.changed.changed() => {
                    let now = self.record().await.ok().flatten().map(|record| record.revision);
                    if now != before {
                        self.failures = 0;
                        return;
                    }
                }
            }
        }
    }

    async fn record(&self) -> Result<Option<AppRecord>, StoreError> {
        self.state.store.app_by_id(&self.id).await
    }

    /// Compares the app with its process, and starts or stops the process if necessary.
    async fn step(&mut self) -> Result<Next, WatchdogError> {
        let Some(record) = self.record().await? else {
            self.remove().await?;
            return Ok(Next::End);
        };
        let Some(number) = record.process else {
            if record.wanted {
                return self.start(&record).await;
            }
            self.note(&record, AppStatus::Stopped, "stopped".to_owned(), AppChange::None).await?;
            return Ok(Next::End);
        };
        let directory = directories::of_process(&self.state.config.data_dir, &self.id, number);
        match process::find(&directory).await? {
            Found::Running(process) if record.wanted && record.process_revision == Some(record.revision) => {
                self.monitor(&record, process).await?;
                Ok(Next::Continue)
            }
            Found::Running(mut process) => {
                process.stop();
                process.ended().await?;
                Ok(Next::Continue)
            }
            // The server was killed before it started the process.
            Found::NotStarted => {
                self.note_end(&record, AppStatus::Pending, "waiting for a start".to_owned()).await?;
                Ok(Next::Continue)
            }
            _ if !record.wanted => {
                self.note_end(&record, AppStatus::Stopped, "stopped".to_owned()).await?;
                Ok(Next::End)
            }
            // The watchdog stopped the process to replace it.
            _ if record.process_revision != Some(record.revision) => {
                self.note_end(&record, AppStatus::Pending, "restarting after a change of the app".to_owned())
                    .await?;
                Ok(Next::Continue)
            }
            Found::Ended(exit) => {
                let message = describe_end(&exit.how, &directory);
                self.note_end(&record, AppStatus::Failed, message).await?;
                Ok(Next::Wait(self.count_failure()))
            }
            Found::Lost => {
                let message = "the app ended because its supervisor was killed".to_owned();
                self.note_end(&record, AppStatus::Failed, message).await?;
                Ok(Next::Wait(self.count_failure()))
            }
        }
    }

    /// Counts a failure and returns the delay before the next start. The delay starts at one second and doubles each time.
    fn count_failure(&mut self) -> Duration {
        let time = RETRY_DELAY.saturating_mul(1 << self.failures.min(6)).min(MAX_BACKOFF);
        self.failures = self.failures.saturating_add(1);
        time
    }

    async fn start(&mut self, record: &AppRecord) -> Result<Next, WatchdogError> {
        let container = match command::container(record) {
            Ok(container) => container,
            Err(why) => {
                self.note(record, AppStatus::Failed, why, AppChange::None).await?;
                return Ok(Next::Wait(MAX_BACKOFF));
            }
        };
        let port = self.apps.ports.assign(&self.id, command::declared_port(&container))?;
        let message = format!("starting; waiting until the app listens on port {port} (the variable PORT)");
        let starts = AppChange::Starts { port };
        let Some(noted) = self.note(record, AppStatus::Deploying, message, starts).await? else {
            return Ok(Next::Continue);
        };
        let number = noted.process.unwrap_or_default();
        if let Err(why) = self.launch(&container, port, number).await {
            self.note_end(&noted, AppStatus::Failed, why).await?;
            return Ok(Next::Wait(self.count_failure()));
        }
        Ok(Next::Continue)
    }

    /// Starts the process with this number in its own directory.
    async fn launch(&self, container: &Container, port: u16, number: u64) -> Result<(), String> {
        let data_dir = &self.state.config.data_dir;
        let directory = directories::of_process(data_dir, &self.id, number);
        let unusable =
            |error: io::Error| format!("cannot use the directory {}: {error}", directory.display());
        if let Some(old) = number.checked_sub(KEPT_LOGS) {
            directories::remove(&directories::of_process(data_dir, &self.id, old)).map_err(unusable)?;
        }
        // A deleted app of the same name may have left a process.
        stop(&directory).await.map_err(unusable)?;
        directories::remove(&directory).map_err(unusable)?;
        let spec = command::build_spec(&self.state, &self.id, container, port, &directory)?;
        std::fs::create_dir_all(&directory)
            .and_then(|()| Supervisor::default().start(&directory, &spec))
            .map(drop)
            .map_err(|error| format!("cannot start the app: {error}"))
    }

    /// Monitors a process until it ends or the app has another revision.
    async fn monitor(&mut self, record: &AppRecord, mut process: Process) -> Result<(), WatchdogError> {
        let Some(port) = record.port else { return Ok(()) };
        self.apps.ports.record(&self.id, port);
        let mut active = record.status() == AppStatus::Active;
        let mut active_since = self.state.clock.now();
        loop {
            let next_check = sleep(if active { CHECK_INTERVAL } else { STARTUP_CHECK_INTERVAL });
            tokio::select! {
                ended = process.ended() => {
                    ended?;
                    return Ok(());
                }
                () = self.changed.changed() => {
                    if self.record().await?.map(|now| now.revision) != Some(record.revision) {
                        return Ok(());
                    }
                    continue;
                }
                () = next_check => {}
            }
            let answers = port::answers(port).await;
            let now = self.state.clock.now();
            if answers && active && now - active_since >= STABLE_SECONDS {
                self.failures = 0;
            }
            if answers == active {
                continue;
            }
            (active, active_since) = (answers, now);
            let (status, message) = match answers {
                true => (AppStatus::Active, format!("the app answers on port {port}")),
                false => {
                    (AppStatus::Deploying, format!("the process runs but does not answer on port {port}"))
                }
            };
            if self.note(record, status, message, AppChange::None).await?.is_none() {
                return Ok(());
            }
        }
    }

    /// Notes that the app has no process any more.
    async fn note_end(
        &self,
        record: &AppRecord,
        status: AppStatus,
        message: String,
    ) -> Result<(), WatchdogError> {
        if status == AppStatus::Failed {
            tracing::warn!(app = %self.id.name, project = %self.id.project, domain = %self.id.domain, %message, "an app failed");
        }
        self.apps.ports.release(&self.id);
        self.note(record, status, message, AppChange::Gone).await?;
        Ok(())
    }

    /// Notes the status of the app. `None` if the app has another revision now.
    async fn note(
        &self,
        record: &AppRecord,
        status: AppStatus,
        message: String,
        change: AppChange,
    ) -> Result<Option<AppRecord>, StoreError> {
        let note = AppNote { status, message, change };
        let noted =
            self.state.store.note_app(&self.id, record.revision, &note, self.state.clock.now()).await?;
        if noted.as_ref().is_some_and(|noted| noted != record) {
            self.apps.changes.notify();
        }
        Ok(noted)
    }

    /// Stops the processes of a deleted app and removes its directory.
    async fn remove(&self) -> Result<(), WatchdogError> {
        self.apps.ports.release(&self.id);
        let directory = directories::of_app(&self.state.config.data_dir, &self.id);
        for process in directories::below(&directory, 1)? {
            stop(&process).await?;
        }
        directories::remove(&directory)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
