//! `flyte create role`

use std::path::PathBuf;

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::role::{NewRole, Role};

use crate::command::get;
use crate::context::Context;
use crate::definition::{self, RoleDefinition};
use crate::editor;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

pub(crate) const HELP: &str = "\
A file has a list of permissions, or of actions as the published plugin writes them:
  name: ops
  description: Starts runs
  permissions: [run, view-inventory]

For example:
  flyte create role ops --permission run,view-inventory
  flyte create role ops --file role.yaml
  flyte get role admin -o yaml";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the role
    name: String,

    #[command(flatten)]
    source: Source,

    /// What the role is for
    #[arg(long, conflicts_with_all = ["file", "edit"])]
    description: Option<String>,
}

/// Where the permissions come from.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Source {
    /// YAML file with the role
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Open an editor to write the role
    #[arg(long)]
    edit: bool,

    /// Permission or action of the role; can be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    permission: Vec<String>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { name, source: Source { file, edit, permission }, description } = arguments;
    let role = match file {
        Some(path) => create(context, definition::read::<RoleDefinition>(&path)?.new_role(&name)?)?,
        None if edit => match edited(&name, context)? {
            Some(role) => role,
            None => return Ok(Exit::Failure),
        },
        None => {
            let (actions, permissions) =
                permission.into_iter().partition(|word| flyte_client::role::action_name(word).is_some());
            let description = description.unwrap_or_default();
            create(context, NewRole { name: name.clone(), description, permissions, actions })?
        }
    };
    if context.global.format == Format::Table {
        output::tell(&format!("Created role {name}."));
    }
    output::print(context.global.format, &role, |role| get::role::details(role, Clock::default().now()))?;
    Ok(Exit::Success)
}

/// Creates the role that the user writes in an editor; `None` if the user leaves the text as it is.
fn edited(name: &str, context: &Context) -> Result<Option<Role>, Failure> {
    let roles = context.client()?.roles();
    let all = context.run("Fetching the permissions", async {
        let all = roles.get("admin").await;
        all.map_err(|error| Failure::resource("cannot show role admin", &error, "role"))
    })?;
    let empty = Role { name: name.to_owned(), ..Role::default() };
    let template = RoleDefinition::template(&empty, &all)?;
    let command = format!("flyte create role {name}");
    let Some(edited) = editor::edit(&template, &format!("{command} --file FILE"))? else {
        output::tell(&format!("Nothing was edited; role {name} was not created."));
        return Ok(None);
    };
    let created = definition::parse::<RoleDefinition>(&edited.text)
        .map_err(|why| Failure::new(format!("cannot create role {name}")).why(why).exit(Exit::Usage))
        .and_then(|definition| create(context, definition.new_role(name)?));
    created.map(Some).map_err(|failure| edited.kept(failure, &command))
}

fn create(context: &Context, new: NewRole) -> Result<Role, Failure> {
    let name = new.name.clone();
    let roles = context.client()?.roles();
    context.run("Creating the role", async {
        let created = roles.create(new).await;
        created.map_err(|error| Failure::resource(format!("cannot create role {name}"), &error, "role"))
    })
}
