//! Follows the logs of processes to their ends.
//!
//! A follower reads the available lines and then waits for a change in the directory (`inotify`) or of the process
//! ([`Followed`]). A waiting follower uses no file and no thread. It also checks at long intervals, in case a notification is
//! missing.

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use super::{
    State, directory,
    inotify::{GATHER_INTERVAL, Inotify, Watch},
    log::{Line, Reader},
    process,
};
use flyte_runs::{
    Watcher,
    log_source::{Lines, TailError},
};
use flyte_store::ActionId;

/// The size of one batch of lines, in bytes. A follower has no more of a log in memory.
const BATCH_SIZE: usize = 128 << 10;
/// The number of followers that can read at the same time. Each uses a file and a thread.
const MAX_READERS: usize = 8;
/// The time between two checks without a notification, in case a notification failed.
const POLL_INTERVAL: Duration = Duration::from_secs(30);
/// The time between two checks if the directory cannot be watched, because this user has the maximum number of watches.
pub(super) const UNWATCHED_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The process of a followed log. It knows what the directory of the process does not show.
pub(super) trait Followed: Send + 'static {
    /// Waits until the process may have begun or ended, since the last call or since this value was created.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;

    /// Whether the process has ended or will never begin, if its directory does not show it.
    fn has_ended(&self) -> impl Future<Output = Result<bool, TailError>> + Send;
}

/// The state that all followers share.
#[derive(Debug)]
pub(super) struct Logs {
    directories: Inotify,
    readers: Semaphore,
    poll_interval: Duration,
    unwatched_poll_interval: Duration,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            directories: Inotify::default(),
            readers: Semaphore::new(MAX_READERS),
            poll_interval: POLL_INTERVAL,
            unwatched_poll_interval: UNWATCHED_POLL_INTERVAL,
        }
    }
}

impl Logs {
    /// Follows the log of the process in `directory` from its beginning to its end, in batches. The log may not exist yet.
    pub(super) fn follow<F: Followed>(
        self: &Arc<Self>,
        directory: PathBuf,
        followed: F,
    ) -> impl Stream<Item = Result<Vec<Line>, TailError>> + Send + use<F> {
        let tail = self.tail(directory, followed);
        stream::try_unfold(tail, async |mut tail: Tail<F>| Ok(tail.next().await?.map(|lines| (lines, tail))))
    }

    fn tail<F>(self: &Arc<Self>, directory: PathBuf, followed: F) -> Tail<F> {
        Tail {
            logs: Arc::clone(self),
            reader: Some(Reader::new(&directory)),
            directory,
            followed,
            watched: Watched::No,
            checked_at: None,
            last: false,
        }
    }

    /// Reads new lines, and checks whether the process in the directory has ended.
    async fn read(&self, mut reader: Reader, directory: &Path) -> Result<(Reader, ReadResult), TailError> {
        // The semaphore is never closed.
        let _permit = self.readers.acquire().await.map_err(io::Error::other)?;
        let directory = directory.to_owned();
        let read = move || {
            let lines = reader.read(BATCH_SIZE)?;
            let ended = lines.is_empty() && process::exit(&directory)?.is_some();
            Ok::<_, io::Error>((reader, ReadResult { lines, ended }))
        };
        Ok(tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??)
    }
}

/// The result of one read of a directory.
struct ReadResult {
    lines: Vec<Line>,
    /// Whether the process has ended and this read found no lines. One more read finds the last lines.
    ended: bool,
}

/// Whether a directory is watched.
enum Watched {
    /// Not yet, because the directory does not exist. [`Followed::changed`] reports that the process has begun.
    No,
    Yes(Watch),
    /// The directory cannot be watched.
    Never,
}

