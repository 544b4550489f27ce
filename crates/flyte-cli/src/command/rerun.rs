//! `flyte rerun`

mod words;

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{Args, Command, CommandFactory as _};
use flyte_client::action::{ROOT, RunId};
use flyte_client::run::{Origin, RecoverOptions, RerunError, RerunOptions};

use crate::bridge::Input;
use crate::cli::Cli;
use crate::command::get::run::label;
use crate::command::run::{of_variable, options, started, watch};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::global::Global;
use crate::output::{self, Format};

pub(crate) const HELP: &str = "\
The new run has the code, the inputs and the options of the earlier one. The inputs of the task are options too: those that you give \
replace the earlier values, for example --times 3. `flyte rerun RUN --help` lists them.

For example:
  flyte rerun r1
  flyte rerun r1 --name r1-again --follow
  flyte rerun r1 --times 10 --env MODE=test
  flyte rerun r1 --action-name a3
  flyte rerun r1 --recover --force-rerun-action a3

With --follow, the exit code is 0 if the run succeeded, 3 if it did not, and 130 after Ctrl-C, which does not stop the run.";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the earlier run
    #[arg(required_unless_present = "help")]
    run: Option<String>,

    #[command(flatten)]
    own: Own,

    /// Print help; after the name of a run also the inputs of its task
    #[arg(short, long)]
    help: bool,

    /// Inputs to change; the options of the command can be among them
    #[arg(value_name = "--INPUT VALUE", trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// The options of the command, before or after the name of the run.
#[derive(Args, Debug, Default)]
struct Own {
    /// Name of the new run. By default the server chooses one
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Environment variable for the tasks, in addition to those of the earlier run; can be repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = label)]
    env: Vec<(String, String)>,

    /// Label of the run, in addition to those of the earlier run; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,

    /// Input to change, if its name is that of another option; can be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    input: Vec<(String, String)>,

    /// Follow the run until it ends
    #[arg(short, long)]
    follow: bool,

    /// Take the results of actions that succeeded in the earlier run
    #[arg(long)]
    recover: bool,

    /// Run only the task of this action, with the inputs that it had. By default the whole run
    #[arg(long, value_name = "ACTION")]
    action_name: Option<String>,

    /// With --recover: action to run again although it succeeded; can be repeated
    #[arg(long, value_name = "ACTION")]
    force_rerun_action: Vec<String>,

    /// Continue although the earlier outputs are no longer stored, and it is unknown whether the inputs are
    #[arg(long)]
    allow_missing_outputs: bool,
}

impl Own {
    /// These options and later ones, which take precedence.
    fn and(self, later: Self) -> Self {
        Self {
            name: later.name.or(self.name),
            env: [self.env, later.env].concat(),
            label: [self.label, later.label].concat(),
            input: [self.input, later.input].concat(),
            follow: self.follow || later.follow,
            recover: self.recover || later.recover,
            action_name: later.action_name.or(self.action_name),
            force_rerun_action: [self.force_rerun_action, later.force_rerun_action].concat(),
            allow_missing_outputs: self.allow_missing_outputs || later.allow_missing_outputs,
        }
    }

    /// Checks the options that depend on each other. Clap cannot do it, because they may be on both sides of the run's name.
    fn check(&self) -> Result<(), Failure> {
        let wrong = |why: &str, next: &str| {
            Err(Failure::new("cannot rerun").why(why).next(next.to_owned()).exit(Exit::Usage))
        };
        if !self.force_rerun_action.is_empty() && !self.recover {
            return wrong(
                "--force-rerun-action is about the results that --recover takes",
                "Add --recover, or leave it out.",
            );
        }
        if self.recover && self.action_name.as_deref().is_some_and(|name| name != ROOT) {
            return wrong(
                "--recover takes results by the names of actions, and a run of one action has other names",
                "Leave out --recover or --action-name.",
            );
        }
        Ok(())
    }
}

