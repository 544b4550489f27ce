//! Groups of people.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};
use uuid::Uuid;

use super::{
    SqliteStore, administrator, already_exists, change, one,
    page::{self, Key, Order},
    user,
};
use flyte_model::clock::UnixTime;
use flyte_store::{Group, GroupOrigin, GroupQuery, GroupStore, MemberQuery, ProviderGroup, StoreError, User};

const COLUMNS: &str = "id, name, description, provider, external_id, created_at";

fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
    let (provider, external_id): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
    let origin = provider.zip(external_id);
    Ok(Group {
        id: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        origin: origin.map(|(provider, external_id)| GroupOrigin { provider, external_id }),
        created_at: row.get(5)?,
    })
}

pub(super) fn name_key(name: &str) -> String {
    name.to_lowercase()
}

pub(super) fn insert(connection: &Connection, group: &Group) -> Result<(), SqliteError> {
    let origin = group.origin.as_ref();
    change(
        connection,
        "INSERT INTO groups (id, name, name_key, description, provider, external_id, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            group.id,
            group.name,
            name_key(&group.name),
            group.description,
            origin.map(|origin| &origin.provider),
            origin.map(|origin| &origin.external_id),
            group.created_at
        ],
    )
    .map_err(|error| already_exists(error, "group", &group.name))?;
    Ok(())
}

fn by_origin(connection: &Connection, origin: &GroupOrigin) -> Result<Option<Group>, SqliteError> {
    let sql = format!("SELECT {COLUMNS} FROM groups WHERE provider = ?1 AND external_id = ?2");
    one(connection, &sql, params![origin.provider, origin.external_id], group)
}

pub(super) fn add_member(
    connection: &Connection,
    group_id: &str,
    user_id: &str,
) -> Result<bool, SqliteError> {
    for (table, kind, id) in [("groups", "group", group_id), ("users", "user", user_id)] {
        require(connection, table, "id", kind, id)?;
    }
    let sql = "INSERT INTO group_members (group_id, user_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    Ok(change(connection, sql, [group_id, user_id])? > 0)
}

pub(super) fn remove_member(
    connection: &Connection,
    group_id: &str,
    user_id: &str,
) -> Result<bool, SqliteError> {
    let sql = "DELETE FROM group_members WHERE group_id = ?1 AND user_id = ?2";
    Ok(change(connection, sql, [group_id, user_id])? > 0)
}

/// Fails with [`StoreError::Missing`] if a record does not exist.
pub(super) fn require(
    connection: &Connection,
    table: &str,
    column: &str,
    kind: &'static str,
    id: &str,
) -> Result<(), SqliteError> {
    let sql = format!("SELECT 1 FROM {table} WHERE {column} = ?1");
    match one(connection, &sql, [id], |_| Ok(()))? {
        Some(()) => Ok(()),
        None => Err(StoreError::Missing { kind, id: id.to_owned() }.into()),
    }
}

