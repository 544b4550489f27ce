//! `flyte-server user`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// What to do about accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserAction {
    /// Make an account.
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

/// An account to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// What to sign in as.
    pub email: String,
    /// Full name; the part of the address before the `@` where it is not given.
    pub name: Option<String>,
    /// Whether the person administers the server.
    pub admin: bool,
    /// Where the password stands; one is made up and printed where it is not given.
    pub password_file: Option<PathBuf>,
}

/// The definition of the command.
pub(super) fn definition() -> Command {
    let email = || Arg::new("email").value_name("EMAIL").required(true).help("E-mail address of the account");
    Command::new("user")
        .about("Make, list, disable and enable accounts")
        .long_about("Make, list, disable and enable accounts. Works while the server runs.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("add")
                .about("Make an account")
                .long_about(
                    "Make an account. Without --password-file a password is made up and printed, once.",
                )
                .arg(email())
                .arg(Arg::new("name").long("name").value_name("NAME").help("Full name of the person"))
                .arg(
                    Arg::new("admin")
                        .long("admin")
                        .action(ArgAction::SetTrue)
                        .help("Let the person administer the server"),
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
                .about("Disable an account and end all that it has, API keys included")
                .long_about(
                    "Disable an account and end all that it has, at once: browsers, refresh tokens, access tokens, and the \
                     API keys that the person made. The account and its password stay.",
                )
                .arg(email()),
        )
        .subcommand(
            Command::new("enable")
                .about("Enable an account again")
                .long_about("Enable an account again. The person has to sign in again everywhere.")
                .arg(email()),
        )
}

impl UserAction {
    /// What the matches of [`definition`] ask for.
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
