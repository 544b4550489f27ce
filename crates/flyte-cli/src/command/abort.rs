//! `flyte abort`

use clap::{Args, Subcommand};
use flyte_client::action::RunId;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Stop a run and all its actions
    Run(RunArguments),
    /// Stop one action of a run and the actions that it called
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
    /// Reason, shown with the run
    #[arg(long, value_name = "TEXT", default_value = "Aborted from the command line")]
    reason: String,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let project_domain = context.project_domain()?;
    match command {
        Command::Run(RunArguments { name, reason }) => {
            let runs = context.project_domain_client()?.runs();
            let id = RunId::new(project_domain, &name);
            let over = context.run("Stopping the run", async {
                // Check the phase first, because some servers report success for an abort that comes too late.
                let stop = async {
                    let phase = runs.get(&id).await?.run.phase;
                    if phase.is_over() {
                        return Ok(Some(phase));
                    }
                    runs.abort(&id, &reason.reason).await.map(|()| None)
                };
                stop.await
                    .map_err(|error| Failure::resource(format!("cannot stop run {name}"), &error, "run"))
            })?;
            output::tell(&match over {
                Some(phase) => {
                    format!("Run {name} has already ended ({phase}). See its state: flyte get run {name}")
                }
                None => format!("Stopping run {name}. See its state: flyte get run {name}"),
            });
        }
        Command::Action(ActionArguments { run, action, reason }) => {
            let actions = context.project_domain_client()?.actions();
            let id = RunId::new(project_domain, &run).action(&action);
            let over = context.run("Stopping the action", async {
                let stop = async {
                    let phase = actions.get(&id).await?.action.phase;
                    if phase.is_over() {
                        return Ok(Some(phase));
                    }
                    actions.abort(&id, &reason.reason).await.map(|()| None)
                };
                stop.await.map_err(|error| {
                    Failure::resource(
                        format!("cannot stop action {action} of run {run}"),
                        &error,
                        &format!("action {run}"),
                    )
                })
            })?;
            let next = format!("See its state: flyte get action {run} {action}");
            output::tell(&match over {
                Some(phase) => format!("Action {action} of run {run} has already ended ({phase}). {next}"),
                None => format!("Stopping action {action} of run {run}. {next}"),
            });
        }
    }
    Ok(Exit::Success)
}
