//! Separates the options of the command from the inputs of the task, which are known only after a call.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, FromArgMatches as _};

use super::Own;
use crate::global::Global;

/// Splits words into those of options that `known` has, with their values, and all others.
pub(super) fn split(known: &Command, words: &[OsString]) -> (Vec<OsString>, Vec<OsString>) {
    let (mut given, mut others) = (Vec::new(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(argument) = word.to_str().and_then(|word| option(known, word)) else {
            others.push(word.clone());
            continue;
        };
        given.push(word.clone());
        if argument.wants_next {
            given.extend(words.next().cloned());
        }
    }
    (given, others)
}

struct Found {
    /// Whether the next word is the value.
    wants_next: bool,
}

/// The option that a word names.
fn option(known: &Command, word: &str) -> Option<Found> {
    let takes_value = |argument: &Arg| argument.get_action().takes_values();
    if let Some(long) = word.strip_prefix("--") {
        let (name, has_value) = match long.split_once('=') {
            Some((name, _)) => (name, true),
            None => (long, false),
        };
        let named = |argument: &&Arg| {
            argument.get_long() == Some(name)
                || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
        };
        let argument = known.get_arguments().find(named)?;
        return Some(Found { wants_next: takes_value(argument) && !has_value });
    }
    // Several flags in one word, for example -fv. The first option with a value takes the rest of the word.
    let mut letters = word.strip_prefix('-')?.chars().peekable();
    letters.peek()?;
    while let Some(letter) = letters.next() {
        let argument = known.get_arguments().find(|argument| argument.get_short() == Some(letter))?;
        if takes_value(argument) {
            return Some(Found { wants_next: letters.peek().is_none() });
        }
    }
    Some(Found { wants_next: false })
}

/// The options before the name of the run, and those after it, which take precedence.
pub(super) fn merged(own: Own, mut global: Global, matches: &ArgMatches) -> (Own, Global) {
    let exit = |error: clap::Error| -> ! { error.exit() };
    let later = Own::from_arg_matches(matches).unwrap_or_else(|error| exit(error));
    let Global {
        config,
        endpoint,
        insecure,
        auth_type,
        headless,
        match_number,
        org,
        project,
        domain,
        format,
        wide: _,
        verbose,
        logging,
        image_builder,
    } = Global::from_arg_matches(matches).unwrap_or_else(|error| exit(error));
    global.config = config.or(global.config);
    global.endpoint = endpoint.or(global.endpoint);
    global.insecure |= insecure;
    global.auth_type = auth_type.or(global.auth_type);
    global.headless |= headless;
    global.match_number |= match_number;
    global.org = org.or(global.org);
    global.project = project.or(global.project);
    global.domain = domain.or(global.domain);
    global.logging = global.logging.and(logging);
    global.image_builder = image_builder.or(global.image_builder);
    global.verbose = global.verbose.saturating_add(verbose);
    if matches.value_source("format") == Some(ValueSource::CommandLine) {
        global.format = format;
    }
    (own.and(later), global.settled())
}

#[cfg(test)]
mod tests {
    use super::super::known;
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn joined(words: &[OsString]) -> String {
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn inputs_are_what_is_no_option_of_the_command() {
        known().debug_assert();
        for (line, given, inputs) in [
            ("--n 10 --recover --cfg {}", "--recover", "--n 10 --cfg {}"),
            ("--name again --name-of x -f", "--name again -f", "--name-of x"),
            ("-e A=b -ojson --loud --env=C=d -fv", "-e A=b -ojson --env=C=d -fv", "--loud"),
            ("-p other --x -5 -d d", "-p other -d d", "--x -5"),
            ("--output-format json --help", "--output-format json", "--help"),
            ("--no-loud -", "", "--no-loud -"),
        ] {
            let (found, others) = split(&known(), &words(line));
            assert_eq!((joined(&found).as_str(), joined(&others).as_str()), (given, inputs), "{line}");
        }
    }

    #[test]
    fn later_options_take_precedence() {
        let matches = |line: &str| known().try_get_matches_from(words(line)).unwrap();
        let before = matches("--name a -e A=b -p p1 -o yaml");
        let (own, global) =
            (Own::from_arg_matches(&before).unwrap(), Global::from_arg_matches(&before).unwrap());
        let (own, global) = merged(own, global, &matches("--name b -e C=d -p p2 --follow"));
        assert_eq!((own.name.as_deref(), own.env.len(), own.follow), (Some("b"), 2, true));
        assert_eq!(global.project.as_deref(), Some("p2"));
        assert_eq!(global.format, crate::output::Format::Yaml);
    }
}
