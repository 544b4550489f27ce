//! `flyte abort`

use clap::{Args, Subcommand};
use flyte_client::action::RunId;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Stop a run with all its actions
    Run(RunArguments),
    /// Stop one action of a run with those that it called
    Action(ActionArguments),
}

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Name of the run
    #[arg(value_name = "RUN")]
    name: String,

    #[command(flatten)]
    reason: Reason,
}

#[derive(Args, Debug)]
pub(crate) struct ActionArguments {
    /// Name of the run
    run: String,

    /// Name of the action
    action: String,

    #[command(flatten)]
    reason: Reason,
}

#[derive(Args, Debug)]
struct Reason {
    /// Why, for whoever looks at the run later
    #[arg(long, value_name = "TEXT", default_value = "Aborted from the command line")]
    reason: String,
}

pub(super) fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let place = context.place()?;
    match command {
        Command::Run(RunArguments { name, reason }) => {
            let runs = context.place_client()?.runs();
            context.run("Stopping the run", async {
                let aborted = runs.abort(&RunId::new(place, &name), &reason.reason).await;
                aborted
                    .map_err(|error| Failure::resource(format!("cannot stop the run {name}"), &error, "run"))
            })?;
            output::tell(&format!("Run {name} stops. Look at it: flyte get run {name}"));
        }
        Command::Action(ActionArguments { run, action, reason }) => {
            let actions = context.place_client()?.actions();
            context.run("Stopping the action", async {
                let aborted = actions.abort(&RunId::new(place, &run).action(&action), &reason.reason).await;
                aborted.map_err(|error| {
                    Failure::resource(
                        format!("cannot stop the action {action} of {run}"),
                        &error,
                        &format!("action {run}"),
                    )
                })
            })?;
            output::tell(&format!(
                "Action {action} of run {run} stops. Look at it: flyte get action {run} {action}"
            ));
        }
    }
    Ok(Exit::Success)
}
