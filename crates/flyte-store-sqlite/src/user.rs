//! User accounts.

pub(super) mod search;

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::{
    SqliteStore, account_link, administrator, already_exists, api_key, change, grant, one, policy, scim,
    trust,
};
use flyte_model::clock::UnixTime;
use flyte_policy::Subject;
use flyte_store::{ApiKey, DeletedUser, RoleIn, StoreError, User, UserQuery, UserStore};

/// The columns of an account. Its own role `admin` everywhere makes it an administrator.
pub(super) const COLUMNS: &str = "id, email, name, password_hash,
     EXISTS (SELECT 1 FROM bindings WHERE subject_kind = 0 AND subject = users.id AND role = 'admin'
             AND project = '' AND domain = ''),
     users.created_at, disabled_at";

pub(super) fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get(0)?,
        email: row.get(1)?,
        name: row.get(2)?,
        password_hash: row.get(3)?,
        admin: row.get(4)?,
        created_at: row.get(5)?,
        disabled_at: row.get(6)?,
    })
}

/// Returns the value by which e-mail addresses are compared: without spaces around it, and in lower case in all of Unicode,
/// unlike the `lower` function of SQLite.
pub(super) fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

pub(super) fn insert(connection: &Connection, user: &User, roles: &[RoleIn]) -> Result<(), SqliteError> {
    change(
        connection,
        "INSERT INTO users (id, email, email_key, name, password_hash, created_at, disabled_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            user.id,
            user.email,
            email_key(&user.email),
            user.name,
            user.password_hash,
            user.created_at,
            user.disabled_at
        ],
    )
    .map_err(|error| already_exists(error, "user", &user.email))?;
    let subject = Subject::user(&user.id);
    for RoleIn { role, limit } in roles {
        policy::bind(connection, &subject, role, limit, user.created_at)?;
    }
    Ok(())
}

/// Ends everything that the user has open.
fn end_all_of(connection: &Connection, id: &str, now: UnixTime) -> Result<(), SqliteError> {
    account_link::end_all_of(connection, id)?;
    change(connection, "DELETE FROM sessions WHERE user_id = ?1", [id])?;
    grant::revoke_all_of(connection, id, now)
}

/// Replaces the password and ends everything that the old one gave. Returns whether the account exists.
pub(super) fn set_password_hash(
    connection: &Connection,
    id: &str,
    hash: &str,
    now: UnixTime,
) -> Result<bool, SqliteError> {
    let sql = "UPDATE users SET password_hash = ?2 WHERE id = ?1";
    let changed = change(connection, sql, params![id, hash])?;
    end_all_of(connection, id, now)?;
    Ok(changed > 0)
}

/// Disables an account and ends everything that it has.
pub(super) fn disable(
    connection: &Connection,
    id: &str,
    now: UnixTime,
) -> Result<Option<Vec<ApiKey>>, SqliteError> {
    let sql = "UPDATE users SET disabled_at = coalesce(disabled_at, ?2) WHERE id = ?1";
    if change(connection, sql, params![id, now])? == 0 {
        return Ok(None);
    }
    end_all_of(connection, id, now)?;
    scim::note_local_decision(connection, id)?;
    account_link::end_made_by(connection, id)?;
    api_key::delete_made_by(connection, id, now).map(Some)
}

/// Deletes an account, except the last administrator's, with everything that it has.
pub(super) fn delete(
    connection: &Connection,
    id: &str,
    now: UnixTime,
) -> Result<Option<DeletedUser>, SqliteError> {
    administrator::keep_one(connection, || {
        let Some(api_keys) = disable(connection, id, now)? else { return Ok(None) };
        // The rows of its families go with the account. Other replicas must still learn of their end.
        grant::note_families_of(connection, id, now)?;
        let trust_rules = trust::delete_made_by(connection, id, now)?;
        change(connection, "DELETE FROM users WHERE id = ?1", [id])?;
        Ok(Some(DeletedUser { api_keys, trust_rules }))
    })
}

#[async_trait]
impl UserStore for SqliteStore {
    async fn create_user_with(&self, user: &User, roles: &[RoleIn]) -> Result<(), StoreError> {
        let (user, roles) = (user.clone(), roles.to_vec());
        self.write(move |connection| insert(connection, &user, &roles)).await
    }

