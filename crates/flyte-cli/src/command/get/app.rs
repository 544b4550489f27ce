//! `flyte get app`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::app::{App, AppId, ListOptions, State};

use super::run::{since, subject};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the app to show in detail. By default all apps are listed
    name: Option<String>,

    /// Maximum number of apps to list
    #[arg(long, value_name = "COUNT", default_value_t = 100, conflicts_with = "name")]
    limit: u32,

    /// Only apps that you created
    #[arg(long, conflicts_with = "name")]
    only_mine: bool,

    /// Only apps in this state; can be repeated
    #[arg(long, value_name = "STATE", conflicts_with = "name")]
    status: Vec<State>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let now = Clock::default().now();
    if let Some(name) = arguments.name {
        let (project_domain, apps) = (context.project_domain()?, context.project_domain_client()?.apps());
        let app = context.run("Fetching the app", async {
            let found = apps.get(&AppId::new(project_domain, &name)).await;
            found.map_err(|error| Failure::resource(format!("cannot show app {name}"), &error, "app"))
        })?;
        output::print(format, &app, |app| details(app, now))?;
        return Ok(Exit::Success);
    }
    // Without a project, list the apps of all projects, as the published command does.
    let task = &context.config.task;
    let project_domain = match (&task.project, &task.domain) {
        (None, None) => None,
        _ => Some(context.project_domain()?),
    };
    let filtered = arguments.only_mine || !arguments.status.is_empty();
    let client = context.project_domain_client()?;
    let found = context.run("Listing apps", async {
        let created_by = if arguments.only_mine { Some(subject(&client).await?) } else { None };
        let options = ListOptions {
            project_domain: project_domain.clone(),
            created_by,
            states: arguments.status,
            limit: Some(arguments.limit),
        };
        let listed = client.apps().list(options).collect().await;
        listed.map_err(|error| Failure::resource("cannot list apps", &error, "project"))
    })?;
    if found.is_empty() {
        let within =
            project_domain.as_ref().map(|project_domain| format!(" in {project_domain}")).unwrap_or_default();
        output::tell(&if filtered {
            format!("No such apps{within}.")
        } else {
            format!("No apps{within} yet. Deploy one: flyte deploy FILE.py")
        });
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    output::print(format, &found, |apps| table(apps, now, project_domain.is_none(), context.global.wide))?;
    Ok(Exit::Success)
}

/// Several apps; `placed` if they can have different projects.
fn table(apps: &[App], now: i64, placed: bool, wide: bool) -> String {
    if !wide {
        let project_domain_or_url =
            |app: &App| if placed { app.project_domain.to_string() } else { app.url.clone() };
        let heading = ["NAME", "STATE", "CHANGED", if placed { "PLACE" } else { "URL" }];
        let rows = apps.iter().map(|app| {
            [app.name.clone(), state(app), since(app.updated_at, now), project_domain_or_url(app)]
        });
        return output::table(heading, rows);
    }
    let cells = |app: &App| {
        let app = app.clone();
        let (revision, state) = (app.revision.to_string(), state(&app));
        [app.name, revision, state, since(app.updated_at, now), app.url, app.created_by]
    };
    if placed {
        let rows = apps.iter().map(|app| {
            let [name, revision, state, changed, url, creator] = cells(app);
            [name, app.project_domain.to_string(), revision, state, changed, url, creator]
        });
        return output::table(["NAME", "PLACE", "REVISION", "STATE", "CHANGED", "URL", "CREATED BY"], rows);
    }
    let rows = apps.iter().map(cells);
    output::table(["NAME", "REVISION", "STATE", "CHANGED", "URL", "CREATED BY"], rows)
}

fn state(app: &App) -> String {
    match app.state {
        State::Unknown if !app.wanted => State::Stopped.to_string(),
        state => state.to_string(),
    }
}

/// One app, with one field for each line.
pub(crate) fn details(app: &App, now: i64) -> String {
    let moment = |moment: Option<i64>| moment.map(|at| time::moment(at, now)).unwrap_or_default();
    output::details([
        ("Name", app.name.clone()),
        ("Place", app.project_domain.to_string()),
        ("Revision", app.revision.to_string()),
        ("State", state(app)),
        ("Message", app.message.clone()),
        ("URL", app.url.clone()),
        ("Replicas", app.replicas.to_string()),
        ("Image", app.image.clone()),
        ("Created", moment(app.created_at)),
        ("Created by", app.created_by.clone()),
        ("Changed", moment(app.updated_at)),
    ])
}

#[cfg(test)]
mod tests {
    use flyte_client::ProjectDomain;

    use super::*;

    #[test]
    fn apps_have_a_table_and_details() {
        let app = App {
            name: "board".into(),
            project_domain: ProjectDomain::new("flytesnacks", "development"),
            revision: 3,
            state: State::Active,
            wanted: true,
            url: "https://localhost:30080/apps/board".into(),
            replicas: 1,
            created_by: "ada@example.com".into(),
            created_at: Some(1_000_000),
            updated_at: Some(1_000_100),
            ..App::default()
        };
        insta::assert_snapshot!("app_details", details(&app, 1_000_200));
        let stopped = App { name: "off".into(), state: State::Unknown, wanted: false, ..App::default() };
        let apps = [app, stopped];
        let text = table(&apps, 1_000_200, false, true);
        insta::assert_snapshot!("app_table", anstream::adapter::strip_str(&text).to_string());
        for placed in [false, true] {
            let text = output::fits(&table(&apps, 1_000_200, placed, false));
            insta::assert_snapshot!(format!("app_table_narrow_{placed}"), text);
        }
        let placed = table(&apps, 1_000_200, true, true);
        assert!(placed.contains("PLACE") && placed.contains("flytesnacks"), "{placed}");
    }
}
