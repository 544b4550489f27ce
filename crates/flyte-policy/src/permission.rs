//! Permissions: what a role allows.

use std::{fmt, str::FromStr};

/// What a role can allow. The [door](../flyte_access/door/index.html)'s table says which of them each RPC needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// To see projects, tasks, triggers, apps, artifacts and the names of secrets.
    ViewInventory,
    /// To see runs, their data, logs and reports. This and all that follow for projects include [`Permission::ViewInventory`].
    ViewRuns,
    /// To deploy, change and delete tasks, triggers, apps and artifacts. Includes [`Permission::ManageSecrets`].
    Deploy,
    /// To start, abort and answer runs. Includes [`Permission::ViewRuns`], because code that runs in a project can read what is in
    /// it.
    Run,
    /// To create, change and delete secrets.
    ManageSecrets,
    /// To change a project.
    AdministerProject,
    /// To change the settings of a project or of the server.
    ChangeSettings,
    /// To see the accounts of other people, and groups.
    ViewIdentities,
    /// To change groups, roles and policies, and to assign them.
    ManagePermissions,
    /// To create projects and domains, and to manage accounts and the API keys of others. Includes
    /// [`Permission::ViewIdentities`], [`Permission::ReadAudit`] and [`Permission::ManageTrust`].
    AdministerServer,
    /// To read the audit log.
    ReadAudit,
    /// To create and delete trust rules.
    ManageTrust,
}

impl Permission {
    /// All permissions.
    pub const ALL: [Self; 12] = [
        Self::ViewInventory,
        Self::ViewRuns,
        Self::Deploy,
        Self::Run,
        Self::ManageSecrets,
        Self::AdministerProject,
        Self::ChangeSettings,
        Self::ViewIdentities,
        Self::ManagePermissions,
        Self::AdministerServer,
        Self::ReadAudit,
        Self::ManageTrust,
    ];

    /// Its name in requests, responses and the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ViewInventory => "view-inventory",
            Self::ViewRuns => "view-runs",
            Self::Deploy => "deploy",
            Self::Run => "run",
            Self::ManageSecrets => "manage-secrets",
            Self::AdministerProject => "administer-project",
            Self::ChangeSettings => "change-settings",
            Self::ViewIdentities => "view-identities",
            Self::ManagePermissions => "manage-permissions",
            Self::AdministerServer => "administer-server",
            Self::ReadAudit => "read-audit",
            Self::ManageTrust => "manage-trust",
        }
    }

    /// The name of the same permission in `cloudidl.common.Action`; `None` if that has no such action.
    #[must_use]
    pub const fn action(self) -> Option<&'static str> {
        Some(match self {
            Self::ViewInventory => "ACTION_VIEW_FLYTE_INVENTORY",
            Self::ViewRuns => "ACTION_VIEW_FLYTE_EXECUTIONS",
            Self::Deploy => "ACTION_REGISTER_FLYTE_INVENTORY",
            Self::Run => "ACTION_CREATE_FLYTE_EXECUTIONS",
            Self::AdministerProject => "ACTION_ADMINISTER_PROJECT",
            Self::ChangeSettings => "ACTION_EDIT_EXECUTION_RELATED_ATTRIBUTES",
            Self::ViewIdentities => "ACTION_VIEW_IDENTITIES",
            Self::ManagePermissions => "ACTION_MANAGE_PERMISSIONS",
            Self::AdministerServer => "ACTION_ADMINISTER_ACCOUNT",
            Self::ManageSecrets | Self::ReadAudit | Self::ManageTrust => return None,
        })
    }

    /// The permission with this name in `cloudidl.common.Action`; `None` if nothing on this server needs the action.
    #[must_use]
    pub fn from_action(action: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.action() == Some(action))
    }

    /// The permissions that this one includes, besides itself.
    pub(crate) const fn includes(self) -> &'static [Self] {
        match self {
            // Code that runs in a project can read what is in it.
            Self::Run => &[Self::ViewInventory, Self::ViewRuns],
            Self::Deploy => &[Self::ViewInventory, Self::ManageSecrets],
            Self::ViewRuns | Self::AdministerProject | Self::ChangeSettings => &[Self::ViewInventory],
            Self::AdministerServer => &[Self::ViewIdentities, Self::ReadAudit, Self::ManageTrust],
            _ => &[],
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is not the name of a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {}", Permission::ALL.map(Permission::name).join(", "))]
pub struct UnknownPermission;

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(text: &str) -> Result<Self, UnknownPermission> {
        Self::ALL.into_iter().find(|permission| permission.name() == text).ok_or(UnknownPermission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_actions_are_read_back() {
        for permission in Permission::ALL {
            assert_eq!(permission.name().parse(), Ok(permission));
            if let Some(action) = permission.action() {
                assert_eq!(Permission::from_action(action), Some(permission), "{action}");
            }
        }
        assert_eq!("RUN".parse::<Permission>(), Err(UnknownPermission));
        assert_eq!(Permission::from_action("ACTION_MANAGE_CLUSTER"), None);
    }
}
