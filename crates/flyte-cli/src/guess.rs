//! Suggests the right command for a common wrong guess.

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::Cli;
use crate::failure::{Exit, Failure};

/// What users type after `flyte`, and the command that they mean. Resources are in the singular: the plural, and the position
/// before or after a verb, make no difference.
const GUESSES: [(&str, &str); 94] = [
    ("login", "flyte auth login"),
    ("signin", "flyte auth login"),
    ("sign-in", "flyte auth login"),
    ("logon", "flyte auth login"),
    ("logout", "flyte auth logout"),
    ("signout", "flyte auth logout"),
    ("sign-out", "flyte auth logout"),
    ("logoff", "flyte auth logout"),
    ("status", "flyte auth status"),
    ("doctor", "flyte auth doctor"),
    ("diagnose", "flyte auth doctor"),
    ("token", "flyte auth token"),
    ("inspect-key", "flyte auth inspect-key"),
    ("auth signin", "flyte auth login"),
    ("auth sign-in", "flyte auth login"),
    ("auth logon", "flyte auth login"),
    ("auth signout", "flyte auth logout"),
    ("auth sign-out", "flyte auth logout"),
    ("auth logoff", "flyte auth logout"),
    ("auth check", "flyte auth doctor"),
    ("auth diagnose", "flyte auth doctor"),
    ("auth info", "flyte auth status"),
    ("auth list", "flyte auth status"),
    ("auth show", "flyte auth status"),
    ("auth whoami", "flyte whoami"),
    ("auth me", "flyte whoami"),
    ("auth print-access-token", "flyte auth token"),
    ("auth get-token", "flyte auth token"),
    ("auth explain", "flyte auth can-i"),
    ("can-i", "flyte auth can-i"),
    ("explain", "flyte auth can-i"),
    ("me", "flyte whoami"),
    ("who", "flyte whoami"),
    ("who-am-i", "flyte whoami"),
    ("user", "flyte get user"),
    ("account", "flyte get user"),
    ("group", "flyte get group"),
    ("role", "flyte get role"),
    ("policy", "flyte get policy"),
    ("assignment", "flyte get assignment"),
    ("get me", "flyte whoami"),
    ("get whoami", "flyte whoami"),
    ("config", "flyte create config"),
    ("configure", "flyte create config"),
    ("init", "flyte create config"),
    ("setup", "flyte create config"),
    ("get token", "flyte auth token"),
    ("project", "flyte get project"),
    ("runs", "flyte get run"),
    ("run-list", "flyte get run"),
    ("execution", "flyte get run"),
    ("get execution", "flyte get run"),
    ("task", "flyte get task"),
    ("action", "flyte get action"),
    ("app", "flyte get app"),
    ("io", "flyte get io"),
    ("log", "flyte get logs"),
    ("audit", "flyte get audit"),
    ("key", "flyte get api-key"),
    ("get key", "flyte get api-key"),
    ("create key", "flyte create api-key"),
    ("delete key", "flyte delete api-key"),
    ("rotate key", "flyte rotate api-key"),
    ("api-key", "flyte get api-key"),
    ("trust", "flyte get trust"),
    ("secret", "flyte get secret"),
    ("trigger", "flyte get trigger"),
    ("condition", "flyte get condition"),
    ("settings", "flyte get settings"),
    ("code", "flyte get code"),
    ("approve", "flyte signal condition"),
    ("retry", "flyte rerun"),
    ("restart", "flyte rerun"),
    ("recover", "flyte rerun"),
    ("relaunch", "flyte rerun"),
    ("edit", "flyte update --help"),
    ("change", "flyte update --help"),
    ("list", "flyte get --help"),
    ("ls", "flyte get --help"),
    ("show", "flyte get --help"),
    ("describe", "flyte get --help"),
    ("new", "flyte create --help"),
    ("add", "flyte create --help"),
    ("remove", "flyte delete --help"),
    ("rm", "flyte delete --help"),
    ("cancel", "flyte abort run"),
    ("stop", "flyte abort run"),
    ("kill", "flyte abort run"),
    ("terminate", "flyte abort run"),
    ("abort execution", "flyte abort run"),
    ("register", "flyte deploy"),
    ("execute", "flyte run"),
    ("submit", "flyte run"),
    ("version", "flyte --version"),
];

/// The failure for a known wrong guess; `None` for any other mistake.
pub(crate) fn failure(error: &clap::Error, arguments: &[String]) -> Option<Failure> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let at = arguments.iter().skip(1).position(|argument| argument == wrong)? + 1;
    let verb = arguments[1..at].iter().find(|word| VERBS.contains(&word.as_str())).map(String::as_str);
    let next = arguments.get(at + 1).map(String::as_str).filter(|next| !next.starts_with('-'));
    let (typed, command) = find_meant(verb, wrong, next)?;
    Some(
        Failure::new(format!("unknown command `flyte {typed}`"))
            .next(format!("Run `{command}`, or see `flyte --help`."))
            .exit(Exit::Usage),
    )
}

/// Commands with subcommands.
const VERBS: [&str; 8] = ["abort", "auth", "create", "delete", "get", "rotate", "signal", "update"];

