//! `flyte get project`

use std::str::FromStr;

use clap::Args;
use flyte_client::project::{ListOptions, Project};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Identifier of the project to show in detail. By default all projects are listed
    name: Option<String>,

    /// List archived projects instead of active ones
    #[arg(long, conflicts_with = "name")]
    archived: bool,

    /// Maximum number of projects to list. By default all
    #[arg(long, value_name = "COUNT", conflicts_with = "name")]
    limit: Option<u32>,

    /// Field to sort by, for example id, name or created_at; append `:desc` for descending order
    #[arg(long, value_name = "FIELD[:asc|:desc]", default_value = "created_at", conflicts_with = "name")]
    sort_by: Order,
}

/// A field and a direction.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Order {
    field: String,
    descending: bool,
}

impl FromStr for Order {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (field, descending) = match text.split_once(':') {
            None | Some((_, "asc")) => (text.trim_end_matches(":asc"), false),
            Some((field, "desc")) => (field, true),
            Some(_) => return Err("the direction must be asc or desc, as in name:desc"),
        };
        if field.is_empty() {
            Err("the field is missing")
        } else {
            Ok(Self { field: field.to_owned(), descending })
        }
    }
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let client = context.client()?;
    let projects = client.projects();
    if let Some(id) = arguments.name {
        let project = context.run("Fetching the project", async {
            projects
                .get(&id)
                .await
                .map_err(|error| Failure::resource(format!("cannot show project {id}"), &error, "project"))
        })?;
        output::print(format, &project, details)?;
        return Ok(Exit::Success);
    }
    let options = ListOptions {
        archived: arguments.archived,
        sort_by: arguments.sort_by.field,
        descending: arguments.sort_by.descending,
        limit: arguments.limit,
    };
    let found = context.run("Listing projects", async {
        let listed = projects.list(options).collect().await;
        listed.map_err(|error| Failure::client("cannot list projects", &error))
    })?;
    if found.is_empty() {
        let kind = if arguments.archived { "archived projects" } else { "projects" };
        output::tell(&format!("No {kind} yet. Create one: flyte create project NAME"));
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    output::print(format, &found, |projects| table(projects, context.global.wide))?;
    Ok(Exit::Success)
}

fn table(projects: &[Project], wide: bool) -> String {
    if !wide {
        let rows = projects.iter().map(|project| {
            [project.id.clone(), project.name.clone(), domains(project), project.state.to_string()]
        });
        return output::table(["ID", "NAME", "DOMAINS", "STATE"], rows);
    }
    let rows = projects.iter().map(|project| {
        let project = project.clone();
        let domains = domains(&project);
        [project.id, project.name, domains, project.state.to_string(), project.description]
    });
    output::table(["ID", "NAME", "DOMAINS", "STATE", "DESCRIPTION"], rows)
}

/// One project, with one field for each line.
pub(crate) fn details(project: &Project) -> String {
    let labels: Vec<_> = project.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    output::details([
        ("ID", project.id.clone()),
        ("Name", project.name.clone()),
        ("Description", project.description.clone()),
        ("State", project.state.to_string()),
        ("Domains", domains(project)),
        ("Labels", labels.join(", ")),
        ("Organization", project.org.clone()),
    ])
}

fn domains(project: &Project) -> String {
    project.domains.iter().map(|domain| domain.id.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use flyte_client::project::Domain;

    use super::*;

    fn project() -> Project {
        let domain = |id: &str| Domain { id: id.into(), name: id.into() };
        Project {
            id: "flytesnacks".into(),
            name: "Flyte snacks".into(),
            domains: vec![domain("development"), domain("staging"), domain("production")],
            labels: [("team".to_owned(), "ml".to_owned())].into(),
            ..Project::default()
        }
    }

    #[test]
    fn projects_have_a_table() {
        let text = output::fits(&table(&[project()], false));
        let expected = "ID           NAME          DOMAINS                           STATE\n\
                        flytesnacks  Flyte snacks  development, staging, production  active\n";
        assert_eq!(text, expected);
        let project = Project { description: "To try things out".into(), ..project() };
        let text = anstream::adapter::strip_str(&table(&[project], true)).to_string();
        let expected = "ID           NAME          DOMAINS                           STATE   DESCRIPTION\n\
                        flytesnacks  Flyte snacks  development, staging, production  active  To try things out\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn project_has_details() {
        let expected = "ID:       flytesnacks\nName:     Flyte snacks\nState:    active\n\
                        Domains:  development, staging, production\nLabels:   team=ml\n";
        assert_eq!(details(&project()), expected);
    }

    #[test]
    fn order_is_a_field_and_a_direction() {
        let order = |field: &str, descending| Ok(Order { field: field.into(), descending });
        assert_eq!("name".parse(), order("name", false));
        assert_eq!("name:asc".parse(), order("name", false));
        assert_eq!("name:desc".parse(), order("name", true));
        assert!("name:up".parse::<Order>().is_err());
        assert!(":desc".parse::<Order>().is_err());
    }
}
