//! Groups that a SCIM client provisioned.

use std::collections::BTreeSet;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};

use super::condition::{self, Kind};
use crate::{
    SqliteStore, administrator, already_exists, change,
    error::SqliteError,
    group::{self, add_member, remove_member},
    one, to_json,
};
use flyte_model::clock::UnixTime;
use flyte_store::{
    Group, GroupOrigin, SCIM_ORIGIN, ScimGroup, ScimGroupChange, ScimGroupChanged, ScimGroupData,
    ScimGroupStore, ScimMember, ScimMemberChange, ScimMembership, ScimOutcome, ScimQuery, ScimRefusal,
    StoreError,
};

const SELECT: &str =
    "SELECT s.group_id, s.client, g.name, s.external_id, s.version, s.created_at, s.updated_at
     FROM scim_groups s JOIN groups g ON g.id = s.group_id";

fn group(row: &Row<'_>) -> rusqlite::Result<ScimGroup> {
    Ok(ScimGroup {
        id: row.get(0)?,
        client: row.get(1)?,
        name: row.get(2)?,
        external_id: row.get(3)?,
        version: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
    })
}

fn find(connection: &Connection, client: &str, id: &str) -> Result<Option<ScimGroup>, SqliteError> {
    let sql = format!("{SELECT} WHERE s.client = ?1 AND s.group_id = ?2");
    one(connection, &sql, params![client, id], group)
}

/// Whether another group of the client has the `externalId`, or the name without an `externalId` that distinguishes them.
fn taken(
    connection: &Connection,
    client: &str,
    own_id: &str,
    name: &str,
    external_id: Option<&str>,
) -> Result<Option<&'static str>, SqliteError> {
    let sql = "SELECT 1 FROM scim_groups WHERE client = ?1 AND external_id = ?2 AND group_id <> ?3";
    if one(connection, sql, params![client, external_id, own_id], |_| Ok(()))?.is_some() {
        return Ok(Some("externalId"));
    }
    let sql = "SELECT 1 FROM groups g JOIN scim_groups s ON s.group_id = g.id
               WHERE g.name_key = ?1 AND s.client = ?2 AND s.group_id <> ?3
                   AND (s.external_id IS NULL OR ?4 IS NULL) LIMIT 1";
    let params = params![group::name_key(name), client, own_id, external_id];
    Ok(one(connection, sql, params, |_| Ok(()))?.map(|()| "displayName"))
}

/// The first of these that is not a user of the client.
fn unknown_member(
    connection: &Connection,
    client: &str,
    ids: &[String],
) -> Result<Option<String>, SqliteError> {
    let sql = "SELECT 1 FROM scim_users WHERE user_id = ?1 AND client = ?2";
    for id in ids {
        if one(connection, sql, params![id, client], |_| Ok(()))?.is_none() {
            return Ok(Some(id.clone()));
        }
    }
    Ok(None)
}

/// Changes rows of members. Returns those who were added and removed.
fn change_members(
    connection: &Connection,
    group_id: &str,
    changes: &[ScimMemberChange],
) -> Result<(Vec<String>, Vec<String>), SqliteError> {
    let (mut added, mut removed) = (BTreeSet::new(), BTreeSet::new());
    let mut add = |id: &String, removed: &mut BTreeSet<String>| -> Result<(), SqliteError> {
        if add_member(connection, group_id, id)? && !removed.remove(id) {
            added.insert(id.clone());
        }
        Ok(())
    };
    // A user who was added and removed by the same request was no member before, and is none now.
    let mut to_remove: Vec<String> = Vec::new();
    for change in changes {
        match change {
            ScimMemberChange::Add(ids) => {
                for id in ids {
                    add(id, &mut removed)?;
                }
            }
            ScimMemberChange::Remove(ids) => to_remove.clone_from(ids),
            ScimMemberChange::Set(ids) => {
                for id in ids {
                    add(id, &mut removed)?;
                }
                let kept: BTreeSet<_> = ids.iter().collect();
                let mut statement =
                    connection.prepare_cached("SELECT user_id FROM group_members WHERE group_id = ?1")?;
                let all: Vec<String> =
                    statement.query_map([group_id], |row| row.get(0))?.collect::<Result<_, _>>()?;
                to_remove = all.into_iter().filter(|id| !kept.contains(id)).collect();
            }
        }
        for id in to_remove.drain(..) {
            if remove_member(connection, group_id, &id)? {
                removed.insert(id);
            }
        }
    }
    let both: Vec<_> = added.intersection(&removed).cloned().collect();
    for id in both {
        added.remove(&id);
        removed.remove(&id);
    }
    Ok((added.into_iter().collect(), removed.into_iter().collect()))
}

