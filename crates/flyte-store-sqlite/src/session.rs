//! Browser sessions.

use async_trait::async_trait;
use rusqlite::{Row, params};

use super::{SqliteStore, account_link, already_exists, change, one};
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;
use flyte_store::{BrowserSession, SessionStore, StoreError};

fn session(row: &Row<'_>) -> rusqlite::Result<BrowserSession> {
    Ok(BrowserSession {
        id: row.get(0)?,
        cookie_hash: row.get(1)?,
        user_id: row.get(2)?,
        authenticated_at: row.get(3)?,
        expires_at: row.get(4)?,
    })
}

#[async_trait]
impl SessionStore for SqliteStore {
    async fn create_session(
        &self,
        session: &BrowserSession,
        password_hash: Option<&str>,
    ) -> Result<bool, StoreError> {
        let (session, password_hash) = (session.clone(), password_hash.map(str::to_owned));
        self.write(move |connection| {
            let created = change(
                connection,
                "INSERT INTO sessions (id, cookie_hash, user_id, authenticated_at, expires_at)
                 SELECT ?1, ?2, ?3, ?4, ?5 FROM users
                 WHERE id = ?3 AND password_hash IS ?6 AND disabled_at IS NULL",
                params![
                    session.id,
                    session.cookie_hash,
                    session.user_id,
                    session.authenticated_at,
                    session.expires_at,
                    password_hash
                ],
            )
            .map_err(|error| already_exists(error, "session", &session.id))?;
            if created > 0 {
                account_link::end_after_sign_in(connection, &session.user_id)?;
            }
            Ok(created > 0)
        })
        .await
    }

    async fn session_by_cookie(
        &self,
        cookie_hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<BrowserSession>, StoreError> {
        let cookie_hash = *cookie_hash;
        self.read(move |connection| {
            one(
                connection,
                "SELECT id, cookie_hash, user_id, authenticated_at, expires_at FROM sessions
                 WHERE cookie_hash = ?1 AND expires_at > ?2",
                params![cookie_hash, now],
                session,
            )
        })
        .await
    }

    async fn session_by_id(&self, id: &str, now: UnixTime) -> Result<Option<BrowserSession>, StoreError> {
        let id = id.to_owned();
        self.read(move |connection| {
            one(
                connection,
                "SELECT id, cookie_hash, user_id, authenticated_at, expires_at FROM sessions
                 WHERE id = ?1 AND expires_at > ?2",
                params![id, now],
                session,
            )
        })
        .await
    }

    async fn delete_session(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |connection| {
            change(connection, "DELETE FROM sessions WHERE id = ?1", [id])?;
            Ok(())
        })
        .await
    }

    async fn delete_expired_sessions(&self, now: UnixTime) -> Result<u64, StoreError> {
        self.write(move |connection| {
            Ok(change(connection, "DELETE FROM sessions WHERE expires_at <= ?1", [now])? as u64)
        })
        .await
    }
}