pub(crate) fn run(arguments: Arguments, global: Global) -> Result<Exit, Failure> {
    let Arguments { run, own, help, rest } = arguments;
    let Some(run) = run else { return general_help() };
    let known = known();
    let (given, mut inputs) = words::split(&known, &rest);
    if help {
        inputs.push("--help".into());
    }
    let matches = known.try_get_matches_from(given).unwrap_or_else(|error| error.exit());
    let (own, global) = words::merged(own, global, &matches);
    own.check()?;
    let context = Context::load(global)?;
    let client = context.project_domain_client()?;
    let runs = client.runs();
    let action = own.action_name.clone().unwrap_or_else(|| ROOT.to_owned());
    let id = RunId::new(context.project_domain()?, &run).action(&action);
    let what = format!("cannot rerun {run}");
    let origin = context.run("Fetching the run", async {
        runs.origin(&id).await.map_err(|error| Failure::resource(what.clone(), &error, "run"))
    })?;
    let changes = changes(&run, &origin, &inputs, own.input)?;
    let options = RerunOptions {
        name: own.name,
        changes: changes.clone(),
        env: context.global.logging.variables(&own.env).into_iter().collect(),
        labels: own.label.into_iter().collect(),
        recover: own.recover.then_some(RecoverOptions { force: own.force_rerun_action }),
        allow_missing_outputs: own.allow_missing_outputs,
    };
    if own.recover && !changes.is_empty() {
        output::tell("Actions whose results are taken keep those of the earlier inputs.");
    }
    let (command, shown) = command(&run, &origin);
    let started_run = context.run("Starting the run", async {
        match runs.rerun(origin, options).await {
            Err(RerunError::Input { name, why }) => Ok(Err((name, why))),
            other => other.map(Ok).map_err(|error| Failure::rerun(what, &error)),
        }
    })?;
    let new = match started_run {
        Ok(new) => new,
        Err((name, why)) => options::wrong(command, &shown, &name, &why).exit(),
    };
    if own.follow {
        output::tell(&format!("Started run {} in {}.", new.name, new.project_domain));
        return watch::watch(&context, &client, &new.id());
    }
    output::print(context.global.format, &new, started)?;
    if context.global.format == Format::Table {
        let name = &new.name;
        output::tell(&format!(
            "Follow it: flyte get logs {name} --follow\nSee its state: flyte get run {name}"
        ));
    }
    Ok(Exit::Success)
}

/// Prints the help that needs no run.
fn general_help() -> Result<Exit, Failure> {
    let mut flyte = Cli::command();
    flyte.build();
    if let Some(command) = flyte.find_subcommand_mut("rerun") {
        output::write(&command.render_long_help().to_string())?;
    }
    Ok(Exit::Success)
}

/// The options of this command and of all commands.
fn known() -> Command {
    let command = Command::new("flyte rerun").no_binary_name(true).disable_help_flag(true);
    Global::augment_args(Own::augment_args(command))
}

/// The command whose options are the inputs of the task, and these inputs.
fn command(run: &str, origin: &Origin) -> (Command, Vec<Input>) {
    let known = known();
    let taken = |input: &Input| {
        let long = options::long(&input.name);
        known.get_arguments().any(|argument| {
            argument.get_id().as_str() == input.name
                || argument.get_long().is_some_and(|taken| taken == long || taken == input.name)
        }) || ["help", "no-help"].contains(&long.as_str())
    };
    let inputs: Vec<_> = origin.inputs.iter().map(of_variable).filter(|input| !taken(input)).collect();
    let name = format!("flyte rerun {run}");
    let command = options::command(&name, &origin.documentation, &inputs);
    // The help shows the other options too.
    (Own::augment_args(command.next_help_heading("Other options")), inputs)
}

/// The changed inputs.
fn changes(
    run: &str,
    origin: &Origin,
    words: &[OsString],
    named: Vec<(String, String)>,
) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let (command, inputs) = command(run, origin);
    let mut changes = options::parse(command, &inputs, words).unwrap_or_else(|error| error.exit());
    for (name, value) in named {
        // As in options, a dash may stand for an underscore.
        let input =
            origin.inputs.iter().find(|input| input.name == name || options::long(&input.name) == name);
        let Some(input) = input else {
            let known: Vec<_> = origin.inputs.iter().map(|input| input.name.as_str()).collect();
            return Err(Failure::new(format!("the task has no input {name}"))
                .why(match known.as_slice() {
                    [] => "it has no inputs".to_owned(),
                    known => format!("its inputs are {}", known.join(", ")),
                })
                .exit(Exit::Usage));
        };
        changes.entry(input.name.clone()).or_default().push(value);
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let force = Own { force_rerun_action: vec!["a3".into()], ..Own::default() };
        assert!(force.check().is_err());
        let one = Own { recover: true, action_name: Some("a3".into()), ..Own::default() };
        assert!(one.check().is_err());
        let root = Own { recover: true, action_name: Some(ROOT.into()), ..Own::default() };
        assert!(root.check().is_ok());
    }
}