/// Returns the relevant part of what was typed, and the command that the user means.
fn find_meant(verb: Option<&str>, wrong: &str, next: Option<&str>) -> Option<(String, String)> {
    if let Some(verb) = verb {
        let typed = format!("{verb} {wrong}");
        return of_verb(verb, wrong).or_else(|| known(&typed)).map(|command| (typed, command));
    }
    let command = known(wrong);
    let both = next.and_then(|next| {
        // `flyte list runs`, `flyte projects list` and `flyte key create`.
        let as_verb = |word: &str| match known(word) {
            _ if VERBS.contains(&word) => Some(word.to_owned()),
            command => command?.split(' ').nth(1).map(str::to_owned),
        };
        let resource =
            |word: &str| known(word).and_then(|command| Some(command.split(' ').nth(2)?.to_owned()));
        let found = |verb: &str, word: &str| {
            let named = resource(word).and_then(|resource| of_verb(verb, &resource));
            of_verb(verb, word).or(named).map(|command| (format!("{wrong} {next}"), command))
        };
        let first = as_verb(wrong).and_then(|verb| found(&verb, next));
        first.or_else(|| as_verb(next).and_then(|verb| found(&verb, wrong)))
    });
    both.or_else(|| command.map(|command| (wrong.to_owned(), command)))
}

fn known(typed: &str) -> Option<String> {
    let of = |typed: &str| {
        GUESSES.iter().find(|(guess, _)| *guess == typed).map(|(_, command)| (*command).to_owned())
    };
    let typed = typed.to_ascii_lowercase();
    of(&typed).or_else(|| of(&singular(&typed)?))
}

/// The command of a verb for a resource, in the singular or the plural.
fn of_verb(verb: &str, resource: &str) -> Option<String> {
    let (mut flyte, resource) = (Cli::command(), resource.to_ascii_lowercase());
    let verbs = flyte.find_subcommand_mut(verb)?;
    let names = [Some(resource.clone()), singular(&resource), Some(format!("{resource}s"))];
    let found = names.into_iter().flatten().find_map(|name| verbs.find_subcommand(name))?;
    Some(format!("flyte {verb} {}", found.get_name()))
}

fn singular(word: &str) -> Option<String> {
    word.strip_suffix("ies")
        .map(|stem| format!("{stem}y"))
        .or_else(|| word.strip_suffix('s').map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn of(line: &str) -> Option<Failure> {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let error = Cli::try_parse_from(&arguments).unwrap_err();
        failure(&error, &arguments)
    }

    #[test]
    fn guesses_name_existing_commands() {
        for (guess, command) in GUESSES {
            let mut found = Cli::command();
            for word in command.split(' ').skip(1).filter(|word| !word.starts_with('-')) {
                found = found.find_subcommand(word).unwrap_or_else(|| panic!("{command}")).clone();
            }
            let advice = of(&format!("flyte {guess}")).unwrap_or_else(|| panic!("{guess}")).advice();
            assert_eq!(
                advice,
                format!("unknown command `flyte {guess}`\nRun `{command}`, or see `flyte --help`.")
            );
        }
        for verb in VERBS {
            assert!(Cli::command().find_subcommand(verb).unwrap().has_subcommands(), "{verb}");
        }
    }

    #[test]
    fn verbs_and_resources_work_in_any_order_and_number() {
        for (line, command) in [
            ("flyte projects", "flyte get project"),
            ("flyte get Runs --limit 3", "flyte get run"),
            ("flyte -o json get keys", "flyte get api-key"),
            ("flyte get executions", "flyte get run"),
            ("flyte list runs", "flyte get run"),
            ("flyte ls projects", "flyte get project"),
            ("flyte show logs r1", "flyte get logs"),
            ("flyte list executions", "flyte get run"),
            ("flyte ls", "flyte get --help"),
            ("flyte ls nonsense", "flyte get --help"),
            ("flyte logs r1", "flyte get logs"),
            ("flyte runs", "flyte get run"),
            ("flyte projects list", "flyte get project"),
            ("flyte project create p", "flyte create project"),
            ("flyte key create ci", "flyte create api-key"),
            ("flyte keys add ci", "flyte create api-key"),
            ("flyte api-keys rm ci", "flyte delete api-key"),
            ("flyte config create", "flyte create config"),
            ("flyte new config", "flyte create config"),
            ("flyte cancel r1", "flyte abort run"),
            ("flyte kill action r1 a0", "flyte abort action"),
            ("flyte abort runs r1", "flyte abort run"),
            ("flyte policies", "flyte get policy"),
            ("flyte users list", "flyte get user"),
            ("flyte group create g", "flyte create group"),
            ("flyte auth signin", "flyte auth login"),
            ("flyte signin", "flyte auth login"),
        ] {
            let advice = of(line).unwrap_or_else(|| panic!("{line}")).advice();
            assert!(
                advice.ends_with(&format!("\nRun `{command}`, or see `flyte --help`.")),
                "{line}: {advice}"
            );
        }
    }

    #[test]
    fn other_mistakes_are_left_to_clap() {
        for line in ["flyte get login", "flyte frobnicate", "flyte auth login --nothing", "flyte get projcet"]
        {
            assert!(of(line).is_none(), "{line}");
        }
        assert!(of("flyte -o json login").is_some() && of("flyte login --headless").is_some());
    }
}
