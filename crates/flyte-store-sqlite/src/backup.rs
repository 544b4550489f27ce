//! Copies of the database, and the revocations after one is restored.

use crate::error::SqliteError;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};

use super::{SqliteStore, change, connection::OpenError, one, revocation};
use flyte_model::clock::UnixTime;
use flyte_store::{FAMILY_RETENTION, StoreError};

/// The result of [`SqliteStore::revoke_after_restore`]: what ended when a database was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreRevocations {
    /// The number of browser sessions, or of clients' sign-ins if there are more.
    pub sessions: usize,
    /// The number of API keys that were deleted since the backup.
    pub api_keys_deleted: usize,
    /// The number of API keys whose secret was replaced since the backup; the newer secret is valid.
    pub api_keys_rotated: usize,
    /// The number of accounts that were disabled since the backup.
    pub users_disabled: usize,
    /// The number of accounts whose password was changed since the backup; the newer password is valid.
    pub passwords_changed: usize,
    /// The number of valid API keys.
    pub api_keys: usize,
    /// Whether the newer database could be read.
    pub former_read: bool,
}

/// Copies the database at `path` to the empty file `into`. The copy is consistent even if a server writes at the same
/// time.
///
/// # Errors
/// [`OpenError`] inside [`StoreError::Backend`], also if the copy is damaged.
pub fn snapshot(path: &Path, into: &Path) -> Result<(), StoreError> {
    let failed = |source| SqliteError::from(OpenError::Sqlite { path: path.to_owned(), source });
    let connection = open(path).map_err(failed)?;
    connection.execute("VACUUM INTO ?1", [into.display().to_string()]).map_err(failed)?;
    let failed = |source| SqliteError::from(OpenError::Sqlite { path: into.to_owned(), source });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let copy = Connection::open_with_flags(into, flags).map_err(failed)?;
    let verdict: String =
        copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
    match verdict.as_str() {
        "ok" => Ok(()),
        damage => {
            Err(StoreError::Backend(format!("the database {} is damaged: {damage}", path.display()).into()))
        }
    }
}

/// Opens a database without migrating its schema.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(30))?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// An API key's secrets, to be compared with those of the restored database.
type Secrets = (String, Option<Vec<u8>>, Option<Vec<u8>>, Option<i64>, Option<String>);

/// The accounts and API keys of a newer database.
struct Former {
    users: Vec<(String, Option<String>, Option<i64>)>,
    api_keys: Vec<Secrets>,
}

impl Former {
    fn read(path: &Path) -> rusqlite::Result<Self> {
        let connection = open(path)?;
        let users = connection
            .prepare("SELECT id, password_hash, disabled_at FROM users")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        Ok(Self { users, api_keys: secrets(&connection)? })
    }
}

fn secrets(connection: &Connection) -> rusqlite::Result<Vec<Secrets>> {
    connection
        .prepare("SELECT client_id, secret_hash, previous_hash, previous_expires_at, jwks FROM api_keys")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
        .collect()
}

impl SqliteStore {
    /// Ends what a restored database must not bring back: sign-ins, unless `keep_sessions` is set, and everything that
    /// was disabled, deleted or replaced since the backup according to the newer database at `former`. This is one
    /// transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_after_restore(
        &self,
        former: Option<&Path>,
        keep_sessions: bool,
        now: UnixTime,
    ) -> Result<RestoreRevocations, StoreError> {
        // A database of another version, or a damaged one, cannot be read. The caller reports it.
        let former = former.and_then(|path| Former::read(path).ok());
        self.write(move |connection| {
            let mut revoked =
                RestoreRevocations { former_read: former.is_some(), ..RestoreRevocations::default() };
            if !keep_sessions {
                revoked.sessions = end_sessions(connection, now)?;
            }
            // Some of them were used or ended after the backup, and would set a password once more.
            change(connection, "DELETE FROM account_links", [])?;
            if let Some(former) = former {
                apply_accounts(connection, &former, now, &mut revoked)?;
                apply_api_keys(connection, &former, now, &mut revoked)?;
            }
            revoked.api_keys =
                one(connection, "SELECT count(*) FROM api_keys", [], |row| row.get::<_, i64>(0))?
                    .and_then(|keys| usize::try_from(keys).ok())
                    .unwrap_or_default();
            Ok(revoked)
        })
        .await
    }
}

fn end_sessions(connection: &Connection, now: UnixTime) -> Result<usize, SqliteError> {
    let sessions = change(connection, "DELETE FROM sessions", [])?;
    for table in ["codes", "devices"] {
        change(connection, &format!("DELETE FROM {table}"), [])?;
    }
    let families = change(
        connection,
        "UPDATE families SET revoked_at = ?1, ends_at = ?2 WHERE revoked_at IS NULL",
        params![now, now.saturating_add(FAMILY_RETENTION)],
    )?;
    // Without the keys that signed them, all access tokens are invalid. The next start generates new keys.
    change(connection, "DELETE FROM signing_keys", [])?;
    Ok(sessions.max(families))
}

fn apply_accounts(
    connection: &Connection,
    former: &Former,
    now: UnixTime,
    revoked: &mut RestoreRevocations,
) -> Result<(), SqliteError> {
    for (id, password, disabled_at) in &former.users {
        if disabled_at.is_some() {
            let sql = "UPDATE users SET disabled_at = ?2 WHERE id = ?1 AND disabled_at IS NULL";
            revoked.users_disabled += change(connection, sql, params![id, now])?;
        }
        let sql = "UPDATE users SET password_hash = ?2 WHERE id = ?1 AND password_hash IS NOT ?2";
        revoked.passwords_changed += change(connection, sql, params![id, password])?;
    }
    Ok(())
}

fn apply_api_keys(
    connection: &Connection,
    former: &Former,
    now: UnixTime,
    revoked: &mut RestoreRevocations,
) -> Result<(), SqliteError> {
    for (id, secret, ..) in secrets(connection)? {
        match former.api_keys.iter().find(|(known, ..)| *known == id) {
            None => {
                let sql = "DELETE FROM api_keys WHERE client_id = ?1 RETURNING family_id";
                if let Some(family) = one(connection, sql, [&id], |row| row.get::<_, String>(0))? {
                    revocation::revoke(connection, &family, now)?;
                }
                revoked.api_keys_deleted += 1;
            }
            Some((_, newer, previous, previous_expires_at, jwks)) if *newer != secret => {
                change(
                    connection,
                    "UPDATE api_keys SET secret_hash = ?2, previous_hash = ?3, previous_expires_at = ?4, jwks = ?5
                     WHERE client_id = ?1",
                    params![id, newer, previous, previous_expires_at, jwks],
                )?;
                revoked.api_keys_rotated += 1;
            }
            Some(_) => {}
        }
    }
    Ok(())
}
