//! The limit of open files and connections of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use flyte_runner_local::process;

/// File descriptors reserved for everything except connections: the database and its readers, the log, uploads and
/// downloads, runs.
pub(super) const RESERVE: usize = 192;
/// The minimum number of connections, independent of the limit.
const MIN_CONNECTIONS: usize = 16;

/// Raises the limit of open files as far as possible and returns it; `None` if there is no limit. Tasks keep the
/// original limit.
pub(super) fn raise() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    process::keep_open_files(current);
    // macOS and other systems report more than they allow.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let limit = if raised { maximum } else { current };
    limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Returns the number of accepted and of waiting connections, for `wanted` connections and a limit of open files.
pub(super) fn divide(wanted: usize, limit: Option<usize>) -> (usize, usize) {
    let waiting = (wanted / 8).clamp(1, 128);
    let Some(limit) = limit else { return (wanted, waiting) };
    let there = limit.saturating_sub(RESERVE + waiting).max(MIN_CONNECTIONS);
    (wanted.min(there), waiting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_other_files() {
        for (wanted, limit, expected) in [
            (768, None, (768, 96)),
            (768, Some(1 << 20), (768, 96)),
            (768, Some(1024), (736, 96)),
            (768, Some(256), (MIN_CONNECTIONS, 96)),
            (4, Some(1024), (4, 1)),
            (100_000, Some(65_536), (65_536 - RESERVE - 128, 128)),
        ] {
            assert_eq!(divide(wanted, limit), expected, "{wanted} {limit:?}");
        }
    }
}
