//! Custom roles.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::{SqliteStore, already_exists, change, group::require, one, page};
use flyte_policy::{Permission, Permissions, builtin};
use flyte_store::{CustomRole, NameQuery, RoleStore, StoreError};

/// The columns of a role, with the names of its permissions in one text.
const COLUMNS: &str = "name, description, created_at,
     (SELECT coalesce(group_concat(permission, ' '), '') FROM role_permissions WHERE role = roles.name)";

/// Permissions from their names. What a later version of the server has added allows nothing here.
fn permissions(names: &str) -> Permissions {
    names.split(' ').filter_map(|name| name.parse::<Permission>().ok()).collect()
}

fn role(row: &Row<'_>) -> rusqlite::Result<CustomRole> {
    Ok(CustomRole {
        name: row.get(0)?,
        description: row.get(1)?,
        created_at: row.get(2)?,
        permissions: permissions(row.get_ref(3)?.as_str()?),
    })
}

/// All custom roles, for the snapshot of policies.
pub(super) fn all(connection: &Connection) -> Result<Vec<(String, Permissions)>, SqliteError> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM roles"))?;
    let roles = statement.query_map([], role)?.map(|role| role.map(|role| (role.name, role.permissions)));
    Ok(roles.collect::<Result<_, _>>()?)
}

/// Fails with [`StoreError::Missing`] if there is no built-in or custom role with this name.
pub(super) fn require_role(connection: &Connection, name: &str) -> Result<(), SqliteError> {
    if builtin(name).is_some() {
        return Ok(());
    }
    require(connection, "roles", "name", "role", name)
}

fn add(connection: &Connection, name: &str, permission: Permission) -> Result<bool, SqliteError> {
    let sql = "INSERT INTO role_permissions (role, permission) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    Ok(change(connection, sql, [name, permission.name()])? > 0)
}

fn remove(connection: &Connection, name: &str, permission: Permission) -> Result<bool, SqliteError> {
    let sql = "DELETE FROM role_permissions WHERE role = ?1 AND permission = ?2";
    Ok(change(connection, sql, [name, permission.name()])? > 0)
}

fn list(connection: &Connection, query: &NameQuery) -> Result<(Vec<CustomRole>, String), SqliteError> {
    let page = (query.page_token.as_str(), query.limit);
    page::of_table(connection, ("roles", COLUMNS, "name"), page, role, |last| last.name.clone())
}

#[async_trait]
impl RoleStore for SqliteStore {
    async fn create_role(&self, role: &CustomRole) -> Result<(), StoreError> {
        let role = role.clone();
        self.write(move |connection| {
            if builtin(&role.name).is_some() {
                return Err(StoreError::AlreadyExists { kind: "role", id: role.name }.into());
            }
            let sql = "INSERT INTO roles (name, description, created_at) VALUES (?1, ?2, ?3)";
            change(connection, sql, params![role.name, role.description, role.created_at])
                .map_err(|error| already_exists(error, "role", &role.name))?;
            for permission in role.permissions.iter() {
                add(connection, &role.name, permission)?;
            }
            Ok(())
        })
        .await
    }

    async fn update_role(
        &self,
        name: &str,
        description: &str,
        permissions: Permissions,
    ) -> Result<bool, StoreError> {
        let (name, description) = (name.to_owned(), description.to_owned());
        self.write(move |connection| {
            let sql = "UPDATE roles SET description = ?2 WHERE name = ?1";
            if change(connection, sql, [&name, &description])? == 0 {
                return Ok(false);
            }
            for permission in Permission::ALL {
                match permissions.contains(permission) {
                    true => add(connection, &name, permission)?,
                    false => remove(connection, &name, permission)?,
                };
            }
            Ok(true)
        })
        .await
    }

    async fn add_role_permission(&self, name: &str, permission: Permission) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |connection| {
            require(connection, "roles", "name", "role", &name)?;
            add(connection, &name, permission)
        })
        .await
    }

    async fn remove_role_permission(&self, name: &str, permission: Permission) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |connection| remove(connection, &name, permission)).await
    }

    async fn role_by_name(&self, name: &str) -> Result<Option<CustomRole>, StoreError> {
        let name = name.to_owned();
        let sql = format!("SELECT {COLUMNS} FROM roles WHERE name = ?1");
        self.read(move |connection| one(connection, &sql, [name], role)).await
    }

    async fn list_roles(&self, query: &NameQuery) -> Result<(Vec<CustomRole>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| list(connection, &query)).await
    }

    async fn delete_role(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |connection| {
            let sql = "SELECT 1 FROM bindings WHERE role = ?1 LIMIT 1";
            if one(connection, sql, [&name], |_| Ok(()))?.is_some() && builtin(&name).is_none() {
                return Err(StoreError::InUse { kind: "role", id: name }.into());
            }
            Ok(change(connection, "DELETE FROM roles WHERE name = ?1", [&name])? > 0)
        })
        .await
    }
}
