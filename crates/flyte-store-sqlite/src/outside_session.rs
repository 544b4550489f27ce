//! Sign-ins through outside providers that are in use.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::{SqliteStore, change, device, family::revoke, one};
use flyte_model::clock::UnixTime;
use flyte_store::{
    EndedAtProvider, EndedSessions, OutsideSession, OutsideSessionStore, ProviderGrant, StoreError,
};

const GRANT_COLUMNS: &str = "issuer, subject, hidden_token, checked_at, due_at, failing_since";

fn grant(row: &Row<'_>) -> rusqlite::Result<ProviderGrant> {
    Ok(ProviderGrant {
        issuer: row.get(0)?,
        subject: row.get(1)?,
        hidden_token: row.get(2)?,
        checked_at: row.get(3)?,
        due_at: row.get(4)?,
        failing_since: row.get(5)?,
    })
}

/// Ends all sessions of an identity, however old they are.
pub(super) fn end_all_of_identity(
    connection: &Connection,
    issuer: &str,
    subject: &str,
    now: UnixTime,
) -> Result<EndedSessions, SqliteError> {
    let which = EndedAtProvider::User { subject: subject.to_owned(), until: UnixTime::MAX };
    end(connection, issuer, &which, now)
}

/// Notes that the family of a device came from the session that approved it. Call it before the device is deleted.
pub(super) fn pass_to_device(connection: &Connection, family_id: &str) -> Result<(), SqliteError> {
    change(
        connection,
        "INSERT OR IGNORE INTO outside_sessions (session_id, issuer, subject, started_at)
         SELECT family_id, issuer, subject, started_at
         FROM devices JOIN outside_sessions USING (session_id) WHERE family_id = ?1",
        [family_id],
    )?;
    Ok(())
}

fn end(
    connection: &Connection,
    issuer: &str,
    which: &EndedAtProvider,
    now: UnixTime,
) -> Result<EndedSessions, SqliteError> {
    let found = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let select =
        "SELECT session_id, user_id FROM outside_sessions JOIN outside_identities USING (issuer, subject)
                  WHERE issuer = ?1";
    let sessions: Vec<(String, String)> = match which {
        EndedAtProvider::User { subject, until } => connection
            .prepare_cached(&format!("{select} AND subject = ?2 AND started_at <= ?3"))?
            .query_map(params![issuer, subject, until], found)?
            .collect::<Result<_, _>>()?,
        EndedAtProvider::Session { sid, subject } => connection
            .prepare_cached(&format!("{select} AND sid = ?2 AND (?3 IS NULL OR subject = ?3)"))?
            .query_map(params![issuer, sid, subject], found)?
            .collect::<Result<_, _>>()?,
    };
    let mut families = Vec::new();
    for (session, _) in &sessions {
        families.extend(end_session(connection, session, now)?);
        change(connection, "DELETE FROM outside_sessions WHERE session_id = ?1", [session])?;
    }
    Ok(EndedSessions { sessions, families })
}

