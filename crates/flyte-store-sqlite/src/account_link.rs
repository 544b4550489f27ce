//! One-time links for accounts.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};

use super::{
    SqliteStore, already_exists, change, one, outside_identity,
    page::{self, Key, Order},
    unexpected_value, user,
};
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;
use flyte_store::{
    AccountLink, AccountLinkQuery, AccountLinkStore, EmailProof, LinkPurpose, OutsideIdentity, RoleIn,
    StoreError, User,
};

const COLUMNS: &str =
    "id, purpose, user_id, email, new_email, mailed, created_by, account_links.created_at, expires_at";

/// A link that can be used: its account is enabled and still has the address.
const VALID: &str = "EXISTS (SELECT 1 FROM users WHERE users.id = user_id AND disabled_at IS NULL
                             AND users.email_key = account_links.email_key)";

fn number(purpose: LinkPurpose) -> i64 {
    match purpose {
        LinkPurpose::Password => 0,
        LinkPurpose::Invitation => 1,
        LinkPurpose::Email => 2,
    }
}

fn link(row: &Row<'_>) -> rusqlite::Result<AccountLink> {
    let purpose = match row.get(1)? {
        0 => LinkPurpose::Password,
        1 => LinkPurpose::Invitation,
        2 => LinkPurpose::Email,
        other => return Err(unexpected_value(1, other)),
    };
    Ok(AccountLink {
        id: row.get(0)?,
        purpose,
        user_id: row.get(2)?,
        email: row.get(3)?,
        new_email: row.get(4)?,
        mailed: row.get(5)?,
        created_by: row.get(6)?,
        created_at: row.get(7)?,
        expires_at: row.get(8)?,
    })
}

/// Adds a link if its account can use it.
fn insert(connection: &Connection, link: &AccountLink, token_hash: SecretHash) -> Result<bool, SqliteError> {
    let purpose = number(link.purpose);
    let key = user::email_key(&link.email);
    let sql = "SELECT 1 FROM users WHERE id = ?1 AND email_key = ?2 AND disabled_at IS NULL";
    if one(connection, sql, params![link.user_id, key], |_| Ok(()))?.is_none() {
        return Ok(false);
    }
    let sql = "DELETE FROM account_links WHERE (user_id = ?1 AND purpose = ?2) OR sort_key = ?3 || ' ' || ?2";
    change(connection, sql, params![link.user_id, purpose, key])?;
    change(
        connection,
        "INSERT INTO account_links (token_hash, id, purpose, user_id, email, email_key, new_email, mailed, created_by,
                                    created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            token_hash,
            link.id,
            purpose,
            link.user_id,
            link.email,
            key,
            link.new_email,
            link.mailed,
            link.created_by,
            link.created_at,
            link.expires_at
        ],
    )?;
    Ok(true)
}

fn find(
    connection: &Connection,
    token_hash: SecretHash,
    now: UnixTime,
) -> Result<Option<AccountLink>, SqliteError> {
    let sql =
        format!("SELECT {COLUMNS} FROM account_links WHERE token_hash = ?1 AND expires_at > ?2 AND {VALID}");
    one(connection, &sql, params![token_hash, now], link)
}

/// Uses a valid link for one of these purposes.
fn take(
    connection: &Connection,
    token_hash: SecretHash,
    purposes: &[LinkPurpose],
    now: UnixTime,
) -> Result<Option<AccountLink>, SqliteError> {
    let found = find(connection, token_hash, now)?.filter(|link| purposes.contains(&link.purpose));
    if found.is_some() {
        change(connection, "DELETE FROM account_links WHERE token_hash = ?1", [token_hash])?;
    }
    Ok(found)
}

fn account(connection: &Connection, id: &str) -> Result<Option<User>, SqliteError> {
    let sql = format!("SELECT {} FROM users WHERE id = ?1", user::COLUMNS);
    one(connection, &sql, [id], user::user)
}

/// Ends all links of an account.
pub(super) fn end_all_of(connection: &Connection, user_id: &str) -> Result<(), SqliteError> {
    change(connection, "DELETE FROM account_links WHERE user_id = ?1", [user_id])?;
    Ok(())
}

/// Ends the links that a user made for others. A user who is disabled must not come back by one of them.
pub(super) fn end_made_by(connection: &Connection, user_id: &str) -> Result<(), SqliteError> {
    change(connection, "DELETE FROM account_links WHERE created_by = ?1", [user_id])?;
    Ok(())
}

/// Ends the links of an account that a sign-in makes useless: those that set a password.
pub(super) fn end_after_sign_in(connection: &Connection, user_id: &str) -> Result<(), SqliteError> {
    let sql = "DELETE FROM account_links WHERE user_id = ?1 AND purpose IN (0, 1)";
    change(connection, sql, [user_id])?;
    Ok(())
}

/// Records that the user of a link that was mailed controls the address.
fn prove(
    connection: &Connection,
    link: &AccountLink,
    email: &str,
    proved_at: UnixTime,
) -> Result<(), SqliteError> {
    let proof = EmailProof { issuer: None, proved_at };
    outside_identity::prove(connection, &link.user_id, email, &proof)?;
    Ok(())
}

fn set_email(
    connection: &Connection,
    link: &AccountLink,
    now: UnixTime,
) -> Result<Option<User>, SqliteError> {
    let Some(email) = &link.new_email else { return Ok(None) };
    let sql = "UPDATE users SET email = ?2, email_key = ?3 WHERE id = ?1";
    change(connection, sql, params![link.user_id, email, user::email_key(email)])
        .map_err(|error| already_exists(error, "user", email))?;
    end_all_of(connection, &link.user_id)?;
    prove(connection, link, email, now)?;
    account(connection, &link.user_id)
}

