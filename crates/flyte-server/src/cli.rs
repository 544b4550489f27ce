//! The command line.

mod backup;
mod client;
mod user;

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

pub use self::{
    backup::{Backup, Restore},
    client::{ClientAction, NewClient},
    user::{NewUser, UserAction},
};
use crate::config::{
    AnySetting, Default, Flags, Form,
    settings::{ALL, SECTIONS},
};

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
        .args(ALL.iter().filter_map(|setting| argument(*setting)))
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
}

/// The flag of a setting. The environment is read together with the file (`config::load`), so that `check-config` can
/// tell where a value comes from; here it is only named.
fn argument(setting: &'static dyn AnySetting) -> Option<Arg> {
    let flag = setting.flag()?;
    let (section, _) = setting.section();
    let heading = SECTIONS.iter().find(|(name, _)| *name == section).map(|(_, title)| *title);
    let default = match setting.default() {
        Default::Value("") => "empty",
        Default::Value(value) => value,
        Default::Depends(description) => description,
    };
    let summary = setting.help().split_inclusive(". ").next().unwrap_or_default().trim_end_matches(". ");
    let notes = format!("[default: {}] [env: {}]", default.replace('`', ""), setting.variable());
    let argument = Arg::new(setting.key())
        .long(flag)
        .value_name(setting.placeholder())
        .global(true)
        .help(summary.trim_end_matches('.').replace('`', ""))
        .long_help(format!("{}\n\n{notes}", setting.help().replace('`', "")))
        .help_heading(heading);
    Some(match setting.form() {
        Form::Boolean => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false"),
        Form::List => argument.action(ArgAction::Append),
        Form::Text | Form::Path | Form::Number => argument,
    })
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
            Some(("backup", matches)) => Action::Backup(Backup::from_matches(matches)),
            Some(("restore", matches)) => Action::Restore(Restore::from_matches(matches)),
            Some(("config-reference", _)) => Action::ConfigReference,
            _ => Action::Serve,
        };
        Self { command, flags }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Invocation {
        let matches = command().try_get_matches_from([&["flyte-server"], arguments].concat()).unwrap();
        Invocation::from_matches(&matches)
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn no_command_serves() {
        assert_eq!(parse(&[]).command, Action::Serve);
        assert_eq!(parse(&["serve"]).command, Action::Serve);
        assert!(parse(&[]).flags.settings.is_empty());
    }

    #[test]
    fn flags_stand_before_or_after_the_command() {
        for arguments in [["--tls", "off", "check-config"], ["check-config", "--tls", "off"]] {
            let invocation = parse(&arguments);
            assert_eq!(invocation.command, Action::CheckConfig);
            assert_eq!(invocation.flags.settings["tls.mode"], "off");
        }
    }

    #[test]
    fn a_list_is_repeated_or_separated_by_commas() {
        let invocation = parse(&["--tls-host-name", "a,b", "--tls-host-name", "c", "--allow-plaintext"]);
        assert_eq!(invocation.flags.settings["tls.host-names"], "a,b,c");
        assert_eq!(invocation.flags.settings["tls.allow-plaintext"], "true");
    }

    #[test]
    fn accounts_clients_and_keys_have_commands() {
        assert_eq!(parse(&["rotate-keys"]).command, Action::RotateKeys { revoke: false });
        assert_eq!(parse(&["rotate-keys", "--revoke"]).command, Action::RotateKeys { revoke: true });
        let add = ["user", "add", "ada@example.org", "--admin", "--data-dir", "d"];
        let invocation = parse(&add);
        let user =
            NewUser { email: "ada@example.org".to_owned(), name: None, admin: true, password_file: None };
        assert_eq!(invocation.command, Action::User(UserAction::Add(user)));
        assert_eq!(invocation.flags.settings["data-dir"], "d");
        let disable = UserAction::Disable { email: "ada@example.org".to_owned() };
        assert_eq!(parse(&["user", "disable", "ada@example.org"]).command, Action::User(disable));
        let add = ["client", "add", "web", "--redirect-uri", "https://a/1", "--redirect-uri", "https://a/2"];
        let client = NewClient {
            id: "web".to_owned(),
            name: None,
            public: false,
            jwks: None,
            redirect_uris: vec!["https://a/1".to_owned(), "https://a/2".to_owned()],
            post_logout_redirect_uris: vec![],
            grant_types: vec!["authorization_code".to_owned(), "refresh_token".to_owned()],
            scopes: vec!["openid".to_owned(), "profile".to_owned(), "email".to_owned()],
            may_keep_api_keys: false,
            id_token_signed_response_alg: None,
        };
        assert_eq!(parse(&add).command, Action::Client(ClientAction::Add(client)));
        for incomplete in [&["user"][..], &["client"], &["user", "add"], &["client", "remove"]] {
            assert!(command().try_get_matches_from([&["flyte-server"], incomplete].concat()).is_err());
        }
    }

    #[test]
    fn a_password_is_reset_for_an_account() {
        let invocation = parse(&["reset-password", "ada@example.org", "--password-file", "p"]);
        let (email, password_file) = ("ada@example.org".to_owned(), Some("p".into()));
        assert_eq!(invocation.command, Action::ResetPassword { email, password_file, end_keys: false });
        assert!(command().try_get_matches_from(["flyte-server", "reset-password"]).is_err());
    }
}
