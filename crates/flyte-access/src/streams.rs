//! The open streams: their maximum number, and their end when the caller loses its rights.
//!
//! A caller is authenticated once, when the stream opens; the stream may stay open for days. It ends when the caller
//! would no longer be authenticated: immediately if the caller's family is revoked, otherwise at the next
//! [`Access::check_streams`]. That looks up each principal once, independent of its number of streams.

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

/// The reason for ending a stream before its method has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamEnd {
    /// The caller would no longer be authenticated.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The store has failed for so long that the caller's rights are unknown.
    #[error("the caller could not be checked")]
    Unchecked,
}

const EXPIRED: StreamEnd = StreamEnd::Unauthenticated("the token has expired");
const REVOKED: StreamEnd = StreamEnd::Unauthenticated("the token has been revoked");
const UNKNOWN_KEY: StreamEnd = StreamEnd::Unauthenticated("the token was signed by an unknown key");
const REDUCED: StreamEnd = StreamEnd::Unauthenticated("the caller's rights have been reduced");

/// One caller may have a quarter of all streams. Another quarter is reserved for runs: a run watches the actions that
/// it has started, and would wait for ever if it could not.
const SHARES: usize = 4;

/// The reason for refusing another stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyStreams {
    /// The caller has reached its own maximum.
    #[error(
        "this caller has {0} open streams, which is the maximum: end one, for example a command that follows a log, \
         or try again later"
    )]
    Caller(usize),
    /// The server has reached its maximum.
    #[error("the server has {0} open streams, which is the maximum (http.max-streams): try again later")]
    All(usize),
}

/// The kind and `sub` of a principal, and the family of its tokens.
type Principal = (PrincipalKind, String, String);

/// The open streams.
#[derive(Debug, Default)]
pub(super) struct Streams(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, Entry>,
    /// How many streams each principal has open.
    of_principals: HashMap<PrincipalKey, usize>,
    /// How many streams are not those of runs.
    of_others: usize,
    /// The time since when principals could not be looked up; `None` if the last lookup succeeded.
    unchecked_since: Option<UnixTime>,
}

#[derive(Debug)]
struct Entry {
    caller: Arc<Caller>,
    /// `kid` of the key that signed the caller's token; `None` for a browser session, which has no token, and if its own
    /// platform signed the token of a pod.
    key_id: Option<String>,
    /// `None` after the end was sent. The stream counts until it is closed: a caller that stops reading still uses
    /// its memory.
    end: Option<oneshot::Sender<StreamEnd>>,
}

/// One principal, with any number of tokens: a person by the account; a machine by its key, trust rule or run, because its tokens
/// may have different subjects.
type PrincipalKey = (PrincipalKind, String);

fn principal_key(caller: &Caller) -> PrincipalKey {
    let id = if caller.principal.is_person() { &caller.subject } else { &caller.family_id };
    (caller.principal, id.clone())
}

fn is_run(caller: &Caller) -> bool {
    caller.principal == PrincipalKind::Run
}

impl State {
    /// Adds a stream if the caller may open another one, and returns its number. `most` is the server's maximum.
    fn add(&mut self, entry: Entry, most: usize) -> Result<u64, TooManyStreams> {
        let key = principal_key(&entry.caller);
        let is_run = is_run(&entry.caller);
        let of_caller = self.of_principals.get(&key).copied().unwrap_or_default();
        if of_caller >= (most / SHARES).max(1) {
            return Err(TooManyStreams::Caller(of_caller));
        }
        let for_others = most - most / SHARES;
        if self.open.len() >= most || (!is_run && self.of_others >= for_others) {
            return Err(TooManyStreams::All(self.open.len()));
        }
        let id = self.next;
        self.next += 1;
        self.open.insert(id, entry);
        self.of_principals.insert(key, of_caller + 1);
        self.of_others += usize::from(!is_run);
        Ok(id)
    }

    fn remove(&mut self, id: u64) {
        let Some(entry) = self.open.remove(&id) else { return };
        self.of_others -= usize::from(!is_run(&entry.caller));
        let key = principal_key(&entry.caller);
        if let Some(count) = self.of_principals.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.of_principals.remove(&key);
            }
        }
    }
}

