//! Time as a parameter: nothing else in the server asks the system what time it is, so that every
//! expiry can be tested without sleeping.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// A moment, in whole seconds of Unix time; the unit of `exp`, `iat` and `auth_time` (RFC 7519 section 2).
pub type UnixTime = i64;

/// A moment, in milliseconds of Unix time: what runs and their actions are measured in.
pub type UnixMillis = i64;

/// The moment as people read it (RFC 3339).
#[must_use]
pub fn rfc3339(at: UnixTime) -> String {
    jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

/// Where the time comes from.
#[derive(Clone, Default)]
pub struct Clock(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still at `now` until [`Clock::advance`] moves it. Clones share its hands.
    #[must_use]
    pub fn manual(now: UnixTime) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(now))))
    }

    /// The time now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is where the time comes from")]
    pub fn now(&self) -> UnixTime {
        match &self.0 {
            // A system clock before 1970 reads as 1970: every token is then fresh rather than the server dead.
            Source::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)),
            Source::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// The time now, in milliseconds.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is where the time comes from")]
    pub fn now_millis(&self) -> UnixMillis {
        match &self.0 {
            Source::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)),
            Source::Manual(now) => now.load(Ordering::SeqCst).saturating_mul(1000),
        }
    }

    /// The time now, to the microsecond; where the clock is manual it stands at the whole second.
    #[must_use]
    pub fn timestamp(&self) -> jiff::Timestamp {
        match &self.0 {
            Source::System => jiff::Timestamp::now(),
            Source::Manual(_) => jiff::Timestamp::from_second(self.now()).unwrap_or_default(),
        }
    }

    /// Moves a manual clock on by `seconds`; the system clock is left alone.
    pub fn advance(&self, seconds: i64) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(seconds, Ordering::SeqCst);
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Clock(system)",
            Source::Manual(_) => "Clock(manual)",
        })
    }
}
