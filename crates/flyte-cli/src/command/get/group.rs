//! `flyte get group`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::group::Group;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::subject;
use crate::time;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name or identifier of the group to show in detail. By default all groups are listed
    name: Option<String>,

    /// Maximum number of groups to list. By default all
    #[arg(long, value_name = "COUNT", conflicts_with = "name")]
    limit: Option<u32>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let groups = context.client()?.groups();
    if let Some(name) = arguments.name {
        let group = context.run("Fetching the group", async {
            let found = groups.get(&name).await;
            found.map_err(|error| Failure::resource(format!("cannot show group {name}"), &error, "group"))
        })?;
        output::print(format, &group, |group| details(group, Clock::default().now()))?;
        return Ok(Exit::Success);
    }
    let found = context.run("Listing groups", async {
        let listed = groups.list(arguments.limit).collect().await;
        listed.map_err(|error| Failure::client("cannot list groups", &error))
    })?;
    if found.is_empty() {
        output::tell("No groups yet. Create one: flyte create group NAME");
        if format == Format::Table {
            return Ok(Exit::Success);
        }
    }
    output::print(format, &found, |groups| table(groups, context.global.wide))?;
    Ok(Exit::Success)
}

fn table(groups: &[Group], wide: bool) -> String {
    if !wide {
        let rows = groups
            .iter()
            .map(|group| [group.name.clone(), group.description.clone(), group.provider.clone()]);
        return output::table(["NAME", "DESCRIPTION", "PROVIDER"], rows);
    }
    let rows = groups.iter().map(|group| {
        [group.id.clone(), group.name.clone(), group.description.clone(), group.provider.clone()]
    });
    output::table(["ID", "NAME", "DESCRIPTION", "PROVIDER"], rows)
}

/// One group, with one field for each line.
pub(crate) fn details(group: &Group, now: i64) -> String {
    output::details([
        ("ID", group.id.clone()),
        ("Name", group.name.clone()),
        ("Description", group.description.clone()),
        ("Provider", group.provider.clone()),
        ("Roles", subject::line(&group.roles)),
        ("Policies", group.policies.join(", ")),
        ("Created", group.created_at.map(|at| time::moment(at, now)).unwrap_or_default()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_a_table_and_details() {
        let group = Group {
            id: "g1".into(),
            name: "ML team".into(),
            description: "Models".into(),
            provider: "okta".into(),
            roles: vec!["viewer@alpha".parse().unwrap()],
            policies: vec!["team".into()],
            created_at: None,
        };
        assert_eq!(
            output::fits(&table(std::slice::from_ref(&group), false)),
            "NAME     DESCRIPTION  PROVIDER\nML team  Models       okta\n"
        );
        assert_eq!(
            details(&group, 0),
            "ID:           g1\nName:         ML team\nDescription:  Models\nProvider:     okta\n\
             Roles:        viewer@alpha\nPolicies:     team\n"
        );
    }
}
