//! `flyte get role`

use clap::Args;
use flyte_auth::clock::Clock;
use flyte_client::role::Role;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::time;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the role to show in detail. By default all roles are listed, the built-in ones first
    name: Option<String>,

    /// Maximum number of roles to list. By default all
    #[arg(long, value_name = "COUNT", conflicts_with = "name")]
    limit: Option<u32>,
}

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<Exit, Failure> {
    let format = context.global.format;
    let roles = context.client()?.roles();
    if let Some(name) = arguments.name {
        let role = context.run("Fetching the role", async {
            let found = roles.get(&name).await;
            found.map_err(|error| Failure::resource(format!("cannot show role {name}"), &error, "role"))
        })?;
        output::print(format, &role, |role| details(role, Clock::default().now()))?;
        return Ok(Exit::Success);
    }
    let found = context.run("Listing roles", async {
        let listed = roles.list(arguments.limit).collect().await;
        listed.map_err(|error| Failure::client("cannot list roles", &error))
    })?;
    output::print(format, &found, |roles| table(roles, context.global.wide))?;
    Ok(Exit::Success)
}

/// The permissions; at a hosted control plane the actions.
fn permissions(role: &Role) -> String {
    let words = if role.permissions.is_empty() { &role.actions } else { &role.permissions };
    words.join(", ")
}

fn kind(role: &Role) -> String {
    if role.built_in { "built-in" } else { "custom" }.to_owned()
}

fn table(roles: &[Role], wide: bool) -> String {
    if !wide {
        let rows = roles.iter().map(|role| [role.name.clone(), kind(role), role.description.clone()]);
        return output::table(["NAME", "KIND", "DESCRIPTION"], rows);
    }
    let rows =
        roles.iter().map(|role| [role.name.clone(), kind(role), role.description.clone(), permissions(role)]);
    output::table(["NAME", "KIND", "DESCRIPTION", "PERMISSIONS"], rows)
}

/// One role, with one field for each line.
pub(crate) fn details(role: &Role, now: i64) -> String {
    output::details([
        ("Name", role.name.clone()),
        ("Kind", kind(role)),
        ("Description", role.description.clone()),
        ("Permissions", role.permissions.join(", ")),
        ("Actions", role.actions.join(", ")),
        ("Created", role.created_at.map(|at| time::moment(at, now)).unwrap_or_default()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_a_table_and_details() {
        let ops = Role {
            name: "ops".into(),
            description: "Starts runs".into(),
            permissions: vec!["run".into(), "view-runs".into()],
            actions: vec!["ACTION_CREATE_FLYTE_EXECUTIONS".into()],
            ..Role::default()
        };
        let viewer = Role { name: "viewer".into(), built_in: true, ..Role::default() };
        assert_eq!(
            output::fits(&table(&[viewer, ops.clone()], false)),
            "NAME    KIND      DESCRIPTION\nviewer  built-in\nops     custom    Starts runs\n"
        );
        let hosted = Role { permissions: Vec::new(), ..ops.clone() };
        let wide = anstream::adapter::strip_str(&table(&[ops.clone(), hosted], true)).to_string();
        assert!(
            wide.contains("run, view-runs\n") && wide.contains("ACTION_CREATE_FLYTE_EXECUTIONS\n"),
            "{wide}"
        );
        assert_eq!(
            details(&ops, 0),
            "Name:         ops\nKind:         custom\nDescription:  Starts runs\nPermissions:  run, view-runs\n\
             Actions:      ACTION_CREATE_FLYTE_EXECUTIONS\n"
        );
    }
}
