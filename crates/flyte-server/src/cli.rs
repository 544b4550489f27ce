//! The command line.

mod audit;
mod backup;
mod client;
mod reset_password;
mod scim;
mod settings;
#[cfg(test)]
mod tests;
mod user;

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;

pub use self::{
    audit::{Moment, ShownEvents},
    backup::{Backup, Restore},
    client::{ClientAction, NewClient},
    scim::{NewScimKey, ScimAction},
    user::{NewUser, RoleOfUser, UserAction},
};
use flyte_settings::{Flags, settings::ALL};

const ABOUT: &str = "Authorization server and control plane of Flyte in one binary";

const LONG_ABOUT: &str = "\
Authorization server and control plane of Flyte in one binary.

With no command and no settings it serves https://localhost:8443/ and keeps its data in \
~/.local/share/flyte-server. The first start creates everything that is needed: a certificate authority, keys, a \
database, and an administrator. It writes the administrator's password to a file and names that file.";

const AFTER_HELP: &str = "\
Each setting can also be given in the environment (the variable is beside its flag) or in the file \
~/.config/flyte-server.toml. A flag overrides the environment, and the environment overrides the file. Some settings \
have no flag: see docs/reference/server-config.md. `flyte-server check-config` shows all settings.

Signals: SIGTERM and SIGINT finish running requests and stop; a second one stops immediately. SIGHUP reloads the \
certificate files.

Exit codes: 0 stopped on request, 1 failed, 2 wrong usage or configuration.";

/// A parsed command line.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The command.
    pub command: Action,
    /// The settings on the command line.
    pub flags: Flags,
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Serve until a signal arrives.
    Serve,
    /// Show and check the settings.
    CheckConfig,
    /// Ask the running server whether it works.
    Health {
        /// Ask also whether it should get requests.
        ready: bool,
    },
    /// Give an account a new password.
    ResetPassword {
        /// The account.
        email: String,
        /// File with the password; without it a password is generated and printed.
        password_file: Option<PathBuf>,
        /// Delete the API keys that the user created.
        end_keys: bool,
        /// Print a link with which the user sets the password, in place of a new password.
        link: bool,
    },
    /// Create a new signing key.
    RotateKeys {
        /// Remove all others.
        revoke: bool,
    },
    /// Manage accounts.
    User(UserAction),
    /// Manage client registrations.
    Client(ClientAction),
    /// Manage the keys of SCIM clients.
    Scim(ScimAction),
    /// Show the audit log.
    Audit(ShownEvents),
    /// Create or check a backup.
    Backup(Backup),
    /// Restore a backup.
    Restore(Restore),
    /// Print a completion script.
    Completion(Shell),
    /// Write manual pages to a directory.
    Manual(PathBuf),
    /// Print the reference of the settings.
    ConfigReference,
}

