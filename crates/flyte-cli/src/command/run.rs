//! `flyte run`

pub(crate) mod options;
pub(crate) mod watch;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use flyte_client::ProjectDomain;
use flyte_client::data::Inputs;
use flyte_client::run::{NewRun, Program as Runnable, Run, RunOptions};
use flyte_client::task::{Spec, TaskId, Variable};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bridge::{
    self, Bridge, Capability, Described, Helper, Input, Nothing, Printed, Task, Unanswered, Upload,
};
use crate::code::{self, Sender};
use crate::command::get::io;
use crate::command::get::run::label;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::logging::DEBUG_VARIABLE;
use crate::output::{self, Format};

/// The word in place of a file, for a deployed task.
const DEPLOYED: &str = "deployed-task";

pub(crate) const HELP: &str = "\
Write the command's options before the file, or between the file and the task. The options after the task are the task's own \
inputs. `flyte run app.py` lists the tasks of a file, and `flyte run app.py main --help` the inputs of one.

For example:
  flyte run app.py main --name Ada
  flyte run --follow app.py main --name Ada --times 3
  flyte run --local app.py main --name Ada
  flyte run deployed-task hello.main --name Ada
  flyte run deployed-task hello.main:v2 --name Ada

First, the command bundles all files below the working directory, except those that .gitignore and .flyteignore name. The same \
files give the same version, and are uploaded only once.

With --follow, the exit code is 0 if the run succeeded, 3 if it did not, and 130 after Ctrl-C, \
which does not stop the run.";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Python file, or `deployed-task` for a deployed task
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Name of the task and its inputs
    #[arg(value_name = "TASK [--INPUT VALUE]...", trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,

    /// Run the task on this machine, without a server
    #[arg(long)]
    local: bool,

    /// Follow the run until it ends
    #[arg(short, long, conflicts_with = "local")]
    follow: bool,

    /// Name of the run. By default the server chooses one
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    code: code::Options,

    /// Environment variable for the tasks; can be repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = label)]
    env: Vec<(String, String)>,

    /// Label of the run; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,

    /// Where the tasks store large data, for example s3://bucket/prefix. By default the server's own storage
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true)]
    raw_data_path: String,

    /// Kubernetes service account of the tasks. By default that of the tasks themselves or the server's
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    service_account: String,

    /// Queue of the run
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    queue: String,

    /// Maximum number of concurrent actions of the run
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    max_action_concurrency: u32,

    /// Ignore cached results, and replace them
    #[arg(long)]
    overwrite_cache: bool,

    /// Start an editor (code-server) in place of the task's code, if the task's image has one
    #[arg(long, conflicts_with = "local")]
    debug: bool,

    /// With `deployed-task`: project of the run, if it is not that of the task
    #[arg(long, value_name = "NAME")]
    run_project: Option<String>,

    /// With `deployed-task`: domain of the run, if it is not that of the task
    #[arg(long, value_name = "NAME")]
    run_domain: Option<String>,
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    if arguments.file == Path::new(DEPLOYED) {
        return deployed(&arguments, context);
    }
    arguments.code.check()?;
    if arguments.run_project.is_some() || arguments.run_domain.is_some() {
        return Err(Failure::new("the run of a file is in the project of its code")
            .why("--run-project and --run-domain are for deployed tasks")
            .next("Use --project and --domain.")
            .exit(Exit::Usage));
    }
    let Some((task, typed)) = arguments.rest.split_first() else {
        let program = arguments.code.import(&arguments.file, context)?;
        return list(&program.described, &arguments.file);
    };
    let asks_for_help = typed.iter().any(|word| word == "--help" || word == "-h");
    let task = task.to_string_lossy().into_owned();
    // Sign in first, not after the work.
    let sender = if arguments.local || asks_for_help || task.starts_with('-') {
        None
    } else {
        Some(Sender::new(context)?)
    };
    let mut program = arguments.code.import(&arguments.file, context)?;
    if arguments.local {
        program.bridge.needs(Capability::Local)?;
    }
    if task == "--help" || task == "-h" {
        return list(&program.described, &arguments.file);
    }
    let chosen = choose(&program.described, &task, &arguments.file)?;
    let command = options::command(
        &format!("flyte run {} {task}", arguments.file.display()),
        &chosen.docs,
        &chosen.inputs,
    );
    let given = options::parse(command.clone(), &chosen.inputs, typed).unwrap_or_else(|error| error.exit());
    let refused = |refused: bridge::Refused, what: &str| {
        if refused.field.is_empty() || !refused.traceback.is_empty() {
            return refused.failure(what);
        }
        options::wrong(command.clone(), &chosen.inputs, &refused.field, &refused.message).exit()
    };
    let values = values(&given, &chosen.inputs);
    let Some(sender) = sender else {
        return local(&mut program.bridge, &chosen, &values, refused, context);
    };
    let request = json!({"do": "inputs", "task": chosen.name, "values": values});
    let inputs: EncodedInputs =
        ask(&mut program.bridge, &request, &mut &sender, |error| refused(error, "cannot use these inputs"))?;
    let inputs = Inputs::decode(&bridge::decoded(&inputs.inputs)?).map_err(unreadable)?;
    let (version, bundle) = arguments.code.pack(&mut program, json!({"task": chosen.name}), context)?;
    let code = sender.send(version, bundle)?;
    let mut request = arguments.code.specification(&code, &sender, context);
    request["do"] = json!("spec");
    request["task"] = json!(chosen.name);
    let spec: EncodedSpec =
        ask(&mut program.bridge, &request, &mut &sender, |error| error.failure("cannot describe the task"))?;
    let spec = Spec::decode(&bridge::decoded(&spec.spec)?).map_err(unreadable)?;
    drop(program);
    start(&arguments, context, &sender, Runnable::Spec(Box::new(spec)), inputs)
}

