//! The streams that are open: how many there may be, and their end with the right of whoever reads them.
//!
//! A stream is let in once and may go on for days. It ends when its caller would no longer be let in: at once when the
//! caller's family is revoked, and otherwise at the next [`Access::check_streams`], which looks up each principal once,
//! however many streams it reads.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::HeaderMap;
use jsonwebtoken::decode_header;
use tokio::sync::oneshot;

use super::{ACCOUNT_CHECK_INTERVAL, Access, Caller, bearer, principal};
use flyte_model::PrincipalKind;
use flyte_model::clock::{Clock, UnixTime};

/// Why a stream ends before its method has ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamEnd {
    /// The caller would no longer be let in.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The store has failed for so long that nobody knows whether the caller would be let in.
    #[error("the caller could not be checked")]
    Unchecked,
}

const EXPIRED: StreamEnd = StreamEnd::Unauthenticated("the token has expired");
const REVOKED: StreamEnd = StreamEnd::Unauthenticated("the token has been revoked");
const UNKNOWN_KEY: StreamEnd = StreamEnd::Unauthenticated("the token was signed by an unknown key");
const REDUCED: StreamEnd = StreamEnd::Unauthenticated("the caller's rights have been reduced");

/// One caller may have a quarter of all streams open. Runs have a quarter to themselves: they watch what they have started, and
/// wait for ever where they cannot.
const PART: usize = 4;

/// Why another stream is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyStreams {
    /// The caller has its share.
    #[error(
        "{0} streams of this caller are open, and it may have no more at a time: end one, such as a command that follows a \
         log, or try again later"
    )]
    Caller(usize),
    /// All have so many that there is no room for another one.
    #[error("{0} streams are open, and the server has no more at a time (http.max-streams): try again later")]
    All(usize),
}

/// A principal, as its tokens name it, and their family.
type Principal = (PrincipalKind, String, String);

/// The streams that are open.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, Entry>,
    /// When principals could first not be looked up; `None` while they can.
    unchecked_since: Option<UnixTime>,
}

#[derive(Debug)]
struct Entry {
    caller: Arc<Caller>,
    /// `kid` of the key that signed the caller's token.
    key_id: String,
    /// `None` once it was told to end. It counts until it has: who does not read on keeps what it holds.
    end: Option<oneshot::Sender<StreamEnd>>,
}

/// Whether two callers are one, however many tokens they have: a person by their account, a machine by its key, rule or run,
/// whatever its tokens call it.
fn are_one(one: &Caller, other: &Caller) -> bool {
    one.principal == other.principal
        && if one.principal.is_person() {
            one.subject == other.subject
        } else {
            one.family_id == other.family_id
        }
}

impl State {
    /// Whether the caller may have another stream, of `most` that there may be.
    fn admit(&self, caller: &Caller, most: usize) -> Result<(), TooManyStreams> {
        let is_run = |caller: &Caller| caller.principal == PrincipalKind::Run;
        let share = (most / PART).max(1);
        let of_caller = self.open.values().filter(|entry| are_one(&entry.caller, caller)).count();
        if of_caller >= share {
            return Err(TooManyStreams::Caller(of_caller));
        }
        let for_others = most - most / PART;
        let of_others = self.open.values().filter(|entry| !is_run(&entry.caller)).count();
        if self.open.len() >= most || (!is_run(caller) && of_others >= for_others) {
            return Err(TooManyStreams::All(self.open.len()));
        }
        Ok(())
    }
}

impl Streams {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the streams that `which` chooses.
    fn end(&self, why: StreamEnd, which: impl Fn(u64, &Entry) -> bool) {
        let mut state = self.state();
        for (id, entry) in &mut state.open {
            if which(*id, entry)
                && let Some(end) = entry.end.take()
            {
                // A stream that has just ended by itself no longer listens.
                let _ = end.send(why);
            }
        }
    }

    /// The open streams of each principal.
    fn by_principal(&self) -> HashMap<Principal, Vec<(u64, Arc<Caller>)>> {
        let mut streams: HashMap<_, Vec<_>> = HashMap::new();
        for (id, Entry { caller, end, .. }) in &self.state().open {
            if end.is_none() {
                continue;
            }
            let principal = (caller.principal, caller.subject.clone(), caller.family_id.clone());
            streams.entry(principal).or_default().push((*id, Arc::clone(caller)));
        }
        streams
    }

