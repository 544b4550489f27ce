//! Permissions in plain words.

use flyte_pages::{Choice, Field, Input};
use flyte_policy::Permission;

/// What a permission allows.
pub(crate) const fn words(permission: Permission) -> &'static str {
    match permission {
        Permission::ViewInventory => "See projects, tasks, triggers, apps, and the names of secrets",
        Permission::ViewRuns => "See runs with their data, logs and reports",
        Permission::Deploy => "Deploy, change and delete tasks, triggers, apps and secrets",
        Permission::Run => "Start, abort and answer runs",
        Permission::ManageSecrets => "Create, change and delete secrets",
        Permission::AdministerProject => "Change projects",
        Permission::ChangeSettings => "Change the settings of projects",
        Permission::ViewIdentities => "See accounts and groups",
        Permission::ManagePermissions => "Change groups, roles and policies, and give them to others",
        Permission::AdministerServer => "Create projects, and manage accounts, API keys and the server",
        Permission::ReadAudit => "Read the audit log",
        Permission::ManageTrust => "Create and delete trust rules",
    }
}

/// The name of a permission as a permission, if this server has it.
pub(crate) fn named(name: &str) -> Option<Permission> {
    name.parse().ok()
}

/// The field in which permissions are chosen.
pub(crate) fn field(chosen: &[String]) -> Field {
    let choices = Permission::ALL.map(|permission| Choice {
        value: permission.name().to_owned(),
        label: words(permission).to_owned(),
        hint: permission.name().to_owned(),
        chosen: chosen.iter().any(|name| name == permission.name()),
    });
    Field {
        name: "permission",
        label: "What the role allows",
        hint: "Some include others: for example, who can start runs also sees them.".to_owned(),
        required: false,
        input: Input::Checks(choices.into()),
    }
}
