//! The runtime that does the work: one for each process, created on first use. A forked child creates its own, because it
//! does not have the parent's threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;
use crate::prompt::Prompt;

/// How many of our threads are attached to the interpreter now.
static ATTACHED: AtomicUsize = AtomicUsize::new(0);
/// Whether the interpreter ends: none of our threads may touch it any more.
static ENDING: AtomicBool = AtomicBool::new(false);
/// How long the end of the interpreter waits for those that are attached.
const PATIENCE: Duration = Duration::from_secs(5);

/// Calls `work` with the interpreter from a thread that is not Python's; not at all where the interpreter ends. A thread that is
/// caught by that end within the interpreter is broken off by it, wherever it is, which Rust does not survive.
pub(crate) fn attach(work: impl FnOnce(Python<'_>)) {
    ATTACHED.fetch_add(1, Ordering::SeqCst);
    if !ENDING.load(Ordering::SeqCst) {
        Python::try_attach(work);
    }
    ATTACHED.fetch_sub(1, Ordering::SeqCst);
}

/// Called by `atexit`: keeps our threads out of an interpreter that ends.
#[pyfunction]
fn end(py: Python<'_>) {
    ENDING.store(true, Ordering::SeqCst);
    py.detach(|| {
        let began = Instant::now();
        while ATTACHED.load(Ordering::SeqCst) > 0 && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Called in a forked child: its parent's threads did not come along.
#[pyfunction]
fn begin_child() {
    ATTACHED.store(0, Ordering::SeqCst);
    ENDING.store(false, Ordering::SeqCst);
}

/// Registers callbacks for the end of the interpreter and for forks.
pub(crate) fn follow_the_interpreter(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    py.import("atexit")?.call_method1("register", (wrap_pyfunction!(end, module)?,))?;
    let os = py.import("os")?;
    // Not on systems without fork.
    if os.hasattr("register_at_fork")? {
        let hooks = PyDict::new(py);
        hooks.set_item("after_in_child", wrap_pyfunction!(begin_child, module)?)?;
        os.call_method("register_at_fork", (), Some(&hooks))?;
    }
    Ok(())
}

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
    // Never shut down: that would wait for abandoned work. In a child process, the parent's runtime cannot be shut down.
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