    fn note_checked(&self) {
        self.state().unchecked_since = None;
    }

    /// Notes that a principal could not be looked up; whether that has been so for too long.
    fn note_unchecked(&self, now: UnixTime) -> bool {
        let since = *self.state().unchecked_since.get_or_insert(now);
        now.saturating_sub(since) >= ACCOUNT_CHECK_INTERVAL
    }
}

/// A stream that is open; dropping it closes it.
#[derive(Debug)]
pub struct OpenStream {
    id: u64,
    streams: Arc<Streams>,
    clock: Clock,
    expires_at: UnixTime,
    ended: oneshot::Receiver<StreamEnd>,
}

impl OpenStream {
    /// Waits until the stream must end, and says why.
    pub async fn ended(&mut self) -> StreamEnd {
        if self.is_expired() {
            return EXPIRED;
        }
        // The sender is dropped only by sending, or with the stream.
        (&mut self.ended).await.unwrap_or(EXPIRED)
    }

    /// Whether the token has expired: nothing more may be told, even if the stream has not been ended yet.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.expires_at <= self.clock.now()
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.streams.state().open.remove(&self.id);
    }
}

impl Access {
    /// A stream for a caller that was let in just now by the token in `headers`.
    ///
    /// # Errors
    /// [`TooManyStreams`].
    pub fn open_stream(
        &self,
        caller: &Arc<Caller>,
        headers: &HeaderMap,
    ) -> Result<OpenStream, TooManyStreams> {
        let (end, ended) = oneshot::channel();
        let key_id = bearer(headers).and_then(|token| decode_header(token).ok()?.kid).unwrap_or_default();
        let id = {
            let mut state = self.streams.state();
            state.admit(caller, self.config.http.max_streams)?;
            let id = state.next;
            state.next += 1;
            state.open.insert(id, Entry { caller: Arc::clone(caller), key_id, end: Some(end) });
            id
        };
        // It may have been revoked after the caller was let in and before the stream was known.
        self.end_revoked_streams();
        Ok(OpenStream {
            id,
            streams: Arc::clone(&self.streams),
            clock: self.clock.clone(),
            expires_at: caller.expires_at,
            ended,
        })
    }

    /// Ends the streams whose callers would no longer be let in. To be called more than once a second.
    pub async fn check_streams(&self) {
        let now = self.clock.now();
        self.streams.end(UNKNOWN_KEY, |_, entry| !self.keys.knows(&entry.key_id));
        self.streams.end(EXPIRED, |_, entry| entry.caller.expires_at <= now);
        let mut all_checked = true;
        for (_, streams) in self.streams.by_principal() {
            let Some((_, caller)) = streams.first() else { continue };
            let (why, ended): (_, Vec<_>) = match principal::look_up(self, caller).await {
                Ok(Ok(standing)) => {
                    let reduced = |(_, caller): &&(u64, Arc<Caller>)| {
                        standing.role < caller.role || !standing.limit.covers(&caller.limit)
                    };
                    (REDUCED, streams.iter().filter(reduced).map(|(id, _)| *id).collect())
                }
                Ok(Err(why)) => {
                    // What was known of its tokens does not let them in again.
                    self.cache.forget(caller);
                    (StreamEnd::Unauthenticated(why), streams.iter().map(|(id, _)| *id).collect())
                }
                Err(error) => {
                    all_checked = false;
                    tracing::error!(%error, "the callers of streams could not be checked");
                    if !self.streams.note_unchecked(now) {
                        continue;
                    }
                    (StreamEnd::Unchecked, streams.iter().map(|(id, _)| *id).collect())
                }
            };
            if !ended.is_empty() {
                self.streams.end(why, |id, _| ended.contains(&id));
            }
        }
        if all_checked {
            self.streams.note_checked();
        }
    }

    /// Ends the streams whose tokens are revoked.
    pub(super) fn end_revoked_streams(&self) {
        self.streams.end(REVOKED, |_, entry| self.is_revoked(&entry.caller));
    }
}
