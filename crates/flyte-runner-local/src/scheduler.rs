//! Claims queued attempts, up to the number of slots, and works on each attempt until it ends.
//!
//! The database contains the attempts that have begun, and the directory of an attempt contains the state of its process. A
//! new server compares both. So it recovers from a crash of the last server at any moment.

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
    starting::{self, Starts, Turn},
};
use flyte_runs::{Outcome, cached};
use flyte_store::{ActionId, Failure, QueuedAttempt, StoreError};

/// The delay before the next try if the database or the disk failed.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The attempts in progress, with the signal that stops each.
type Active = Arc<Mutex<HashMap<(ActionId, u32), Arc<Notify>>>>;

/// Runs tasks until the future is dropped. Running tasks then continue, and the next server finds them.
pub(super) async fn run(state: Arc<State>) {
    let refusal = root::refusal(&state.config);
    let slots = match refusal {
        Some(_) => 0,
        None => u32::try_from(state.config.runner.max_tasks).unwrap_or(u32::MAX),
    };
    let starts = Starts::at_most(state.config.runner.max_starting);
    let mut scheduler = Scheduler { state, active: Active::default(), starts, tasks: JoinSet::new() };
    while let Err(error) = scheduler.recover().await {
        tracing::error!(%error, "cannot read the running tasks from the database");
        sleep(RETRY_DELAY).await;
    }
    match refusal {
        Some(why) => tracing::warn!("{why}"),
        None if slots == 0 => tracing::info!("this server runs no tasks because runner.max-tasks is 0"),
        None => {}
    }
    loop {
        if let Err(error) = scheduler.step(slots).await {
            tracing::error!(%error, "cannot start queued tasks");
            sleep(RETRY_DELAY).await;
        }
    }
}

struct Scheduler {
    state: Arc<State>,
    active: Active,
    starts: Starts,
    tasks: JoinSet<()>,
}

impl Scheduler {
    /// Continues the attempts of an earlier server.
    async fn recover(&mut self) -> Result<(), StoreError> {
        let running = self.state.runs.running().await?;
        if !running.is_empty() {
            tracing::info!(tasks = running.len(), "continuing tasks that an earlier server started");
        }
        for (action, attempt) in running {
            if let Some(queued) = self.state.runs.claimed(&action, attempt).await? {
                self.work(queued, false);
            }
        }
        Ok(())
    }

