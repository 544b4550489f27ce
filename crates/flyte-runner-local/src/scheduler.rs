//! Takes queued attempts, as many as there are slots, and sees each to its end.
//!
//! What is known is known twice: in the database, which attempts have begun, and in their directories, what has become of
//! them. A server that starts compares the two, so that it makes no difference at which moment the last one was killed.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, task::JoinSet, time::sleep};

use super::{
    State, container, directory, identity, outcome,
    process::{self, Found, How, Process, Supervisor},
    root,
};
use flyte_runs::{Outcome, cached};
use flyte_store::{ActionId, Failure, QueuedAttempt, StoreError};

/// How long to wait before something is tried again that failed through the database or the disk.
const PAUSE: Duration = Duration::from_secs(1);

/// An attempt that is being worked on, and how it is told to stop.
type Working = Arc<Mutex<HashMap<(ActionId, u32), Arc<Notify>>>>;

/// Runs tasks until it is dropped; those that run then go on, and the next server finds them.
pub(super) async fn run(state: Arc<State>) {
    let refusal = root::refusal(&state.config);
    let slots = match refusal {
        Some(_) => 0,
        None => u32::try_from(state.config.runner.max_tasks).unwrap_or(u32::MAX),
    };
    let mut scheduler = Scheduler { state, working: Working::default(), tasks: JoinSet::new() };
    while let Err(error) = scheduler.recover().await {
        tracing::error!(%error, "the tasks that were running could not be looked up");
        sleep(PAUSE).await;
    }
    match refusal {
        Some(why) => tracing::warn!("{why}"),
        None if slots == 0 => tracing::info!("no tasks are run here: runner.max-tasks is 0"),
        None => {}
    }
    loop {
        if let Err(error) = scheduler.turn(slots).await {
            tracing::error!(%error, "no task could be started");
            sleep(PAUSE).await;
        }
    }
}

struct Scheduler {
    state: Arc<State>,
    working: Working,
    tasks: JoinSet<()>,
}

impl Scheduler {
    /// Takes up what an earlier server has begun.
    async fn recover(&mut self) -> Result<(), StoreError> {
        let running = self.state.runs.running().await?;
        if !running.is_empty() {
            tracing::info!(
                tasks = running.len(),
                "tasks of an earlier start of the server are taken up again"
            );
        }
        for (action, attempt) in running {
            if let Some(queued) = self.state.runs.claimed(&action, attempt).await? {
                self.work(queued, false);
            }
        }
        Ok(())
    }

    /// Stops what is to be stopped, starts what can be started, and waits until there may be more of it.
    async fn turn(&mut self, slots: u32) -> Result<(), StoreError> {
        while self.tasks.try_join_next().is_some() {}
        for (action, attempt) in self.state.runs.aborted_attempts().await? {
            let known = lock(&self.working).get(&(action.clone(), attempt)).cloned();
            match known {
                Some(stop) => stop.notify_one(),
                // Its end could not be told, or it was begun and this process never heard of it.
                None => {
                    if let Some(queued) = self.state.runs.claimed(&action, attempt).await? {
                        self.work(queued, true);
                    }
                }
            }
        }
        if slots > 0 {
            for queued in self.state.runs.claim(slots).await? {
                self.work(queued, false);
            }
        }
        self.state.runs.changed().await
    }

    /// Works on an attempt; `stopped` where it is to be stopped from the start.
    fn work(&mut self, queued: QueuedAttempt, stopped: bool) {
        let key = (queued.action.id.clone(), queued.attempt);
        let stop = Arc::new(Notify::new());
        lock(&self.working).insert(key.clone(), Arc::clone(&stop));
        let (state, working) = (Arc::clone(&self.state), Arc::clone(&self.working));
        self.tasks.spawn(async move {
            Work::new(state, queued, stop, stopped).finish().await;
            lock(&working).remove(&key);
        });
    }
}

fn lock(
    working: &Mutex<HashMap<(ActionId, u32), Arc<Notify>>>,
) -> std::sync::MutexGuard<'_, HashMap<(ActionId, u32), Arc<Notify>>> {
    working.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An attempt being worked on.
struct Work {
    state: Arc<State>,
    queued: QueuedAttempt,
    directory: PathBuf,
    stop: Arc<Notify>,
    stopped: bool,
}

impl Work {
    fn new(state: Arc<State>, queued: QueuedAttempt, stop: Arc<Notify>, stopped: bool) -> Self {
        let directory = directory::of_attempt(&state.config.data_dir, &queued.action.id, queued.attempt);
        Self { state, queued, directory, stop, stopped }
    }

    async fn finish(mut self) {
        let (action, attempt) = (self.queued.action.id.clone(), self.queued.attempt);
        if let Some(outputs) = self.queued.action.cached_outputs.take().filter(|_| !self.stopped) {
            return self.finish_cached(&outputs).await;
        }
        let outcome = self.outcome().await;
        tracing::debug!(%action, attempt, ?outcome, "an attempt has ended");
        let directory = self.directory.clone();
        let _ = tokio::task::spawn_blocking(move || identity::clear(&directory)).await;
        while let Err(error) = self.state.runs.ended(&action, attempt, outcome.clone()).await {
            tracing::error!(%error, %action, attempt, "the end of a task could not be noted");
            sleep(PAUSE).await;
        }
    }

