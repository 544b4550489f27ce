//! `flyte-server user`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// An action on accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserAction {
    /// Create an account.
    Add(NewUser),
    /// List the accounts.
    List,
    /// Disable an account.
    Disable {
        /// Its e-mail address.
        email: String,
    },
    /// Enable an account again.
    Enable {
        /// Its e-mail address.
        email: String,
    },
}

/// An account to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// The e-mail address for signing in.
    pub email: String,
    /// Full name; the local part of the address if it is missing.
    pub name: Option<String>,
    /// Whether the user is an administrator of the server.
    pub admin: bool,
    /// File with the password; without it a password is generated and printed.
    pub password_file: Option<PathBuf>,
}

/// The definition of the command.
pub(super) fn definition() -> Command {
    let email = || Arg::new("email").value_name("EMAIL").required(true).help("E-mail address of the account");
    Command::new("user")
        .about("Create, list, disable and enable accounts")
        .long_about("Create, list, disable and enable accounts. Works while the server runs.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("add")
                .about("Create an account")
                .long_about(
                    "Create an account. Without --password-file a password is generated and printed once.",
                )
                .arg(email())
                .arg(Arg::new("name").long("name").value_name("NAME").help("Full name of the user"))
                .arg(
                    Arg::new("admin")
                        .long("admin")
                        .action(ArgAction::SetTrue)
                        .help("Make the user an administrator of the server"),
                )
                .arg(
                    Arg::new("password-file")
                        .long("password-file")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .help("File whose first line is the password"),
                ),
        )
        .subcommand(Command::new("list").about("List the accounts"))
        .subcommand(
            Command::new("disable")
                .about("Disable an account, sign it out and delete its API keys")
                .long_about(
                    "Disable an account and immediately end its browser sessions, refresh tokens, access tokens, and the API keys \
                     that the user created. The account and its password are kept.",
                )
                .arg(email()),
        )
        .subcommand(
            Command::new("enable")
                .about("Enable an account again")
                .long_about("Enable an account again. The user must sign in again everywhere.")
                .arg(email()),
        )
}

impl UserAction {
    /// Reads the matches of [`definition`].
    pub(super) fn from_matches(matches: &ArgMatches) -> Self {
        let email = |matches: &ArgMatches| matches.get_one::<String>("email").cloned().unwrap_or_default();
        match matches.subcommand() {
            Some(("add", matches)) => Self::Add(NewUser {
                email: email(matches),
                name: matches.get_one::<String>("name").cloned(),
                admin: matches.get_flag("admin"),
                password_file: matches.get_one::<PathBuf>("password-file").cloned(),
            }),
            Some(("disable", matches)) => Self::Disable { email: email(matches) },
            Some(("enable", matches)) => Self::Enable { email: email(matches) },
            _ => Self::List,
        }
    }
}