/// Makes a user a member of exactly these groups of a provider.
fn set_provider_groups(
    connection: &Connection,
    user_id: &str,
    provider: &str,
    groups: &[ProviderGroup],
    now: UnixTime,
) -> Result<bool, SqliteError> {
    require(connection, "users", "id", "user", user_id)?;
    let mut has_changed = false;
    let mut wanted = Vec::with_capacity(groups.len());
    for ProviderGroup { external_id, name } in groups {
        let origin = GroupOrigin { provider: provider.to_owned(), external_id: external_id.clone() };
        let id = match by_origin(connection, &origin)? {
            Some(known) => {
                if known.name != *name {
                    let sql = "UPDATE groups SET name = ?2, name_key = ?3 WHERE id = ?1";
                    change(connection, sql, params![known.id, name, name_key(name)])?;
                }
                known.id
            }
            None => {
                let group = Group {
                    id: Uuid::new_v4().to_string(),
                    name: name.clone(),
                    description: String::new(),
                    origin: Some(origin),
                    created_at: now,
                };
                insert(connection, &group)?;
                group.id
            }
        };
        has_changed |= add_member(connection, &id, user_id)?;
        wanted.push(id);
    }
    let sql = "SELECT g.id FROM groups g JOIN group_members m ON m.group_id = g.id
               WHERE m.user_id = ?1 AND g.provider = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let own: Vec<String> =
        statement.query_map([user_id, provider], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in own.iter().filter(|id| !wanted.contains(id)) {
        has_changed |= remove_member(connection, id, user_id)?;
    }
    Ok(has_changed)
}

fn list(connection: &Connection, query: &GroupQuery) -> Result<(Vec<Group>, String), SqliteError> {
    let listing = page::listing(("groups", &query.provider));
    let (mut conditions, mut values) = (vec!["TRUE".to_owned()], Vec::new());
    if let Some(provider) = &query.provider {
        conditions.push("provider = ?".to_owned());
        values.push(Value::Text(provider.clone()));
    }
    let text = || Key::Text(String::new());
    let order = Order {
        columns: &["name_key", "id"],
        like: vec![text(), text()],
        descending: false,
        listing: &listing,
        token: &query.page_token,
        limit: query.limit,
    };
    let sql = order.complete(&format!("SELECT {COLUMNS} FROM groups"), conditions, &mut values)?;
    let mut statement = connection.prepare_cached(&sql)?;
    let groups = statement.query_map(params_from_iter(values), group)?.collect::<Result<_, _>>()?;
    page::cut(groups, query.limit, &listing, |last: &Group| {
        vec![Key::Text(name_key(&last.name)), Key::Text(last.id.clone())]
    })
}

fn members(connection: &Connection, query: &MemberQuery) -> Result<(Vec<User>, String), SqliteError> {
    let listing = page::listing(("members", &query.group_id));
    let order = Order {
        columns: &["m.user_id"],
        like: vec![Key::Text(String::new())],
        descending: false,
        listing: &listing,
        token: &query.page_token,
        limit: query.limit,
    };
    let mut values = vec![Value::Text(query.group_id.clone())];
    let select = format!("SELECT {} FROM group_members m JOIN users ON users.id = m.user_id", user::COLUMNS);
    let sql = order.complete(&select, vec!["m.group_id = ?".to_owned()], &mut values)?;
    let mut statement = connection.prepare_cached(&sql)?;
    let users = statement.query_map(params_from_iter(values), user::user)?.collect::<Result<_, _>>()?;
    page::cut(users, query.limit, &listing, |last: &User| vec![Key::Text(last.id.clone())])
}

#[async_trait]
impl GroupStore for SqliteStore {
    async fn create_group(&self, group: &Group) -> Result<(), StoreError> {
        let group = group.clone();
        self.write(move |connection| insert(connection, &group)).await
    }

    async fn update_group(&self, id: &str, name: &str, description: &str) -> Result<bool, StoreError> {
        let (id, name, description) = (id.to_owned(), name.to_owned(), description.to_owned());
        self.write(move |connection| {
            let sql = "UPDATE groups SET name = ?2, name_key = ?3, description = ?4 WHERE id = ?1";
            let changed = change(connection, sql, params![id, name, name_key(&name), description])
                .map_err(|error| already_exists(error, "group", &name))?;
            Ok(changed > 0)
        })
        .await
    }

    async fn group_by_id(&self, id: &str) -> Result<Option<Group>, StoreError> {
        let id = id.to_owned();
        let sql = format!("SELECT {COLUMNS} FROM groups WHERE id = ?1");
        self.read(move |connection| one(connection, &sql, [id], group)).await
    }

    async fn group_by_name(&self, name: &str) -> Result<Option<Group>, StoreError> {
        let key = name_key(name);
        let sql = format!("SELECT {COLUMNS} FROM groups WHERE name_key = ?1 AND provider IS NULL");
        self.read(move |connection| one(connection, &sql, [key], group)).await
    }

    async fn group_by_origin(&self, origin: &GroupOrigin) -> Result<Option<Group>, StoreError> {
        let origin = origin.clone();
        self.read(move |connection| by_origin(connection, &origin)).await
    }

    async fn list_groups(&self, query: &GroupQuery) -> Result<(Vec<Group>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| list(connection, &query)).await
    }

    async fn delete_group(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(move |connection| {
            administrator::keep_one(connection, || {
                Ok(change(connection, "DELETE FROM groups WHERE id = ?1", [&id])? > 0)
            })
        })
        .await
    }

    async fn add_group_member(&self, group_id: &str, user_id: &str) -> Result<bool, StoreError> {
        let (group_id, user_id) = (group_id.to_owned(), user_id.to_owned());
        self.write(move |connection| add_member(connection, &group_id, &user_id)).await
    }

    async fn remove_group_member(&self, group_id: &str, user_id: &str) -> Result<bool, StoreError> {
        let (group_id, user_id) = (group_id.to_owned(), user_id.to_owned());
        self.write(move |connection| {
            administrator::keep_one(connection, || remove_member(connection, &group_id, &user_id))
        })
        .await
    }

    async fn list_group_members(&self, query: &MemberQuery) -> Result<(Vec<User>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| members(connection, &query)).await
    }

    async fn groups_of_user(&self, user_id: &str) -> Result<Vec<Group>, StoreError> {
        let user_id = user_id.to_owned();
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM groups WHERE id IN
                     (SELECT group_id FROM group_members WHERE user_id = ?1) ORDER BY name_key, id"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let groups = statement.query_map([user_id], group)?;
            Ok(groups.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn set_provider_groups(
        &self,
        user_id: &str,
        provider: &str,
        groups: &[ProviderGroup],
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let (user_id, provider, groups) = (user_id.to_owned(), provider.to_owned(), groups.to_vec());
        self.write(move |connection| {
            administrator::keep_one(connection, || {
                set_provider_groups(connection, &user_id, &provider, &groups, now)
            })
        })
        .await
    }
}
