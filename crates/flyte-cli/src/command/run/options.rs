//! The inputs of a task as command line options.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};

use crate::bridge::Input;

/// The prefix of an option that negates another one.
const NOT: &str = "no-";

/// A command whose options are the inputs of a task.
pub(crate) fn command(name: &str, about: &str, inputs: &[Input]) -> Command {
    let mut command = Command::new(name.to_owned())
        .bin_name(name)
        .no_binary_name(true)
        .disable_help_subcommand(true)
        .max_term_width(100)
        .override_usage(usage(name, inputs));
    if !about.is_empty() {
        // A list of commands shows the first paragraph; the command's own help shows everything.
        command = command.about(about.to_owned());
    }
    for input in inputs {
        for argument in arguments(input) {
            command = command.arg(argument);
        }
    }
    command
}

fn usage(name: &str, inputs: &[Input]) -> String {
    let mut usage = name.to_owned();
    for input in inputs.iter().filter(|input| input.required) {
        usage.push_str(&format!(" --{} <{}>", long(&input.name), value_name(input)));
    }
    if inputs.iter().any(|input| !input.required) {
        usage.push_str(" [OPTIONS]");
    }
    usage
}

/// The name of the option for an input.
pub(crate) fn long(name: &str) -> String {
    name.replace('_', "-")
}

fn value_name(input: &Input) -> String {
    // The text in angle brackets. The type's own brackets are unchanged.
    if input.python_type.is_empty() { "VALUE".to_owned() } else { input.python_type.clone() }
}

fn arguments(input: &Input) -> Vec<Arg> {
    let is_switch = input.python_type == "bool";
    let mut help = input.help.clone();
    if let Some(default) = &input.default {
        let shown = if default.is_empty() { "\"\"" } else { default };
        help.push_str(&format!("{}[default: {shown}]", if help.is_empty() { "" } else { " " }));
    }
    if input.is_list {
        help.push_str(&format!("{}[can be repeated]", if help.is_empty() { "" } else { " " }));
    }
    let mut argument = Arg::new(input.name.clone())
        .long(long(&input.name))
        .alias(input.name.clone())
        .value_name(value_name(input))
        .help(help)
        .required(input.required)
        .allow_negative_numbers(true);
    argument =
        if input.is_list { argument.action(ArgAction::Append) } else { argument.action(ArgAction::Set) };
    if let Some(choices) = &input.choices
        && !is_switch
    {
        argument = argument.value_parser(PossibleValuesParser::new(choices.clone()));
    }
    if !is_switch || input.is_list {
        return vec![argument];
    }
    let opposite = format!("{NOT}{}", long(&input.name));
    let no = Arg::new(opposite.clone())
        .long(opposite)
        .action(ArgAction::SetTrue)
        .conflicts_with(input.name.clone())
        .hide(true);
    let argument = argument
        .num_args(0..=1)
        .default_missing_value("true")
        .required(false)
        .required_unless_present_any(input.required.then(|| format!("{NOT}{}", long(&input.name))));
    vec![argument, no]
}

/// Parses the arguments into texts by input name. Help and mistakes are clap's errors.
pub(crate) fn parse(
    mut command: Command,
    inputs: &[Input],
    arguments: &[OsString],
) -> Result<BTreeMap<String, Vec<String>>, clap::Error> {
    let matches = command.try_get_matches_from_mut(arguments)?;
    let mut given = BTreeMap::new();
    for input in inputs {
        let opposite = format!("{NOT}{}", long(&input.name));
        if matches.try_get_one::<bool>(&opposite).ok().flatten() == Some(&true) {
            given.insert(input.name.clone(), vec!["false".to_owned()]);
        } else if let Some(texts) = matches.get_many::<String>(&input.name) {
            given.insert(input.name.clone(), texts.cloned().collect());
        }
    }
    Ok(given)
}

/// The error for an input that only the task's types can find.
pub(crate) fn wrong(mut command: Command, inputs: &[Input], field: &str, why: &str) -> clap::Error {
    let option = inputs.iter().find(|input| input.name == field);
    let what = match option {
        Some(input) if input.python_type.is_empty() => {
            format!("invalid value for '--{}': {why}", long(field))
        }
        Some(input) => format!("invalid value for '--{} <{}>': {why}", long(field), input.python_type),
        None => why.to_owned(),
    };
    command.error(ErrorKind::ValueValidation, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> Vec<Input> {
        let input = |name: &str, python_type: &str| Input {
            name: name.into(),
            python_type: python_type.into(),
            ..Input::default()
        };
        vec![
            Input { required: true, help: "The person to greet.".into(), ..input("first_name", "str") },
            Input { default: Some("3".into()), help: "How many times.".into(), ..input("times", "int") },
            Input { default: Some("false".into()), ..input("loud", "bool") },
            Input { is_list: true, default: Some("[]".into()), ..input("tags", "list[str]") },
            Input {
                choices: Some(vec!["RED".into(), "BLUE".into()]),
                default: Some("RED".into()),
                ..input("colour", "Colour")
            },
        ]
    }

    fn parse_line(line: &str) -> Result<Vec<(String, String)>, clap::Error> {
        let arguments: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        let parsed = parse(command("flyte run app.py main", "Greets.", &inputs()), &inputs(), &arguments)?;
        Ok(parsed.into_iter().map(|(name, texts)| (name, texts.join(","))).collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn inputs_are_options() {
        assert_eq!(parse_line("--first-name Ada").unwrap(), pairs(&[("first_name", "Ada")]));
        assert_eq!(
            parse_line("--first_name=Ada --times -2 --loud --tags a --tags b --colour BLUE").unwrap(),
            pairs(&[
                ("colour", "BLUE"),
                ("first_name", "Ada"),
                ("loud", "true"),
                ("tags", "a,b"),
                ("times", "-2")
            ])
        );
        assert_eq!(
            parse_line("--first-name A --no-loud").unwrap(),
            pairs(&[("first_name", "A"), ("loud", "false")])
        );
        assert_eq!(
            parse_line("--first-name A --loud false").unwrap(),
            pairs(&[("first_name", "A"), ("loud", "false")])
        );
    }

    #[test]
    fn mistakes_name_the_option() {
        for (line, expected) in [
            ("", "--first-name <str>"),
            ("--first-name A --colour GREEN", "[possible values: RED, BLUE]"),
            ("--first-name A --nonsense 1", "unexpected argument '--nonsense'"),
            ("--first-name", "a value is required for '--first-name <str>'"),
            ("--first-name A --loud --no-loud", "cannot be used with"),
        ] {
            let error = parse_line(line).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{line}: {error}");
        }
        let command = command("flyte run app.py main", "", &inputs());
        let error = wrong(command, &inputs(), "times", "'x' is not a whole number");
        assert!(
            error
                .to_string()
                .starts_with("error: invalid value for '--times <int>': 'x' is not a whole number"),
            "{error}"
        );
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn help_shows_signature_and_docstring() {
        let mut command = command("flyte run app.py main", "Greets.\n\nAs often as you want.", &inputs());
        insta::assert_snapshot!(command.render_help().to_string());
    }

    #[test]
    fn definition_is_consistent() {
        command("flyte run app.py main", "", &inputs()).debug_assert();
    }
}
