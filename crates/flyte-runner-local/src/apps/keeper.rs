//! Sees to it that each app is as somebody wants it.
//!
//! What is wanted and which process an app may have stand in the database; what has become of that process stands in its
//! directory. Both are looked at each time, so that it makes no difference at which moment the last server was killed:
//! before a process is started, its number and port are noted.

use std::{collections::HashSet, io, path::Path, sync::Arc, time::Duration};

use flyte_idl::flyteidl2::core::Container;
use tokio::{task::JoinSet, time::sleep};

use super::{Apps, command, place, port};
use crate::{
    State,
    outcome::ending,
    process::{self, Found, Process, Supervisor},
    root,
};
use flyte_runs::Watcher;
use flyte_store::{AppChange, AppId, AppNote, AppQuery, AppRecord, AppStatus, StoreError};

/// How long to wait before something is tried again that failed through the database or the disk.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a process that has just been started is asked whether it answers.
const LOOK: Duration = Duration::from_millis(200);
/// How often one that does is asked whether it still does.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The longest time between a failure and the next start.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// Seconds after which an app that answers has left its failures behind.
const SETTLED: i64 = 60;
/// How many processes of an app leave their logs behind.
const KEPT: u64 = 3;

/// Why an app cannot be seen to at the moment.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the app's directory cannot be used: {0}")]
    Io(#[from] io::Error),
}

