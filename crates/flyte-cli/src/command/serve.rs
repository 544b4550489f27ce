//! `flyte serve`

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use flyte_auth::Transport;
use flyte_client::app::{App as Served, AppId, Spec, State};
use flyte_client::{Client, ClientError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bridge::{self, Capability, Environment, Nothing, Unanswered};
use crate::code::{self, Sender};
use crate::command::deploy::choose;
use crate::command::get::{logs, run::label};
use crate::command::run::{ask, unreadable};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

/// How long to wait before the server is asked again whether the app answers.
const INTERVAL: Duration = Duration::from_millis(500);

pub(crate) const HELP: &str = "\
For example:
  flyte serve web.py
  flyte serve web.py dashboard --follow
  flyte serve --env-var LOG_LEVEL=debug web.py
  flyte serve --local web.py

The command deploys the app, waits until it answers, and prints its URL. Stop it with `flyte update app NAME --deactivate`. To \
deploy also what the app depends on, use `flyte deploy`.";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// File of Python code
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// App: the name of its environment, or the name of the variable. Can be left out if the file has one app
    #[arg(value_name = "APP")]
    app: Option<String>,

    /// Name of the app on the server. By default the name of its environment
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Environment variable for the app; can be repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = label)]
    env_var: Vec<(String, String)>,

    /// Follow the log of the app until you press Ctrl-C. The app continues
    #[arg(short, long)]
    follow: bool,

    /// Kubernetes service account of the app. By default that of the app itself or the server's
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,

    /// Serve the app on this machine, without a server, until you press Ctrl-C
    #[arg(long, conflicts_with_all = ["name", "follow", "service_account"])]
    local: bool,

    #[command(flatten)]
    code: code::Options,
}

#[derive(Deserialize)]
struct Encoded {
    spec: String,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { file, env_var, code, .. } = arguments;
    code.check()?;
    if arguments.local {
        return local(arguments, context);
    }
    let sender = Sender::new(context)?;
    let mut program = code.import(file, context)?;
    let environment = chosen(&program.described.environments, arguments.app.as_deref(), file)?.to_owned();
    program.bridge.needs(Capability::Apps)?;
    let (version, bundle) =
        code.pack(&mut program, json!({"all": false, "environments": [environment]}), context)?;
    let sent = sender.send(version, bundle)?;
    let mut request = code.specification(&sent, &sender, context);
    request["do"] = json!("app");
    request["app"] = json!(environment);
    let refused = |error: bridge::Refused| error.failure(format!("cannot serve {environment}"));
    let Encoded { spec } = ask(&mut program.bridge, &request, &mut Nothing, refused)?;
    drop(program);
    let mut spec = Spec::decode(&bridge::decoded(&spec)?).map_err(unreadable)?;
    let variables = context.global.logging.variables(env_var);
    if !spec.set_variables(&variables) {
        return Err(Failure::new(format!("cannot set environment variables of {environment}"))
            .why("it does not run in a container of its own specification")
            .exit(Exit::Usage));
    }
    if let Some(name) = &arguments.service_account {
        spec.set_service_account(name);
    }
    let id = AppId::new(sender.project_domain.clone(), arguments.name.as_ref().unwrap_or(&environment));
    let Some(app) = serve(&sender.client, &id, spec, context)? else {
        output::tell(&format!("App {0} continues to start. See: flyte get app {0}", id.name));
        return Ok(Exit::Interrupted);
    };
    output::print(context.global.format, &app, |app| format!("App {} answers at {}\n", app.name, app.url))?;
    if arguments.follow {
        follow(&sender.client, &id, context)?;
    }
    Ok(Exit::Success)
}

/// An app that is served on this machine.
#[derive(Serialize)]
struct LocalApp<'a> {
    name: &'a str,
    url: &'a str,
}

