//! Work as something that Python awaits.

use std::sync::Arc;

use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::task::AbortHandle;

use crate::failure::Failure;
use crate::prompt::Prompt;
use crate::runtime::{attach, runtime};

/// Starts `work` and returns an `asyncio.Future` of its outcome: of its value, or, for `None`, of `StopAsyncIteration`. A future
/// that is cancelled ends the work. What the person is to be shown is shown by the event loop.
pub(crate) fn awaitable<'py, T>(
    py: Python<'py>,
    prompt: Arc<Prompt>,
    work: impl Future<Output = Result<Option<T>, Failure>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>>
where
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    let event_loop = py.import("asyncio")?.call_method0("get_running_loop")?;
    let future = event_loop.call_method0("create_future")?;
    let context = py.import("contextvars")?.call_method0("copy_context")?;
    let awaiter = Awaiter { event_loop: event_loop.unbind(), context: context.unbind() };
    let waiting = future.clone().unbind();
    let task = runtime(py)?.spawn(async move {
        let mut work = std::pin::pin!(work);
        let outcome = loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                () = prompt.arrives() => {}
            }
            awaiter.show(&prompt);
        };
        awaiter.show(&prompt);
        awaiter.resolve(waiting, outcome);
    });
    future.call_method1("add_done_callback", (Cancellation(task.abort_handle()),))?;
    Ok(future)
}

/// The future that awaits the outcome. If its event loop was closed, or the interpreter ends, the outcome is dropped,
/// because nothing waits for it.
struct Awaiter {
    event_loop: Py<PyAny>,
    context: Py<PyAny>,
}

impl Awaiter {
    fn show(&self, prompt: &Prompt) {
        let Some(callable) = prompt.callable() else { return };
        let events = prompt.pending();
        if events.is_empty() {
            return;
        }
        attach(|py| {
            for event in events {
                let in_context = PyDict::new(py);
                let _ = in_context.set_item("context", &self.context);
                let _ = self.event_loop.call_method(
                    py,
                    "call_soon_threadsafe",
                    (callable, event),
                    Some(&in_context),
                );
            }
        });
    }

    fn resolve<T>(&self, future: Py<PyAny>, outcome: Result<Option<T>, Failure>)
    where
        T: for<'a> IntoPyObject<'a>,
    {
        attach(|py| {
            let outcome = match outcome {
                Ok(Some(value)) => value.into_py_any(py),
                Ok(None) => Err(PyStopAsyncIteration::new_err(())),
                Err(failure) => Err(failure.into()),
            };
            let (method, value) = match outcome {
                Ok(value) => ("set_result", value),
                Err(error) => ("set_exception", error.into_value(py).into_any()),
            };
            let _ = self.event_loop.call_method1(py, "call_soon_threadsafe", (Settle, future, method, value));
        });
    }
}

/// Settles a future, unless it was cancelled meanwhile.
#[pyclass(frozen)]
struct Settle;

#[pymethods]
impl Settle {
    fn __call__(&self, future: &Bound<'_, PyAny>, method: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if !future.call_method0("done")?.is_truthy()? {
            future.call_method1(method, (value,))?;
        }
        Ok(())
    }
}

/// Ends the work of a future that was cancelled.
#[pyclass(frozen)]
struct Cancellation(AbortHandle);

#[pymethods]
impl Cancellation {
    fn __call__(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        if future.call_method0("cancelled")?.is_truthy()? {
            self.0.abort();
        }
        Ok(())
    }
}