    /// Stops aborted attempts, starts queued attempts, and waits for a change of the runs.
    async fn step(&mut self, slots: u32) -> Result<(), StoreError> {
        while self.tasks.try_join_next().is_some() {}
        for (action, attempt) in self.state.runs.aborted_attempts().await? {
            let known = lock(&self.active).get(&(action.clone(), attempt)).cloned();
            match known {
                Some(stop) => stop.notify_one(),
                // The end of the attempt could not be noted, or another server began the attempt.
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

    /// Works on an attempt in the background. If `stopped`, the attempt is stopped at once.
    fn work(&mut self, queued: QueuedAttempt, stopped: bool) {
        let key = (queued.action.id.clone(), queued.attempt);
        let stop = Arc::new(Notify::new());
        lock(&self.active).insert(key.clone(), Arc::clone(&stop));
        let (state, active) = (Arc::clone(&self.state), Arc::clone(&self.active));
        let starts = self.starts.clone();
        self.tasks.spawn(async move {
            Work::new(state, queued, starts, stop, stopped).finish().await;
            lock(&active).remove(&key);
        });
    }
}

fn lock(
    active: &Mutex<HashMap<(ActionId, u32), Arc<Notify>>>,
) -> std::sync::MutexGuard<'_, HashMap<(ActionId, u32), Arc<Notify>>> {
    active.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An attempt in progress.
struct Work {
    state: Arc<State>,
    queued: QueuedAttempt,
    directory: PathBuf,
    starts: Starts,
    /// The turn, while the task starts.
    turn: Option<Turn>,
    stop: Arc<Notify>,
    stopped: bool,
}

impl Work {
    fn new(
        state: Arc<State>,
        queued: QueuedAttempt,
        starts: Starts,
        stop: Arc<Notify>,
        stopped: bool,
    ) -> Self {
        let directory = directory::of_attempt(&state.config.data_dir, &queued.action.id, queued.attempt);
        Self { state, queued, directory, starts, turn: None, stop, stopped }
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
            tracing::error!(%error, %action, attempt, "cannot note the end of a task");
            sleep(RETRY_DELAY).await;
        }
    }

    /// Ends the attempt with the outputs of an earlier action if they still exist. No process is started.
    async fn finish_cached(self, outputs: &str) {
        let (action, attempt) = (&self.queued.action.id, self.queued.attempt);
        let found = cached::find(&self.state.objects, &self.queued, outputs).await;
        tracing::debug!(%action, attempt, outputs, ?found, "checked a cached result");
        loop {
            let noted = match found {
                cached::Found::Whole => self.state.runs.cached(action, attempt).await,
                cached::Found::Gone => self.state.runs.not_cached(action, attempt, true).await,
                cached::Found::Unknown => self.state.runs.not_cached(action, attempt, false).await,
            };
            let Err(error) = noted else { return };
            tracing::error!(%error, %action, attempt, "cannot note the use of a cached result");
            sleep(RETRY_DELAY).await;
        }
    }

    async fn outcome(&mut self) -> Outcome {
        let system = |message: String| Outcome::Failed(Failure::system("RunnerFailed", message));
        let found = match self.begin().await {
            Ok(Ok(found)) => found,
            Ok(Err(failure)) => return Outcome::Failed(failure),
            Err(error) => return system(format!("cannot start the task: {error}")),
        };
        let found = match found {
            Found::Running(process) => match self.watch(process).await {
                Ok(found) => found,
                Err(error) => return system(format!("cannot read how the task ended: {error}")),
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
            Found::Lost | Found::NotStarted | Found::Running(_) => {
                Outcome::Lost { reason: "the task ended because its supervisor was killed".to_owned() }
            }
        }
    }

    /// Finds the process if the attempt was begun before. Otherwise starts it.
    async fn begin(&mut self) -> io::Result<Result<Found, Failure>> {
        let found = process::find(&self.directory).await?;
        if matches!(found, Found::NotStarted) && !self.stopped {
            tokio::select! {
                turn = self.starts.turn() => self.turn = Some(turn),
                () = self.stop.notified() => self.stopped = true,
            }
        }
        let found = match found {
            // A stopped attempt is not started.
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
            // The task runs anyway, and its end will be noted.
            tracing::error!(%error, action = %self.queued.action.id, "cannot note the start of a task");
        }
        Ok(Ok(found))
    }

    async fn start(&mut self) -> io::Result<Result<Process, Failure>> {
        let (state, queued, directory) =
            (Arc::clone(&self.state), self.queued.clone(), self.directory.clone());
        let start = move || {
            let id = &queued.action.id.run;
            let now = state.clock.now_millis();
            let spec = match container::build_spec(&state, &directory, &queued, now) {
                Ok(spec) => spec,
                Err(failure) => return Ok(Err(failure)),
            };
            // Some libraries do not create the directories that they write to.
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

    /// Waits for the end of a running process. Meanwhile renews its token, and stops it if the attempt is aborted.
    async fn watch(&mut self, mut process: Process) -> io::Result<Found> {
        if self.stopped {
            process.stop();
        }
        let mut due =
            Duration::from_secs(u64::try_from(self.state.config.tokens.access_token_ttl).unwrap_or(1)) / 2;
        let supervisor = process.supervisor();
        let started = async move {
            match supervisor {
                Some(supervisor) => starting::over(supervisor).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(started);
        loop {
            tokio::select! {
                ended = process.ended() => {
                    self.turn = None;
                    return ended;
                }
                () = &mut started, if self.turn.is_some() => self.turn = None,
                () = self.stop.notified() => {
                    self.stopped = true;
                    process.stop();
                }
                () = sleep(due) => due = self.renew(),
            }
        }
    }

    /// Writes a new token. Returns the time until the next one is due.
    fn renew(&self) -> Duration {
        match identity::renew(&self.state, &self.directory, &self.queued.run) {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, action = %self.queued.action.id, "cannot renew the token of a task");
                RETRY_DELAY
            }
        }
    }

    /// Whether this server or an earlier one aborted the attempt.
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
