//! Why a server that runs as root runs no tasks.

use flyte_settings::Config;

/// Why nothing runs here, for people; `None` if it does.
#[must_use]
pub fn refusal(config: &Config) -> Option<&'static str> {
    refused(config.runner.allow_root, rustix::process::geteuid().is_root())
}

fn refused(allowed: bool, is_root: bool) -> Option<&'static str> {
    (is_root && !allowed).then_some(
        "this server runs as root and so runs no tasks and apps, which would be root as well. Start it as a user of its own, or \
         set runner.allow-root = true if all who may start runs may do anything on this machine",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_needs_to_be_allowed() {
        assert!(refused(false, true).is_some_and(|why| why.contains("runner.allow-root")));
        for (allowed, is_root) in [(true, true), (true, false), (false, false)] {
            assert_eq!(refused(allowed, is_root), None);
        }
    }
}
