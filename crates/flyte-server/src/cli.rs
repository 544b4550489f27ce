//! The command line.

mod audit;
mod backup;
mod client;
mod settings;
#[cfg(test)]
mod tests;
mod user;

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

pub use self::{
    audit::{Moment, ShownEvents},
    backup::{Backup, Restore},
    client::{ClientAction, NewClient},
    user::{NewUser, UserAction},
};
use flyte_settings::{Flags, settings::ALL};

const ABOUT: &str = "Authorization server and control plane of Flyte in one binary";

const LONG_ABOUT: &str = "\
Authorization server and control plane of Flyte in one binary.

With no command and no settings it serves https://localhost:8443/ and keeps its data in \
~/.local/share/flyte-server. The first start makes everything that is needed: a certificate authority, keys, a database, \
and an administrator, whose password it writes to a file that it names.";

const AFTER_HELP: &str = "\
Each setting can also be given in the environment (the variable stands beside its flag) or in the file \
~/.config/flyte-server.toml. A flag wins over the environment, the environment over the file. More settings than have a \
flag are in docs/reference/server-config.md; `flyte-server check-config` shows all of them.

Signals: SIGTERM and SIGINT finish requests in flight and stop; a second one stops at once. SIGHUP reads the certificate \
files again.

Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage or configuration.";

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What to do.
    pub command: Action,
    /// The settings given.
    pub flags: Flags,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Serve until told to stop.
    Serve,
    /// Show and check the settings.
    CheckConfig,
    /// Give an account a new password.
    ResetPassword {
        /// The account.
        email: String,
        /// Where the password stands; one is made up and printed where it is not given.
        password_file: Option<PathBuf>,
        /// End the API keys that the person made.
        end_keys: bool,
    },
    /// Make a new signing key.
    RotateKeys {
        /// Drop all others.
        revoke: bool,
    },
    /// Do something about accounts.
    User(UserAction),
    /// Do something about the registrations of clients.
    Client(ClientAction),
    /// Show the audit log.
    Audit(ShownEvents),
    /// Back up the data directory, or check a backup.
    Backup(Backup),
    /// Restore a backup.
    Restore(Restore),
    /// Print the reference of the settings.
    ConfigReference,
}

/// The definition of the command line: what help, completions and manual pages are made from.
#[must_use]
pub fn command() -> Command {
    Command::new("flyte-server")
        .version(env!("CARGO_PKG_VERSION"))
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
            Command::new("serve").about("Serve until told to stop; the same as no command").long_about(
                "Serve until told to stop; the same as no command.\n\nMakes on the first start whatever is missing. A \
                 start that was interrupted is finished by the next one.",
            ),
        )
        .subcommand(
            Command::new("check-config").about("Show the effective settings and check them").long_about(
                "Show each effective setting with where it comes from, and check that the server could start: \
                 certificate files, data directory, port.\n\nExit codes: 0 it could, 1 it could not, 2 the \
                 configuration itself is wrong.",
            ),
        )
        .subcommand(
            Command::new("reset-password")
                .about("Give an account a new password")
                .long_about(
                    "Give an account a new password and end its sign-ins, in browsers and of clients. Works while the \
                     server runs. Without --password-file a password is made up and printed.\n\nAPI keys that the person \
                     made are listed, and at a terminal you are asked whether they should end; --end-keys ends them \
                     without a question. Whoever knew the old password may have made one.",
                )
                .arg(Arg::new("email").value_name("EMAIL").required(true).help("E-mail address of the account"))
                .arg(
                    Arg::new("password-file")
                        .long("password-file")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("File whose first line is the new password"),
                )
                .arg(
                    Arg::new("end-keys")
                        .long("end-keys")
                        .action(ArgAction::SetTrue)
                        .help("End the API keys that the person made, without asking"),
                ),
        )
        .subcommand(user::definition())
        .subcommand(client::definition())
        .subcommand(audit::definition())
        .subcommand(backup::definition())
        .subcommand(backup::restore_definition())
        .subcommand(
            Command::new("rotate-keys")
                .about("Make a new key that signs tokens from now on")
                .long_about(
                    "Make a new key that signs tokens from now on. Keys rotate by themselves; this is for when one may \
                     have leaked. Works while the server runs, which takes it over within a second.\n\nWithout \
                     --revoke, tokens signed so far stay valid until they expire. With it every earlier key is dropped and \
                     access tokens signed with them are refused at once; programs get new ones by their refresh tokens, \
                     and nobody has to sign in again. Others that verify tokens themselves may have the old keys cached \
                     for 5 minutes.",
                )
                .arg(
                    Arg::new("revoke")
                        .long("revoke")
                        .action(ArgAction::SetTrue)
                        .help("Drop every earlier key, and refuse the tokens signed with them"),
                ),
        )
        .subcommand(
            Command::new("config-reference").hide(true).about("Print docs/reference/server-config.md"),
        )
        .mut_subcommands(settings::own_options)
}

impl Invocation {
    /// What the matches of [`command`] ask for.
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
            Some(("reset-password", matches)) => Action::ResetPassword {
                email: matches.get_one::<String>("email").cloned().unwrap_or_default(),
                password_file: matches.get_one::<PathBuf>("password-file").cloned(),
                end_keys: matches.get_flag("end-keys"),
            },
            Some(("rotate-keys", matches)) => Action::RotateKeys { revoke: matches.get_flag("revoke") },
            Some(("user", matches)) => Action::User(UserAction::from_matches(matches)),
            Some(("client", matches)) => Action::Client(ClientAction::from_matches(matches)),
            Some(("audit", matches)) => Action::Audit(ShownEvents::from_matches(matches)),
            Some(("backup", matches)) => Action::Backup(Backup::from_matches(matches)),
            Some(("restore", matches)) => Action::Restore(Restore::from_matches(matches)),
            Some(("config-reference", _)) => Action::ConfigReference,
            _ => Action::Serve,
        };
        Self { command, flags }
    }
}
