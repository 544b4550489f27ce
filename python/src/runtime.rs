//! Where the work is done: one runtime for each process, made when it is first needed, and made anew in a forked child, whose
//! threads did not come along.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;
use crate::prompt::Prompt;

/// How often a thread that waits looks for signals and for what a person is to be shown.
const LOOK: Duration = Duration::from_millis(50);

/// The process, and its runtime. The lock is only held while attached to the interpreter, so that no fork leaves it taken.
static RUNTIME: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);

/// This process's runtime. It lives as long as the process.
pub(crate) fn runtime(_py: Python<'_>) -> Result<&'static Runtime, Failure> {
    let mut held = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((of, runtime)) = *held
        && of == process
    {
        return Ok(runtime);
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("flyte")
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(format!("cannot start threads: {error}")))?;
    // Never ended: ending it would wait for work that nobody waits for any more. The parent's, in a child, cannot be ended.
    let runtime: &'static Runtime = Box::leak(Box::new(runtime));
    *held = Some((process, runtime));
    Ok(runtime)
}

/// Waits for `work` without the interpreter. Ctrl-C ends the wait and the work; meanwhile the person is shown, in this thread,
/// what `prompt` has for them.
pub(crate) fn wait<T: Send + 'static>(
    py: Python<'_>,
    prompt: &Prompt,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> PyResult<T> {
    let runtime = runtime(py)?;
    let (done, answer) = sync_channel(1);
    let task = runtime.spawn(async move {
        let _ = done.send(work.await);
    });
    let _shown_here = prompt.watched();
    // A receiver is not `Sync`, and detaching wants what it borrows to be.
    let answer = Mutex::new(answer);
    loop {
        let received = py.detach(|| answer.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LOOK));
        prompt.show(py);
        match received {
            Ok(result) => return Ok(result?),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::internal("the work on it was broken off").into());
            }
        }
        if let Err(interrupt) = py.check_signals() {
            task.abort();
            return Err(interrupt);
        }
    }
}
