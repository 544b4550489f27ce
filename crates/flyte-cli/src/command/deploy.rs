//! `flyte deploy`

use std::path::{Path, PathBuf};

use clap::Args;
use flyte_client::ClientError;
use flyte_client::app::{AppId, Spec as AppSpec};
use flyte_client::task::{Spec, TaskId, Trigger};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bridge::{self, Capability, Environment, Nothing};
use crate::code::{self, Sender};
use crate::command::run::{ask, unreadable};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

pub(crate) const HELP: &str = "\
For example:
  flyte deploy app.py
  flyte deploy app.py hello --version v2
  flyte deploy --recursive src
  flyte deploy --dry-run app.py

Without ENV, the command deploys all environments that the file defines and those that they depend on; with --all also those \
that it imports. For a directory, it deploys the environments of all Python files in it; with --recursive also of those in the \
directories below. Deploying the same version again changes nothing.";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// File of Python code, or directory of such files
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Deploy only this environment and those that it depends on: its name, or the name of its variable
    #[arg(value_name = "ENV", conflicts_with_all = ["all", "recursive"])]
    environment: Option<String>,

    /// Also deploy the environments that the file imports
    #[arg(long)]
    all: bool,

    /// Also deploy the environments of files in the directories below
    #[arg(short, long)]
    recursive: bool,

    /// Leave out files of the directory that cannot be imported
    #[arg(short, long)]
    ignore_load_errors: bool,

    /// Show what would be deployed, and change nothing
    #[arg(long, visible_alias = "dryrun")]
    dry_run: bool,

    #[command(flatten)]
    code: code::Options,
}

#[derive(Deserialize)]
struct Specs {
    specs: Vec<TaskSpec>,
}

#[derive(Deserialize)]
struct TaskSpec {
    task: String,
    spec: String,
    #[serde(default)]
    triggers: Vec<String>,
}

#[derive(Deserialize)]
struct Apps {
    apps: Vec<App>,
}

#[derive(Deserialize)]
struct App {
    name: String,
    spec: String,
}

/// A deployed task or app.
#[derive(Debug, Serialize)]
struct Deployed {
    kind: &'static str,
    name: String,
    version: String,
    outcome: &'static str,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    arguments.code.check()?;
    let sender = if arguments.dry_run { None } else { Some(Sender::new(context)?) };
    let mut program = if arguments.file.is_dir() {
        let Arguments { file, recursive, ignore_load_errors, code, .. } = arguments;
        code.import_directory(file, *recursive, *ignore_load_errors, context)?
    } else {
        arguments.code.import(&arguments.file, context)?
    };
    let environments = &program.described.environments;
    let environment = match &arguments.environment {
        Some(name) => Some(choose(environments, name, &arguments.file)?.name.clone()),
        None => None,
    };
    let has_apps = environments.iter().any(|environment| environment.app.is_some());
    let environments = environment.as_ref().map_or(Value::Null, |name| json!([name]));
    let chosen = json!({"all": arguments.all, "environments": environments});
    let (version, bundle) = arguments.code.pack(&mut program, chosen, context)?;
    let Some(sender) = sender else {
        return dry_run(environment.as_deref(), arguments.all, &program, &version, bundle.as_ref(), context);
    };
    let code = sender.send(version, bundle)?;
    let mut request = arguments.code.specification(&code, &sender, context);
    request["do"] = json!("specs");
    request["all"] = json!(arguments.all);
    request["environments"] = environments;
    let refused =
        |error: bridge::Refused| error.failure(format!("cannot deploy {}", arguments.file.display()));
    let specs: Specs = ask(&mut program.bridge, &request, &mut Nothing, refused)?;
    let apps = if has_apps {
        program.bridge.needs(Capability::Apps)?;
        request["do"] = json!("apps");
        ask::<Apps>(&mut program.bridge, &request, &mut Nothing, refused)?.apps
    } else {
        Vec::new()
    };
    drop(program);
    if specs.specs.is_empty() && apps.is_empty() {
        return Err(Failure::new(format!("there is nothing to deploy in {}", arguments.file.display()))
            .why("the file defines no tasks and no apps")
            .next("Also deploy the environments that it imports: --all")
            .exit(Exit::Usage));
    }
    let mut deployed = Vec::new();
    for task in specs.specs {
        deployed.push(deploy_task(task, &code.version, &sender, context)?);
    }
    for app in apps {
        deployed.push(deploy_app(app, &code.version, &sender, context)?);
    }
    show(&deployed, context)
}

