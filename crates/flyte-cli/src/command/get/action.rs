//! `flyte get action`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::Phase;
use flyte_client::action::{Action, ActionDetails, RunId};

use super::run::{ending, short, since, stopped, took};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the run
    run: String,

    /// Name of the action to show in detail. By default all actions are listed
    action: Option<String>,

    /// Only actions in this phase, for example running or failed; can be repeated
    #[arg(long, value_name = "PHASE", conflicts_with = "action")]
    in_phase: Vec<Phase>,

    /// Maximum number of actions to list. By default all
    #[arg(long, value_name = "COUNT", conflicts_with = "action")]
    limit: Option<u32>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let run = RunId::new(context.project_domain()?, arguments.run);
    let now = Clock::default().now();
    let actions = context.project_domain_client()?.actions();
    if let Some(name) = arguments.action {
        let action = context.run("Fetching the action", async {
            let found = actions.get(&run.action(&name)).await;
            found.map_err(|error| {
                let what = format!("cannot show action {name} of run {}", run.name);
                Failure::resource(what, &error, &format!("action {}", run.name))
            })
        })?;
        output::print(format, &action, |action| details(action, now))?;
        return Ok(Exit::Success);
    }
    let found = context.run("Listing actions", async {
        let listed = actions.list(run.clone(), arguments.in_phase, arguments.limit).collect().await;
        listed.map_err(|error| {
            Failure::resource(format!("cannot list the actions of run {}", run.name), &error, "run")
        })
    })?;
    if found.is_empty() {
        output::tell(&format!("Run {} has no matching actions.", run.name));
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    output::print(format, &found, |actions| table(actions, now, context.global.wide))?;
    Ok(Exit::Success)
}

fn table(actions: &[Action], now: i64, wide: bool) -> String {
    if !wide {
        let rows = actions.iter().map(|action| {
            let phase = if action.cached { "cached".to_owned() } else { short(action.phase) };
            let (started, took) = (since(action.started_at, now), took(action.duration_ms));
            [action.name.clone(), action.task.clone(), phase, started, took]
        });
        return output::table(["NAME", "TASK", "PHASE", "STARTED", "TOOK"], rows);
    }
    let rows = actions.iter().map(|action| {
        let action = action.clone();
        let (phase, attempts) = (phase(&action), action.attempts.to_string());
        let (started, took) = (since(action.started_at, now), took(action.duration_ms));
        [action.name, action.task, action.parent, action.group, phase, attempts, started, took]
    });
    output::table(["NAME", "TASK", "CALLED BY", "GROUP", "PHASE", "ATTEMPTS", "STARTED", "TOOK"], rows)
}

/// The phase, and whether the result comes from the cache.
fn phase(action: &Action) -> String {
    if action.cached { format!("{} (cached)", action.phase) } else { action.phase.to_string() }
}

/// One action, with one field for each line, its attempts, and why it failed.
fn details(details: &ActionDetails, now: i64) -> String {
    let action = &details.action;
    let moment = |moment: Option<i64>| moment.map(|at| time::moment(at, now)).unwrap_or_default();
    let mut text = output::details([
        ("Name", action.name.clone()),
        ("Run", action.run.clone()),
        ("Place", action.project_domain.to_string()),
        ("Task", action.task.clone()),
        ("Version", action.version.clone()),
        ("Called by", action.parent.clone()),
        ("Group", action.group.clone()),
        ("Phase", phase(action)),
        ("Started", moment(action.started_at)),
        ("Ended", moment(action.ended_at)),
        ("Took", took(action.duration_ms)),
        ("Stopped", stopped(details)),
    ]);
    if !details.history.is_empty() {
        let rows = details.history.iter().map(|attempt| {
            let error = attempt.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
            // The last line of a traceback is the error.
            let reason = error.trim_end().lines().last().unwrap_or_default().to_owned();
            let (phase, started) = (attempt.phase.to_string(), since(attempt.started_at, now));
            [attempt.attempt.to_string(), phase, started, reason]
        });
        text.push_str(&format!("\n{}", output::table(["ATTEMPT", "PHASE", "STARTED", "ERROR"], rows)));
    }
    text + &ending(details)
}

#[cfg(test)]
mod tests {
    use flyte_client::ProjectDomain;
    use flyte_client::action::{Abort, Attempt, Failure as TaskFailure};

    use super::*;

    #[test]
    fn actions_have_a_table_and_details() {
        let action = Action {
            name: "a1".into(),
            run: "rabc".into(),
            project_domain: ProjectDomain::new("flytesnacks", "development"),
            parent: "a0".into(),
            group: "squares".into(),
            task: "hello.square".into(),
            version: "v1".into(),
            phase: Phase::Aborted,
            attempts: 2,
            started_at: Some(1_000_000),
            ended_at: Some(1_000_004),
            duration_ms: Some(4_000),
            ..Action::default()
        };
        let error = TaskFailure { message: "Traceback\nValueError: no\n".into(), ..TaskFailure::default() };
        let failed = Attempt {
            attempt: 1,
            phase: Phase::Failed,
            started_at: Some(1_000_000),
            error: Some(error),
            ..Attempt::default()
        };
        let second =
            Attempt { attempt: 2, phase: Phase::Aborted, started_at: Some(1_000_003), ..Attempt::default() };
        let whole = ActionDetails {
            action: action.clone(),
            abort: Some(Abort { reason: "enough".into(), by: "ada@example.com".into() }),
            error: None,
            history: vec![failed, second],
        };
        let text = details(&whole, 1_000_200);
        insta::assert_snapshot!("action_details", anstream::adapter::strip_str(&text).to_string());
        let cached = Action { phase: Phase::Succeeded, cached: true, ..action.clone() };
        assert_eq!(phase(&cached), "succeeded (cached)");
        let all = [action];
        insta::assert_snapshot!("action_table_narrow", output::fits(&table(&all, 1_000_200, false)));
        let text = table(&all, 1_000_200, true);
        insta::assert_snapshot!("action_table", anstream::adapter::strip_str(&text).to_string());
    }
}
