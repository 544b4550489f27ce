//! Follows an action until it ends: one stream of its states and log lines, which continues after retries of the action, lost
//! connections and restarts of the server.

mod outage;
mod position;
mod source;

use std::collections::VecDeque;
use std::time::Duration;

use flyte_idl::flyteidl2::workflow::WatchActionDetailsResponse;
use tokio::time::{Instant, sleep_until};

use self::outage::Outage;
use self::position::Position;
use self::source::Source;
use crate::action::{ActionDetails, ActionId, Actions};
use crate::error::ClientError;
use crate::logs::{ActionLog, Line, Logs};
use crate::phase::Phase;
use crate::transport::Transport;
use crate::watch::Watch;

/// If the log has no new line for this long after the action ended, the log is complete.
const LOG_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause before a stream is opened again that the server ended or does not have yet.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// An event of an action.
#[derive(Clone, Debug)]
pub enum Event {
    /// The action's state changed.
    Changed(Box<ActionDetails>),
    /// The action wrote a line in the attempt with this number.
    Line(u32, Line),
    /// The server has not answered for two seconds, for this reason. The client retries for a minute in all. The action itself
    /// continues.
    Lost(String),
    /// The server answers again, after [`Event::Lost`].
    Found,
}

/// Follows one action.
pub struct Follow<T: Transport> {
    actions: Actions<T>,
    logs: Logs<T>,
    id: ActionId,
    /// Whether the action is known to exist. If so, the first call is retried too.
    known: bool,
    watch: Source<Watch<T, WatchActionDetailsResponse>>,
    log: Source<ActionLog<T>>,
    /// The attempt whose log is read.
    attempt: u32,
    /// How far the log of the attempt was read.
    position: Position,
    /// Whether the log was read to its end. It is opened again after the next change of the action.
    ended: bool,
    last: Option<ActionDetails>,
    /// The time at which the action ended, or at which the server last answered after that.
    over: Option<Instant>,
    /// Whether the action has ended and its log was read to its end.
    finished: bool,
    outage: Outage,
    /// Whether the stream has sent a message since the server last rejected its token. If so, the token has expired, and a new
    /// token may work.
    watch_worked: bool,
    /// The same for the log.
    log_worked: bool,
    events: VecDeque<Event>,
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
            known: false,
            watch: Source::new(),
            log: Source::new(),
            attempt: 1,
            position: Position::default(),
            ended: false,
            last: None,
            over: None,
            finished: false,
            outage: Outage::default(),
            watch_worked: false,
            log_worked: false,
            events: VecDeque::new(),
        }
    }

    /// Says that the action exists, for example because it was just started. The first call is then retried too. Otherwise the
    /// first call fails at once, because the address may be wrong.
    #[must_use]
    pub fn known(mut self) -> Self {
        self.known = true;
        self
    }

    /// Waits for the next event; `None` after the action ended and its whole log was returned. This method is cancel safe.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the action does not exist; the error of a call that has failed for a minute.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.finished {
                return Ok(None);
            }
            if let Some(why) = self.outage.next_notice() {
                return Ok(Some(Event::Lost(why)));
            }
            self.open();
            match self.step().await {
                Step::Details(Ok(Some(details))) => {
                    self.answered();
                    (self.watch_worked, self.ended) = (true, false);
                    if details.action.phase.is_over() {
                        (self.over, self.watch) = (Some(Instant::now()), Source::new());
                    }
                    if self.last.as_ref() != Some(&details) {
                        self.last = Some(details.clone());
                        self.events.push_back(Event::Changed(Box::new(details)));
                    }
                }
                // The server may end the stream at any time, for example when it restarts.
                Step::Details(Ok(None)) => self.watch = Source::closed_for(REOPEN_PAUSE),
                Step::Details(Err(error)) => {
                    self.watch = Source::new();
                    let worked = std::mem::take(&mut self.watch_worked);
                    self.failed(error, worked)?;
                }
                Step::Line(Ok(Some(line))) => {
                    self.answered();
                    self.log_worked = true;
                    if self.position.is_new(&line) {
                        self.events.push_back(Event::Line(self.attempt, line));
                    }
                }
                Step::Line(Ok(None)) => {
                    self.answered();
                    self.log = Source::new();
                    if !self.next_attempt() {
                        (self.ended, self.finished) = (true, self.over.is_some());
                    }
                }
                // The action has ended, so this attempt has no log.
                Step::Line(Err(ClientError::NotFound { .. } | ClientError::Unsupported { .. }))
                    if self.over.is_some() =>
                {
                    self.log = Source::new();
                    self.finished = !self.next_attempt();
                }
                Step::Line(Err(ClientError::NotFound { .. })) => self.log = Source::closed_for(REOPEN_PAUSE),
                Step::Line(Err(error)) => {
                    self.log = Source::new();
                    let worked = std::mem::take(&mut self.log_worked);
                    self.failed(error, worked)?;
                }
                Step::Nothing => {
                    self.outage.check()?;
                    let silent = self.over.is_some_and(|over| over.elapsed() >= LOG_TIMEOUT)
                        || !self.has_a_log() && self.over.is_some();
                    if silent && !self.outage.is_on() {
                        self.log = Source::new();
                        self.finished = !self.next_attempt();
                    }
                }
            }
        }
    }

    /// The last known state of the action.
    pub fn last(&self) -> Option<&ActionDetails> {
        self.last.as_ref()
    }

    /// Starts to open the streams that are needed and not open.
    fn open(&mut self) {
        if !self.outage.may_try() {
            return;
        }
        if self.watch.is_to_open() && self.over.is_none() {
            let (actions, id) = (self.actions.clone(), self.id.clone());
            self.watch.open(async move { actions.watch(&id).await });
        }
        if self.log.is_to_open() && !self.ended && self.has_a_log() {
            let (logs, id, attempt) = (self.logs.clone(), self.id.clone(), self.attempt);
            self.position.begin_again();
            self.log.open(async move { logs.of_action(&id, attempt).await });
        }
    }

    /// Waits for a message of either stream, but not longer than [`REOPEN_PAUSE`].
    async fn step(&mut self) -> Step {
        let tick = Instant::now() + REOPEN_PAUSE;
        let tick = self.outage.next().map_or(tick, |at| at.min(tick));
        let Self { watch, log, .. } = self;
        tokio::select! {
            // All branches are cancel safe.
            biased;
            line = async { log.ready().await?.next().await } => Step::Line(line),
            details = async { watch.ready().await?.next().await } => Step::Details(details),
            () = sleep_until(tick) => Step::Nothing,
        }
    }

    /// Whether the attempt whose log is read has started.
    fn has_a_log(&self) -> bool {
        self.last.as_ref().is_some_and(|details| {
            let action = &details.action;
            let started = action.phase == Phase::Running || action.phase.is_over();
            action.attempts > self.attempt || (action.attempts == self.attempt && started)
        })
    }

    /// Switches to the next attempt; `false` if there is none yet.
    fn next_attempt(&mut self) -> bool {
        let attempts = self.last.as_ref().map_or(0, |details| details.action.attempts);
        if attempts <= self.attempt {
            return false;
        }
        (self.attempt, self.position) = (self.attempt + 1, Position::default());
        true
    }

    /// Records that the server answered.
    fn answered(&mut self) {
        if self.outage.end() {
            self.events.push_back(Event::Found);
        }
        if self.over.is_some() {
            self.over = Some(Instant::now());
        }
    }

    /// Records that a stream could not be opened or broke. `worked` is [`Self::watch_worked`] or [`Self::log_worked`].
    fn failed(&mut self, error: ClientError, worked: bool) -> Result<(), ClientError> {
        // The stream's token has expired, so open the stream again at once, with a new token.
        if worked && matches!(error, ClientError::Unauthenticated { .. }) {
            return Ok(());
        }
        let is_temporary = error.is_temporary() || matches!(error, ClientError::WrongEndpoint { .. });
        if !is_temporary || !(self.known || self.last.is_some()) {
            return Err(error);
        }
        self.outage.failed(error)
    }
}

#[cfg(test)]
mod tests;