    async fn user_by_id(&self, id: &str) -> Result<Option<User>, StoreError> {
        let id = id.to_owned();
        self.read(move |connection| {
            one(connection, &format!("SELECT {COLUMNS} FROM users WHERE id = ?1"), [id], user)
        })
        .await
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        let key = email_key(email);
        self.read(move |connection| {
            one(connection, &format!("SELECT {COLUMNS} FROM users WHERE email_key = ?1"), [key], user)
        })
        .await
    }

    async fn set_password_hash(&self, id: &str, hash: &str, now: UnixTime) -> Result<bool, StoreError> {
        let (id, hash) = (id.to_owned(), hash.to_owned());
        self.write(move |connection| set_password_hash(connection, &id, &hash, now)).await
    }

    async fn change_password_hash(
        &self,
        id: &str,
        from: &str,
        to: &str,
        ends_sign_ins: bool,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let (id, from, to) = (id.to_owned(), from.to_owned(), to.to_owned());
        self.write(move |connection| {
            let sql = "SELECT 1 FROM users WHERE id = ?1 AND password_hash = ?2 AND disabled_at IS NULL";
            match one(connection, sql, [&id, &from], |_| Ok(()))? {
                Some(()) if ends_sign_ins => set_password_hash(connection, &id, &to, now),
                Some(()) => {
                    account_link::end_all_of(connection, &id)?;
                    let sql = "UPDATE users SET password_hash = ?2 WHERE id = ?1";
                    Ok(change(connection, sql, [&id, &to])? > 0)
                }
                None => Ok(false),
            }
        })
        .await
    }

    async fn upgrade_password_hash(&self, id: &str, from: &str, to: &str) -> Result<bool, StoreError> {
        let (id, from, to) = (id.to_owned(), from.to_owned(), to.to_owned());
        self.write(move |connection| {
            let sql = "UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2";
            Ok(change(connection, sql, params![id, from, to])? > 0)
        })
        .await
    }

    async fn disable_user(&self, id: &str, now: UnixTime) -> Result<Option<Vec<ApiKey>>, StoreError> {
        let id = id.to_owned();
        self.write(move |connection| disable(connection, &id, now)).await
    }

    async fn deactivate_user(&self, id: &str, now: UnixTime) -> Result<Option<Vec<ApiKey>>, StoreError> {
        let id = id.to_owned();
        self.write(move |connection| administrator::keep_one(connection, || disable(connection, &id, now)))
            .await
    }

    async fn enable_user(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.write(move |connection| {
            scim::note_local_decision(connection, &id)?;
            Ok(change(connection, "UPDATE users SET disabled_at = NULL WHERE id = ?1", [id])? > 0)
        })
        .await
    }

    async fn rename_user(&self, id: &str, name: &str) -> Result<bool, StoreError> {
        let (id, name) = (id.to_owned(), name.to_owned());
        self.write(move |connection| {
            Ok(change(connection, "UPDATE users SET name = ?2 WHERE id = ?1", [id, name])? > 0)
        })
        .await
    }

    async fn delete_user(&self, id: &str, now: UnixTime) -> Result<Option<DeletedUser>, StoreError> {
        let id = id.to_owned();
        self.write(move |connection| delete(connection, &id, now)).await
    }

    async fn list_users(&self, query: &UserQuery) -> Result<(Vec<User>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| search::list(connection, &query)).await
    }

    async fn user_count(&self) -> Result<i64, StoreError> {
        self.read(|connection| {
            let count = one(connection, "SELECT count(*) FROM users", [], |row| row.get(0))?;
            Ok(count.unwrap_or_default())
        })
        .await
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM users ORDER BY email_key");
            let mut statement = connection.prepare_cached(&sql)?;
            let users = statement.query_map([], user)?;
            Ok(users.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn any_user(&self) -> Result<bool, StoreError> {
        self.read(|connection| Ok(one(connection, "SELECT 1 FROM users LIMIT 1", [], |_| Ok(()))?.is_some()))
            .await
    }
}