#[derive(Deserialize)]
struct EncodedInputs {
    inputs: String,
}

#[derive(Deserialize)]
struct EncodedSpec {
    spec: String,
}

#[derive(Deserialize)]
struct LocalOutputs {
    outputs: BTreeMap<String, Value>,
}

/// Sends a request to Python; `refused` turns an error into a failure.
pub(crate) fn ask<A: serde::de::DeserializeOwned>(
    bridge: &mut Bridge,
    request: &Value,
    helper: &mut dyn Helper,
    refused: impl FnOnce(bridge::Refused) -> Failure,
) -> Result<A, Failure> {
    bridge.ask(request, helper).map_err(|unanswered| match unanswered {
        Unanswered::Failed(failure) => failure,
        Unanswered::Refused(error) => refused(error),
    })
}

pub(crate) fn unreadable(why: String) -> Failure {
    Failure::new("cannot read Python's answer").why(why).next("Update the command: flyte --version")
}

/// The texts in the form for Python: one, or several for a list.
fn values(given: &BTreeMap<String, Vec<String>>, inputs: &[Input]) -> Value {
    let value = |(name, texts): (&String, &Vec<String>)| {
        let is_list = inputs.iter().any(|input| input.name == *name && input.is_list);
        let value = match texts.as_slice() {
            [text] if !is_list || text.trim_start().starts_with('[') => json!(text),
            texts => json!(texts),
        };
        (name.clone(), value)
    };
    given.iter().map(value).collect::<serde_json::Map<_, _>>().into()
}