/// Keeps apps running until it is dropped; those that run then go on, and the next server finds them.
pub(crate) async fn run(state: Arc<State>, apps: Arc<Apps>) {
    if root::refusal(&state.config).is_some() {
        // The runner tells why.
        return std::future::pending().await;
    }
    while let Err(error) = remove_strays(&state).await {
        tracing::error!(%error, "what is left of apps could not be looked through");
        sleep(PAUSE).await;
    }
    let mut changed = apps.changes.watch();
    let mut keepers = JoinSet::new();
    let mut kept = HashSet::new();
    loop {
        changed.mark_seen();
        match state.store.busy_apps().await {
            Ok(ids) => {
                for id in ids {
                    if kept.insert(id.clone()) {
                        let keeper = Keeper::new(Arc::clone(&state), Arc::clone(&apps), id.clone());
                        keepers.spawn(keeper.keep());
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "the apps that are to run could not be looked up");
                sleep(PAUSE).await;
                continue;
            }
        }
        tokio::select! {
            () = changed.changed() => {}
            Some(done) = keepers.join_next() => match done {
                Ok(id) => drop(kept.remove(&id)),
                Err(error) => {
                    tracing::error!(%error, "an app is not seen to any more until the server starts again");
                }
            },
        }
    }
}

/// Stops and removes what no app that there is has: those that were deleted, or replaced, as the last server was killed.
async fn remove_strays(state: &State) -> Result<(), KeepError> {
    let data_dir = &state.config.data_dir;
    let (mut wanted, mut apps) = (HashSet::new(), HashSet::new());
    let mut query = AppQuery { limit: 1000, ..AppQuery::default() };
    loop {
        let (page, token) = state.store.list_apps(&query).await?;
        for record in page {
            wanted.extend(record.process.map(|number| place::of_process(data_dir, &record.id, number)));
            apps.insert(place::of_app(data_dir, &record.id));
        }
        if token.is_empty() {
            break;
        }
        query.page_token = token;
    }
    for directory in place::below(&place::root(data_dir), 4)? {
        if !wanted.contains(&directory) {
            stop(&directory).await?;
        }
    }
    for directory in place::below(&place::root(data_dir), 3)? {
        if !apps.contains(&directory) {
            place::remove(&directory)?;
        }
    }
    Ok(())
}

/// Stops the process in `directory`, if there is one, and waits for its end.
async fn stop(directory: &Path) -> io::Result<()> {
    if let Found::Running(mut process) = process::find(directory).await? {
        process.stop();
        process.ended().await?;
    }
    Ok(())
}

struct Keeper {
    state: Arc<State>,
    apps: Arc<Apps>,
    id: AppId,
    changed: Watcher,
    failures: u32,
}

/// What to do next.
enum Next {
    /// Look at the app again.
    Look,
    /// Wait, for a change too, and look at it again.
    Wait(Duration),
    /// Nothing, until somebody wants something.
    Rest,
}

impl Keeper {
    fn new(state: Arc<State>, apps: Arc<Apps>, id: AppId) -> Self {
        let changed = apps.changes.watch();
        Self { state, apps, id, changed, failures: 0 }
    }

    async fn keep(mut self) -> AppId {
        loop {
            self.changed.mark_seen();
            match self.turn().await {
                Ok(Next::Look) => {}
                Ok(Next::Wait(time)) => self.wait(time).await,
                Ok(Next::Rest) => return self.id,
                Err(error) => {
                    tracing::error!(%error, app = %self.id.name, "an app could not be seen to");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Waits for the time, or until this app is at another revision.
    async fn wait(&mut self, time: Duration) {
        let before = self.record().await.ok().flatten().map(|record| record.revision);
        let over = sleep(time);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
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

    async fn turn(&mut self) -> Result<Next, KeepError> {
        let Some(record) = self.record().await? else {
            self.remove().await?;
            return Ok(Next::Rest);
        };
        let Some(number) = record.process else {
            if record.wanted {
                return self.start(&record).await;
            }
            self.note(&record, AppStatus::Stopped, "it is stopped".to_owned(), AppChange::None).await?;
            return Ok(Next::Rest);
        };
        let directory = place::of_process(&self.state.config.data_dir, &self.id, number);
        match process::find(&directory).await? {
            Found::Running(process) if record.wanted && record.process_revision == Some(record.revision) => {
                self.look_after(&record, process).await?;
                Ok(Next::Look)
            }
            Found::Running(mut process) => {
                process.stop();
                process.ended().await?;
                Ok(Next::Look)
            }
            // It was about to be.
            Found::NotStarted => {
                self.gone(&record, AppStatus::Pending, "it is to be started".to_owned()).await?;
                Ok(Next::Look)
            }
            _ if !record.wanted => {
                self.gone(&record, AppStatus::Stopped, "it is stopped".to_owned()).await?;
                Ok(Next::Rest)
            }
            // Stopped by us, for the new one.
            _ if record.process_revision != Some(record.revision) => {
                self.gone(&record, AppStatus::Pending, "it is started anew, as it was changed".to_owned())
                    .await?;
                Ok(Next::Look)
            }
            Found::Ended(exit) => {
                let message = ending(&exit.how, &directory);
                self.gone(&record, AppStatus::Failed, message).await?;
                Ok(Next::Wait(self.backoff()))
            }
            Found::Lost => {
                let message = "its supervisor was killed, and the app with it".to_owned();
                self.gone(&record, AppStatus::Failed, message).await?;
                Ok(Next::Wait(self.backoff()))
            }
        }
    }

    /// How long to wait after another failure: a second, and twice as long each time.
    fn backoff(&mut self) -> Duration {
        let time = PAUSE.saturating_mul(1 << self.failures.min(6)).min(LONGEST_BACKOFF);
        self.failures = self.failures.saturating_add(1);
        time
    }

    async fn start(&mut self, record: &AppRecord) -> Result<Next, KeepError> {
        let container = match command::container(record) {
            Ok(container) => container,
            Err(why) => {
                self.note(record, AppStatus::Failed, why, AppChange::None).await?;
                return Ok(Next::Wait(LONGEST_BACKOFF));
            }
        };
        let port = self.apps.ports.give(&self.id, command::liked_port(&container))?;
        let message = format!("it is started; it should listen at port {port}, which PORT tells it");
        let starts = AppChange::Starts { port };
        let Some(noted) = self.note(record, AppStatus::Deploying, message, starts).await? else {
            return Ok(Next::Look);
        };
        let number = noted.process.unwrap_or_default();
        if let Err(why) = self.launch(&container, port, number).await {
            self.gone(&noted, AppStatus::Failed, why).await?;
            return Ok(Next::Wait(self.backoff()));
        }
        Ok(Next::Look)
    }

    /// Starts the process of this number in a directory of its own.
    async fn launch(&self, container: &Container, port: u16, number: u64) -> Result<(), String> {
        let data_dir = &self.state.config.data_dir;
        let directory = place::of_process(data_dir, &self.id, number);
        let unusable =
            |error: io::Error| format!("its directory {} cannot be used: {error}", directory.display());
        if let Some(old) = number.checked_sub(KEPT) {
            place::remove(&place::of_process(data_dir, &self.id, old)).map_err(unusable)?;
        }
        // An app of the same name that was deleted may have left one.
        stop(&directory).await.map_err(unusable)?;
        place::remove(&directory).map_err(unusable)?;
        let spec = command::spec(&self.state, &self.id, container, port, &directory)?;
        std::fs::create_dir_all(&directory)
            .and_then(|()| Supervisor::default().start(&directory, &spec))
            .map(drop)
            .map_err(|error| format!("it cannot be started: {error}"))
    }

    /// Watches a process, until it has ended or the app is no longer what it was.
    async fn look_after(&mut self, record: &AppRecord, mut process: Process) -> Result<(), KeepError> {
        let Some(port) = record.port else { return Ok(()) };
        self.apps.ports.keep(&self.id, port);
        let mut active = record.status() == AppStatus::Active;
        let mut active_since = self.state.clock.now();
        loop {
            let look = sleep(if active { LOOK_AGAIN } else { LOOK });
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
                () = look => {}
            }
            let answers = port::answers(port).await;
            let now = self.state.clock.now();
            if answers && active && now - active_since >= SETTLED {
                self.failures = 0;
            }
            if answers == active {
                continue;
            }
            (active, active_since) = (answers, now);
            let (status, message) = match answers {
                true => (AppStatus::Active, format!("it answers at port {port}")),
                false => {
                    (AppStatus::Deploying, format!("its process runs and does not answer at port {port}"))
                }
            };
            if self.note(record, status, message, AppChange::None).await?.is_none() {
                return Ok(());
            }
        }
    }

    async fn gone(&self, record: &AppRecord, status: AppStatus, message: String) -> Result<(), KeepError> {
        if status == AppStatus::Failed {
            tracing::warn!(app = %self.id.name, project = %self.id.project, domain = %self.id.domain, %message, "an app failed");
        }
        self.apps.ports.give_back(&self.id);
        self.note(record, status, message, AppChange::Gone).await?;
        Ok(())
    }

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

    /// What there is of an app that was deleted.
    async fn remove(&self) -> Result<(), KeepError> {
        self.apps.ports.give_back(&self.id);
        let directory = place::of_app(&self.state.config.data_dir, &self.id);
        for process in place::below(&directory, 1)? {
            stop(&process).await?;
        }
        place::remove(&directory)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use buffa::Message as _;
    use flyte_idl::flyteidl2::app::{Spec, spec::AppPayload};

    use super::*;
    use flyte_model::{Actor, PrincipalKind};
    use flyte_runs::testing::Server;
    use flyte_store::NewApp;

    #[tokio::test]
    async fn what_an_earlier_process_left_is_the_apps_failure() {
        let home = tempfile::tempdir().unwrap();
        let data_dir = home.path().to_owned();
        let app = Server::new(move |config| config.data_dir = data_dir).await;
        let id = AppId { project: "p".to_owned(), domain: "d".to_owned(), name: "web".to_owned() };
        let payload = AppPayload::Container(Box::new(Container {
            command: vec!["web".to_owned()],
            ..Container::default()
        }));
        let spec = Spec { app_payload: Some(payload), ..Spec::default() };
        let new = NewApp {
            id: id.clone(),
            metadata: Vec::new(),
            spec: spec.encode_to_vec(),
            wanted: true,
            reason: String::new(),
            by: Actor { subject: "user-Ada".to_owned(), kind: PrincipalKind::Person },
            at: flyte_testing::NOW,
        };
        app.store.create_app(&new).await.unwrap();
        let left = place::of_process(home.path(), &id, 1);
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("lock"), "").unwrap();
        fs::write(left.join("exit.json"), "torn").unwrap();
        let mut keeper = Keeper::new(Arc::new(crate::testing::state(&app)), Arc::default(), id.clone());
        assert!(matches!(keeper.turn().await, Ok(Next::Wait(_))));
        let record = app.store.app_by_id(&id).await.unwrap().unwrap();
        assert_eq!((record.status(), record.process), (AppStatus::Failed, None));
        let told = &record.conditions.last().unwrap().message;
        assert!(told.contains(&left.display().to_string()), "{told}");
    }
}
