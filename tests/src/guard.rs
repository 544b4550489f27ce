//! A time limit for tests that hang, because libtest has none.

use std::{process, sync::Once, thread, time::Duration};

/// The time limit for all tests of one binary. The slowest take three minutes on two cores.
const LIMIT: Duration = Duration::from_secs(20 * 60);

static STARTED: Once = Once::new();

/// Ends this process with a failure when its tests take longer than [`LIMIT`]. All functions that start processes call it.
pub(crate) fn start() {
    STARTED.call_once(|| {
        thread::spawn(|| {
            thread::sleep(LIMIT);
            #[allow(clippy::print_stderr, reason = "the tests have failed: say why")]
            {
                eprintln!(
                    "These tests have not ended after {} minutes: one of them waits for something that never comes. \
                    The last line that names a test without its result is the one.",
                    LIMIT.as_secs() / 60
                );
            }
            process::exit(1);
        });
    });
}
