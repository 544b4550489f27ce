//! `flyte update policy`

use std::path::PathBuf;

use clap::Args;
use flyte_client::Grant;
use flyte_client::policy::Policy;

use crate::command::get;
use crate::context::Context;
use crate::definition::{self, PolicyDefinition};
use crate::editor;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

pub(crate) const HELP: &str = "\
Without options, your editor opens the policy: that of VISUAL or EDITOR. A binding is a role and its place: ROLE, ROLE@PROJECT, \
ROLE@PROJECT/DOMAIN, or ROLE@/DOMAIN for a domain of all projects.

For example:
  flyte update policy team
  flyte update policy team --add viewer@beta --remove contributor@alpha/production
  flyte update policy team --file policy.yaml";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the policy
    name: String,

    /// Role that the policy gives from now on, and where; can be repeated
    #[arg(long, value_name = "ROLE[@PROJECT[/DOMAIN]]", conflicts_with = "file")]
    add: Vec<Grant>,

    /// Role that the policy gives no longer, and where; can be repeated
    #[arg(long, value_name = "ROLE[@PROJECT[/DOMAIN]]", conflicts_with = "file")]
    remove: Vec<Grant>,

    /// YAML file with all that the policy gives from now on
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Bindings that a policy gets and loses.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    add: Vec<Grant>,
    remove: Vec<Grant>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { name, add, remove, file } = arguments;
    let changes = match file {
        Some(path) => {
            let current = fetch(&name, context)?;
            changes(&current, &definition::read(&path)?, context.config.task.org.as_deref())?
        }
        None if add.is_empty() && remove.is_empty() => return edit(&name, context),
        None => Changes { add, remove },
    };
    report(update(&name, &changes, context)?, &name, context)
}

fn report(updated: bool, name: &str, context: &Context) -> Result<Exit, Failure> {
    if !updated {
        output::tell("Nothing changed.");
        return Ok(Exit::Success);
    }
    let policy = fetch(name, context)?;
    if context.global.format == Format::Table {
        output::tell(&format!("Changed policy {name}."));
    }
    output::print(context.global.format, &policy, get::policy::details)?;
    Ok(Exit::Success)
}

fn fetch(name: &str, context: &Context) -> Result<Policy, Failure> {
    let policies = context.client()?.policies();
    context.run("Fetching the policy", async {
        let found = policies.get(name).await;
        found.map_err(|error| Failure::resource(format!("cannot show policy {name}"), &error, "policy"))
    })
}

fn edit(name: &str, context: &Context) -> Result<Exit, Failure> {
    let current = fetch(name, context)?;
    let command = format!("flyte update policy {name}");
    let template = PolicyDefinition::template(&current)?;
    let Some(edited) = editor::edit(&template, &format!("{command} --add ROLE@PROJECT"))? else {
        return report(false, name, context);
    };
    let updated = definition::parse::<PolicyDefinition>(&edited.text)
        .map_err(|why| Failure::new(format!("cannot change policy {name}")).why(why).exit(Exit::Usage))
        .and_then(|definition| changes(&current, &definition, context.config.task.org.as_deref()))
        .and_then(|changes| update(name, &changes, context));
    match updated {
        Ok(updated) => report(updated, name, context),
        Err(failure) => Err(edited.kept(failure, &command)),
    }
}

/// Returns whether something changed.
fn update(name: &str, changes: &Changes, context: &Context) -> Result<bool, Failure> {
    let policies = context.client()?.policies();
    context.run("Changing the policy", async {
        let failed = |grant: &Grant, error| {
            Failure::resource(format!("cannot change policy {name}: {grant}"), &error, "policy")
        };
        // What is added comes first, so that no one loses access in between.
        for grant in &changes.add {
            policies.add_binding(name, grant).await.map_err(|error| failed(grant, error))?;
        }
        for grant in &changes.remove {
            policies.remove_binding(name, grant).await.map_err(|error| failed(grant, error))?;
        }
        Ok(*changes != Changes::default())
    })
}

/// What turns a policy into what its definition says.
fn changes(current: &Policy, definition: &PolicyDefinition, org: Option<&str>) -> Result<Changes, Failure> {
    let wanted = definition.bindings(&current.name, org)?;
    if definition.description.as_ref().is_some_and(|text| *text != current.description) {
        return Err(Failure::new(format!("the description of policy {} cannot be changed", current.name))
            .next("Leave the description as it is, or create another policy.")
            .exit(Exit::Usage));
    }
    let Some(wanted) = wanted else { return Ok(Changes::default()) };
    let without = |one: &[Grant], other: &[Grant]| {
        one.iter().filter(|grant| !other.contains(grant)).cloned().collect::<Vec<_>>()
    };
    Ok(Changes { add: without(&wanted, &current.bindings), remove: without(&current.bindings, &wanted) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_changes_only_what_differs() {
        let grants = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Grant>>();
        let current = Policy {
            name: "team".into(),
            description: "d".into(),
            bindings: grants(&["viewer", "ops@alpha"]),
        };
        let of = |text: &str| changes(&current, &definition::parse(text).unwrap(), None);
        let bindings = "bindings:\n- role: ops\n  resource: {project: alpha}\n- role: ops\n  resource: {project: beta}\n";
        let expected = Changes { add: grants(&["ops@beta"]), remove: grants(&["viewer"]) };
        assert_eq!(of(bindings).unwrap(), expected);
        assert_eq!(of("name: team\ndescription: d\n").unwrap(), Changes::default());
        assert_eq!(of("bindings: []\n").unwrap().remove, current.bindings);
        assert!(of("description: other\n").is_err() && of("name: other\n").is_err());
    }
}
