//! `flyte create policy`

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
A binding is a role and its place: ROLE for all projects and domains, ROLE@PROJECT, ROLE@PROJECT/DOMAIN, or ROLE@/DOMAIN for a \
domain of all projects. A file has the form of the published plugin:
  name: team
  description: The team
  bindings:
  - role: contributor
    resource: {project: alpha, domain: production}

For example:
  flyte create policy team --binding contributor@alpha --binding viewer
  flyte create policy team --file policy.yaml";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the policy
    name: String,

    #[command(flatten)]
    source: Source,

    /// What the policy is for
    #[arg(long, conflicts_with_all = ["file", "edit"])]
    description: Option<String>,
}

/// Where the bindings come from.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Source {
    /// YAML file with the policy
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Open an editor to write the policy
    #[arg(long)]
    edit: bool,

    /// Role that the policy gives, and where; can be repeated
    #[arg(long, value_name = "ROLE[@PROJECT[/DOMAIN]]")]
    binding: Vec<Grant>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { name, source: Source { file, edit, binding }, description } = arguments;
    let policy = match file {
        Some(path) => create(context, new_policy(name, definition::read(path)?, context)?)?,
        None if *edit => match edited(name, context)? {
            Some(policy) => policy,
            None => return Ok(Exit::Failure),
        },
        None => {
            let description = description.clone().unwrap_or_default();
            create(context, Policy { name: name.clone(), description, bindings: binding.clone() })?
        }
    };
    if context.global.format == Format::Table {
        output::tell(&format!("Created policy {name}."));
    }
    output::print(context.global.format, &policy, get::policy::details)?;
    Ok(Exit::Success)
}

fn new_policy(name: &str, definition: PolicyDefinition, context: &Context) -> Result<Policy, Failure> {
    let bindings = definition.bindings(name, context.config.task.org.as_deref())?.unwrap_or_default();
    Ok(Policy { name: name.to_owned(), description: definition.description.unwrap_or_default(), bindings })
}

/// Creates the policy that the user writes in an editor; `None` if the user leaves the text as it is.
fn edited(name: &str, context: &Context) -> Result<Option<Policy>, Failure> {
    let template = PolicyDefinition::template(&Policy { name: name.to_owned(), ..Policy::default() })?;
    let command = format!("flyte create policy {name}");
    let Some(edited) = editor::edit(&template, &format!("{command} --file FILE"))? else {
        output::tell(&format!("Nothing was edited; policy {name} was not created."));
        return Ok(None);
    };
    let created = definition::parse::<PolicyDefinition>(&edited.text)
        .map_err(|why| Failure::new(format!("cannot create policy {name}")).why(why).exit(Exit::Usage))
        .and_then(|definition| create(context, new_policy(name, definition, context)?));
    created.map(Some).map_err(|failure| edited.kept(failure, &command))
}

fn create(context: &Context, policy: Policy) -> Result<Policy, Failure> {
    let name = policy.name.clone();
    let policies = context.client()?.policies();
    context.run("Creating the policy", async {
        let created = policies.create(policy).await;
        created.map_err(|error| Failure::resource(format!("cannot create policy {name}"), &error, "policy"))
    })
}
