//! Following an action until it is over: how it stands and what it writes, in one stream, through retries, lost connections and
//! restarts of the server.

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
use crate::client::Transport;
use crate::error::ClientError;
use crate::logs::{ActionLog, Line, Logs};
use crate::phase::Phase;
use crate::watch::Watch;

/// How long a log may be silent after its action has ended, before it is taken to be at its end.
const SILENCE: Duration = Duration::from_secs(3);
/// How long a stream that the server has ended, or does not have yet, is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// What happens to an action.
#[derive(Clone, Debug)]
pub enum Event {
    /// It stands differently than before.
    Changed(Box<ActionDetails>),
    /// It has written a line, in this attempt.
    Line(u32, Line),
    /// The server has not answered for two seconds, for this reason. It is tried for a minute in all; the action goes on
    /// meanwhile.
    Lost(String),
    /// The server answers again, after [`Event::Lost`].
    Found,
}

/// An action that is followed.
pub struct Follow<T: Transport> {
    actions: Actions<T>,
    logs: Logs<T>,
    id: ActionId,
    /// The action is known to be there, so that not even the first call has to succeed at once.
    known: bool,
    watch: Source<Watch<T, WatchActionDetailsResponse>>,
    log: Source<ActionLog<T>>,
    /// The attempt whose log is read, and how far.
    attempt: u32,
    position: Position,
    /// The log was read to its end; it is opened again when there is news of the action.
    ended: bool,
    last: Option<ActionDetails>,
    /// When the action was seen to be over, or its log to write after that.
    over: Option<Instant>,
    /// The action is over, and its log was read to its end.
    finished: bool,
    outage: Outage,
    /// Whether a stream has brought something since it was refused last: a token that has expired since can be renewed.
    watch_worked: bool,
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

    /// The same for an action that is known to be there, such as one that was just started: the first call, too, is tried again
    /// if the server is away. Otherwise an address that is wrong is told at once.
    #[must_use]
    pub fn known(mut self) -> Self {
        self.known = true;
        self
    }

    /// What happens next; `None` when the action is over and all that it has written was told. Nothing is lost if this is not
    /// waited for to its end.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such action; those of a call that do not go away within a minute.
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
                // A server may end a watch for its own reasons.
                Step::Details(Ok(None)) => self.watch = Source::closed_for(PAUSE),
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
                // It is about to come, or there is none at all.
                Step::Line(Err(ClientError::NotFound { .. } | ClientError::Unsupported { .. }))
                    if self.over.is_some() =>
                {
                    self.log = Source::new();
                    self.finished = !self.next_attempt();
                }
                Step::Line(Err(ClientError::NotFound { .. })) => self.log = Source::closed_for(PAUSE),
                Step::Line(Err(error)) => {
                    self.log = Source::new();
                    let worked = std::mem::take(&mut self.log_worked);
                    self.failed(error, worked)?;
                }
                Step::Nothing => {
                    self.outage.check()?;
                    let silent = self.over.is_some_and(|over| over.elapsed() >= SILENCE)
                        || !self.has_a_log() && self.over.is_some();
                    if silent && !self.outage.is_on() {
                        self.log = Source::new();
                        self.finished = !self.next_attempt();
                    }
                }
            }
        }
    }

    /// How it stood last.
    pub fn last(&self) -> Option<&ActionDetails> {
        self.last.as_ref()
    }

    /// Begins to open what is to be read and is not open.
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

    /// What comes first: how it stands, what it writes, or that some time has passed.
    async fn step(&mut self) -> Step {
        let tick = Instant::now() + PAUSE;
        let tick = self.outage.next().map_or(tick, |at| at.min(tick));
        let Self { watch, log, .. } = self;
        tokio::select! {
            // Each only reads from where it is: none loses anything when another one is first.
            biased;
            line = async { log.ready().await?.next().await } => Step::Line(line),
            details = async { watch.ready().await?.next().await } => Step::Details(details),
            () = sleep_until(tick) => Step::Nothing,
        }
    }

    /// Whether the attempt in question has started.
    fn has_a_log(&self) -> bool {
        self.last.as_ref().is_some_and(|details| {
            let action = &details.action;
            let started = action.phase == Phase::Running || action.phase.is_over();
            action.attempts > self.attempt || (action.attempts == self.attempt && started)
        })
    }

    /// Goes on to the next attempt if there is one already.
    fn next_attempt(&mut self) -> bool {
        let attempts = self.last.as_ref().map_or(0, |details| details.action.attempts);
        if attempts <= self.attempt {
            return false;
        }
        (self.attempt, self.position) = (self.attempt + 1, Position::default());
        true
    }

    /// The server has answered.
    fn answered(&mut self) {
        if self.outage.end() {
            self.events.push_back(Event::Found);
        }
        if self.over.is_some() {
            self.over = Some(Instant::now());
        }
    }

    /// A stream could not be opened, or has broken; `worked` tells that it had brought something before.
    fn failed(&mut self, error: ClientError, worked: bool) -> Result<(), ClientError> {
        // Its token has expired: it is opened again at once, with a new one.
        if worked && matches!(error, ClientError::Unauthenticated { .. }) {
            return Ok(());
        }
        let may_go_away = error.is_temporary() || matches!(error, ClientError::WrongEndpoint { .. });
        if !may_go_away || !(self.known || self.last.is_some()) {
            return Err(error);
        }
        self.outage.failed(error)
    }
}

#[cfg(test)]
mod tests;