type Changed = Result<ScimOutcome<ScimGroupChanged>, SqliteError>;

fn create(connection: &Connection, client: &str, id: &str, data: &ScimGroupData, now: UnixTime) -> Changed {
    if let Some(attribute) = taken(connection, client, id, &data.name, data.external_id.as_deref())? {
        return Ok(ScimOutcome::Refused(ScimRefusal::Taken(attribute)));
    }
    if let Some(unknown) = unknown_member(connection, client, &data.members)? {
        return Ok(ScimOutcome::Refused(ScimRefusal::UnknownMember(unknown)));
    }
    let origin = GroupOrigin { provider: format!("{SCIM_ORIGIN}{client}"), external_id: id.to_owned() };
    let group = Group {
        id: id.to_owned(),
        name: data.name.clone(),
        description: String::new(),
        origin: Some(origin),
        created_at: now,
    };
    group::insert(connection, &group)?;
    let sql = "INSERT INTO scim_groups (group_id, client, external_id, version, created_at, updated_at)
               VALUES (?1, ?2, ?3, 1, ?4, ?4)";
    change(connection, sql, params![id, client, data.external_id, now])
        .map_err(|error| already_exists(error, "SCIM group", &data.name))?;
    let members = [ScimMemberChange::Add(data.members.clone())];
    let (added, removed) = change_members(connection, id, &members)?;
    done(connection, client, id, true, (added, removed))
}

fn done(
    connection: &Connection,
    client: &str,
    id: &str,
    changed: bool,
    (added, removed): (Vec<String>, Vec<String>),
) -> Changed {
    let group = find(connection, client, id)?;
    Ok(group.map_or(ScimOutcome::Unknown, |group| {
        ScimOutcome::Done(ScimGroupChanged { group, changed, added, removed })
    }))
}

fn change_known(
    connection: &Connection,
    client: &str,
    id: &str,
    wanted: &ScimGroupChange,
    version: Option<i64>,
    now: UnixTime,
) -> Changed {
    let Some(known) = find(connection, client, id)? else { return Ok(ScimOutcome::Unknown) };
    if version.is_some_and(|version| version != known.version) {
        return Ok(ScimOutcome::Stale);
    }
    let name = wanted.name.as_ref().unwrap_or(&known.name);
    let external_id = wanted.external_id.as_ref().unwrap_or(&known.external_id);
    let is_renamed = *name != known.name;
    let changed = is_renamed || *external_id != known.external_id;
    if changed && let Some(attribute) = taken(connection, client, id, name, external_id.as_deref())? {
        return Ok(ScimOutcome::Refused(ScimRefusal::Taken(attribute)));
    }
    for change in &wanted.members {
        if let ScimMemberChange::Add(ids) | ScimMemberChange::Set(ids) = change
            && let Some(unknown) = unknown_member(connection, client, ids)?
        {
            return Ok(ScimOutcome::Refused(ScimRefusal::UnknownMember(unknown)));
        }
    }
    if is_renamed {
        let sql = "UPDATE groups SET name = ?2, name_key = ?3 WHERE id = ?1";
        change(connection, sql, params![id, name, group::name_key(name)])?;
    }
    let members = administrator::keep_one(connection, || change_members(connection, id, &wanted.members))?;
    let has_changed = changed || !members.0.is_empty() || !members.1.is_empty();
    if has_changed {
        let sql = "UPDATE scim_groups SET external_id = ?2, updated_at = ?3, version = version + 1
                   WHERE group_id = ?1";
        change(connection, sql, params![id, external_id, now])?;
    }
    done(connection, client, id, changed, members)
}

