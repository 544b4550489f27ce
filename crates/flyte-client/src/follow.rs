//! Following an action until it is over: how it stands and what it writes, in one stream, through retries, lost connections and
//! restarts of the server.

use std::time::Duration;

use flyte_idl::flyteidl2::workflow::WatchActionDetailsResponseView;
use tokio::time::{Instant, sleep, timeout};

use crate::action::{ActionDetails, ActionId, Actions};
use crate::client::Transport;
use crate::error::ClientError;
use crate::logs::{ActionLog, Line, Logs};
use crate::phase::Phase;
use crate::watch::Watch;

/// How long a log may be silent after its action has ended, before it is taken to be at its end.
const SILENCE: Duration = Duration::from_secs(3);
/// How long is waited before a lost connection is made again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often in a row it is tried again.
const ATTEMPTS: u32 = 30;

/// What happens to an action.
#[derive(Clone, Debug)]
pub enum Event {
    /// It stands differently than before.
    Changed(Box<ActionDetails>),
    /// It has written a line, in this attempt.
    Line(u32, Line),
}

/// An action that is followed.
pub struct Follow<T: Transport> {
    actions: Actions<T>,
    logs: Logs<T>,
    id: ActionId,
    watch: Option<Watch<T, WatchActionDetailsResponseView<'static>>>,
    log: Option<ActionLog<T>>,
    /// The attempt whose log is read, and how many of its lines were told.
    attempt: u32,
    told: u64,
    /// Lines of a log that was opened again which were told before.
    skipped: u64,
    /// The log was read to its end; it is opened again when there is news of the action.
    ended: bool,
    last: Option<ActionDetails>,
    /// When the action was seen to be over, or its log to write after that.
    over: Option<Instant>,
    failures: u32,
}

enum Step {
    Details(Result<Option<ActionDetails>, ClientError>),
    Line(Result<Option<Line>, ClientError>),
    Nothing,
}

impl<T: Transport> Follow<T> {
    pub(crate) fn new(actions: Actions<T>, logs: Logs<T>, id: ActionId) -> Self {
        Self {
            actions,
            logs,
            id,
            watch: None,
            log: None,
            attempt: 1,
            told: 0,
            skipped: 0,
            ended: false,
            last: None,
            over: None,
            failures: 0,
        }
    }

    /// What happens next; `None` when the action is over and all that it has written was told.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is no such action; those of a call that do not go away within half a minute.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if self.watch.is_none() && self.over.is_none() {
                match self.actions.watch(&self.id).await {
                    Ok(watch) => self.watch = Some(watch),
                    Err(error) => {
                        self.again(error).await?;
                        continue;
                    }
                }
            }
            if self.log.is_none() && !self.ended && self.has_a_log() {
                match self.logs.of_action(&self.id, self.attempt).await {
                    Ok(log) => (self.log, self.skipped) = (Some(log), self.told),
                    // It is about to come, or there is none at all.
                    Err(ClientError::NotFound { .. } | ClientError::Unsupported { .. })
                        if self.over.is_some() =>
                    {
                        if !self.next_attempt() {
                            return Ok(None);
                        }
                    }
                    Err(ClientError::NotFound { .. }) => {}
                    Err(error) => self.again(error).await?,
                }
            }
            match self.step().await {
                Step::Details(Ok(Some(details))) => {
                    (self.failures, self.ended) = (0, false);
                    if details.action.phase.is_over() {
                        (self.over, self.watch) = (Some(Instant::now()), None);
                    }
                    if self.last.as_ref() != Some(&details) {
                        self.last = Some(details.clone());
                        return Ok(Some(Event::Changed(Box::new(details))));
                    }
                }
                // A server may end a watch for its own reasons.
                Step::Details(Ok(None)) => {
                    self.watch = None;
                    sleep(PAUSE).await;
                }
                Step::Details(Err(error)) => {
                    self.watch = None;
                    self.again(error).await?;
                }
                Step::Line(Ok(Some(line))) => {
                    self.failures = 0;
                    if self.over.is_some() {
                        self.over = Some(Instant::now());
                    }
                    if self.skipped > 0 {
                        self.skipped -= 1;
                        continue;
                    }
                    self.told += 1;
                    return Ok(Some(Event::Line(self.attempt, line)));
                }
                Step::Line(Ok(None)) => {
                    self.log = None;
                    if !self.next_attempt() {
                        if self.over.is_some() {
                            return Ok(None);
                        }
                        self.ended = true;
                    }
                }
                Step::Line(Err(error)) => {
                    self.log = None;
                    if !matches!(error, ClientError::NotFound { .. }) {
                        self.again(error).await?;
                    }
                }
                Step::Nothing => {
                    if self.over.is_some_and(|over| over.elapsed() >= SILENCE)
                        || !self.has_a_log() && self.over.is_some()
                    {
                        self.log = None;
                        if !self.next_attempt() {
                            return Ok(None);
                        }
                    }
                }
            }
        }
    }

    /// How it stood last.
    pub fn last(&self) -> Option<&ActionDetails> {
        self.last.as_ref()
    }

    /// What comes first: how it stands, or what it writes.
    async fn step(&mut self) -> Step {
        let Self { watch, log, .. } = self;
        let both = async {
            match (watch, log) {
                (Some(watch), Some(log)) => tokio::select! {
                    // Both only read from where they are: neither loses anything when the other one is first.
                    biased;
                    line = log.next() => Step::Line(line),
                    details = watch.next() => Step::Details(details),
                },
                (Some(watch), None) => Step::Details(watch.next().await),
                (None, Some(log)) => Step::Line(log.next().await),
                (None, None) => {
                    sleep(PAUSE).await;
                    Step::Nothing
                }
            }
        };
        timeout(PAUSE, both).await.unwrap_or(Step::Nothing)
    }

    /// Whether the attempt in question has started.
    fn has_a_log(&self) -> bool {
        self.last.as_ref().is_some_and(|details| {
            let action = &details.action;
            let started = action.phase == Phase::Running || action.phase.is_over();
            action.attempts > self.attempt || (action.attempts == self.attempt && started)
        })
    }

    /// Goes on to the next attempt, where there is one already.
    fn next_attempt(&mut self) -> bool {
        let attempts = self.last.as_ref().map_or(0, |details| details.action.attempts);
        if attempts <= self.attempt {
            return false;
        }
        (self.attempt, self.told) = (self.attempt + 1, 0);
        true
    }

    /// Waits before a call is made again that has failed for a reason that may go away.
    async fn again(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.failures += 1;
        let may_go_away = matches!(error, ClientError::Unavailable { .. } | ClientError::Server { .. });
        let is_new = self.last.is_none();
        if !may_go_away || is_new || self.failures > ATTEMPTS {
            return Err(error);
        }
        sleep(PAUSE).await;
        Ok(())
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