/// The definition of the command line, for help, completions and manual pages.
#[must_use]
pub fn command() -> Command {
    Command::new("flyte-server")
        .version(flyte_version::VERSION)
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .after_long_help(AFTER_HELP)
        .max_term_width(100)
        .subcommand_help_heading("Commands")
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .global(true)
                .env("FLYTE_SERVER_CONFIG")
                .hide_env_values(true)
                .value_parser(value_parser!(PathBuf))
                .help("Configuration file [default: ~/.config/flyte-server.toml]"),
        )
        .args(settings::arguments())
        .subcommand(
            Command::new("serve").about("Start the server; the same as no command").long_about(
                "Start the server; the same as no command.\n\nThe first start creates whatever is missing. If a start was \
                 interrupted, the next one completes it.",
            ),
        )
        .subcommand(
            Command::new("check-config").about("Show the effective settings and check them").long_about(
                "Show each effective setting and its origin, and check that the server can start: certificate files, data \
                 directory, port.\n\nExit codes: 0 it can start, 1 it cannot, 2 the configuration is invalid.",
            ),
        )
        .subcommand(
            Command::new("health")
                .about("Check that the running server answers")
                .long_about(
                    "Ask the running server at the address of the setting `listen`, on this machine. It needs the server's \
                     settings, but not its data directory, and does not verify the server's certificate. Made for health checks \
                     of containers and service managers.\n\nExit codes: 0 it answers, 1 it does not answer within 5 seconds or is \
                     not healthy, 2 the configuration is invalid.",
                )
                .arg(
                    Arg::new("ready")
                        .long("ready")
                        .action(ArgAction::SetTrue)
                        .help("Check also that the database works and that the server is not about to stop"),
                ),
        )
        .subcommand(reset_password::definition())
        .subcommand(user::definition())
        .subcommand(client::definition())
        .subcommand(scim::definition())
        .subcommand(audit::definition())
        .subcommand(backup::definition())
        .subcommand(backup::restore_definition())
        .subcommand(
            Command::new("rotate-keys")
                .about("Create a new signing key")
                .long_about(
                    "Create a new signing key. Keys rotate automatically; use this command if a key may have leaked. Works while \
                     the server runs, which uses the new key within a second.\n\nWithout --revoke, tokens that were signed before stay \
                     valid until they expire. With --revoke all earlier keys are removed, and access tokens signed with them are \
                     refused immediately. Programs get new ones with their refresh tokens; users need not sign in again. Other \
                     servers that verify tokens may have cached the old keys for 5 minutes.",
                )
                .arg(
                    Arg::new("revoke")
                        .long("revoke")
                        .action(ArgAction::SetTrue)
                        .help("Remove all earlier keys and refuse tokens signed with them"),
                ),
        )
        .subcommand(
            Command::new("completion").about("Print a completion script for a shell").arg(
                Arg::new("shell")
                    .required(true)
                    .value_parser(value_parser!(Shell))
                    .help("Shell to complete for"),
            ),
        )
        .subcommand(
            Command::new("gen")
                .hide(true)
                .about("Write manual pages")
                .subcommand_required(true)
                .arg_required_else_help(true)
                .subcommand(
                    Command::new("man").about("Write a manual page for each command").arg(
                        Arg::new("directory")
                            .value_name("DIRECTORY")
                            .required(true)
                            .value_parser(value_parser!(PathBuf))
                            .help("Directory to write to; created if it does not exist"),
                    ),
                ),
        )
        .subcommand(
            Command::new("config-reference").hide(true).about("Print docs/reference/server-config.md"),
        )
        .mut_subcommands(settings::own_options)
}

impl Invocation {
    /// Reads the matches of [`command`].
    #[must_use]
    pub fn from_matches(matches: &ArgMatches) -> Self {
        let mut settings = BTreeMap::new();
        for setting in ALL.iter().filter(|setting| setting.flag().is_some()) {
            if let Some(values) = matches.get_many::<String>(setting.key()) {
                settings.insert(setting.key(), values.cloned().collect::<Vec<_>>().join(","));
            }
        }
        let flags = Flags { file: matches.get_one::<PathBuf>("config").cloned(), settings };
        let command = match matches.subcommand() {
            Some(("check-config", _)) => Action::CheckConfig,
            Some(("health", matches)) => Action::Health { ready: matches.get_flag("ready") },
            Some(("reset-password", matches)) => reset_password::from_matches(matches),
            Some(("rotate-keys", matches)) => Action::RotateKeys { revoke: matches.get_flag("revoke") },
            Some(("user", matches)) => match matches.subcommand() {
                Some(("reset-password", matches)) => reset_password::from_matches(matches),
                _ => Action::User(UserAction::from_matches(matches)),
            },
            Some(("client", matches)) => Action::Client(ClientAction::from_matches(matches)),
            Some(("scim", matches)) => Action::Scim(ScimAction::from_matches(matches)),
            Some(("audit", matches)) => Action::Audit(ShownEvents::from_matches(matches)),
            Some(("backup", matches)) => Action::Backup(Backup::from_matches(matches)),
            Some(("restore", matches)) => Action::Restore(Restore::from_matches(matches)),
            Some(("completion", matches)) => {
                Action::Completion(matches.get_one("shell").copied().unwrap_or(Shell::Bash))
            }
            Some(("gen", matches)) => {
                let directory =
                    matches.subcommand_matches("man").and_then(|man| man.get_one::<PathBuf>("directory"));
                Action::Manual(directory.cloned().unwrap_or_default())
            }
            Some(("config-reference", _)) => Action::ConfigReference,
            _ => Action::Serve,
        };
        Self { command, flags }
    }
}