/// Finds a task by its full name, its function's name, or its short name.
fn choose(described: &Described, name: &str, file: &Path) -> Result<Task, Failure> {
    let all = || described.environments.iter().flat_map(|environment| &environment.tasks);
    let usage = |why: String| {
        Failure::new(format!("{} has no such task", file.display()))
            .why(why)
            .next(format!("List its tasks: flyte run {}", file.display()))
            .exit(Exit::Usage)
    };
    if let Some(task) = all().find(|task| task.name == name) {
        return Ok(task.clone());
    }
    let own = described.environments.iter().filter(|environment| environment.own);
    let named = |task: &&Task| {
        task.function == name || task.short_name == name || task.variables.iter().any(|one| one == name)
    };
    let mut found: Vec<_> = own.flat_map(|environment| &environment.tasks).filter(named).collect();
    if found.is_empty() {
        found = all().filter(named).collect();
    }
    match found.as_slice() {
        [task] => Ok((*task).clone()),
        [] if described
            .environments
            .iter()
            .any(|environment| environment.app.is_some() && environment.name == name) =>
        {
            Err(Failure::new(format!("{name} is an app"))
                .why("an app is deployed, not run")
                .next(format!("Deploy it: flyte deploy {} {name}", file.display()))
                .exit(Exit::Usage))
        }
        [] => {
            let near = all().map(|task| task.name.as_str()).collect::<Vec<_>>().join(", ");
            Err(usage(if near.is_empty() {
                "it has no tasks: a task is a function with @env.task".to_owned()
            } else {
                format!("it has no task {name}; its tasks are {near}")
            }))
        }
        several => {
            let names: Vec<_> = several.iter().map(|task| task.name.as_str()).collect();
            Err(usage(format!("the name {name} matches {}", names.join(", "))))
        }
    }
}

/// Lists the tasks of a file.
fn list(described: &Described, file: &Path) -> Result<Exit, Failure> {
    let tasks: Vec<_> = described.environments.iter().flat_map(|environment| &environment.tasks).collect();
    if tasks.is_empty() {
        return Err(Failure::new(format!("there is nothing to run in {}", file.display()))
            .why("it has no tasks: a task is a function with @env.task, of an env = flyte.TaskEnvironment(name=\"hello\")")
            .exit(Exit::Usage));
    }
    let rows = tasks.iter().map(|task| {
        let inputs: Vec<_> =
            task.inputs.iter().map(|input| format!("{}: {}", input.name, input.python_type)).collect();
        let about = task.docs.lines().next().unwrap_or_default().to_owned();
        [task.name.clone(), inputs.join(", "), about]
    });
    output::write(&output::table(["TASK", "INPUTS", "DESCRIPTION"], rows))?;
    output::tell(&format!("\nRun one: flyte run {} {}", file.display(), tasks[0].name));
    Ok(Exit::Success)
}

/// Shows the output of a local task on the stream where it was printed.
struct Printer(Format);

impl Helper for Printer {
    fn upload(&mut self, upload: &Upload) -> Result<String, String> {
        Nothing.upload(upload)
    }

    fn print(&mut self, printed: &Printed) {
        let text = format!("{}\n", printed.text.trim_end_matches('\n'));
        if printed.stream == "stderr" || self.0 != Format::Table {
            output::say(&text);
        } else {
            // A closed reader is noticed when the outputs are written.
            let _ = output::write(&text);
        }
    }
}

fn local(
    bridge: &mut Bridge,
    task: &Task,
    values: &Value,
    refused: impl FnOnce(bridge::Refused, &str) -> Failure,
    context: &Context,
) -> Result<Exit, Failure> {
    let format = context.global.format;
    let request = json!({"do": "run_local", "task": task.name, "values": values});
    let found: Result<LocalOutputs, _> = ask(bridge, &request, &mut Printer(format), |error| {
        refused(error, &format!("task {} failed", task.name)).exit(Exit::Run)
    });
    bridge.finish();
    let found = found?;
    match format {
        Format::Table if found.outputs.is_empty() => {}
        Format::Table => output::write(&format!("Outputs:\n{}", output::block(&io::named(&found.outputs))))?,
        format => output::print(format, &found.outputs, io::named)?,
    }
    Ok(Exit::Success)
}