#[async_trait]
impl AccountLinkStore for SqliteStore {
    async fn create_account_link(
        &self,
        link: &AccountLink,
        token_hash: &SecretHash,
    ) -> Result<bool, StoreError> {
        let (link, token_hash) = (link.clone(), *token_hash);
        self.write(move |connection| insert(connection, &link, token_hash)).await
    }

    async fn create_invited_user(
        &self,
        user: &User,
        roles: &[RoleIn],
        link: &AccountLink,
        token_hash: &SecretHash,
    ) -> Result<(), StoreError> {
        let (user, roles, link, token_hash) = (user.clone(), roles.to_vec(), link.clone(), *token_hash);
        self.write(move |connection| {
            user::insert(connection, &user, &roles)?;
            insert(connection, &link, token_hash)?;
            Ok(())
        })
        .await
    }

    async fn renew_account_link(
        &self,
        id: &str,
        token_hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<AccountLink>, StoreError> {
        let (id, token_hash) = (id.to_owned(), *token_hash);
        self.write(move |connection| {
            let sql = "UPDATE account_links SET token_hash = ?2 WHERE id = ?1";
            change(connection, sql, params![id, token_hash])?;
            find(connection, token_hash, now)
        })
        .await
    }

    async fn account_link_by_token(
        &self,
        token_hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<AccountLink>, StoreError> {
        let token_hash = *token_hash;
        self.read(move |connection| find(connection, token_hash, now)).await
    }

    async fn list_account_links(
        &self,
        query: &AccountLinkQuery,
        now: UnixTime,
    ) -> Result<(Vec<AccountLink>, String), StoreError> {
        let AccountLinkQuery { limit, page_token } = query.clone();
        self.read(move |connection| {
            let listing = page::listing("account_links");
            let order = Order {
                columns: &["sort_key"],
                like: vec![Key::Text(String::new())],
                descending: false,
                listing: &listing,
                token: &page_token,
                limit,
            };
            let mut values = vec![Value::Integer(now)];
            let conditions = vec!["expires_at > ?".to_owned(), VALID.to_owned()];
            let select = format!("SELECT {COLUMNS} FROM account_links");
            let sql = order.complete(&select, conditions, &mut values)?;
            let mut statement = connection.prepare_cached(&sql)?;
            let links = statement.query_map(params_from_iter(values), link)?.collect::<Result<_, _>>()?;
            let key =
                |last: &AccountLink| format!("{} {}", user::email_key(&last.email), number(last.purpose));
            page::cut(links, limit, &listing, |last| vec![Key::Text(key(last))])
        })
        .await
    }

    async fn delete_account_link(&self, id: &str) -> Result<Option<AccountLink>, StoreError> {
        let id = id.to_owned();
        self.write(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM account_links WHERE id = ?1");
            let found = one(connection, &sql, [&id], link)?;
            change(connection, "DELETE FROM account_links WHERE id = ?1", [&id])?;
            Ok(found)
        })
        .await
    }

    async fn set_password_by_link(
        &self,
        token_hash: &SecretHash,
        password_hash: &str,
        now: UnixTime,
    ) -> Result<Option<User>, StoreError> {
        let (token_hash, password_hash) = (*token_hash, password_hash.to_owned());
        self.write(move |connection| {
            let purposes = [LinkPurpose::Password, LinkPurpose::Invitation];
            let Some(link) = take(connection, token_hash, &purposes, now)? else { return Ok(None) };
            user::set_password_hash(connection, &link.user_id, &password_hash, now)?;
            if link.mailed {
                prove(connection, &link, &link.email, now)?;
            }
            account(connection, &link.user_id)
        })
        .await
    }

    async fn link_identity_by_invitation(
        &self,
        token_hash: &SecretHash,
        identity: &OutsideIdentity,
        now: UnixTime,
    ) -> Result<Option<User>, StoreError> {
        let (token_hash, mut identity) = (*token_hash, identity.clone());
        self.write(move |connection| {
            let found = take(connection, token_hash, &[LinkPurpose::Invitation], now)?;
            let Some(link) = found else { return Ok(None) };
            identity.user_id.clone_from(&link.user_id);
            outside_identity::insert(connection, &identity, "TRUE")?;
            if link.mailed {
                prove(connection, &link, &link.email, now)?;
            }
            end_after_sign_in(connection, &link.user_id)?;
            account(connection, &link.user_id)
        })
        .await
    }

    async fn set_email_by_link(
        &self,
        token_hash: &SecretHash,
        user_id: &str,
        now: UnixTime,
    ) -> Result<Option<User>, StoreError> {
        let (token_hash, user_id) = (*token_hash, user_id.to_owned());
        self.write(move |connection| {
            let found = find(connection, token_hash, now)?.filter(|link| link.user_id == user_id);
            match found {
                Some(link) if link.purpose == LinkPurpose::Email => set_email(connection, &link, now),
                _ => Ok(None),
            }
        })
        .await
    }

    async fn delete_expired_account_links(&self, now: UnixTime) -> Result<u64, StoreError> {
        self.write(move |connection| {
            Ok(change(connection, "DELETE FROM account_links WHERE expires_at <= ?1", [now])? as u64)
        })
        .await
    }
}
