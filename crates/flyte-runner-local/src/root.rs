//! Refuses to run tasks and apps as root.

use flyte_settings::Config;

/// Why this server runs no tasks and apps, for the user. `None` if it runs them.
#[must_use]
pub fn refusal(config: &Config) -> Option<&'static str> {
    refusal_of(config.runner.allow_root, rustix::process::geteuid().is_root())
}

fn refusal_of(allowed: bool, is_root: bool) -> Option<&'static str> {
    (is_root && !allowed).then_some(
        "this server runs no tasks and apps because it runs as root, and they would run as root too. Start it as another user, or \
         set runner.allow-root = true if all users who can start runs may control this machine",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_needs_permission() {
        assert!(refusal_of(false, true).is_some_and(|why| why.contains("runner.allow-root")));
        for (allowed, is_root) in [(true, true), (true, false), (false, false)] {
            assert_eq!(refusal_of(allowed, is_root), None);
        }
    }
}
