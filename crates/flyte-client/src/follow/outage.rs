//! Outages: the time in which the server does not answer while an action is followed.

use std::time::Duration;

use flyte_auth::AuthError;
use tokio::time::Instant;

use crate::error::ClientError;

/// The longest outage. After it, the action is no longer followed.
pub(super) const OUTAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// The time after which the person gets a notice about the outage.
const NOTICE_DELAY: Duration = Duration::from_secs(2);
/// The first pause between two attempts. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The current outage; `None` while the server answers.
#[derive(Debug, Default)]
pub(super) struct Outage(Option<Failing>);

#[derive(Debug)]
struct Failing {
    since: Instant,
    error: ClientError,
    noticed: bool,
    pause: Duration,
    retry_at: Instant,
}

impl Outage {
    /// Records that an attempt failed with a temporary error.
    ///
    /// # Errors
    /// The same error, if the outage has lasted for [`OUTAGE_TIMEOUT`].
    pub(super) fn failed(&mut self, error: ClientError) -> Result<(), ClientError> {
        let now = Instant::now();
        let Some(failing) = &mut self.0 else {
            let (pause, retry_at) = (FIRST_PAUSE, now + FIRST_PAUSE);
            self.0 = Some(Failing { since: now, error, noticed: false, pause, retry_at });
            return Ok(());
        };
        if failing.since.elapsed() >= OUTAGE_TIMEOUT {
            return Err(error);
        }
        // Both streams of an action fail at the same time. That counts as one failure.
        if failing.retry_at <= now {
            failing.pause = (failing.pause * 2).min(LONGEST_PAUSE);
            failing.retry_at = (now + failing.pause).min(failing.since + OUTAGE_TIMEOUT);
        }
        failing.error = error;
        Ok(())
    }

    /// Whether there is an outage.
    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the next attempt may start.
    pub(super) fn may_try(&self) -> bool {
        self.0.as_ref().is_none_or(|failing| failing.retry_at <= Instant::now())
    }

    /// The time of the next action: an attempt, the notice or the timeout.
    pub(super) fn next(&self) -> Option<Instant> {
        let failing = self.0.as_ref()?;
        let until = failing.since + if failing.noticed { OUTAGE_TIMEOUT } else { NOTICE_DELAY };
        Some(if failing.retry_at > Instant::now() { until.min(failing.retry_at) } else { until })
    }

    /// Returns the reason of the outage once, after [`NOTICE_DELAY`].
    pub(super) fn next_notice(&mut self) -> Option<String> {
        let failing =
            self.0.as_mut().filter(|failing| !failing.noticed && failing.since.elapsed() >= NOTICE_DELAY)?;
        failing.noticed = true;
        // The message of `AuthError` is more precise.
        let cause = failing.error.cause::<AuthError>().map(ToString::to_string);
        Some(cause.unwrap_or_else(|| failing.error.to_string()))
    }

    /// Ends the outage if it has lasted for [`OUTAGE_TIMEOUT`], even if the last attempt is still waiting for an answer.
    ///
    /// # Errors
    /// The last failure.
    pub(super) fn check(&mut self) -> Result<(), ClientError> {
        match self.0.take_if(|failing| failing.since.elapsed() >= OUTAGE_TIMEOUT) {
            Some(failing) => Err(failing.error),
            None => Ok(()),
        }
    }

    /// Ends the outage because the server answers. Returns whether [`Self::next_notice`] reported the outage.
    pub(super) fn end(&mut self) -> bool {
        self.0.take().is_some_and(|failing| failing.noticed)
    }
}