impl Streams {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the streams that `which` selects.
    fn end(&self, why: StreamEnd, which: impl Fn(u64, &Entry) -> bool) {
        let mut state = self.state();
        for (id, entry) in &mut state.open {
            if which(*id, entry)
                && let Some(end) = entry.end.take()
            {
                // A stream that has just ended by itself has no receiver any more.
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

    /// Notes that a principal could not be looked up. Returns whether lookups have failed for too long.
    fn note_unchecked(&self, now: UnixTime) -> bool {
        let since = *self.state().unchecked_since.get_or_insert(now);
        now.saturating_sub(since) >= ACCOUNT_CHECK_INTERVAL
    }
}

/// An open stream. Dropping it closes it.
#[derive(Debug)]
pub struct OpenStream {
    id: u64,
    streams: Arc<Streams>,
    clock: Clock,
    expires_at: UnixTime,
    ended: oneshot::Receiver<StreamEnd>,
}

impl OpenStream {
    /// Waits until the stream must end, and returns the reason.
    pub async fn ended(&mut self) -> StreamEnd {
        if self.is_expired() {
            return EXPIRED;
        }
        // The sender is dropped only after sending, or with the stream.
        (&mut self.ended).await.unwrap_or(EXPIRED)
    }

    /// Whether the token has expired. Then no more data may be sent, even if the stream has not ended yet.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.expires_at <= self.clock.now()
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.streams.state().remove(self.id);
    }
}

impl Access {
    /// Opens a stream for a caller that was just authenticated with the token in `headers`.
    ///
    /// # Errors
    /// [`TooManyStreams`] if the caller or the server has reached its maximum.
    pub fn open_stream(
        &self,
        caller: &Arc<Caller>,
        headers: &HeaderMap,
    ) -> Result<OpenStream, TooManyStreams> {
        let (end, ended) = oneshot::channel();
        let key_id = match bearer(headers) {
            // A token in the headers is not the caller's: apps have tokens of their own.
            _ if caller.session_id().is_some() => None,
            Some(token) if self.is_of_workload(token) => None,
            token => Some(token.and_then(|token| decode_header(token).ok()?.kid).unwrap_or_default()),
        };
        let entry = Entry { caller: Arc::clone(caller), key_id, end: Some(end) };
        let id = self.streams.state().add(entry, self.config.http.max_streams)?;
        // The caller's tokens may have been revoked between its authentication and the registration of the stream.
        if self.is_revoked(caller) {
            self.streams.end(REVOKED, |other, _| other == id);
        }
        Ok(OpenStream {
            id,
            streams: Arc::clone(&self.streams),
            clock: self.clock.clone(),
            expires_at: caller.expires_at,
            ended,
        })
    }

    /// Ends the streams whose callers would no longer be authenticated. To be called at least once a second.
    pub async fn check_streams(&self) {
        let now = self.clock.now();
        self.streams
            .end(UNKNOWN_KEY, |_, entry| entry.key_id.as_ref().is_some_and(|id| !self.keys.knows(id)));
        self.streams.end(EXPIRED, |_, entry| entry.caller.expires_at <= now);
        let mut all_checked = true;
        for (_, streams) in self.streams.by_principal() {
            let Some((_, caller)) = streams.first() else { continue };
            let (why, ended): (_, Vec<_>) = match principal::look_up(self, caller).await {
                Ok(Ok(rights)) => {
                    let reduced = |(_, caller): &&(u64, Arc<Caller>)| !rights.grants.cover(&caller.grants);
                    (REDUCED, streams.iter().filter(reduced).map(|(id, _)| *id).collect())
                }
                Ok(Err(why)) => {
                    // The cached tokens must be verified again.
                    self.cache.forget(caller);
                    (StreamEnd::Unauthenticated(why), streams.iter().map(|(id, _)| *id).collect())
                }
                Err(error) => {
                    all_checked = false;
                    tracing::error!(%error, "the callers of open streams could not be checked");
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
