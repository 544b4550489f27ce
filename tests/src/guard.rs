//! An end for tests that wait for ever: libtest has none.

use std::{process, sync::Once, thread, time::Duration};

/// How long the tests of one binary may take together. The slowest take three minutes on two cores.
const LIMIT: Duration = Duration::from_secs(20 * 60);

static STARTED: Once = Once::new();

/// Ends this process with a failure once its tests have taken longer than [`LIMIT`]. Called by whatever starts a process.
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
