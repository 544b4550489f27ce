//! Commands that people guess, and those that they mean.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::failure::{Exit, Failure};

/// What is typed after `flyte`, and the command that is meant.
const GUESSES: [(&str, &str); 40] = [
    ("login", "flyte auth login"),
    ("signin", "flyte auth login"),
    ("sign-in", "flyte auth login"),
    ("logout", "flyte auth logout"),
    ("signout", "flyte auth logout"),
    ("sign-out", "flyte auth logout"),
    ("status", "flyte auth status"),
    ("doctor", "flyte auth doctor"),
    ("token", "flyte auth token"),
    ("me", "flyte whoami"),
    ("who", "flyte whoami"),
    ("user", "flyte whoami"),
    ("config", "flyte create config"),
    ("configure", "flyte create config"),
    ("init", "flyte create config"),
    ("setup", "flyte create config"),
    ("project", "flyte get project"),
    ("projects", "flyte get project"),
    ("run-list", "flyte get run"),
    ("runs", "flyte get run"),
    ("executions", "flyte get run"),
    ("task", "flyte get task"),
    ("tasks", "flyte get task"),
    ("action", "flyte get action"),
    ("actions", "flyte get action"),
    ("app", "flyte get app"),
    ("apps", "flyte get app"),
    ("log", "flyte get logs"),
    ("logs", "flyte get logs"),
    ("audit", "flyte get audit"),
    ("key", "flyte get api-key"),
    ("keys", "flyte get api-key"),
    ("api-key", "flyte get api-key"),
    ("api-keys", "flyte get api-key"),
    ("trust", "flyte get trust"),
    ("list", "flyte get --help"),
    ("ls", "flyte get --help"),
    ("cancel", "flyte abort run"),
    ("stop", "flyte abort run"),
    ("register", "flyte deploy"),
];

/// The failure of a command line whose command is a guess that is known; `None` for any other mistake.
pub(crate) fn failure(error: &clap::Error, arguments: &[String]) -> Option<Failure> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let command = meant(word)?;
    // Below a command, clap's own suggestion is the better one.
    let before = arguments.iter().take_while(|argument| *argument != word).skip(1);
    if before.into_iter().any(|argument| VERBS.contains(&argument.as_str())) {
        return None;
    }
    Some(
        Failure::new(format!("there is no command `flyte {word}`"))
            .next(format!("Run `{command}`, or see `flyte --help`."))
            .exit(Exit::Usage),
    )
}

/// Commands that have commands of their own.
const VERBS: [&str; 6] = ["abort", "auth", "create", "delete", "get", "rotate"];

fn meant(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    GUESSES.iter().find(|(guess, _)| *guess == word).map(|(_, command)| *command)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::Cli;

    fn of(line: &str) -> Option<Failure> {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let error = Cli::try_parse_from(&arguments).unwrap_err();
        failure(&error, &arguments)
    }

    #[test]
    fn every_guess_names_a_command_that_there_is() {
        for (guess, command) in GUESSES {
            let mut found = Cli::command();
            assert!(found.find_subcommand(guess).is_none(), "{guess} is a command");
            for word in command.split(' ').skip(1).filter(|word| !word.starts_with('-')) {
                found = found.find_subcommand(word).unwrap_or_else(|| panic!("{command}")).clone();
            }
            let told = of(&format!("flyte {guess}")).expect(guess).summary();
            assert_eq!(told, format!("there is no command `flyte {guess}`"));
        }
        for verb in VERBS {
            assert!(Cli::command().find_subcommand(verb).unwrap().has_subcommands(), "{verb}");
        }
    }

    #[test]
    fn other_mistakes_are_claps() {
        assert!(of("flyte get login").is_none() && of("flyte frobnicate").is_none());
        assert!(of("flyte -o json login").is_some() && of("flyte login --headless").is_some());
        assert!(of("flyte auth login --nothing").is_none());
    }
}