fn deploy_task(
    task: TaskSpec,
    version: &str,
    sender: &Sender<'_>,
    context: &Context,
) -> Result<Deployed, Failure> {
    let name = task.task;
    let spec = Spec::decode(&bridge::decoded(&task.spec)?).map_err(unreadable)?;
    let mut triggers = Vec::new();
    for trigger in task.triggers {
        triggers.push(Trigger::decode(&bridge::decoded(&trigger)?).map_err(unreadable)?);
    }
    let id = TaskId {
        project_domain: sender.project_domain.clone(),
        name: name.clone(),
        version: version.to_owned(),
    };
    let tasks = sender.client.tasks();
    let outcome = context.run(&format!("Deploying {name}"), async {
        match tasks.deploy(&id, spec, triggers).await {
            Ok(()) => Ok("deployed"),
            // As in the published client: a version is deployed once.
            Err(ClientError::AlreadyExists { .. }) => Ok("already deployed"),
            Err(error) => Err(Failure::resource(format!("cannot deploy task {name}"), &error, "project")),
        }
    })?;
    Ok(Deployed { kind: "task", name, version: version.to_owned(), outcome })
}

fn deploy_app(app: App, version: &str, sender: &Sender<'_>, context: &Context) -> Result<Deployed, Failure> {
    let name = app.name;
    let spec = AppSpec::decode(&bridge::decoded(&app.spec)?).map_err(unreadable)?;
    let apps = sender.client.apps();
    context.run(&format!("Deploying {name}"), async {
        let deployed = apps.deploy(&AppId::new(sender.project_domain.clone(), &name), spec).await;
        deployed.map_err(|error| Failure::resource(format!("cannot deploy app {name}"), &error, "project"))
    })?;
    Ok(Deployed { kind: "app", name, version: version.to_owned(), outcome: "deployed" })
}

/// Finds an environment by its name or by the name of its variable.
pub(crate) fn choose<'a>(
    environments: &'a [Environment],
    name: &str,
    file: &Path,
) -> Result<&'a Environment, Failure> {
    let found: Vec<_> = environments
        .iter()
        .filter(|one| one.name == name || one.variables.iter().any(|variable| variable == name))
        .collect();
    let usage = |what: String, why: String| Failure::new(what).why(why).exit(Exit::Usage);
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            let names: Vec<_> = environments.iter().map(known_as).collect();
            let why = if names.is_empty() {
                "it has no environments".to_owned()
            } else {
                format!("it has {}", names.join(", "))
            };
            Err(usage(format!("{} has no environment {name}", file.display()), why)
                .next("Name one of them, or none."))
        }
        several => {
            let names: Vec<_> = several.iter().map(|one| known_as(one)).collect();
            Err(usage(
                format!("{name} means several environments in {}", file.display()),
                format!("it matches {}", names.join(" and ")),
            )
            .next("Use the other name of the environment, or rename its variable."))
        }
    }
}

/// The names of an environment for people.
fn known_as(environment: &Environment) -> String {
    let others: Vec<_> =
        environment.variables.iter().filter(|one| **one != environment.name).map(String::as_str).collect();
    if others.is_empty() {
        return environment.name.clone();
    }
    format!("{} (variable {})", environment.name, others.join(", "))
}

fn dry_run(
    environment: Option<&str>,
    all: bool,
    program: &code::Program,
    version: &str,
    bundle: Option<&flyte_client::bundle::Bundle>,
    context: &Context,
) -> Result<Exit, Failure> {
    let chosen = program.described.environments.iter().filter(|one| match environment {
        Some(name) => one.name == name,
        None => all || one.own,
    });
    let would = |kind, name: &String| Deployed {
        kind,
        name: name.clone(),
        version: version.to_owned(),
        outcome: "would be deployed",
    };
    let mut found = Vec::new();
    for environment in chosen {
        found.extend(environment.tasks.iter().map(|task| would("task", &task.name)));
        found.extend(environment.app.iter().map(|app| would("app", &app.name)));
    }
    if let Some(bundle) = bundle
        && context.global.format == Format::Table
    {
        output::tell(&format!(
            "The bundle would contain {} files from {}:",
            bundle.files.len(),
            program.root.display()
        ));
        for file in &bundle.files {
            output::tell(&format!("  {}", output::printable(&file.path)));
        }
    }
    show(&found, context)
}

fn show(deployed: &[Deployed], context: &Context) -> Result<Exit, Failure> {
    output::print(context.global.format, &deployed, |deployed| {
        let rows = deployed
            .iter()
            .map(|one| [one.kind.to_owned(), one.name.clone(), one.version.clone(), one.outcome.to_owned()]);
        output::table(["KIND", "NAME", "VERSION", "OUTCOME"], rows)
    })?;
    Ok(Exit::Success)
}
