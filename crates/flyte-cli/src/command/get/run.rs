//! `flyte get run`

use clap::Args;
use flyte_auth::Transport;
use flyte_auth::clock::Clock;
use flyte_client::action::{ActionDetails, RunId};
use flyte_client::run::{ListOptions, Run, RunDetails};
use flyte_client::{Client, Phase, TimeRange};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time::{self, Bound};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the run to show in detail. By default all runs are listed
    name: Option<String>,

    /// Maximum number of runs to list
    #[arg(long, value_name = "COUNT", default_value_t = 100, conflicts_with = "name")]
    limit: u32,

    /// Only runs in this phase, for example running or failed; can be repeated
    #[arg(long, value_name = "PHASE", conflicts_with = "name")]
    in_phase: Vec<Phase>,

    /// Only runs that you started
    #[arg(long, conflicts_with = "name")]
    only_mine: bool,

    /// Only runs of the task with this full name, for example env.main
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    task_name: Option<String>,

    /// Only runs of this version of a task
    #[arg(long, value_name = "VERSION", conflicts_with = "name")]
    task_version: Option<String>,

    /// Only runs with this label; can be repeated, and all labels must match
    #[arg(long, value_name = "KEY=VALUE", value_parser = label, conflicts_with = "name")]
    with_label: Vec<(String, String)>,

    /// Only runs that have a label with this key; can be repeated
    #[arg(long, value_name = "KEY", conflicts_with = "name")]
    with_label_key: Vec<String>,

    /// Only runs in which an action waits for a signal
    #[arg(long, conflicts_with = "name")]
    paused_only: bool,

    #[command(flatten)]
    times: Times,
}

/// The times of the runs to list.
#[derive(Args, Debug)]
struct Times {
    /// Only runs that started at this time or later: a day, a time (UTC unless it has a zone), 2h, now, today, or `now - 1 day`
    #[arg(long, value_name = "TIME", conflicts_with = "name")]
    created_after: Option<Bound>,

    /// Only runs that started before this time
    #[arg(long, value_name = "TIME", conflicts_with = "name")]
    created_before: Option<Bound>,

    /// Only runs whose state changed at this time or later
    #[arg(long, value_name = "TIME", conflicts_with = "name")]
    updated_after: Option<Bound>,

    /// Only runs whose state last changed before this time
    #[arg(long, value_name = "TIME", conflicts_with = "name")]
    updated_before: Option<Bound>,
}

/// The range between two bounds; an error if no time is in it.
fn range(what: &str, after: Option<Bound>, before: Option<Bound>, now: i64) -> Result<TimeRange, Failure> {
    let range =
        TimeRange { after: after.map(|bound| bound.at(now)), before: before.map(|bound| bound.at(now)) };
    match range {
        TimeRange { after: Some(after), before: Some(before) } if after >= before => {
            Err(Failure::new("no run can match")
                .why(format!(
                    "--{what}-after ({}) is not before --{what}-before ({})",
                    time::date(after),
                    time::date(before)
                ))
                .exit(Exit::Usage))
        }
        range => Ok(range),
    }
}

/// A name and a value as typed.
pub(crate) fn label(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE"),
    }
}