/// Serves an app on this machine until it ends or the user interrupts the command.
fn local(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { file, app, env_var, code, .. } = arguments;
    let mut program = code.import(file, context)?;
    let name = chosen(&program.described.environments, app.as_deref(), file)?.to_owned();
    program.bridge.needs(Capability::Apps)?;
    context.progress.show(format!("Waiting for {name} to answer"));
    let variables = context.global.logging.variables(env_var);
    let ended = program.bridge.serve(&name, &variables, &mut |url| {
        context.progress.clear();
        // A closed reader does not stop the app.
        let _ = output::print(context.global.format, &LocalApp { name: &name, url }, |app| {
            format!("App {} answers at {}\n", app.name, app.url)
        });
        output::tell("Press Ctrl-C to stop it.");
    });
    context.progress.clear();
    let refused = |unanswered| match unanswered {
        Unanswered::Failed(failure) => failure,
        Unanswered::Refused(error) => error.failure(format!("cannot serve {name}")),
    };
    match ended.map_err(refused)? {
        None => output::tell(&format!("Stopped app {name}.")),
        Some(0) => output::tell(&format!("App {name} has ended.")),
        Some(code) => {
            return Err(Failure::new(format!("app {name} failed"))
                .why(format!("it ended with exit code {code}"))
                .exit(Exit::Run));
        }
    }
    Ok(Exit::Success)
}

/// The name of the environment to serve.
fn chosen<'a>(
    environments: &'a [Environment],
    wanted: Option<&str>,
    file: &Path,
) -> Result<&'a str, Failure> {
    let usage = |what: String, why: String| Failure::new(what).why(why).exit(Exit::Usage);
    if let Some(wanted) = wanted {
        let environment = choose(environments, wanted, file)?;
        if environment.app.is_none() {
            return Err(usage(format!("cannot serve {wanted}"), "its environment is not an app".to_owned())
                .next(format!("Deploy its tasks: flyte deploy {} {wanted}", file.display())));
        }
        return Ok(&environment.name);
    }
    let mut apps = environments.iter().filter(|one| one.app.is_some() && one.own);
    match (apps.next(), apps.next()) {
        (Some(one), None) => Ok(&one.name),
        (None, _) => Err(usage(
            format!("there is no app in {}", file.display()),
            "an app is an environment such as flyte.app.AppEnvironment(name=\"web\")".to_owned(),
        )),
        (Some(one), Some(other)) => {
            let rest = apps.map(|one| one.name.as_str());
            let names: Vec<_> = [one.name.as_str(), other.name.as_str()].into_iter().chain(rest).collect();
            Err(usage(format!("which app of {}?", file.display()), format!("it has {}", names.join(", ")))
                .next(format!("Name one of them: flyte serve {} {}", file.display(), one.name)))
        }
    }
}

/// Deploys the app and waits until it answers; `None` if the user does not want to wait.
fn serve(
    client: &Client<Transport>,
    id: &AppId,
    spec: Spec,
    context: &Context,
) -> Result<Option<Served>, Failure> {
    let apps = client.apps();
    let failed =
        |error: ClientError| Failure::resource(format!("cannot serve app {}", id.name), &error, "project");
    context.run(&format!("Deploying {}", id.name), async {
        let mut app = apps.deploy(id, spec).await.map_err(failed)?;
        if !app.wanted {
            // Deploying does not start an app that was stopped.
            app = apps.switch(id, true).await.map_err(failed)?;
        }
        context.progress.show(format!("Waiting for {} to answer", id.name));
        let revision = app.revision;
        let stop = tokio::signal::ctrl_c();
        tokio::pin!(stop);
        loop {
            if app.revision >= revision && app.state == State::Active {
                return Ok(Some(app));
            }
            if app.revision >= revision && app.state == State::Failed {
                return Err(Failure::new(format!("app {} fails", id.name))
                    .why(app.message)
                    .next(format!("See its state: flyte get app {}", id.name)));
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                _ = &mut stop => return Ok(None),
            }
            app = apps.get(id).await.map_err(failed)?;
        }
    })
}

/// Writes the log of the app until the user or the server ends it.
fn follow(client: &Client<Transport>, id: &AppId, context: &Context) -> Result<(), Failure> {
    let failed = |error: ClientError| {
        Failure::resource(format!("cannot show the log of app {}", id.name), &error, "app")
    };
    context.run("Waiting for the log", async {
        let mut log = client.logs().of_app(id).await.map_err(failed)?;
        let stop = tokio::signal::ctrl_c();
        tokio::pin!(stop);
        loop {
            let line = tokio::select! {
                line = log.next() => line.map_err(failed)?,
                _ = &mut stop => None,
            };
            let Some(line) = line else { return Ok(()) };
            context.progress.around_result(|| logs::write(&line, context.global.format, false))?;
        }
    })
}