    /// Ends the attempt with the outputs of an earlier action if they are still there. Nothing is run.
    async fn finish_cached(self, outputs: &str) {
        let (action, attempt) = (&self.queued.action.id, self.queued.attempt);
        let found = cached::find(&self.state.objects, &self.queued, outputs).await;
        tracing::debug!(%action, attempt, outputs, ?found, "a cached result was looked at");
        loop {
            let noted = match found {
                cached::Found::Whole => self.state.runs.cached(action, attempt).await,
                cached::Found::Gone => self.state.runs.not_cached(action, attempt, true).await,
                cached::Found::Unknown => self.state.runs.not_cached(action, attempt, false).await,
            };
            let Err(error) = noted else { return };
            tracing::error!(%error, %action, attempt, "the use of a cached result could not be noted");
            sleep(PAUSE).await;
        }
    }

    async fn outcome(&mut self) -> Outcome {
        let system = |message: String| Outcome::Failed(Failure::system("RunnerFailed", message));
        let found = match self.begin().await {
            Ok(Ok(found)) => found,
            Ok(Err(failure)) => return Outcome::Failed(failure),
            Err(error) => return system(format!("the task could not be started: {error}")),
        };
        let found = match found {
            Found::Running(process) => match self.watch(process).await {
                Ok(found) => found,
                Err(error) => return system(format!("what became of the task cannot be told: {error}")),
            },
            other => other,
        };
        match found {
            Found::Ended(exit) if exit.how == How::Stopped && self.is_aborted().await => Outcome::Aborted,
            Found::Ended(exit) => {
                outcome::of(&self.state.config, &self.state.objects, &self.directory, &self.queued, exit)
                    .await
            }
            Found::Lost | Found::NotStarted | Found::Running(_) if self.stopped => Outcome::Aborted,
            Found::Lost | Found::NotStarted | Found::Running(_) => Outcome::Lost {
                reason: "the supervisor of the task was killed, and the task with it".to_owned(),
            },
        }
    }

    /// What has become of it where it was begun before; or else starts it.
    async fn begin(&mut self) -> io::Result<Result<Found, Failure>> {
        let found = process::find(&self.directory).await?;
        let found = match found {
            // What is not wanted any more is not begun.
            Found::NotStarted if self.stopped => return Ok(Ok(found)),
            Found::NotStarted => match self.start().await? {
                Ok(process) => Found::Running(process),
                Err(failure) => return Ok(Err(failure)),
            },
            Found::Running(process) => {
                self.renew();
                Found::Running(process)
            }
            other => other,
        };
        if matches!(found, Found::Running(_))
            && let Err(error) = self.state.runs.started(&self.queued.action.id, self.queued.attempt).await
        {
            // It runs all the same; its end will be told.
            tracing::error!(%error, action = %self.queued.action.id, "the start of a task could not be noted");
        }
        Ok(Ok(found))
    }

    async fn start(&mut self) -> io::Result<Result<Process, Failure>> {
        let (state, queued, directory) =
            (Arc::clone(&self.state), self.queued.clone(), self.directory.clone());
        let start = move || {
            let id = &queued.action.id.run;
            let now = state.clock.now_millis();
            let spec = match container::spec(&state, &directory, &queued, now) {
                Ok(spec) => spec,
                Err(failure) => return Ok(Err(failure)),
            };
            // Libraries of tasks do not all make the directories that they write to.
            let outputs = queued.output_prefix();
            if state.objects.key_of(&outputs).is_ok_and(|key| key.is_in(&id.project, &id.domain)) {
                state.objects.make_directory(&outputs).map_err(io::Error::other)?;
            }
            std::fs::create_dir_all(&directory)?;
            identity::write(&state, &directory, &queued.run).map_err(io::Error::other)?;
            Supervisor::default().start(&directory, &spec).map(Ok)
        };
        tokio::task::spawn_blocking(start).await.map_err(io::Error::other)?
    }

    /// Sees to a running process: renews its token, stops it where it is to be stopped, and waits for its end.
    async fn watch(&mut self, mut process: Process) -> io::Result<Found> {
        if self.stopped {
            process.stop();
        }
        let mut due =
            Duration::from_secs(u64::try_from(self.state.config.tokens.access_token_ttl).unwrap_or(1)) / 2;
        loop {
            tokio::select! {
                ended = process.ended() => return ended,
                () = self.stop.notified() => {
                    self.stopped = true;
                    process.stop();
                }
                () = sleep(due) => due = self.renew(),
            }
        }
    }

    /// Writes a new token; after how long the next one is due.
    fn renew(&self) -> Duration {
        match identity::renew(&self.state, &self.directory, &self.queued.run) {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, action = %self.queued.action.id, "a task's token could not be renewed");
                PAUSE
            }
        }
    }

    /// Whether it was to be stopped, by this server or an earlier one.
    async fn is_aborted(&self) -> bool {
        self.stopped
            || self
                .state
                .runs
                .aborted_attempts()
                .await
                .is_ok_and(|aborted| aborted.contains(&(self.queued.action.id.clone(), self.queued.attempt)))
    }
}