/// The subject of the caller.
pub(super) async fn subject(client: &Client<Transport>) -> Result<String, Failure> {
    let user = client.identity().user_info().await;
    Ok(user.map_err(|error| Failure::client("cannot find out who you are", &error))?.subject)
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let project_domain = context.project_domain()?;
    let now = Clock::default().now();
    let client = context.project_domain_client()?;
    let runs = client.runs();
    if let Some(name) = arguments.name {
        let run = context.run("Fetching the run", async {
            let found = runs.get(&RunId::new(project_domain, &name)).await;
            found.map_err(|error| Failure::resource(format!("cannot show run {name}"), &error, "run"))
        })?;
        output::print(format, &run, |run| details(run, now))?;
        return Ok(Exit::Success);
    }
    let Times { created_after, created_before, updated_after, updated_before } = arguments.times;
    let created = range("created", created_after, created_before, now)?;
    let updated = range("updated", updated_after, updated_before, now)?;
    let filtered = arguments.only_mine
        || arguments.paused_only
        || !arguments.with_label_key.is_empty()
        || !created.is_unlimited()
        || !updated.is_unlimited()
        || arguments.task_name.is_some()
        || arguments.task_version.is_some()
        || !arguments.in_phase.is_empty()
        || !arguments.with_label.is_empty();
    let found = context.run("Listing runs", async {
        let created_by = if arguments.only_mine { Some(subject(&client).await?) } else { None };
        let options = ListOptions {
            phases: arguments.in_phase,
            task: arguments.task_name,
            version: arguments.task_version,
            labels: arguments.with_label.into_iter().collect(),
            label_keys: arguments.with_label_key,
            created_by,
            created,
            updated,
            paused: arguments.paused_only,
            limit: Some(arguments.limit),
        };
        let listed = runs.list(project_domain.clone(), options).collect().await;
        listed.map_err(|error| Failure::resource("cannot list runs", &error, "project"))
    })?;
    if found.is_empty() {
        output::tell(&match filtered {
            true => format!("No matching runs in {project_domain}. See all runs: flyte get run"),
            false => format!("No runs in {project_domain} yet. Start one: flyte run FILE.py TASK"),
        });
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    output::print(format, &found, |runs| table(runs, now, context.global.wide))?;
    if format == Format::Table && u32::try_from(found.len()) == Ok(arguments.limit) {
        output::tell(&format!("Showing the newest {} runs. For more, use --limit COUNT.", arguments.limit));
    }
    Ok(Exit::Success)
}

fn table(runs: &[Run], now: i64, wide: bool) -> String {
    if !wide {
        let rows = runs.iter().map(|run| {
            let (started, took) = (since(run.started_at, now), took(run.duration_ms));
            [run.name.clone(), run.task.clone(), short(run.phase), started, took]
        });
        return output::table(["NAME", "TASK", "PHASE", "STARTED", "TOOK"], rows);
    }
    let rows = runs.iter().map(|run| {
        let run = run.clone();
        let phase = run.phase.to_string();
        [
            run.name,
            run.task,
            run.version,
            phase,
            since(run.started_at, now),
            took(run.duration_ms),
            run.created_by,
        ]
    });
    output::table(["NAME", "TASK", "VERSION", "PHASE", "STARTED", "TOOK", "STARTED BY"], rows)
}

/// A phase as one word.
pub(crate) fn short(phase: Phase) -> String {
    match phase {
        Phase::WaitingForResources => "waiting".to_owned(),
        other => other.to_string(),
    }
}

pub(crate) fn since(moment: Option<i64>, now: i64) -> String {
    moment.map(|at| time::relative(at, now)).unwrap_or_default()
}

pub(crate) fn took(milliseconds: Option<u64>) -> String {
    milliseconds.map(time::took).unwrap_or_default()
}

/// One run, with one field for each line, and why it failed.
fn details(details: &RunDetails, now: i64) -> String {
    let RunDetails { run, action, env } = details;
    let pairs = |pairs: &std::collections::BTreeMap<String, String>| {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
    };
    let moment = |moment: Option<i64>| moment.map(|at| time::moment(at, now)).unwrap_or_default();
    let text = output::details([
        ("Name", run.name.clone()),
        ("Place", run.project_domain.to_string()),
        ("Task", run.task.clone()),
        ("Version", run.version.clone()),
        ("Phase", run.phase.to_string()),
        ("Attempts", run.attempts.to_string()),
        ("Started", moment(run.started_at)),
        ("Ended", moment(run.ended_at)),
        ("Took", took(run.duration_ms)),
        ("Started by", run.created_by.clone()),
        ("Stopped", stopped(action)),
        ("Labels", pairs(&run.labels)),
        ("Environment", pairs(env)),
    ]);
    text + &ending(action)
}

/// Why something was aborted, and the user who did it, or else an empty text.
pub(crate) fn stopped(details: &ActionDetails) -> String {
    let Some(abort) = &details.abort else { return String::new() };
    let by = if abort.by.is_empty() { String::new() } else { format!(" by {}", abort.by) };
    format!("{}{by}", abort.reason)
}

/// Why something failed, or else an empty text.
pub(crate) fn ending(details: &ActionDetails) -> String {
    if let Some(error) = &details.error {
        let code = if error.code.is_empty() { String::new() } else { format!(" ({})", error.code) };
        return format!("\nError{code}:\n{}", output::block(&error.message));
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use flyte_client::ProjectDomain;
    use flyte_client::action::{Blame, Failure as TaskFailure};

    use super::*;

    #[test]
    fn runs_have_a_table_and_details() {
        let run = Run {
            name: "r8d1f0c2a9b7e6f5d4c3b".into(),
            project_domain: ProjectDomain::new("flytesnacks", "development"),
            task: "hello_world.main".into(),
            version: "v1".into(),
            phase: Phase::Failed,
            attempts: 2,
            started_at: Some(1_000_000),
            ended_at: Some(1_000_090),
            duration_ms: Some(90_300),
            created_by: "ada@example.com".into(),
            labels: [("team".to_owned(), "ml".to_owned())].into(),
        };
        let running =
            Run { phase: Phase::WaitingForResources, ended_at: None, duration_ms: None, ..run.clone() };
        let error = TaskFailure {
            code: "ValueError".into(),
            message: "Traceback (most recent call last):\n  File \"a.py\"\nValueError: no".into(),
            kind: Blame::User,
        };
        let whole = RunDetails {
            run: run.clone(),
            action: ActionDetails { error: Some(error), ..ActionDetails::default() },
            env: [("MODE".to_owned(), "x".to_owned())].into(),
        };
        insta::assert_snapshot!("run_details", details(&whole, 1_000_200));
        let runs = [run, running];
        let text = table(&runs, 1_000_200, true);
        insta::assert_snapshot!("run_table", anstream::adapter::strip_str(&text).to_string());
        let text = output::fits(&table(&runs, 1_000_200, false));
        insta::assert_snapshot!("run_table_narrow", text);
    }

    #[test]
    fn label_is_a_name_and_a_value() {
        assert_eq!(label("team=ml=x"), Ok(("team".to_owned(), "ml=x".to_owned())));
        assert_eq!(label("team="), Ok(("team".to_owned(), String::new())));
        assert!(label("team").is_err() && label("=ml").is_err());
    }
}
