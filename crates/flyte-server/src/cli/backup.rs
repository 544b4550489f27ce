//! `flyte-server backup` and `flyte-server restore`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// A backup to make or to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its directory.
    pub directory: PathBuf,
    /// Only check the one that is there.
    pub verify: bool,
}

/// A backup to restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// Its directory.
    pub directory: PathBuf,
    /// Let those who were signed in at the time of the backup stay so.
    pub keep_sessions: bool,
    /// The data directory that tells what was revoked since.
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
            "Back up the data directory: database, keys, objects, logs of tasks. Works while the server runs.\n\nThe \
             directory is made where it is missing. A second backup to the same directory copies only what has changed and \
             then replaces the first; until it is complete, the first one counts. What was written is read back and \
             compared. The backup holds private keys: only its owner can read it. Objects in a bucket are not part of it.",
        )
        .arg(directory("Where the backup is, or is to be"))
        .arg(
            Arg::new("verify")
                .long("verify")
                .action(ArgAction::SetTrue)
                .help("Only check every file of the backup that is there"),
        )
}

/// The definition of `restore`.
pub(super) fn restore_definition() -> Command {
    Command::new("restore")
        .about("Restore a backup as a new data directory")
        .long_about(
            "Restore a backup as the data directory (--data-dir), which must be new or empty; it may be at another path or \
             on another machine. Every file is checked first.\n\nAccess tokens of before are refused, and everybody signs in \
             again. If the data directory that was backed up is still at its place, or is named with --revoked-in, then API \
             keys that were deleted or got a new secret since the backup, accounts that were disabled and passwords that \
             were changed stay so. Tasks that were running count as lost.",
        )
        .arg(directory("The backup"))
        .arg(
            Arg::new("keep-sessions")
                .long("keep-sessions")
                .action(ArgAction::SetTrue)
                .help("Keep everybody signed in who was at the time of the backup, also those whose sign-in was revoked since"),
        )
        .arg(
            Arg::new("revoked-in")
                .long("revoked-in")
                .value_name("DIRECTORY")
                .value_parser(value_parser!(PathBuf))
                .help("Data directory that was in use until now, for what was revoked since [default: the one backed up]"),
        )
}

impl Backup {
    /// What the command's matches ask for.
    pub(super) fn from_matches(matches: &ArgMatches) -> Self {
        Self {
            directory: matches.get_one::<PathBuf>("directory").cloned().unwrap_or_default(),
            verify: matches.get_flag("verify"),
        }
    }
}

impl Restore {
    /// What the command's matches ask for.
    pub(super) fn from_matches(matches: &ArgMatches) -> Self {
        Self {
            directory: matches.get_one::<PathBuf>("directory").cloned().unwrap_or_default(),
            keep_sessions: matches.get_flag("keep-sessions"),
            revoked_in: matches.get_one::<PathBuf>("revoked-in").cloned(),
        }
    }
}