/// The state of one follower.
struct Tail<F> {
    logs: Arc<Logs>,
    reader: Option<Reader>,
    directory: PathBuf,
    followed: F,
    watched: Watched,
    /// The time of the last check whether the process has ended. `None` if the next check is due.
    checked_at: Option<Instant>,
    /// Whether the process has ended, so that the next read finds the last lines.
    last: bool,
}

impl<F: Followed> Tail<F> {
    async fn next(&mut self) -> Result<Option<Vec<Line>>, TailError> {
        loop {
            // The watch begins before the read, so that no later line is missed.
            self.watch();
            let Some(reader) = self.reader.take() else { return Ok(None) };
            let (reader, ReadResult { lines, ended }) = self.logs.read(reader, &self.directory).await?;
            self.reader = Some(reader);
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            if self.last {
                return Ok(None);
            }
            // This check comes before the last read, so that the read finds all lines up to the end.
            if ended || self.has_ended().await? {
                self.last = true;
            } else {
                self.wait().await;
            }
        }
    }

    fn watch(&mut self) {
        if !matches!(self.watched, Watched::No) {
            return;
        }
        match self.logs.directories.watch(&self.directory) {
            Ok(watch) => self.watched = Watched::Yes(watch),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(
                    %error,
                    directory = %self.directory.display(),
                    "cannot watch the directory of a log, so it is followed slowly. Raise fs.inotify.max_user_watches or \
                     max_user_instances"
                );
                self.watched = Watched::Never;
            }
        }
    }

    async fn has_ended(&mut self) -> Result<bool, TailError> {
        if self.checked_at.is_some() {
            return Ok(false);
        }
        self.checked_at = Some(Instant::now());
        self.followed.has_ended().await
    }

    /// Waits until new lines may be available.
    async fn wait(&mut self) {
        let checked_at = *self.checked_at.get_or_insert_with(Instant::now);
        let due = self.logs.poll_interval.saturating_sub(checked_at.elapsed());
        let delay = if matches!(self.watched, Watched::Never) {
            self.logs.unwatched_poll_interval.min(due)
        } else {
            due
        };
        let directory = async {
            match &mut self.watched {
                Watched::Yes(watch) => watch.changed().await,
                Watched::No | Watched::Never => std::future::pending().await,
            }
        };
        let check_end = tokio::select! {
            exists = directory => {
                if !exists {
                    self.watched = Watched::No;
                }
                // A removed directory cannot show the end of the process.
                !exists
            }
            () = self.followed.changed() => {
                // Other actions of the same run change at about the same time.
                sleep(GATHER_INTERVAL).await;
                true
            }
            () = sleep(delay) => delay == due,
        };
        if check_end {
            self.checked_at = None;
        }
    }
}

/// An attempt at an action.
struct Attempt {
    state: Arc<State>,
    action: ActionId,
    number: u32,
    changes: Watcher,
}

impl Followed for Attempt {
    async fn changed(&mut self) {
        tokio::select! {
            () = self.changes.changed() => {}
            () = self.state.stopping.stopped() => {}
        }
    }

    async fn has_ended(&self) -> Result<bool, TailError> {
        if self.state.stopping.is_stopping() {
            return Err(TailError::Stopping);
        }
        let Some(known) = self.state.runs.action(&self.action).await? else { return Ok(true) };
        if known.phase.is_terminal() && known.attempts < self.number {
            // This attempt will never begin.
            return Ok(true);
        }
        let attempts = self.state.runs.attempts(&self.action).await?;
        Ok(attempts.iter().any(|known| known.number == self.number && known.ended_at.is_some()))
    }
}

/// Follows the log of an attempt at an action.
pub(super) fn of_attempt(state: &Arc<State>, logs: &Arc<Logs>, action: &ActionId, number: u32) -> Lines {
    let directory = directory::of_attempt(&state.config.data_dir, action, number);
    let changes = state.runs.watch(&action.run);
    let attempt = Attempt { state: Arc::clone(state), action: action.clone(), number, changes };
    logs.follow(directory, attempt).boxed()
}
