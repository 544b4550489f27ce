//! `flyte-server reset-password`, which is also `flyte-server user reset-password`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::Action;

/// The definition of the command.
pub(super) fn definition() -> Command {
    Command::new("reset-password")
        .about("Give an account a new password")
        .long_about(
            "Set a new password and end all sign-ins of the account, in browsers and of clients. Works while the server \
             runs.\n\nWith --link, the user sets the password: the command prints a link that works once, for 24 hours. Until \
             then, the old password works and nothing ends. Without --link and --password-file, a password is generated and \
             printed.\n\nThe command lists the API keys that the user created. At a terminal it asks whether to delete them; \
             --end-keys deletes them without a question. Someone with the old password may have created one.",
        )
        .arg(Arg::new("email").value_name("EMAIL").required(true).help("E-mail address of the account"))
        .arg(
            Arg::new("link")
                .long("link")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["password-file", "end-keys"])
                .help("Print a link with which the user sets the password"),
        )
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
                .help("Delete the API keys that the user created, without asking"),
        )
}

/// Reads the matches of [`definition`].
pub(super) fn from_matches(matches: &ArgMatches) -> Action {
    Action::ResetPassword {
        email: matches.get_one::<String>("email").cloned().unwrap_or_default(),
        password_file: matches.get_one::<PathBuf>("password-file").cloned(),
        end_keys: matches.get_flag("end-keys"),
        link: matches.get_flag("link"),
    }
}
