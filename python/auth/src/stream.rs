//! Answers that come one after another.

use std::sync::Arc;

use connectrpc::client::CallOptions;
use flyte_auth::Transport;
use flyte_client::raw::{RawCalls, RawStream};
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::awaiting::awaitable;
use crate::failure::Failure;
use crate::prompt::Prompt;
use crate::runtime::wait;
use crate::wire::Method;

/// Answers of one call, an iterator both ways; each is proto-JSON. It belongs to the process that made it.
#[pyclass(frozen, module = "flyte_auth._native")]
pub(crate) struct Stream {
    calls: RawCalls<Transport>,
    prompt: Arc<Prompt>,
    method: Method,
    request: Arc<Vec<u8>>,
    options: CallOptions,
    state: Arc<Mutex<State>>,
}

enum State {
    /// Not called yet.
    New,
    Open(Box<RawStream<Transport>>),
    Ended,
}

impl Stream {
    pub(crate) fn new(
        calls: RawCalls<Transport>,
        prompt: Arc<Prompt>,
        method: Method,
        request: Vec<u8>,
        options: CallOptions,
    ) -> Self {
        let state = Arc::new(Mutex::new(State::New));
        Self { calls, prompt, method, request: Arc::new(request), options, state }
    }

    fn advance(&self) -> impl Future<Output = Result<Option<String>, Failure>> + Send + 'static {
        let (calls, method, options) = (self.calls.clone(), self.method.clone(), self.options.clone());
        let (request, state) = (Arc::clone(&self.request), Arc::clone(&self.state));
        async move {
            let mut state = state.lock().await;
            if matches!(*state, State::New) {
                let stream = calls.stream(method.procedure, &request, options).await;
                let stream = stream.map_err(|error| Failure::call(&error, method.resource()))?;
                *state = State::Open(Box::new(stream));
            }
            let State::Open(stream) = &mut *state else { return Ok(None) };
            match stream.next().await {
                Ok(Some(message)) => method.answer(&message).map(Some),
                Ok(None) => {
                    *state = State::Ended;
                    Ok(None)
                }
                Err(error) => {
                    *state = State::Ended;
                    Err(Failure::call(&error, method.resource()))
                }
            }
        }
    }
}

#[pymethods]
impl Stream {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    /// The next answer. Raises `CallError`, and `KeyboardInterrupt` at Ctrl-C.
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<String>> {
        wait(py, &self.prompt, self.advance())
    }

    fn __aiter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, Arc::clone(&self.prompt), self.advance())
    }

    /// Hangs up. A `next` that waits meanwhile ends first.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let state = Arc::clone(&self.state);
        wait(py, &self.prompt, async move {
            *state.lock().await = State::Ended;
            Ok(())
        })
    }
}
