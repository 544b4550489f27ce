//! The time in which a server that is followed does not answer.

use std::time::Duration;

use flyte_auth::AuthError;
use tokio::time::Instant;

use crate::error::ClientError;

/// How long a server may be away before following it ends.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may be away before the person is told.
const UNTOLD: Duration = Duration::from_secs(2);
/// The first pause between two tries; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What is known of the server being away: nothing as long as it answers.
#[derive(Debug, Default)]
pub(super) struct Outage(Option<Away>);

#[derive(Debug)]
struct Away {
    since: Instant,
    why: ClientError,
    told: bool,
    pause: Duration,
    try_at: Instant,
}

impl Outage {
    /// A try has failed with an error that may go away.
    ///
    /// # Errors
    /// The same error, if the server has been away for [`PATIENCE`].
    pub(super) fn failed(&mut self, error: ClientError) -> Result<(), ClientError> {
        let now = Instant::now();
        let Some(away) = &mut self.0 else {
            let (pause, try_at) = (FIRST_PAUSE, now + FIRST_PAUSE);
            self.0 = Some(Away { since: now, why: error, told: false, pause, try_at });
            return Ok(());
        };
        if away.since.elapsed() >= PATIENCE {
            return Err(error);
        }
        // Both streams of an action fail at the same time: that is one failure.
        if away.try_at <= now {
            away.pause = (away.pause * 2).min(LONGEST_PAUSE);
            away.try_at = (now + away.pause).min(away.since + PATIENCE);
        }
        away.why = error;
        Ok(())
    }

    /// Whether the server is away.
    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether it is time to try again.
    pub(super) fn may_try(&self) -> bool {
        self.0.as_ref().is_none_or(|away| away.try_at <= Instant::now())
    }

    /// When there is something to do again: to try, to tell the person, or to end.
    pub(super) fn next(&self) -> Option<Instant> {
        let away = self.0.as_ref()?;
        let until = away.since + if away.told { PATIENCE } else { UNTOLD };
        Some(if away.try_at > Instant::now() { until.min(away.try_at) } else { until })
    }

    /// Why the server is away, once, when it is time to tell.
    pub(super) fn next_notice(&mut self) -> Option<String> {
        let away = self.0.as_mut().filter(|away| !away.told && away.since.elapsed() >= UNTOLD)?;
        away.told = true;
        // What carries the calls says it best.
        let cause = away.why.cause::<AuthError>().map(ToString::to_string);
        Some(cause.unwrap_or_else(|| away.why.to_string()))
    }

    /// Ends the outage if it has lasted too long without any answer, not even a failure.
    ///
    /// # Errors
    /// The last failure.
    pub(super) fn check(&mut self) -> Result<(), ClientError> {
        match self.0.take_if(|away| away.since.elapsed() >= PATIENCE) {
            Some(away) => Err(away.why),
            None => Ok(()),
        }
    }

    /// The server answers; whether the person was told that it did not.
    pub(super) fn end(&mut self) -> bool {
        self.0.take().is_some_and(|away| away.told)
    }
}
