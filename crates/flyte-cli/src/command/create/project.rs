//! `flyte create project`

use std::str::FromStr;

use clap::Args;
use flyte_client::project::NewProject;

use crate::command::get;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Arguments {
    /// Identifier of the project; it cannot be changed later
    #[arg(value_name = "ID", required_unless_present = "id", conflicts_with = "id")]
    project_id: Option<String>,

    /// The identifier as an option, as in the published client
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// Name for display. By default the identifier
    #[arg(long)]
    name: Option<String>,

    /// What the project is for
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,

    /// Label; can be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
}

/// A name and a value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Label(String, String);

impl FromStr for Label {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(Self(name.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err("write a label as key=value"),
        }
    }
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let id = arguments.id.or(arguments.project_id).unwrap_or_default();
    let new = NewProject {
        name: arguments.name.unwrap_or_else(|| id.clone()),
        description: arguments.description,
        labels: arguments.label.into_iter().map(|Label(name, value)| (name, value)).collect(),
        id,
    };
    let client = context.client()?;
    let id = new.id.clone();
    let created = context.run("Creating the project", async {
        let created = client.projects().create(new).await;
        created.map_err(|error| Failure::resource(format!("cannot create project {id}"), &error, "project"))
    })?;
    if context.global.format == Format::Table {
        output::tell(&format!("Created project {id}."));
    }
    output::print(context.global.format, &created, get::project::details)?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_is_a_name_and_a_value() {
        assert_eq!("team=ml".parse(), Ok(Label("team".into(), "ml".into())));
        assert_eq!(" a = b=c ".parse(), Ok(Label("a".into(), "b=c".into())));
        assert_eq!("a=".parse(), Ok(Label("a".into(), String::new())));
        assert!("a".parse::<Label>().is_err());
        assert!("=b".parse::<Label>().is_err());
    }
}
