//! Time as a parameter. No other code in the server asks the system for the time, so every expiry can be tested without
//! sleeping.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// A moment, in whole seconds of Unix time: the unit of `exp`, `iat` and `auth_time` (RFC 7519 section 2).
pub type UnixTime = i64;

/// A moment, in milliseconds of Unix time: the unit of the times of runs and actions.
pub type UnixMillis = i64;

/// Formats a moment for people (RFC 3339).
#[must_use]
pub fn rfc3339(at: UnixTime) -> String {
    jiff::Timestamp::from_second(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

/// The source of the current time.
#[derive(Clone, Default)]
pub struct Clock(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Creates a clock that stays at `now` until [`Clock::advance`] moves it. Clones share its time.
    #[must_use]
    pub fn manual(now: UnixTime) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(now))))
    }

    /// Returns the time now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the source of the time")]
    pub fn now(&self) -> UnixTime {
        match &self.0 {
            // A system clock before 1970 counts as 1970: tokens then seem fresh, and the server does not fail.
            Source::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)),
            Source::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Returns the time now, in milliseconds.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the source of the time")]
    pub fn now_millis(&self) -> UnixMillis {
        match &self.0 {
            Source::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)),
            Source::Manual(now) => now.load(Ordering::SeqCst).saturating_mul(1000),
        }
    }

    /// Returns the time now, to the microsecond. A manual clock has whole seconds only.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the source of the time")]
    pub fn timestamp(&self) -> jiff::Timestamp {
        match &self.0 {
            Source::System => jiff::Timestamp::now(),
            Source::Manual(_) => jiff::Timestamp::from_second(self.now()).unwrap_or_default(),
        }
    }

    /// Moves a manual clock forward by `seconds`. The system clock does not change.
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