/// Ends a browser session and all that it authorized; returns the revoked families.
fn end_session(connection: &Connection, session: &str, now: UnixTime) -> Result<Vec<String>, SqliteError> {
    change(connection, "DELETE FROM sessions WHERE id = ?1", [session])?;
    change(connection, "DELETE FROM codes WHERE session_id = ?1", [session])?;
    device::deny_all_of_session(connection, session)?;
    let sql = "SELECT pk, id FROM families WHERE session_id = ?1 AND revoked_at IS NULL";
    let families: Vec<(i64, String)> = connection
        .prepare_cached(sql)?
        .query_map([session], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (family, _) in &families {
        revoke(connection, *family, now)?;
    }
    Ok(families.into_iter().map(|(_, id)| id).collect())
}

/// Stores the grant of an identity, if the identity exists.
fn insert_grant(connection: &Connection, insert: &str, grant: &ProviderGrant) -> Result<(), SqliteError> {
    let sql = format!(
        "{insert} INTO provider_grants ({GRANT_COLUMNS})
         SELECT issuer, subject, ?3, ?4, ?5, ?6 FROM outside_identities WHERE issuer = ?1 AND subject = ?2"
    );
    change(
        connection,
        &sql,
        params![
            grant.issuer,
            grant.subject,
            grant.hidden_token,
            grant.checked_at,
            grant.due_at,
            grant.failing_since
        ],
    )?;
    Ok(())
}

#[async_trait]
impl OutsideSessionStore for SqliteStore {
    async fn add_outside_session(&self, session: &OutsideSession) -> Result<(), StoreError> {
        let session = session.clone();
        self.write(move |connection| {
            change(
                connection,
                "INSERT OR REPLACE INTO outside_sessions
                     (session_id, issuer, subject, sid, hidden_id_token, started_at)
                 SELECT ?1, issuer, subject, ?4, ?5, ?6 FROM outside_identities WHERE issuer = ?2 AND subject = ?3",
                params![
                    session.session_id,
                    session.issuer,
                    session.subject,
                    session.sid,
                    session.hidden_id_token,
                    session.started_at
                ],
            )?;
            Ok(())
        })
        .await
    }

    async fn outside_session(&self, session_id: &str) -> Result<Option<OutsideSession>, StoreError> {
        let session_id = session_id.to_owned();
        self.read(move |connection| {
            let sql =
                "SELECT session_id, issuer, subject, sid, hidden_id_token, started_at FROM outside_sessions
                       WHERE session_id = ?1";
            one(connection, sql, [session_id], |row| {
                Ok(OutsideSession {
                    session_id: row.get(0)?,
                    issuer: row.get(1)?,
                    subject: row.get(2)?,
                    sid: row.get(3)?,
                    hidden_id_token: row.get(4)?,
                    started_at: row.get(5)?,
                })
            })
        })
        .await
    }

    async fn oldest_outside_session(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<UnixTime>, StoreError> {
        let key = [issuer.to_owned(), subject.to_owned()];
        self.read(move |connection| {
            let sql = "SELECT started_at FROM outside_sessions WHERE issuer = ?1 AND subject = ?2
                       ORDER BY started_at LIMIT 1";
            one(connection, sql, key, |row| row.get(0))
        })
        .await
    }

    async fn end_outside_sessions(
        &self,
        issuer: &str,
        which: &EndedAtProvider,
        now: UnixTime,
    ) -> Result<EndedSessions, StoreError> {
        let (issuer, which) = (issuer.to_owned(), which.clone());
        self.write(move |connection| end(connection, &issuer, &which, now)).await
    }

    async fn put_provider_grant(&self, grant: &ProviderGrant) -> Result<(), StoreError> {
        let grant = grant.clone();
        self.write(move |connection| insert_grant(connection, "INSERT OR REPLACE", &grant)).await
    }

    async fn add_provider_grant(&self, grant: &ProviderGrant) -> Result<(), StoreError> {
        let grant = grant.clone();
        self.write(move |connection| insert_grant(connection, "INSERT OR IGNORE", &grant)).await
    }

    async fn provider_grant(&self, issuer: &str, subject: &str) -> Result<Option<ProviderGrant>, StoreError> {
        let key = [issuer.to_owned(), subject.to_owned()];
        self.read(move |connection| {
            let sql =
                format!("SELECT {GRANT_COLUMNS} FROM provider_grants WHERE issuer = ?1 AND subject = ?2");
            one(connection, &sql, key, grant)
        })
        .await
    }

    async fn replace_provider_grant(
        &self,
        old: &ProviderGrant,
        new: &ProviderGrant,
    ) -> Result<bool, StoreError> {
        let (old, new) = (old.clone(), new.clone());
        self.write(move |connection| {
            let replaced = change(
                connection,
                "UPDATE provider_grants SET hidden_token = ?5, checked_at = ?6, due_at = ?7, failing_since = ?8
                 WHERE issuer = ?1 AND subject = ?2 AND hidden_token IS ?3 AND due_at = ?4",
                params![
                    old.issuer,
                    old.subject,
                    old.hidden_token,
                    old.due_at,
                    new.hidden_token,
                    new.checked_at,
                    new.due_at,
                    new.failing_since
                ],
            )?;
            Ok(replaced > 0)
        })
        .await
    }

    async fn delete_provider_grant(&self, old: &ProviderGrant) -> Result<bool, StoreError> {
        let old = old.clone();
        self.write(move |connection| {
            let sql = "DELETE FROM provider_grants
                       WHERE issuer = ?1 AND subject = ?2 AND hidden_token IS ?3 AND due_at = ?4";
            let deleted =
                change(connection, sql, params![old.issuer, old.subject, old.hidden_token, old.due_at])?;
            Ok(deleted > 0)
        })
        .await
    }

    async fn due_provider_grants(&self, now: UnixTime, limit: u32) -> Result<Vec<ProviderGrant>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {GRANT_COLUMNS} FROM provider_grants WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let due = statement.query_map(params![now, limit], grant)?;
            Ok(due.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn delete_unused_outside_sessions(&self, now: UnixTime) -> Result<u64, StoreError> {
        self.write(move |connection| {
            let sessions = change(
                connection,
                "DELETE FROM outside_sessions WHERE session_id IN
                     (SELECT session_id FROM outside_sessions AS o
                      WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE id = o.session_id AND expires_at > ?1)
                      AND NOT EXISTS (SELECT 1 FROM families WHERE session_id = o.session_id AND revoked_at IS NULL)
                      AND NOT EXISTS (SELECT 1 FROM codes WHERE session_id = o.session_id AND expires_at > ?1)
                      AND NOT EXISTS (SELECT 1 FROM devices WHERE session_id = o.session_id AND expires_at > ?1))",
                [now],
            )?;
            let grants = change(
                connection,
                "DELETE FROM provider_grants WHERE NOT EXISTS
                     (SELECT 1 FROM outside_sessions AS o
                      WHERE o.issuer = provider_grants.issuer AND o.subject = provider_grants.subject)",
                [],
            )?;
            Ok((sessions + grants) as u64)
        })
        .await
    }
}
