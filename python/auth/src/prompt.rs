//! The person, as far as signing in needs one: what they are to be shown is kept until the Python thread that waits for the
//! sign-in shows it, so that it ends up in the right cell of a notebook.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use flyte_auth::flows::device::DeviceCode;
use flyte_auth::oauth::ClientId;
use flyte_auth::{AuthError, Holder, Interaction, StepUp, in_ci};
use flyte_hints::Hint as _;
use pyo3::prelude::*;
use serde_json::{Value, json};
use tokio::sync::Notify;
use url::Url;

/// What the person is shown, and how: `show` is a Python callable that takes an event as JSON.
pub(crate) struct Prompt {
    show: Option<Py<PyAny>>,
    interactive: bool,
    events: Mutex<VecDeque<Value>>,
    /// How many Python threads wait and show what there is.
    watched: AtomicUsize,
    arrived: Notify,
}

impl Prompt {
    pub(crate) fn new(show: Option<Py<PyAny>>, interactive: bool) -> Arc<Self> {
        Arc::new(Self {
            // A CI job has no user, even if it has a terminal.
            interactive: interactive && show.is_some() && !in_ci(),
            show,
            events: Mutex::default(),
            watched: AtomicUsize::new(0),
            arrived: Notify::new(),
        })
    }

    /// The same for a forked child, whose parent's thread may have held the lock.
    pub(crate) fn again(&self, py: Python<'_>) -> Arc<Self> {
        Self::new(self.show.as_ref().map(|show| show.clone_ref(py)), self.interactive)
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<Value>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: Value) {
        self.events().push_back(event);
        self.arrived.notify_one();
    }

    /// Records that a thread shows the prompts, until the returned guard is dropped.
    pub(crate) fn watched(&self) -> Watch<'_> {
        self.watched.fetch_add(1, Ordering::Relaxed);
        Watch(self)
    }

    /// Waits for something to show that no waiting thread shows.
    pub(crate) async fn arrives(&self) {
        loop {
            self.arrived.notified().await;
            if self.watched.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }

    /// What there is to show.
    pub(crate) fn pending(&self) -> Vec<String> {
        self.events().drain(..).map(|event| event.to_string()).collect()
    }

    /// The callable that shows it.
    pub(crate) fn callable(&self) -> Option<&Py<PyAny>> {
        self.show.as_ref()
    }

    /// Shows what there is. A display that fails must not fail the call.
    pub(crate) fn show(&self, py: Python<'_>) {
        for event in self.pending() {
            if let Some(show) = &self.show
                && let Err(error) = show.call1(py, (event,))
            {
                error.write_unraisable(py, Some(show.bind(py)));
            }
        }
    }
}

impl std::fmt::Debug for Prompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prompt").field("interactive", &self.interactive).finish_non_exhaustive()
    }
}

/// A thread that shows what there is.
pub(crate) struct Watch<'a>(&'a Prompt);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.watched.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Interaction for Prompt {
    fn is_interactive(&self) -> bool {
        self.interactive
    }

    fn next_step(&self, error: &AuthError) -> Option<String> {
        error.hint()
    }

    fn device_instead(&self) {
        self.push(json!({"event": "device_instead"}));
    }

    fn device_code(&self, code: &DeviceCode) {
        self.push(json!({
            "event": "device_code",
            "url": code.url.as_str(),
            "verification_uri": code.verification_uri.as_str(),
            "user_code": code.user_code,
            "number": code.number,
            "expires_in": code.expires_in.as_secs(),
        }));
    }

    fn code_expires_in(&self, left: Duration) {
        self.push(json!({"event": "code_expires_in", "seconds": left.as_secs()}));
    }

    fn step_up(&self, endpoint: &str, step_up: &StepUp) {
        self.push(json!({"event": "step_up", "endpoint": endpoint, "wanted": step_up.in_words()}));
    }

    fn credentials_expire(&self, client_id: &ClientId, at: i64, left: Duration) {
        self.push(json!({
            "event": "credentials_end",
            "client_id": client_id.as_str(),
            "at": at,
            "left": left.as_secs(),
        }));
    }

    fn command_output(&self, text: &str) {
        self.push(json!({"event": "command_says", "text": text}));
    }

    fn authorize_url(&self, url: &Url, opened: bool) {
        self.push(json!({"event": "authorize_url", "url": url.as_str(), "opened": opened}));
    }

    fn waiting(&self, holder: Option<&Holder>) {
        self.push(json!({"event": "waiting", "process": holder.map(ToString::to_string)}));
    }

    fn notice(&self, text: &str) {
        self.push(json!({"event": "notice", "text": text}));
    }

    fn session_ended(&self, error: &AuthError) {
        self.push(json!({"event": "session_ended", "message": error.to_string()}));
    }

    fn done(&self) {
        self.push(json!({"event": "done"}));
    }

    fn signed_in(&self, endpoint: &str, name: Option<&str>) {
        self.push(json!({"event": "signed_in", "endpoint": endpoint, "name": name}));
    }
}
