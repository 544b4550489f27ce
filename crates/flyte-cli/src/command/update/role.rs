//! `flyte update role`

use std::path::PathBuf;

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::role::{self, Changes, Role};

use crate::command::get;
use crate::context::Context;
use crate::definition::{self, RoleDefinition};
use crate::editor;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

pub(crate) const HELP: &str = "\
Without options, your editor opens the role: that of VISUAL or EDITOR.

For example:
  flyte update role ops
  flyte update role ops --add deploy --remove view-identities
  flyte update role ops --file role.yaml";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the role
    name: String,

    /// Permission or action that the role gets; can be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "file")]
    add: Vec<String>,

    /// Permission or action that the role loses; can be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "file")]
    remove: Vec<String>,

    /// New description of what the role is for
    #[arg(long, conflicts_with = "file")]
    description: Option<String>,

    /// YAML file with all that the role has from now on
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { name, add, remove, description, file } = arguments;
    let given = Changes { add, remove, description };
    let exit = match file {
        Some(path) => {
            let definition: RoleDefinition = definition::read(&path)?;
            definition.check(&name)?;
            let current = fetch(&name, context)?;
            update(&name, changes(&current, definition), context)?
        }
        None if given.is_empty() => edit(&name, context)?,
        None => update(&name, given, context)?,
    };
    if exit == Updated::Not {
        output::tell("Nothing changed.");
        return Ok(Exit::Success);
    }
    let role = fetch(&name, context)?;
    if context.global.format == Format::Table {
        output::tell(&format!("Changed role {name}."));
    }
    output::print(context.global.format, &role, |role| get::role::details(role, Clock::default().now()))?;
    Ok(Exit::Success)
}

/// Whether something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Updated {
    Yes,
    Not,
}

fn fetch(name: &str, context: &Context) -> Result<Role, Failure> {
    let roles = context.client()?.roles();
    context.run("Fetching the role", async {
        let found = roles.get(name).await;
        found.map_err(|error| Failure::resource(format!("cannot show role {name}"), &error, "role"))
    })
}

fn edit(name: &str, context: &Context) -> Result<Updated, Failure> {
    let (current, all) = (fetch(name, context)?, fetch("admin", context)?);
    let template = RoleDefinition::template(&current, &all)?;
    let command = format!("flyte update role {name}");
    let Some(edited) = editor::edit(&template, &format!("{command} --add NAME --remove NAME"))? else {
        return Ok(Updated::Not);
    };
    let updated = definition::parse::<RoleDefinition>(&edited.text)
        .map_err(|why| Failure::new(format!("cannot change role {name}")).why(why).exit(Exit::Usage))
        .and_then(|definition| {
            definition.check(name)?;
            update(name, changes(&current, definition), context)
        });
    updated.map_err(|failure| edited.kept(failure, &command))
}

fn update(name: &str, changes: Changes, context: &Context) -> Result<Updated, Failure> {
    if changes.is_empty() {
        return Ok(Updated::Not);
    }
    let roles = context.client()?.roles();
    context.run("Changing the role", async {
        let changed = roles.update(name, changes).await;
        changed.map_err(|error| Failure::resource(format!("cannot change role {name}"), &error, "role"))
    })?;
    Ok(Updated::Yes)
}

/// What turns a role into what its definition says. A list or a description that the definition does not have stays.
fn changes(current: &Role, definition: RoleDefinition) -> Changes {
    let RoleDefinition { description, permissions, actions, .. } = definition;
    let actions = actions.map(|actions| {
        let name = |word: String| role::action_name(&word).map_or(word, str::to_owned);
        actions.into_iter().map(name).collect::<Vec<_>>()
    });
    let lists = [(&current.permissions, permissions), (&current.actions, actions)];
    let mut changes = Changes {
        description: description.filter(|text| *text != current.description),
        ..Changes::default()
    };
    for (has, wanted) in lists {
        let Some(wanted) = wanted else { continue };
        changes.add.extend(wanted.iter().filter(|word| !has.contains(word)).cloned());
        changes.remove.extend(has.iter().filter(|word| !wanted.contains(word)).cloned());
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_definition_changes_only_what_differs() {
        let current = Role {
            description: "Runs".into(),
            permissions: words(&["run", "deploy"]),
            actions: words(&["ACTION_CREATE_FLYTE_EXECUTIONS", "ACTION_REGISTER_FLYTE_INVENTORY"]),
            ..Role::default()
        };
        let of = |text: &str| changes(&current, definition::parse(text).unwrap());
        let changed = of("description: Other\npermissions: [deploy, view-runs]\n");
        assert_eq!((changed.add, changed.remove), (words(&["view-runs"]), words(&["run"])));
        assert_eq!(changed.description.as_deref(), Some("Other"));
        let changed = of("actions: [create_flyte_executions]\n");
        assert_eq!((changed.add, changed.remove), (words(&[]), words(&["ACTION_REGISTER_FLYTE_INVENTORY"])));
        assert!(of("description: Runs\npermissions: [deploy, run]\n").is_empty());
        assert!(of("name: ops\n").is_empty());
        assert_eq!(of("permissions: []\n").remove, words(&["run", "deploy"]));
    }
}
