//! `flyte get task`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::task::{ListOptions, Task, TaskDetails, TaskId, Variable};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Full name of the task whose versions to list, for example env.main. By default all tasks are listed
    name: Option<String>,

    /// The version to show in detail
    version: Option<String>,

    /// Maximum number of tasks to list
    #[arg(long, value_name = "COUNT", default_value_t = 100, conflicts_with = "version")]
    limit: u32,

    /// Only tasks that users are meant to start
    #[arg(long, conflicts_with = "version")]
    entrypoint: bool,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let project_domain = context.project_domain()?;
    let now = Clock::default().now();
    let tasks = context.project_domain_client()?.tasks();
    if let (Some(name), Some(version)) = (&arguments.name, arguments.version) {
        let id = TaskId { project_domain, name: name.clone(), version };
        let task = context.run("Fetching the task", async {
            let found = tasks.get(&id).await;
            found.map_err(|error| {
                let what = format!("cannot show task {name} in version {}", id.version);
                Failure::resource(what, &error, &format!("task {name}"))
            })
        })?;
        output::print(format, &task, |task| details(task, now))?;
        return Ok(Exit::Success);
    }
    let options = ListOptions {
        name: arguments.name.clone(),
        entrypoints: arguments.entrypoint,
        limit: Some(arguments.limit),
    };
    let found = context.run("Listing tasks", async {
        let listed = tasks.list(project_domain.clone(), options).collect().await;
        listed.map_err(|error| Failure::resource("cannot list tasks", &error, "project"))
    })?;
    if found.is_empty() {
        output::tell(&match &arguments.name {
            Some(name) => format!("No task {name} in {project_domain}. List existing ones: flyte get task"),
            None => {
                format!("No tasks in {project_domain} yet. Deploy some: flyte deploy FILE.py")
            }
        });
        if format == Format::Table {
            return Ok(if arguments.name.is_some() { Exit::Failure } else { Exit::Success });
        }
    }
    output::print(format, &found, |tasks| table(tasks, now, context.global.wide))?;
    Ok(Exit::Success)
}

fn table(tasks: &[Task], now: i64, wide: bool) -> String {
    if !wide {
        let rows = tasks.iter().map(|task| {
            let deployed = task.deployed_at.map(|at| time::relative(at, now)).unwrap_or_default();
            [task.name.clone(), task.version.clone(), deployed]
        });
        return output::table(["NAME", "VERSION", "DEPLOYED"], rows);
    }
    let rows = tasks.iter().map(|task| {
        let task = task.clone();
        let deployed = task.deployed_at.map(|at| time::relative(at, now)).unwrap_or_default();
        [task.name, task.version, task.environment, deployed, task.deployed_by, task.description]
    });
    output::table(["NAME", "VERSION", "ENVIRONMENT", "DEPLOYED", "DEPLOYED BY", "DESCRIPTION"], rows)
}

/// One task, with one field for each line.
fn details(task: &TaskDetails, now: i64) -> String {
    let TaskDetails { task: summary, documentation, task_type, image, retries, inputs, outputs } = task;
    let mut text = output::details([
        ("Name", summary.name.clone()),
        ("Version", summary.version.clone()),
        ("Place", summary.project_domain.to_string()),
        ("Environment", summary.environment.clone()),
        ("Type", task_type.clone()),
        ("Image", image.clone()),
        ("Retries", if *retries > 0 { retries.to_string() } else { String::new() }),
        ("Deployed", summary.deployed_at.map(|at| time::moment(at, now)).unwrap_or_default()),
        ("Deployed by", summary.deployed_by.clone()),
        ("Inputs", signature(inputs)),
        ("Outputs", signature(outputs)),
    ]);
    if !documentation.is_empty() {
        text.push_str(&format!("\n{}", output::block(documentation)));
    }
    text
}

fn signature(variables: &[Variable]) -> String {
    let written = variables.iter().map(|variable| {
        let default = variable.default.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
        format!("{}: {}{default}", variable.name, variable.type_name)
    });
    written.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use flyte_client::ProjectDomain;

    use super::*;

    #[test]
    fn tasks_are_a_table_and_one_is_shown_in_detail() {
        let task = Task {
            name: "hello.main".into(),
            version: "v1".into(),
            project_domain: ProjectDomain::new("flytesnacks", "development"),
            environment: "hello".into(),
            description: "Greets.".into(),
            deployed_at: Some(1_000_000),
            deployed_by: "ada@example.com".into(),
            ..Task::default()
        };
        let variable = |name: &str, type_name: &str, default| {
            let mut variable = Variable::default();
            (variable.name, variable.type_name, variable.default) = (name.into(), type_name.into(), default);
            variable
        };
        let inputs = vec![variable("name", "str", None), variable("times", "int", Some(3.into()))];
        let whole = TaskDetails {
            task: task.clone(),
            documentation: "Greets.\n\nAs often as you want.".into(),
            task_type: "python".into(),
            image: "auto".into(),
            retries: 2,
            inputs,
            outputs: vec![variable("o0", "list[str]", None)],
        };
        insta::assert_snapshot!("task_details", details(&whole, 1_000_200));
        let all = [task];
        insta::assert_snapshot!("task_table_narrow", output::fits(&table(&all, 1_000_200, false)));
        let text = table(&all, 1_000_200, true);
        insta::assert_snapshot!("task_table", anstream::adapter::strip_str(&text).to_string());
    }
}
