//! `flyte-server completion` and `flyte-server gen man`: completion scripts and manual pages, for packages.

use std::{io, path::Path};

use clap_complete::Shell;

use crate::cli;

/// Manual pages could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write manual pages to {directory}: {source}")]
pub(super) struct GenerateError {
    directory: String,
    source: io::Error,
}

/// The completion script for a shell.
pub(super) fn completion(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "flyte-server", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes a manual page for each command to the directory, which is created if it does not exist.
pub(super) fn manual(directory: &Path) -> Result<(), GenerateError> {
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(cli::command(), directory))
        .map_err(|source| GenerateError { directory: directory.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_is_completed() {
        let directory = tempfile::tempdir().unwrap();
        let pages = directory.path().join("share/man1");
        manual(&pages).unwrap();
        for name in ["flyte-server", "flyte-server-user-add", "flyte-server-health"] {
            assert!(pages.join(format!("{name}.1")).is_file(), "{name}");
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(completion(shell).contains("reset-password"), "{shell}");
        }
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(manual(&file).unwrap_err().to_string().starts_with("cannot write manual pages to /"));
    }
}
