//! Time as a parameter, so that tests of expiry do not sleep.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Unix time in seconds.
pub type UnixTime = i64;

/// The source of time: the system's clock, or a manual one for tests.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// Creates a clock that stays at `now` until [`Clock::advance`]. Clones share their time.
    #[must_use]
    pub fn manual(now: UnixTime) -> Self {
        Self(Some(Arc::new(AtomicI64::new(now))))
    }

    /// The current time.
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

    /// Advances a manual clock. Does nothing with the system's clock.
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