fn list(connection: &Connection, query: &ScimQuery) -> Result<(Vec<ScimGroup>, u64), SqliteError> {
    let mut values = vec![Value::Text(query.client.clone())];
    let mut from = format!("WHERE {}", condition::of_client(query.condition.as_ref()));
    if let Some(condition) = &query.condition {
        from.push_str(" AND ");
        from.push_str(&condition::sql(Kind::Group, condition, &mut values));
    }
    let sql = format!("SELECT count(*) FROM scim_groups s JOIN groups g ON g.id = s.group_id {from}");
    let total: Option<i64> = one(connection, &sql, params_from_iter(values.iter()), |row| row.get(0))?;
    let order = condition::order(Kind::Group, query.order.as_ref(), &mut values);
    let sql = format!("{SELECT} {from} ORDER BY {order} LIMIT ? OFFSET ?");
    values.push(Value::Integer(i64::from(query.limit)));
    values.push(Value::Integer(i64::try_from(query.skip).unwrap_or(i64::MAX)));
    let mut statement = connection.prepare_cached(&sql)?;
    let groups = statement.query_map(params_from_iter(values), group)?.collect::<Result<_, _>>()?;
    Ok((groups, total.and_then(|total| u64::try_from(total).ok()).unwrap_or_default()))
}

#[async_trait]
impl ScimGroupStore for SqliteStore {
    async fn create_scim_group(
        &self,
        client: &str,
        id: &str,
        data: &ScimGroupData,
        now: UnixTime,
    ) -> Result<ScimOutcome<ScimGroupChanged>, StoreError> {
        let (client, id, data) = (client.to_owned(), id.to_owned(), data.clone());
        self.write(move |connection| create(connection, &client, &id, &data, now)).await
    }

    async fn scim_group(&self, client: &str, id: &str) -> Result<Option<ScimGroup>, StoreError> {
        let (client, id) = (client.to_owned(), id.to_owned());
        self.read(move |connection| find(connection, &client, &id)).await
    }

    async fn list_scim_groups(&self, query: &ScimQuery) -> Result<(Vec<ScimGroup>, u64), StoreError> {
        let query = query.clone();
        self.read(move |connection| list(connection, &query)).await
    }

    async fn change_scim_group(
        &self,
        client: &str,
        id: &str,
        change: &ScimGroupChange,
        version: Option<i64>,
        now: UnixTime,
    ) -> Result<ScimOutcome<ScimGroupChanged>, StoreError> {
        let (client, id, change) = (client.to_owned(), id.to_owned(), change.clone());
        self.write(move |connection| change_known(connection, &client, &id, &change, version, now)).await
    }

    async fn delete_scim_group(
        &self,
        client: &str,
        id: &str,
        version: Option<i64>,
    ) -> Result<ScimOutcome<ScimGroup>, StoreError> {
        let (client, id) = (client.to_owned(), id.to_owned());
        self.write(move |connection| {
            let Some(known) = find(connection, &client, &id)? else { return Ok(ScimOutcome::Unknown) };
            if version.is_some_and(|version| version != known.version) {
                return Ok(ScimOutcome::Stale);
            }
            administrator::keep_one(connection, || {
                Ok(change(connection, "DELETE FROM groups WHERE id = ?1", [&id])?)
            })?;
            Ok(ScimOutcome::Done(known))
        })
        .await
    }

    async fn scim_members(&self, group_ids: &[String]) -> Result<Vec<ScimMember>, StoreError> {
        let ids = to_json(&group_ids).map_err(StoreError::from)?;
        self.read(move |connection| {
            let sql =
                "SELECT m.group_id, m.user_id, u.name FROM group_members m JOIN users u ON u.id = m.user_id
                       WHERE m.group_id IN (SELECT value FROM json_each(?1)) ORDER BY m.group_id, m.user_id";
            let mut statement = connection.prepare_cached(sql)?;
            let members = statement.query_map([ids], |row| {
                Ok(ScimMember { group_id: row.get(0)?, user_id: row.get(1)?, name: row.get(2)? })
            })?;
            Ok(members.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn scim_memberships(
        &self,
        client: &str,
        user_ids: &[String],
    ) -> Result<Vec<ScimMembership>, StoreError> {
        let (client, ids) = (client.to_owned(), to_json(&user_ids).map_err(StoreError::from)?);
        self.read(move |connection| {
            let sql = "SELECT m.user_id, m.group_id, g.name FROM group_members m
                       JOIN scim_groups s ON s.group_id = m.group_id JOIN groups g ON g.id = m.group_id
                       WHERE s.client = ?1 AND m.user_id IN (SELECT value FROM json_each(?2))
                       ORDER BY m.user_id, m.group_id";
            let mut statement = connection.prepare_cached(sql)?;
            let memberships = statement.query_map(params![client, ids], |row| {
                Ok(ScimMembership { user_id: row.get(0)?, group_id: row.get(1)?, name: row.get(2)? })
            })?;
            Ok(memberships.collect::<Result<_, _>>()?)
        })
        .await
    }
}
