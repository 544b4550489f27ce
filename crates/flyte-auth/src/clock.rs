//! Time as a parameter, so that expiry is tested without sleeping.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Seconds of Unix time.
pub type UnixTime = i64;

/// Where the time comes from.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// A clock that stands still at `now` until [`Clock::advance`]; clones share its hands.
    #[must_use]
    pub fn manual(now: UnixTime) -> Self {
        Self(Some(Arc::new(AtomicI64::new(now))))
    }

    /// The time now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the source of the time")]
    pub fn now(&self) -> UnixTime {
        match &self.0 {
            Some(hands) => hands.load(Ordering::SeqCst),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)),
        }
    }

    /// Moves a manual clock on; the system clock is left alone.
    pub fn advance(&self, seconds: i64) {
        if let Some(hands) = &self.0 {
            hands.fetch_add(seconds, Ordering::SeqCst);
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Clock(manual)" } else { "Clock(system)" })
    }
}
