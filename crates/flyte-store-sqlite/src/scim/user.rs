//! Users that a SCIM client provisioned: reading.

use async_trait::async_trait;
use rusqlite::{Connection, Params, Row, params, params_from_iter, types::Value};

use super::{
    condition::{self, Kind},
    write,
};
use crate::{SqliteStore, error::SqliteError, one};
use flyte_model::clock::UnixTime;
use flyte_store::{
    DeletedUser, ScimOutcome, ScimQuery, ScimRules, ScimUser, ScimUserChanged, ScimUserData, ScimUserFilter,
    ScimUserStore, StoreError,
};

const SELECT: &str =
    "SELECT s.user_id, s.client, u.email, u.name, u.disabled_at IS NULL, s.user_name, s.external_id,
        s.adopted, s.attributes, s.version, s.created_at, s.updated_at, s.deactivated
     FROM scim_users s JOIN users u ON u.id = s.user_id";

/// A user, and whether its client disabled it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) user: ScimUser,
    pub(super) deactivated: bool,
}

fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    Ok(Known { user: user(row)?, deactivated: row.get(12)? })
}

fn user(row: &Row<'_>) -> rusqlite::Result<ScimUser> {
    Ok(ScimUser {
        id: row.get(0)?,
        client: row.get(1)?,
        email: row.get(2)?,
        name: row.get(3)?,
        active: row.get(4)?,
        user_name: row.get(5)?,
        external_id: row.get(6)?,
        adopted: row.get(7)?,
        attributes: row.get(8)?,
        version: row.get(9)?,
        created_at: row.get(10)?,
        updated_at: row.get(11)?,
    })
}

/// Returns the user that meets a condition.
pub(super) fn find(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Option<Known>, SqliteError> {
    one(connection, &format!("{SELECT} WHERE {condition}"), params, known)
}

fn list(
    connection: &Connection,
    query: &ScimQuery,
    filter: Option<&ScimUserFilter>,
) -> Result<(Vec<ScimUser>, u64), SqliteError> {
    let mut values = vec![Value::Text(query.client.clone())];
    let mut from = format!("WHERE {}", condition::of_client(query.condition.as_ref()));
    if let Some(condition) = &query.condition {
        from.push_str(" AND ");
        from.push_str(&condition::sql(Kind::User, condition, &mut values));
    }
    let total: i64 = match (filter, &query.condition) {
        (Some(_), _) => 0,
        // The index of the client is enough.
        (None, None) => {
            let sql = "SELECT count(*) FROM scim_users s WHERE s.client = ?1";
            one(connection, sql, [&query.client], |row| row.get(0))?.unwrap_or_default()
        }
        (None, Some(_)) => {
            let sql = format!("SELECT count(*) FROM scim_users s JOIN users u ON u.id = s.user_id {from}");
            one(connection, &sql, params_from_iter(values.iter()), |row| row.get(0))?.unwrap_or_default()
        }
    };
    let order = condition::order(Kind::User, query.order.as_ref(), &mut values);
    let mut sql = format!("{SELECT} {from} ORDER BY {order}");
    let limit = u64::from(query.limit);
    let Some(filter) = filter else {
        sql.push_str(" LIMIT ? OFFSET ?");
        values.push(Value::Integer(i64::from(query.limit)));
        values.push(Value::Integer(i64::try_from(query.skip).unwrap_or(i64::MAX)));
        let mut statement = connection.prepare_cached(&sql)?;
        let users = statement.query_map(params_from_iter(values), user)?.collect::<Result<_, _>>()?;
        return Ok((users, u64::try_from(total).unwrap_or_default()));
    };
    let (mut users, mut count) = (Vec::new(), 0_u64);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        let user = user(row)?;
        if !filter(&user) {
            continue;
        }
        if count >= query.skip && count - query.skip < limit {
            users.push(user);
        }
        count += 1;
    }
    Ok((users, count))
}

#[async_trait]
impl ScimUserStore for SqliteStore {
    async fn create_scim_user(
        &self,
        client: &str,
        rules: &ScimRules,
        id: &str,
        data: &ScimUserData,
        now: UnixTime,
    ) -> Result<ScimOutcome<ScimUserChanged>, StoreError> {
        let (client, rules, id, data) = (client.to_owned(), rules.clone(), id.to_owned(), data.clone());
        self.write(move |connection| {
            write::create(&write::Client { connection, name: &client, rules: &rules, now }, &id, &data)
        })
        .await
    }

    async fn scim_user(&self, client: &str, id: &str) -> Result<Option<ScimUser>, StoreError> {
        let (client, id) = (client.to_owned(), id.to_owned());
        self.read(move |connection| {
            let found = find(connection, "s.client = ?1 AND s.user_id = ?2", params![client, id])?;
            Ok(found.map(|known| known.user))
        })
        .await
    }

    async fn list_scim_users(
        &self,
        query: &ScimQuery,
        filter: Option<ScimUserFilter>,
    ) -> Result<(Vec<ScimUser>, u64), StoreError> {
        let query = query.clone();
        self.read(move |connection| list(connection, &query, filter.as_ref())).await
    }

    async fn change_scim_user(
        &self,
        client: &str,
        rules: &ScimRules,
        id: &str,
        data: &ScimUserData,
        version: i64,
        now: UnixTime,
    ) -> Result<ScimOutcome<ScimUserChanged>, StoreError> {
        let (client, rules, id, data) = (client.to_owned(), rules.clone(), id.to_owned(), data.clone());
        self.write(move |connection| {
            let client = write::Client { connection, name: &client, rules: &rules, now };
            write::change_known(&client, &id, &data, version)
        })
        .await
    }

    async fn delete_scim_user(
        &self,
        client: &str,
        id: &str,
        version: Option<i64>,
        now: UnixTime,
    ) -> Result<ScimOutcome<(ScimUser, DeletedUser)>, StoreError> {
        let (client, id, rules) = (client.to_owned(), id.to_owned(), ScimRules::default());
        self.write(move |connection| {
            let client = write::Client { connection, name: &client, rules: &rules, now };
            write::delete(&client, &id, version)
        })
        .await
    }
}
