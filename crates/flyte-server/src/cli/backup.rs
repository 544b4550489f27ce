//! `flyte-server backup` and `flyte-server restore`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// A backup to create or check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The directory of the backup.
    pub directory: PathBuf,
    /// Only check the existing backup.
    pub verify: bool,
}

/// A backup to restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// The directory of the backup.
    pub directory: PathBuf,
    /// Keep the sign-ins from the time of the backup.
    pub keep_sessions: bool,
    /// The data directory that shows what was revoked since the backup.
    pub revoked_in: Option<PathBuf>,
}

fn directory(help: &'static str) -> Arg {
    Arg::new("directory")
        .value_name("DIRECTORY")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

/// The definition of `backup`.
pub(super) fn definition() -> Command {
    Command::new("backup")
        .about("Back up the data directory, also while the server runs")
        .long_about(
            "Back up the data directory: database, keys, objects, task logs. Works while the server runs.\n\nThe directory is \
             created if it is missing. A second backup to the same directory copies only the changes and then replaces the \
             first; until it is complete, the first one stays valid. Every written file is read back and compared. The backup \
             contains private keys: only its owner can read it. Objects in a bucket are not included.",
        )
        .arg(directory("Directory of the backup"))
        .arg(
            Arg::new("verify")
                .long("verify")
                .action(ArgAction::SetTrue)
                .help("Only check every file of the existing backup"),
        )
}

/// The definition of `restore`.
pub(super) fn restore_definition() -> Command {
    Command::new("restore")
        .about("Restore a backup as a new data directory")
        .long_about(
            "Restore a backup as the data directory (--data-dir), which must be new or empty; it may be at another path or \
             on another machine. Every file is checked first.\n\nEarlier access tokens are refused, and all users sign in \
             again. If the backed-up data directory still exists, or is given with --revoked-in, revocations since the backup \
             are kept: deleted API keys, new secrets of API keys, disabled accounts and changed passwords. Tasks that were \
             running count as lost.",
        )
        .arg(directory("The backup"))
        .arg(
            Arg::new("keep-sessions")
                .long("keep-sessions")
                .action(ArgAction::SetTrue)
                .help("Keep all sign-ins from the time of the backup, including those that were revoked since"),
        )
        .arg(
            Arg::new("revoked-in")
                .long("revoked-in")
                .value_name("DIRECTORY")
                .value_parser(value_parser!(PathBuf))
                .help("Data directory in use until now, which shows what was revoked since [default: the backed-up one]"),
        )
}

impl Backup {
    /// Reads the matches of the command.
    pub(super) fn from_matches(matches: &ArgMatches) -> Self {
        Self {
            directory: matches.get_one::<PathBuf>("directory").cloned().unwrap_or_default(),
            verify: matches.get_flag("verify"),
        }
    }
}

impl Restore {
    /// Reads the matches of the command.
    pub(super) fn from_matches(matches: &ArgMatches) -> Self {
        Self {
            directory: matches.get_one::<PathBuf>("directory").cloned().unwrap_or_default(),
            keep_sessions: matches.get_flag("keep-sessions"),
            revoked_in: matches.get_one::<PathBuf>("revoked-in").cloned(),
        }
    }
}
