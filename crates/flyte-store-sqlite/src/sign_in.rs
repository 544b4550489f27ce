//! What a user is signed in with: rows of `sessions` and `families`.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};

use super::{
    SqliteStore, change, client_id, device,
    error::SqliteError,
    family, from_json,
    page::{self, Key},
};
use flyte_model::clock::UnixTime;
use flyte_store::{EndedSignIns, SignIn, SignInKind, SignInQuery, SignInStore, SignInUse, StoreError};

const BROWSER: i64 = 0;
const PROGRAM: i64 = 1;

fn sign_in(row: &Row<'_>) -> rusqlite::Result<SignIn> {
    let kind = match row.get(2)? {
        BROWSER => SignInKind::Browser,
        PROGRAM => SignInKind::Program { client_id: client_id(row, 4)?, scopes: from_json(row, 5)? },
        _ => SignInKind::Device { client_id: client_id(row, 4)?, scopes: from_json(row, 5)? },
    };
    let used_at: Option<UnixTime> = row.get(6)?;
    let (address, agent) = (row.get(7)?, row.get(8)?);
    Ok(SignIn {
        started_at: row.get(0)?,
        id: row.get(1)?,
        kind,
        expires_at: row.get(3)?,
        last_use: used_at.map(|at| SignInUse { at, address, agent }),
    })
}

fn list(connection: &Connection, query: &SignInQuery) -> Result<(Vec<SignIn>, String), SqliteError> {
    let listing = page::listing(("sign_ins", &query.user_id));
    let mut values = vec![
        Value::Text(query.user_id.clone()),
        Value::Integer(query.now),
        Value::Integer(query.now.saturating_sub(query.access_token_ttl)),
    ];
    let (mut of_sessions, mut of_families) = ("", "");
    if !query.page_token.is_empty() {
        let like = [Key::Number(0), Key::Text(String::new())];
        let after = page::position(&query.page_token, &listing, &like)?;
        values.extend(after.into_iter().map(Value::from));
        of_sessions = "AND (authenticated_at, id) < (?4, ?5)";
        of_families = "AND (created_at, id) < (?4, ?5)";
    }
    values.push(Value::Integer(i64::from(query.limit).saturating_add(1)));
    let limit = values.len();
    let sql = format!(
        "SELECT authenticated_at, id, {BROWSER}, expires_at, NULL, NULL, used_at, used_address, used_agent
         FROM sessions WHERE user_id = ?1 AND expires_at > ?2 {of_sessions}
         UNION ALL
         SELECT created_at, id, CASE WHEN session_id = id THEN 2 ELSE {PROGRAM} END,
             (SELECT max(expires_at) FROM refresh_tokens WHERE family = pk AND superseded_at IS NULL),
             client_id, scopes, used_at, used_address, used_agent
         FROM families WHERE user_id = ?1 AND revoked_at IS NULL {of_families}
             AND (created_at > ?3 OR EXISTS (SELECT 1 FROM refresh_tokens
                 WHERE family = pk AND superseded_at IS NULL AND expires_at > ?2))
         ORDER BY 1 DESC, 2 DESC LIMIT ?{limit}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_map(params_from_iter(values), sign_in)?.collect::<Result<_, _>>()?;
    page::cut(found, query.limit, &listing, |last: &SignIn| {
        vec![Key::Number(last.started_at), Key::Text(last.id.clone())]
    })
}

/// Notes a use in `table`. Returns whether the table has the row.
fn note(connection: &Connection, table: &str, id: &str, used: &SignInUse) -> Result<bool, SqliteError> {
    let sql = format!(
        "UPDATE {table} SET used_address = CASE WHEN used_at > ?2 THEN used_address ELSE coalesce(?3, used_address) END,
             used_agent = CASE WHEN used_at > ?2 THEN used_agent ELSE coalesce(?4, used_agent) END,
             used_at = max(?2, coalesce(used_at, ?2))
         WHERE id = ?1"
    );
    Ok(change(connection, &sql, params![id, used.at, used.address, used.agent])? > 0)
}

fn end_one(
    connection: &Connection,
    user_id: &str,
    id: &str,
    now: UnixTime,
) -> Result<EndedSignIns, SqliteError> {
    let of_user = [user_id, id];
    if change(connection, "DELETE FROM sessions WHERE user_id = ?1 AND id = ?2", of_user)? == 0 {
        let families = family::revoke_each(connection, "user_id = ?1 AND id = ?2", &of_user, now)?;
        return Ok(EndedSignIns { sessions: Vec::new(), families });
    }
    change(connection, "DELETE FROM codes WHERE user_id = ?1 AND session_id = ?2", of_user)?;
    device::deny_all_of_session(connection, id)?;
    let families = family::revoke_each(connection, "user_id = ?1 AND session_id = ?2", &of_user, now)?;
    Ok(EndedSignIns { sessions: vec![id.to_owned()], families })
}

fn end_all(
    connection: &Connection,
    user_id: &str,
    keep: Option<&str>,
    now: UnixTime,
) -> Result<EndedSignIns, SqliteError> {
    let sql = "DELETE FROM sessions WHERE user_id = ?1 AND id IS NOT ?2 RETURNING id";
    let sessions = connection
        .prepare_cached(sql)?
        .query_map(params![user_id, keep], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    change(connection, "DELETE FROM codes WHERE user_id = ?1", [user_id])?;
    device::deny_all_of(connection, user_id)?;
    let families = family::revoke_each(connection, "user_id = ?1", &[user_id], now)?;
    Ok(EndedSignIns { sessions, families })
}

#[async_trait]
impl SignInStore for SqliteStore {
    async fn note_sign_ins_used(&self, uses: &[(String, SignInUse)]) -> Result<(), StoreError> {
        let uses = uses.to_vec();
        self.write(move |connection| {
            for (id, used) in &uses {
                if !note(connection, "sessions", id, used)? {
                    note(connection, "families", id, used)?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn list_sign_ins(&self, query: &SignInQuery) -> Result<(Vec<SignIn>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| list(connection, &query)).await
    }

    async fn end_sign_in(&self, user_id: &str, id: &str, now: UnixTime) -> Result<EndedSignIns, StoreError> {
        let (user_id, id) = (user_id.to_owned(), id.to_owned());
        self.write(move |connection| end_one(connection, &user_id, &id, now)).await
    }

    async fn end_sign_ins(
        &self,
        user_id: &str,
        keep: Option<&str>,
        now: UnixTime,
    ) -> Result<EndedSignIns, StoreError> {
        let (user_id, keep) = (user_id.to_owned(), keep.map(str::to_owned));
        self.write(move |connection| end_all(connection, &user_id, keep.as_deref(), now)).await
    }
}
