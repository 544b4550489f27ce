//! The command line, defined and documented in one place; help, completions, manual pages and
//! `docs/reference/cli.md` come from here.

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::command::{
    abort, auth, completion, create, delete, deploy, generate, get, rerun, rotate, run, serve, signal,
    update, whoami,
};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::global::Global;

const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  the command failed
  2  the command line is wrong
  3  the run that was waited for failed, was stopped or took too long
  4  not signed in, or the sign-in was refused
  130  you interrupted it (Ctrl-C)

Configuration: the first of ./config.yaml, ./.flyte/config.yaml, .flyte/config.yaml at the root of the git \
repository, $UCTL_CONFIG, $FLYTECTL_CONFIG, ~/.union/config.yaml and ~/.flyte/config.yaml. Any key can be \
overridden by an environment variable, for example FLYTE_ADMIN_ENDPOINT.";

/// The command line interface of Flyte.
///
/// Start with `flyte create config --endpoint HOST`. Then run any command, for example `flyte get project`: it signs
/// you in if needed.
#[derive(Debug, Parser)]
#[command(name = "flyte", version = flyte_version::VERSION, after_help = EXIT_CODES, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// Options that go with every command.
    #[command(flatten)]
    pub(crate) global: Global,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Stop a run or one of its actions
    #[command(subcommand, arg_required_else_help = true)]
    Abort(abort::Command),
    /// Sign in and out, and show or diagnose the sign-in
    #[command(subcommand, arg_required_else_help = true)]
    Auth(auth::Command),
    /// Create a configuration or a resource
    #[command(subcommand, arg_required_else_help = true)]
    Create(create::Command),
    /// Delete a resource
    #[command(subcommand, arg_required_else_help = true)]
    Delete(delete::Command),
    /// Deploy the tasks and apps of a file
    #[command(after_help = deploy::HELP)]
    Deploy(deploy::Arguments),
    /// Show resources
    #[command(subcommand, arg_required_else_help = true)]
    Get(get::Command),
    /// Start a run again, with its code and inputs, or with other inputs
    // Its help lists the inputs of the run, so it needs more than clap knows.
    #[command(after_help = rerun::HELP, disable_help_flag = true)]
    Rerun(rerun::Arguments),
    /// Replace a secret with a new one
    #[command(subcommand, arg_required_else_help = true)]
    Rotate(rotate::Command),
    /// Run a task of a file, or a deployed task
    #[command(after_help = run::HELP)]
    Run(run::Arguments),
    /// Serve an app of a file
    #[command(after_help = serve::HELP)]
    Serve(serve::Arguments),
    /// Give an answer to a run that waits for one
    #[command(subcommand, arg_required_else_help = true)]
    Signal(signal::Command),
    /// Change a resource
    #[command(subcommand, arg_required_else_help = true)]
    Update(update::Command),
    /// Show the account that you are signed in with
    Whoami,
    /// Print a completion script for a shell
    #[command(after_help = completion::HELP)]
    Completion(completion::Arguments),
    /// Write manual pages and the reference
    #[command(subcommand, hide = true)]
    Gen(generate::Command),
}

impl Cli {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let global = self.global.settled();
        match self.command {
            Command::Abort(command) => abort::run(command, &Context::load(global)?),
            Command::Auth(command) => auth::run(command, global),
            Command::Create(command) => create::run(command, global),
            Command::Delete(command) => delete::run(command, &Context::load(global)?),
            Command::Deploy(arguments) => deploy::run(&arguments, &Context::load(global)?),
            Command::Get(command) => get::run(command, &Context::load(global)?),
            Command::Rerun(arguments) => rerun::run(arguments, global),
            Command::Rotate(command) => rotate::run(command, &Context::load(global)?),
            Command::Run(arguments) => run::run(arguments, &Context::load(global)?),
            Command::Serve(arguments) => serve::run(&arguments, &Context::load(global)?),
            Command::Signal(command) => signal::run(command, &Context::load(global)?),
            Command::Update(command) => update::run(command, &Context::load(global)?),
            Command::Whoami => whoami::run(&Context::load(global)?),
            Command::Completion(arguments) => completion::run(&arguments, Self::command()),
            Command::Gen(command) => generate::run(&command, Self::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use flyte_config::AuthType;

    use super::*;
    use crate::output::Format;

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The short and long help of a command and of all its subcommands.
    fn helps(command: &mut clap::Command, parents: &str, found: &mut Vec<(String, String)>) {
        let name = format!("{parents}{}", command.get_name());
        found.push((format!("{name} -h"), command.render_help().to_string()));
        found.push((format!("{name} --help"), command.render_long_help().to_string()));
        for command in command.get_subcommands_mut() {
            helps(command, &format!("{name} "), found);
        }
    }

    #[test]
    fn help_fits_80_columns() {
        let mut command = Cli::command().term_width(80);
        command.build();
        let mut found = Vec::new();
        helps(&mut command, "", &mut found);
        assert!(found.len() > 80, "{}", found.len());
        let long: Vec<_> = found
            .iter()
            .flat_map(|(name, help)| help.lines().map(move |line| (name, line)))
            .filter(|(_, line)| line.chars().count() > 80)
            .collect();
        assert!(long.is_empty(), "{long:#?}");
    }

    #[test]
    fn wide_format_is_a_table() {
        let global = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap().global.settled();
        let (wide, table) = (global("flyte get run -o wide"), global("flyte get run"));
        assert_eq!((wide.format, wide.wide), (Format::Table, true));
        assert_eq!((table.format, table.wide), (Format::Table, false));
    }

    #[test]
    fn global_options_work_before_and_after_the_command() {
        for line in ["flyte -o json --endpoint h get project", "flyte get project --endpoint h -o json"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.global.format, Format::Json);
            assert_eq!(cli.global.endpoint.unwrap().endpoint.authority(), "h");
        }
    }

    #[test]
    fn o_is_the_file_in_create_config() {
        let line = "flyte -o json --endpoint h create config -o file.yaml --auth-type headless -p p";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(cli.global.format, Format::Json);
        let Command::Create(create::Command::Config(arguments)) = cli.command else {
            panic!("{:?}", cli.command)
        };
        assert_eq!(arguments.output, Some("file.yaml".into()));
        assert_eq!(arguments.auth_type, Some(AuthType::DeviceFlow));
        assert_eq!(arguments.endpoint.unwrap().endpoint.authority(), "h");
        assert_eq!(arguments.project.as_deref(), Some("p"));
    }
}
