//! Sets of permissions.

use std::fmt;

use crate::Permission;
use flyte_model::Role;

/// A set of [`Permission`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u16);

impl Permissions {
    /// No permission.
    pub const NONE: Self = Self(0);

    /// The permissions of a built-in role. Each role has those of the roles before it.
    #[must_use]
    pub fn of_role(role: Role) -> Self {
        use Permission::{Deploy, ManageSecrets, Run, ViewInventory, ViewRuns};
        match role {
            Role::Viewer => [ViewInventory, ViewRuns].into_iter().collect(),
            Role::Contributor => [ViewInventory, ViewRuns, Deploy, Run, ManageSecrets].into_iter().collect(),
            Role::Admin => Permission::ALL.into_iter().collect(),
        }
    }

    /// Whether it has this permission.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & bit(permission) != 0
    }

    /// Whether it has all permissions of `other`.
    #[must_use]
    pub const fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether it has no permission.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The permissions of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The permissions of both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// With the permissions that these include.
    #[must_use]
    pub fn with_included(self) -> Self {
        self.iter().fold(self, |all, permission| {
            permission.includes().iter().fold(all, |all, included| all.union((*included).into()))
        })
    }

    /// Each permission, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.contains(*permission))
    }
}

const fn bit(permission: Permission) -> u16 {
    1 << permission as u16
}

impl From<Permission> for Permissions {
    fn from(permission: Permission) -> Self {
        Self(bit(permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::NONE, |all, permission| all.union(permission.into()))
    }
}

/// The names, separated by commas.
impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, permission) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{permission}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_the_roles_before_them_and_what_their_permissions_include() {
        let [viewer, contributor, admin] = Role::ALL.map(Permissions::of_role);
        assert!(contributor.contains_all(viewer) && admin.contains_all(contributor));
        assert!(!viewer.contains_all(contributor) && !contributor.contains_all(admin));
        for role in Role::ALL {
            let permissions = Permissions::of_role(role);
            assert_eq!(permissions.with_included(), permissions, "{role}");
        }
        let deploy = Permissions::from(Permission::Deploy).with_included();
        assert_eq!(deploy.to_string(), "view-inventory, deploy, manage-secrets");
        for permission in Permission::ALL {
            let all = Permissions::from(permission).with_included();
            assert_eq!(all.with_included(), all, "{permission}: what it includes is complete");
        }
        assert!(Permissions::NONE.is_empty() && viewer.intersection(Permission::Run.into()).is_empty());
    }
}
