//! Authorization codes, refresh tokens and families.
//!
//! A code is a row of `codes` until it is redeemed. Then it becomes a row of `families` that keeps the hash of the
//! code, so that a second presentation is recognised as a replay. A refresh token is a row that is *newest*
//! (`superseded_at` is null), *superseded* (has a `successor`) or *void* (`superseded_at` is set without a successor:
//! the token was replaced unused within the grace period).

mod expired;

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use self::expired::{CLEAN_UP_STEP, clean_up};
use super::{
    SqliteStore, already_exists, change, client_id, device,
    family::{self, NewFamily, insert_token, revoke},
    from_json, one, revocation, to_json,
};
use flyte_model::{ClientId, clock::UnixTime};
use flyte_secrets::SecretHash;
use flyte_store::{
    AuthorizationCode, CodeRedemption, GrantStore, NewRefreshToken, RefreshRotation, RefreshToken, RevokedBy,
    StoreError,
};

const CODE_COLUMNS: &str =
    "code_hash, family_id, client_id, user_id, session_id, authenticated_at, redirect_uri,
     code_challenge, scopes, audience, nonce, expires_at";

fn code(row: &Row<'_>) -> rusqlite::Result<AuthorizationCode> {
    Ok(AuthorizationCode {
        code_hash: row.get(0)?,
        family_id: row.get(1)?,
        client_id: client_id(row, 2)?,
        user_id: row.get(3)?,
        session_id: row.get(4)?,
        authenticated_at: row.get(5)?,
        redirect_uri: row.get(6)?,
        code_challenge: row.get(7)?,
        scopes: from_json(row, 8)?,
        audience: row.get(9)?,
        nonce: row.get(10)?,
        expires_at: row.get(11)?,
    })
}

/// A refresh token's row, joined with that of its family.
struct Presented {
    family: i64,
    expires_at: UnixTime,
    superseded_at: Option<UnixTime>,
    successor: Option<SecretHash>,
    revoked: bool,
    token: RefreshToken,
}

fn presented(connection: &Connection, hash: &SecretHash) -> Result<Option<Presented>, SqliteError> {
    one(
        connection,
        "SELECT t.family, t.expires_at, t.superseded_at, t.successor, f.revoked_at IS NOT NULL, f.id, f.client_id,
             f.user_id, f.session_id, f.authenticated_at, f.scopes, f.audience
         FROM refresh_tokens t JOIN families f ON f.pk = t.family WHERE t.token_hash = ?1",
        [hash],
        |row| {
            Ok(Presented {
                family: row.get(0)?,
                expires_at: row.get(1)?,
                superseded_at: row.get(2)?,
                successor: row.get(3)?,
                revoked: row.get(4)?,
                token: RefreshToken {
                    family_id: row.get(5)?,
                    client_id: client_id(row, 6)?,
                    user_id: row.get(7)?,
                    session_id: row.get(8)?,
                    authenticated_at: row.get(9)?,
                    scopes: from_json(row, 10)?,
                    audience: row.get(11)?,
                },
            })
        },
    )
}

/// Revokes everything that the user authorized, including unredeemed codes and devices that have not polled since.
pub(super) fn revoke_all_of(
    connection: &Connection,
    user_id: &str,
    now: UnixTime,
) -> Result<(), SqliteError> {
    change(connection, "DELETE FROM codes WHERE user_id = ?1", [user_id])?;
    device::deny_all_of(connection, user_id)?;
    revoke_each(connection, "SELECT pk FROM families WHERE user_id = ?1 AND revoked_at IS NULL", user_id, now)
}

