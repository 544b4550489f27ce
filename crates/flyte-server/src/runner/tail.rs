//! The log of an attempt, followed to its end.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::time::sleep;

use super::{
    directory,
    log::{Line, Reader},
    process,
};
use crate::{
    app::App,
    store::{ActionId, StoreError},
};

/// Bytes of lines that are read and sent at a time: all that is held of a log.
const BATCH: usize = 128 << 10;
/// How often a running process's log is looked at again.
const LOOK: Duration = Duration::from_millis(150);

/// Why a log cannot be followed further.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The server is stopping: the next one goes on.
    #[error("the server is stopping")]
    Stopping,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk failed.
    #[error("the log cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Where a follower stands.
struct Tail<E> {
    reader: Option<Reader>,
    directory: PathBuf,
    /// The lines that are there are the last ones.
    last: bool,
    end: E,
}

/// The log of the process in `directory`, from its beginning to its end, in batches; one that is not there yet is waited
/// for. `end` says whether it has ended where that is not known from its directory.
pub fn follow<E, F>(
    directory: PathBuf,
    end: E,
) -> impl Stream<Item = Result<Vec<Line>, TailError>> + Send + use<E, F>
where
    E: Fn() -> F + Send + 'static,
    F: Future<Output = Result<bool, TailError>> + Send,
{
    let tail = Tail { reader: Some(Reader::new(&directory)), directory, last: false, end };
    stream::try_unfold(tail, async |mut tail: Tail<E>| {
        loop {
            let Some(mut reader) = tail.reader.take() else { return Ok(None) };
            let (reader, lines) = tokio::task::spawn_blocking(move || {
                let lines = reader.read(BATCH);
                (reader, lines)
            })
            .await
            .map_err(io::Error::other)?;
            tail.reader = Some(reader);
            let lines = lines?;
            if !lines.is_empty() {
                return Ok(Some((lines, tail)));
            }
            if tail.last {
                return Ok(None);
            }
            // Asked before the next look, so that what was written up to the end is read.
            if process::exit(&tail.directory)?.is_some() || (tail.end)().await? {
                tail.last = true;
            } else {
                sleep(LOOK).await;
            }
        }
    })
}

/// The log of an attempt at an action.
pub fn attempt(
    app: Arc<App>,
    action: ActionId,
    attempt: u32,
) -> impl Stream<Item = Result<Vec<Line>, TailError>> + Send {
    let directory = directory::of_attempt(&app.config.data_dir, &action, attempt);
    follow(directory, move || {
        let (app, action) = (Arc::clone(&app), action.clone());
        async move {
            if app.stopping.is_stopping() {
                return Err(TailError::Stopping);
            }
            let Some(known) = app.store.action_by_id(&action).await? else { return Ok(true) };
            if known.phase.is_terminal() && known.attempts < attempt {
                // It never comes to that.
                return Ok(true);
            }
            let attempts = app.store.attempts(&action).await?;
            Ok(attempts.iter().any(|known| known.number == attempt && known.ended_at.is_some()))
        }
    })
}