/// Starts a run and says so, or follows it.
fn start(
    arguments: &Arguments,
    context: &Context,
    sender: &Sender<'_>,
    program: Runnable,
    inputs: Inputs,
) -> Result<Exit, Failure> {
    let mut env = context.global.logging.variables(&arguments.env);
    env.extend(arguments.debug.then(|| (DEBUG_VARIABLE.to_owned(), "1".to_owned())));
    let own = sender.project_domain.clone();
    let new = NewRun {
        project_domain: ProjectDomain::new(
            arguments.run_project.clone().unwrap_or(own.project),
            arguments.run_domain.clone().unwrap_or(own.domain),
        ),
        name: arguments.name.clone(),
        program,
        inputs,
        options: RunOptions {
            env: env.into_iter().collect(),
            labels: arguments.label.iter().cloned().collect(),
            interruptible: None,
            overwrite_cache: arguments.overwrite_cache,
            service_account: arguments.service_account.clone(),
            queue: arguments.queue.clone(),
            raw_data_prefix: arguments.raw_data_path.clone(),
            max_action_concurrency: arguments.max_action_concurrency,
        },
    };
    let runs = sender.client.runs();
    let run = context.run("Starting the run", async {
        runs.create(new).await.map_err(|error| Failure::resource("cannot start the run", &error, "run"))
    })?;
    if arguments.follow {
        output::tell(&format!("Started run {} in {}.", run.name, run.project_domain));
        return watch::watch(context, &sender.client, &run.id());
    }
    output::print(context.global.format, &run, started)?;
    if context.global.format == Format::Table {
        let name = &run.name;
        output::tell(&format!(
            "Follow it: flyte get logs {name} --follow\nSee its state: flyte get run {name}"
        ));
    }
    Ok(Exit::Success)
}

pub(crate) fn started(run: &Run) -> String {
    output::details([
        ("Run", run.name.clone()),
        ("Place", run.project_domain.to_string()),
        ("Task", run.task.clone()),
        ("Version", run.version.clone()),
        ("Phase", run.phase.to_string()),
    ])
}

/// Runs a deployed task.
fn deployed(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let usage = |what: &str, why: &str| {
        Failure::new(what).why(why).exit(Exit::Usage).next("List deployed tasks: flyte get task")
    };
    if arguments.local {
        return Err(usage("cannot run a deployed task locally", "its code is at the server")
            .next("Run the file: flyte run --local FILE.py TASK"));
    }
    let Some((task, typed)) = arguments.rest.split_first() else {
        return Err(usage(
            "the name of the task is missing",
            "a deployed task has a name such as hello.main",
        ));
    };
    let task = task.to_string_lossy().into_owned();
    let sender = Sender::new(context)?;
    let tasks = sender.client.tasks();
    let project_domain = sender.project_domain.clone();
    let details = context.run("Fetching the task", async {
        let failed = |error| Failure::resource(format!("cannot run task {task}"), &error, "task");
        let id = match task.split_once(':') {
            Some((name, version)) => {
                TaskId { project_domain, name: name.to_owned(), version: version.to_owned() }
            }
            None => tasks.latest(&project_domain, &task).await.map_err(failed)?,
        };
        tasks.get(&id).await.map_err(failed)
    })?;
    let inputs: Vec<_> = details.inputs.iter().map(of_variable).collect();
    let command = options::command(&format!("flyte run {DEPLOYED} {task}"), &details.documentation, &inputs);
    let given = options::parse(command.clone(), &inputs, typed).unwrap_or_else(|error| error.exit());
    let values = Inputs::of_texts(&details.inputs, given)
        .unwrap_or_else(|(field, why)| options::wrong(command, &inputs, &field, &why).exit());
    start(arguments, context, &sender, Runnable::Deployed(details.task.id()), values)
}

/// The input of a deployed task, as Python would describe it.
pub(crate) fn of_variable(variable: &Variable) -> Input {
    Input {
        name: variable.name.clone(),
        python_type: variable.type_name.clone(),
        required: variable.required,
        help: variable.description.clone(),
        is_list: variable.is_list,
        default: variable.default.as_ref().map(|value| match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        }),
        choices: (!variable.choices.is_empty()).then(|| variable.choices.clone()),
    }
}