/// Notes all families of a user as revoked, apart from their rows.
pub(super) fn note_families_of(
    connection: &Connection,
    user_id: &str,
    now: UnixTime,
) -> Result<(), SqliteError> {
    let mut statement = connection.prepare_cached("SELECT id FROM families WHERE user_id = ?1")?;
    let families: Vec<String> =
        statement.query_map([user_id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    families.iter().try_for_each(|family| revocation::revoke(connection, family, now))
}

/// Revokes everything that the client obtained, including unredeemed codes.
pub(super) fn revoke_all_of_client(
    connection: &Connection,
    client_id: &ClientId,
    now: UnixTime,
) -> Result<(), SqliteError> {
    change(connection, "DELETE FROM codes WHERE client_id = ?1", [client_id.as_str()])?;
    device::delete_all_of_client(connection, client_id)?;
    revoke_each(
        connection,
        "SELECT pk FROM families WHERE client_id = ?1 AND revoked_at IS NULL",
        client_id.as_str(),
        now,
    )
}

/// Revokes each family that the statement finds for `whose`.
fn revoke_each(connection: &Connection, sql: &str, whose: &str, now: UnixTime) -> Result<(), SqliteError> {
    let families: Vec<i64> =
        connection.prepare_cached(sql)?.query_map([whose], |row| row.get(0))?.collect::<Result<_, _>>()?;
    families.into_iter().try_for_each(|family| revoke(connection, family, now))
}

fn redeem(
    connection: &Connection,
    code_hash: &SecretHash,
    refresh: Option<&NewRefreshToken>,
    now: UnixTime,
) -> Result<CodeRedemption, SqliteError> {
    let taken = one(
        connection,
        &format!("DELETE FROM codes WHERE code_hash = ?1 RETURNING {CODE_COLUMNS}"),
        [code_hash],
        code,
    )?;
    let Some(code) = taken else {
        let spent =
            one(connection, "SELECT pk, id FROM families WHERE code_hash = ?1", [code_hash], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let Some((family, family_id)) = spent else { return Ok(CodeRedemption::Unknown) };
        revoke(connection, family, now)?;
        return Ok(CodeRedemption::Replayed { family_id });
    };
    if code.expires_at <= now {
        return Ok(CodeRedemption::Unknown);
    }
    let family = NewFamily {
        id: &code.family_id,
        code_hash: &code.code_hash,
        client_id: &code.client_id,
        user_id: &code.user_id,
        session_id: &code.session_id,
        authenticated_at: code.authenticated_at,
        scopes: &code.scopes,
        audience: code.audience.as_deref(),
    };
    family::begin(connection, &family, refresh, now)?;
    Ok(CodeRedemption::Redeemed(code))
}

fn rotate(
    connection: &Connection,
    hash: &SecretHash,
    client_id: &ClientId,
    next: &NewRefreshToken,
    grace: i64,
    now: UnixTime,
) -> Result<RefreshRotation, SqliteError> {
    let Some(presented) = presented(connection, hash)? else { return Ok(RefreshRotation::Unknown) };
    if presented.revoked || presented.expires_at <= now || presented.token.client_id != *client_id {
        return Ok(RefreshRotation::Unknown);
    }
    match presented.superseded_at {
        None => {
            change(
                connection,
                "UPDATE refresh_tokens SET superseded_at = ?2, successor = ?3 WHERE token_hash = ?1",
                params![hash, now, next.token_hash],
            )?;
        }
        Some(superseded_at) => {
            let lost = match presented.successor {
                // This also holds if the clock was set back a little.
                Some(successor) if grace > 0 && now.saturating_sub(superseded_at) < grace => {
                    void_if_unused(connection, &successor, now)?
                }
                _ => false,
            };
            if !lost {
                revoke(connection, presented.family, now)?;
                return Ok(RefreshRotation::Reused {
                    family_id: presented.token.family_id,
                    user_id: presented.token.user_id,
                    client_id: presented.token.client_id,
                });
            }
            // `superseded_at` does not change: rotating again does not extend the grace period.
            change(
                connection,
                "UPDATE refresh_tokens SET successor = ?2 WHERE token_hash = ?1",
                params![hash, next.token_hash],
            )?;
        }
    }
    insert_token(connection, presented.family, next)?;
    Ok(RefreshRotation::Rotated(presented.token))
}

/// Voids an unused token. Returns `false` if the token has been used.
fn void_if_unused(connection: &Connection, hash: &SecretHash, now: UnixTime) -> Result<bool, SqliteError> {
    let voided = change(
        connection,
        "UPDATE refresh_tokens SET superseded_at = ?2 WHERE token_hash = ?1 AND superseded_at IS NULL",
        params![hash, now],
    )?;
    Ok(voided > 0)
}

fn revoke_if_owned(
    connection: &Connection,
    family: Option<(i64, ClientId)>,
    by: Option<&ClientId>,
    now: UnixTime,
) -> Result<bool, SqliteError> {
    match family {
        Some((family, owner)) if by.is_none_or(|client| *client == owner) => {
            revoke(connection, family, now)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Returns the client that asks for a revocation, or `None` for the server.
fn revoker(by: RevokedBy<'_>) -> Option<ClientId> {
    match by {
        RevokedBy::Client(id) => Some(id.clone()),
        RevokedBy::Server => None,
    }
}

#[async_trait]
impl GrantStore for SqliteStore {
    async fn create_code(&self, code: &AuthorizationCode) -> Result<bool, StoreError> {
        let code = code.clone();
        self.write(move |connection| {
            let created = change(
                connection,
                &format!(
                    "INSERT INTO codes ({CODE_COLUMNS})
                     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12 FROM sessions
                     WHERE id = ?5 AND user_id = ?4"
                ),
                params![
                    code.code_hash,
                    code.family_id,
                    code.client_id.as_str(),
                    code.user_id,
                    code.session_id,
                    code.authenticated_at,
                    code.redirect_uri,
                    code.code_challenge,
                    to_json(&code.scopes)?,
                    code.audience,
                    code.nonce,
                    code.expires_at
                ],
            )
            .map_err(|error| already_exists(error, "authorization code", "(its hash)"))?;
            Ok(created > 0)
        })
        .await
    }

    async fn peek_code(
        &self,
        code_hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<AuthorizationCode>, StoreError> {
        let code_hash = *code_hash;
        self.read(move |connection| {
            one(
                connection,
                &format!("SELECT {CODE_COLUMNS} FROM codes WHERE code_hash = ?1 AND expires_at > ?2"),
                params![code_hash, now],
                code,
            )
        })
        .await
    }

    async fn redeem_code(
        &self,
        code_hash: &SecretHash,
        refresh: Option<&NewRefreshToken>,
        now: UnixTime,
    ) -> Result<CodeRedemption, StoreError> {
        let (code_hash, refresh) = (*code_hash, refresh.cloned());
        self.write(move |connection| redeem(connection, &code_hash, refresh.as_ref(), now)).await
    }

    async fn peek_refresh_token(
        &self,
        hash: &SecretHash,
        client_id: &ClientId,
        now: UnixTime,
    ) -> Result<Option<RefreshToken>, StoreError> {
        let (hash, client_id) = (*hash, client_id.clone());
        self.read(move |connection| {
            Ok(presented(connection, &hash)?
                .filter(|found| {
                    !found.revoked && found.expires_at > now && found.token.client_id == client_id
                })
                .map(|found| found.token))
        })
        .await
    }

    async fn active_refresh_token(
        &self,
        hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<(RefreshToken, UnixTime)>, StoreError> {
        let hash = *hash;
        self.read(move |connection| {
            Ok(presented(connection, &hash)?
                .filter(|found| !found.revoked && found.expires_at > now && found.superseded_at.is_none())
                .map(|found| (found.token, found.expires_at)))
        })
        .await
    }

    async fn rotate_refresh_token(
        &self,
        hash: &SecretHash,
        client_id: &ClientId,
        next: &NewRefreshToken,
        grace: i64,
        now: UnixTime,
    ) -> Result<RefreshRotation, StoreError> {
        let (hash, client_id, next) = (*hash, client_id.clone(), next.clone());
        self.write(move |connection| rotate(connection, &hash, &client_id, &next, grace, now)).await
    }

    async fn revoke_refresh_token(
        &self,
        hash: &SecretHash,
        by: RevokedBy<'_>,
        now: UnixTime,
    ) -> Result<Option<String>, StoreError> {
        let (hash, by) = (*hash, revoker(by));
        self.write(move |connection| {
            let Some(found) = presented(connection, &hash)? else { return Ok(None) };
            let family = Some((found.family, found.token.client_id));
            Ok(revoke_if_owned(connection, family, by.as_ref(), now)?.then_some(found.token.family_id))
        })
        .await
    }

    async fn revoke_family(
        &self,
        family_id: &str,
        by: RevokedBy<'_>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let (family_id, by) = (family_id.to_owned(), revoker(by));
        self.write(move |connection| {
            let family =
                one(connection, "SELECT pk, client_id FROM families WHERE id = ?1", [family_id], |row| {
                    Ok((row.get(0)?, client_id(row, 1)?))
                })?;
            revoke_if_owned(connection, family, by.as_ref(), now)
        })
        .await
    }

    async fn revoke_session_families(
        &self,
        session_id: &str,
        now: UnixTime,
    ) -> Result<Vec<String>, StoreError> {
        let session_id = session_id.to_owned();
        self.write(move |connection| {
            // An unredeemed code must not outlive the session either.
            change(connection, "DELETE FROM codes WHERE session_id = ?1", [&session_id])?;
            let families: Vec<(i64, String)> = connection
                .prepare_cached("SELECT pk, id FROM families WHERE session_id = ?1 AND revoked_at IS NULL")?
                .query_map([&session_id], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            for (family, _) in &families {
                revoke(connection, *family, now)?;
            }
            Ok(families.into_iter().map(|(_, id)| id).collect())
        })
        .await
    }

    async fn families_revoked_since(&self, since: UnixTime) -> Result<Vec<String>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id FROM families WHERE revoked_at >= ?1
                 UNION ALL SELECT id FROM revocations WHERE revoked_at >= ?1",
            )?;
            let families = statement.query_map([since], |row| row.get(0))?;
            Ok(families.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn delete_expired_grants(&self, now: UnixTime) -> Result<u64, StoreError> {
        let mut total = 0;
        loop {
            let removed = self.write(move |connection| clean_up(connection, now)).await?;
            total += removed as u64;
            if removed < CLEAN_UP_STEP as usize {
                return Ok(total);
            }
        }
    }
}
