//! How many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use flyte_runner_local::process;

/// Descriptors that connections leave to the rest: the database and its readers, the log, uploads and downloads, runs.
pub(super) const RESERVE: usize = 192;
/// Connections that there are at least, whatever the limit says.
const LEAST: usize = 16;

/// The limit of open files, raised as far as the system lets us; `None` where there is none. Tasks get the one that was.
pub(super) fn raise() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    process::keep_open_files(current);
    // macOS and others tell more than they grant.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let limit = if raised { maximum } else { current };
    limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// How many connections are served at a time, and how many wait for a place, of `wanted` under a limit of open files.
pub(super) fn divide(wanted: usize, limit: Option<usize>) -> (usize, usize) {
    let waiting = (wanted / 8).clamp(1, 128);
    let Some(limit) = limit else { return (wanted, waiting) };
    let there = limit.saturating_sub(RESERVE + waiting).max(LEAST);
    (wanted.min(there), waiting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_rest() {
        for (wanted, limit, expected) in [
            (768, None, (768, 96)),
            (768, Some(1 << 20), (768, 96)),
            (768, Some(1024), (736, 96)),
            (768, Some(256), (LEAST, 96)),
            (4, Some(1024), (4, 1)),
            (100_000, Some(65_536), (65_536 - RESERVE - 128, 128)),
        ] {
            assert_eq!(divide(wanted, limit), expected, "{wanted} {limit:?}");
        }
    }
}
