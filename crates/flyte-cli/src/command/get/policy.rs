//! `flyte get policy`

use clap::Args;
use flyte_client::policy::Policy;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::subject;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the policy to show in detail. By default all policies are listed, the built-in ones first
    name: Option<String>,

    /// Maximum number of policies to list. By default all
    #[arg(long, value_name = "COUNT", conflicts_with = "name")]
    limit: Option<u32>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let policies = context.client()?.policies();
    if let Some(name) = arguments.name {
        let policy = context.run("Fetching the policy", async {
            let found = policies.get(&name).await;
            found.map_err(|error| Failure::resource(format!("cannot show policy {name}"), &error, "policy"))
        })?;
        output::print(format, &policy, details)?;
        return Ok(Exit::Success);
    }
    let found = context.run("Listing policies", async {
        let listed = policies.list(arguments.limit).collect().await;
        listed.map_err(|error| Failure::client("cannot list policies", &error))
    })?;
    output::print(format, &found, |policies| table(policies, context.global.wide))?;
    Ok(Exit::Success)
}

fn table(policies: &[Policy], wide: bool) -> String {
    let rows = policies.iter().map(|policy| (policy.name.clone(), subject::line(&policy.bindings), policy));
    if !wide {
        return output::table(["NAME", "ROLES"], rows.map(|(name, roles, _)| [name, roles]));
    }
    let rows = rows.map(|(name, roles, policy)| [name, roles, policy.description.clone()]);
    output::table(["NAME", "ROLES", "DESCRIPTION"], rows)
}

/// One policy, with one field for each line, and its bindings.
pub(crate) fn details(policy: &Policy) -> String {
    let fields =
        output::details([("Name", policy.name.clone()), ("Description", policy.description.clone())]);
    if policy.bindings.is_empty() {
        return fields;
    }
    let all = |name: &str| if name.is_empty() { "all" } else { name }.to_owned();
    let rows =
        policy.bindings.iter().map(|grant| [grant.role.clone(), all(&grant.project), all(&grant.domain)]);
    format!("{fields}\n{}", output::table(["ROLE", "PROJECT", "DOMAIN"], rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_have_a_table_and_details() {
        let bindings = ["ops@alpha/production", "viewer"].map(|text| text.parse().unwrap());
        let policy =
            Policy { name: "team".into(), description: "The team".into(), bindings: bindings.into() };
        assert_eq!(
            output::fits(&table(std::slice::from_ref(&policy), false)),
            "NAME  ROLES\nteam  ops@alpha/production, viewer\n"
        );
        assert_eq!(
            output::fits(&details(&policy)),
            "Name:         team\nDescription:  The team\n\n\
             ROLE    PROJECT  DOMAIN\nops     alpha    production\nviewer  all      all\n"
        );
    }
}
