//! `flyte get trigger`

use std::collections::BTreeMap;

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::trigger::{Trigger, TriggerDetails, TriggerId};

use super::io;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Full name of the task whose triggers to list, for example env.main. By default all triggers are listed
    task: Option<String>,

    /// Name of the trigger to show in detail
    name: Option<String>,

    /// Maximum number of triggers to list
    #[arg(long, value_name = "COUNT", default_value_t = 100, conflicts_with = "name")]
    limit: u32,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let project_domain = context.project_domain()?;
    let now = Clock::default().now();
    let triggers = context.project_domain_client()?.triggers();
    let Arguments { task, name, limit } = arguments;
    if let (Some(task), Some(name)) = (&task, name) {
        let id = TriggerId { project_domain, task: task.clone(), name };
        let found = context.run("Fetching the trigger", async {
            triggers.get(&id).await.map_err(|error| {
                let what = format!("cannot show trigger {} of task {task}", id.name);
                Failure::resource(what, &error, &format!("trigger {task}"))
            })
        })?;
        output::print(format, &found, |found| details(found, now))?;
        return Ok(Exit::Success);
    }
    let found = context.run("Listing triggers", async {
        let listed = triggers.list(project_domain.clone(), task.clone(), Some(limit)).collect().await;
        listed.map_err(|error| Failure::resource("cannot list triggers", &error, "project"))
    })?;
    if found.is_empty() {
        output::tell(&match &task {
            Some(task) => {
                format!("Task {task} has no triggers in {project_domain}. List all: flyte get trigger")
            }
            None => format!(
                "No triggers in {project_domain} yet. Deploy a task that has one: flyte deploy FILE.py"
            ),
        });
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    output::print(format, &found, |triggers| table(triggers, now, context.global.wide))?;
    Ok(Exit::Success)
}

fn table(triggers: &[Trigger], now: i64, wide: bool) -> String {
    let state = |trigger: &Trigger| if trigger.active { "active" } else { "inactive" }.to_owned();
    if !wide {
        let rows = triggers.iter().map(|trigger| {
            [trigger.task.clone(), trigger.name.clone(), trigger.automation.to_string(), state(trigger)]
        });
        return output::table(["TASK", "NAME", "STARTS RUNS", "STATE"], rows);
    }
    let rows = triggers.iter().map(|trigger| {
        let since = |at: Option<i64>| at.map(|at| time::relative(at, now)).unwrap_or_default();
        let (automation, state) = (trigger.automation.to_string(), state(trigger));
        let (deployed, fired) = (since(trigger.deployed_at), since(trigger.triggered_at));
        let Trigger { task, name, deployed_by, .. } = trigger.clone();
        [task, name, automation, state, fired, deployed, deployed_by]
    });
    output::table(["TASK", "NAME", "STARTS RUNS", "STATE", "LAST RUN", "DEPLOYED", "DEPLOYED BY"], rows)
}

/// One trigger, with one field for each line.
fn details(details: &TriggerDetails, now: i64) -> String {
    let TriggerDetails { trigger, task_version, description, inputs, inputs_uri, env, labels } = details;
    let moment = |at: Option<i64>| at.map(|at| time::moment(at, now)).unwrap_or_default();
    let pairs = |pairs: &BTreeMap<String, String>| {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
    };
    let mut text = output::details([
        ("Name", trigger.name.clone()),
        ("Task", trigger.task.clone()),
        ("Version", task_version.clone()),
        ("Place", trigger.project_domain.to_string()),
        ("Description", description.clone()),
        ("Starts runs", trigger.automation.to_string()),
        ("State", if trigger.active { "active" } else { "inactive" }.to_owned()),
        ("Last run", moment(trigger.triggered_at)),
        ("Revision", trigger.revision.to_string()),
        ("Deployed", moment(trigger.deployed_at)),
        ("Deployed by", trigger.deployed_by.clone()),
        ("Changed", moment(trigger.updated_at)),
        ("Changed by", trigger.updated_by.clone()),
        ("Environment", pairs(env)),
        ("Labels", pairs(labels)),
        ("Inputs at", inputs_uri.clone()),
    ]);
    if !inputs.is_empty() {
        text.push_str(&format!("\nInputs:\n{}", output::block(&io::named(inputs))));
    }
    text
}

#[cfg(test)]
mod tests {
    use flyte_client::ProjectDomain;
    use flyte_client::trigger::Automation;

    use super::*;

    #[test]
    fn triggers_are_a_table_and_one_is_shown_in_detail() {
        let trigger = Trigger {
            name: "nightly".into(),
            task: "hello.main".into(),
            project_domain: ProjectDomain::new("flytesnacks", "development"),
            revision: 3,
            active: true,
            automation: Automation::Cron { expression: "0 6 * * *".into(), timezone: "Europe/Zurich".into() },
            deployed_at: Some(1_000_000),
            deployed_by: "ada@example.com".into(),
            triggered_at: Some(1_000_100),
            ..Trigger::default()
        };
        let whole = TriggerDetails {
            trigger: trigger.clone(),
            task_version: "v1".into(),
            inputs: [("times".to_owned(), 3.into())].into(),
            env: [("MODE".to_owned(), "x".to_owned())].into(),
            ..TriggerDetails::default()
        };
        let text = details(&whole, 1_000_200);
        for line in [
            "Task:         hello.main\n",
            "Starts runs:  cron 0 6 * * * (Europe/Zurich)\n",
            "State:        active\n",
            "Environment:  MODE=x\n",
            "\nInputs:\n  times:  3\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        let all = [trigger];
        let narrow = output::fits(&table(&all, 1_000_200, false));
        let row = narrow.lines().nth(1).unwrap();
        assert_eq!(
            row.split_whitespace().collect::<Vec<_>>().join(" "),
            "hello.main nightly cron 0 6 * * * (Europe/Zurich) active"
        );
        let wide = anstream::adapter::strip_str(&table(&all, 1_000_200, true)).to_string();
        assert!(wide.contains("ada@example.com") && wide.contains("LAST RUN"), "{wide}");
    }
}
