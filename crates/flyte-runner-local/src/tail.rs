//! The logs of processes, followed to their ends.
//!
//! A follower reads what is there and then waits to be woken: by a change in the process's directory (`inotify`), or by what
//! tells of the process itself ([`Followed`]). One that waits takes neither a file nor a thread, and looks by itself only
//! now and then.

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
    inotify::{GATHER, Inotify, Watch},
    log::{Line, Reader},
    process,
};
use flyte_runs::{
    Watcher,
    log_source::{Lines, TailError},
};
use flyte_store::ActionId;

/// Bytes of lines that are read and sent at a time: all that is held of a log.
const BATCH: usize = 128 << 10;
/// How many followers read at a time: each has a file open and a thread meanwhile.
const READERS: usize = 8;
/// How often a follower looks that nobody has woken, for the case that what would wake it failed.
const LOOK: Duration = Duration::from_secs(30);
/// How often one does whose directory cannot be watched, as the system watches no more for this user.
pub(super) const SLOW_LOOK: Duration = Duration::from_secs(1);

/// A process whose log is followed, as it is known besides its directory.
pub(super) trait Followed: Send + 'static {
    /// Waits for a change since the last call, or since this was made, after which the process may have begun or ended.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;

    /// Whether it has ended, or never begins, where its directory does not say so.
    fn has_ended(&self) -> impl Future<Output = Result<bool, TailError>> + Send;
}

/// What all followers share.
#[derive(Debug)]
pub(super) struct Logs {
    directories: Inotify,
    readers: Semaphore,
    look: Duration,
    slow_look: Duration,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            directories: Inotify::default(),
            readers: Semaphore::new(READERS),
            look: LOOK,
            slow_look: SLOW_LOOK,
        }
    }
}

impl Logs {
    /// The log of the process in `directory`, from its beginning to its end, in batches; one that is not there yet is waited
    /// for.
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
            asked_at: None,
            last: false,
        }
    }

    /// What `reader` finds, and whether the process in its directory has ended.
    async fn read(&self, mut reader: Reader, directory: &Path) -> Result<(Reader, Found), TailError> {
        // It is never closed.
        let _turn = self.readers.acquire().await.map_err(io::Error::other)?;
        let directory = directory.to_owned();
        let read = move || {
            let lines = reader.read(BATCH)?;
            let ended = lines.is_empty() && process::exit(&directory)?.is_some();
            Ok::<_, io::Error>((reader, Found { lines, ended }))
        };
        Ok(tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??)
    }
}

/// What one look at a directory brought.
struct Found {
    lines: Vec<Line>,
    /// There are no more lines, and a look after this one finds the last of them.
    ended: bool,
}

/// Whether a directory is watched.
enum Watched {
    /// Not yet, as it is not there: its beginning is told by other means.
    No,
    Yes(Watch),
    /// It cannot be.
    Never,
}

/// Where a follower stands.
struct Tail<F> {
    logs: Arc<Logs>,
    reader: Option<Reader>,
    directory: PathBuf,
    followed: F,
    watched: Watched,
    /// When it was last asked whether the process has ended; `None` where it is to be asked.
    asked_at: Option<Instant>,
    /// The lines that are there are the last ones.
    last: bool,
}

impl<F: Followed> Tail<F> {
    async fn next(&mut self) -> Result<Option<Vec<Line>>, TailError> {
        loop {
            // Watched before it is read: what is written from here on is told.
            self.watch();
            let Some(reader) = self.reader.take() else { return Ok(None) };
            let (reader, Found { lines, ended }) = self.logs.read(reader, &self.directory).await?;
            self.reader = Some(reader);
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            if self.last {
                return Ok(None);
            }
            // Asked before the next look, so that what was written up to the end is read.
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
                    "a log's directory cannot be watched, so it is followed slowly; raise fs.inotify.max_user_watches or \
                     max_user_instances"
                );
                self.watched = Watched::Never;
            }
        }
    }

    async fn has_ended(&mut self) -> Result<bool, TailError> {
        if self.asked_at.is_some() {
            return Ok(false);
        }
        self.asked_at = Some(Instant::now());
        self.followed.has_ended().await
    }

    /// Waits until there may be something new.
    async fn wait(&mut self) {
        let asked_at = *self.asked_at.get_or_insert_with(Instant::now);
        let due = self.logs.look.saturating_sub(asked_at.elapsed());
        let look = if matches!(self.watched, Watched::Never) { self.logs.slow_look.min(due) } else { due };
        let directory = async {
            match &mut self.watched {
                Watched::Yes(watch) => watch.changed().await,
                Watched::No | Watched::Never => std::future::pending().await,
            }
        };
        let asks = tokio::select! {
            there = directory => {
                if !there {
                    self.watched = Watched::No;
                }
                // One that is gone is not asked for its end.
                !there
            }
            () = self.followed.changed() => {
                // Others of the same run change at about the same time.
                sleep(GATHER).await;
                true
            }
            () = sleep(look) => look == due,
        };
        if asks {
            self.asked_at = None;
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
            // It never comes to that.
            return Ok(true);
        }
        let attempts = self.state.runs.attempts(&self.action).await?;
        Ok(attempts.iter().any(|known| known.number == self.number && known.ended_at.is_some()))
    }
}

/// The log of an attempt at an action.
pub(super) fn of_attempt(state: &Arc<State>, logs: &Arc<Logs>, action: &ActionId, number: u32) -> Lines {
    let directory = directory::of_attempt(&state.config.data_dir, action, number);
    let changes = state.runs.watch(&action.run);
    let attempt = Attempt { state: Arc::clone(state), action: action.clone(), number, changes };
    logs.follow(directory, attempt).boxed()
}
