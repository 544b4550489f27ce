//! Users that a SCIM client provisioned: changes.

use rusqlite::{Connection, params};

use super::user::{Known, find};
use crate::{
    administrator, already_exists, change,
    error::SqliteError,
    one, outside_session,
    user::{self, email_key},
};
use flyte_model::{Limit, clock::UnixTime};
use flyte_store::{
    DeletedUser, RoleIn, SCIM_ORIGIN, ScimOutcome, ScimRefusal, ScimRules, ScimUser, ScimUserChanged,
    ScimUserData, StoreError, User,
};

/// A client that makes a change.
pub(super) struct Client<'a> {
    pub(super) connection: &'a Connection,
    pub(super) name: &'a str,
    pub(super) rules: &'a ScimRules,
    pub(super) now: UnixTime,
}

type Changed = Result<ScimOutcome<ScimUserChanged>, SqliteError>;

impl Client<'_> {
    fn find(&self, condition: &str, value: &str) -> Result<Option<Known>, SqliteError> {
        let condition = format!("s.client = ?1 AND {condition} = ?2");
        find(self.connection, &condition, params![self.name, value])
    }

    /// The user after a change.
    fn read(&self, id: &str) -> Result<ScimUser, SqliteError> {
        let known = self.find("s.user_id", id)?;
        known
            .map(|known| known.user)
            .ok_or_else(|| StoreError::Missing { kind: "SCIM user", id: id.to_owned() }.into())
    }

    fn changed(&self, id: &str, before: Option<ScimUser>, ended: Vec<flyte_store::ApiKey>) -> Changed {
        Ok(ScimOutcome::Done(ScimUserChanged { user: self.read(id)?, before, ended }))
    }

    /// Disables an account, except the last administrator's, and notes that the client did so.
    fn deactivate(&self, id: &str) -> Result<Vec<flyte_store::ApiKey>, SqliteError> {
        let ended =
            administrator::keep_one(self.connection, || user::disable(self.connection, id, self.now))?;
        change(self.connection, "UPDATE scim_users SET deactivated = 1 WHERE user_id = ?1", [id])?;
        Ok(ended.unwrap_or_default())
    }
}

fn refused<T>(refusal: ScimRefusal) -> Result<ScimOutcome<T>, SqliteError> {
    Ok(ScimOutcome::Refused(refusal))
}

/// Provisions a user.
pub(super) fn create(client: &Client<'_>, id: &str, data: &ScimUserData) -> Changed {
    if let Some(external_id) = &data.external_id
        && let Some(known) = client.find("s.external_id", external_id)?
    {
        if known.user.active {
            return refused(ScimRefusal::Taken("externalId"));
        }
        return write(client, &known, data);
    }
    if client.find("s.user_name_key", &data.user_name.to_lowercase())?.is_some() {
        return refused(ScimRefusal::Taken("userName"));
    }
    let sql = format!("SELECT {} FROM users WHERE email_key = ?1", user::COLUMNS);
    match one(client.connection, &sql, [email_key(&data.email)], user::user)? {
        Some(account) => adopt(client, &account, data),
        None => create_account(client, id, data),
    }
}

fn create_account(client: &Client<'_>, id: &str, data: &ScimUserData) -> Changed {
    let account = User {
        id: id.to_owned(),
        email: data.email.clone(),
        name: data.name.clone(),
        password_hash: None,
        admin: false,
        created_at: client.now,
        disabled_at: None,
    };
    let role = |role: &String| RoleIn { role: role.clone(), limit: Limit::default() };
    let roles: Vec<_> = client.rules.role.iter().map(role).collect();
    user::insert(client.connection, &account, &roles)?;
    insert(client, id, data, false)?;
    if let Some((issuer, subject)) = client.rules.issuer.as_ref().zip(data.external_id.as_ref()) {
        connect(client, id, issuer, subject)?;
    }
    let ended = if data.active { Vec::new() } else { client.deactivate(id)? };
    client.changed(id, None, ended)
}

/// Takes over an account that no client provisioned. Its address and its identities stay.
fn adopt(client: &Client<'_>, account: &User, data: &ScimUserData) -> Changed {
    // The key folds case in all of Unicode, in which other characters can become ASCII.
    let is_same = account.email.trim().eq_ignore_ascii_case(data.email.trim());
    let sql = "SELECT 1 FROM scim_users WHERE user_id = ?1";
    let is_owned = one(client.connection, sql, [&account.id], |_| Ok(()))?.is_some();
    if !client.rules.adopts || !is_same || is_owned {
        return refused(ScimRefusal::AccountExists);
    }
    if administrator::is_one(client.connection, &account.id)? {
        return refused(ScimRefusal::Administrator);
    }
    if account.disabled_at.is_some() {
        return refused(ScimRefusal::DisabledHere);
    }
    insert(client, &account.id, data, true)?;
    change(client.connection, "UPDATE users SET name = ?2 WHERE id = ?1", params![account.id, data.name])?;
    let ended = if data.active { Vec::new() } else { client.deactivate(&account.id)? };
    client.changed(&account.id, None, ended)
}

fn insert(client: &Client<'_>, id: &str, data: &ScimUserData, adopted: bool) -> Result<(), SqliteError> {
    change(
        client.connection,
        "INSERT INTO scim_users (user_id, client, user_name, user_name_key, external_id, display_key, adopted,
             deactivated, attributes, version, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, 1, ?9, ?9)",
        params![
            id,
            client.name,
            data.user_name,
            data.user_name.to_lowercase(),
            data.external_id,
            data.display_name.as_ref().map(|name| name.to_lowercase()),
            adopted,
            data.attributes,
            client.now
        ],
    )
    .map_err(|error| already_exists(error, "SCIM user", &data.user_name))?;
    set_emails(client, id, data)
}

fn set_emails(client: &Client<'_>, id: &str, data: &ScimUserData) -> Result<(), SqliteError> {
    change(client.connection, "DELETE FROM scim_emails WHERE user_id = ?1", [id])?;
    for email in data.emails.iter().chain([&data.email]) {
        let sql = "INSERT INTO scim_emails (email_key, user_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        change(client.connection, sql, params![email_key(email), id])?;
    }
    Ok(())
}

/// Connects an account to its user at the issuer.
fn connect(client: &Client<'_>, id: &str, issuer: &str, subject: &str) -> Result<(), SqliteError> {
    change(
        client.connection,
        "INSERT INTO outside_identities (issuer, subject, provider, user_id, linked_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![issuer, subject, format!("{SCIM_ORIGIN}{}", client.name), id, client.now],
    )
    .map_err(|error| already_exists(error, "outside identity", subject))?;
    Ok(())
}

/// Replaces what the client says about one of its users, if it has this version.
pub(super) fn change_known(client: &Client<'_>, id: &str, data: &ScimUserData, version: i64) -> Changed {
    let Some(known) = client.find("s.user_id", id)? else { return Ok(ScimOutcome::Unknown) };
    if known.user.version != version {
        return Ok(ScimOutcome::Stale);
    }
    write(client, &known, data)
}

fn write(client: &Client<'_>, known: &Known, data: &ScimUserData) -> Changed {
    let before = &known.user;
    let connection = client.connection;
    let has_moved = before.email != data.email;
    let is_other_address = email_key(&before.email) != email_key(&data.email);
    let issuer = client.rules.issuer.as_ref().filter(|_| !before.adopted);
    let is_other_subject = issuer.is_some() && before.external_id != data.external_id;
    if before.adopted && is_other_address {
        return refused(ScimRefusal::Adopted);
    }
    if (is_other_address || is_other_subject) && administrator::is_one(connection, &before.id)? {
        return refused(ScimRefusal::Administrator);
    }
    if data.active && !before.active && !known.deactivated {
        return refused(ScimRefusal::DisabledHere);
    }
    // Otherwise the directory could provision the address or the subject again.
    if !before.active && !known.deactivated && (is_other_address || is_other_subject) {
        return refused(ScimRefusal::DisabledHere);
    }
    if before.name != data.name {
        change(connection, "UPDATE users SET name = ?2 WHERE id = ?1", params![before.id, data.name])?;
    }
    if has_moved && !before.adopted {
        let sql = "UPDATE users SET email = ?2, email_key = ?3 WHERE id = ?1";
        change(connection, sql, params![before.id, data.email, email_key(&data.email)])
            .map_err(|error| already_exists(error, "user", &data.email))?;
    }
    if let Some(issuer) = issuer.filter(|_| is_other_subject) {
        if let Some(old) = &before.external_id {
            let sql = "SELECT 1 FROM outside_identities WHERE user_id = ?1 AND issuer = ?2 AND subject = ?3";
            if one(connection, sql, params![before.id, issuer, old], |_| Ok(()))?.is_some() {
                // Who signed in as the old user of the provider is another person now, or not known there.
                outside_session::end_all_of_identity(connection, issuer, old, client.now)?;
            }
            let sql = "DELETE FROM outside_identities WHERE user_id = ?1 AND issuer = ?2 AND subject = ?3";
            change(connection, sql, params![before.id, issuer, old])?;
        }
        if let Some(new) = &data.external_id {
            connect(client, &before.id, issuer, new)?;
        }
    }
    change(
        connection,
        "UPDATE scim_users SET user_name = ?2, user_name_key = ?3, external_id = ?4, display_key = ?5, attributes = ?6,
             version = version + 1, updated_at = ?7
         WHERE user_id = ?1",
        params![
            before.id,
            data.user_name,
            data.user_name.to_lowercase(),
            data.external_id,
            data.display_name.as_ref().map(|name| name.to_lowercase()),
            data.attributes,
            client.now
        ],
    )
    .map_err(|error| already_exists(error, "SCIM user", &data.user_name))?;
    set_emails(client, &before.id, data)?;
    let mut ended = Vec::new();
    match (before.active, data.active) {
        (true, false) => ended = client.deactivate(&before.id)?,
        (false, true) => {
            change(connection, "UPDATE users SET disabled_at = NULL WHERE id = ?1", [&before.id])?;
            change(connection, "UPDATE scim_users SET deactivated = 0 WHERE user_id = ?1", [&before.id])?;
        }
        _ => {}
    }
    client.changed(&before.id, Some(before.clone()), ended)
}

/// Deletes a user. An adopted account, or one that an administrator disabled, is disabled and released: the directory cannot
/// provision it again.
pub(super) fn delete(
    client: &Client<'_>,
    id: &str,
    version: Option<i64>,
) -> Result<ScimOutcome<(ScimUser, DeletedUser)>, SqliteError> {
    let found = client.find("s.user_id", id)?;
    let Some(Known { mut user, deactivated }) = found else { return Ok(ScimOutcome::Unknown) };
    if version.is_some_and(|version| version != user.version) {
        return Ok(ScimOutcome::Stale);
    }
    let connection = client.connection;
    user.adopted |= !user.active && !deactivated;
    let ended = if user.adopted {
        administrator::keep_one(connection, || {
            let api_keys = user::disable(connection, id, client.now)?.unwrap_or_default();
            let sql = "DELETE FROM group_members WHERE user_id = ?1 AND group_id IN
                           (SELECT group_id FROM scim_groups WHERE client = ?2)";
            change(connection, sql, params![id, client.name])?;
            change(connection, "DELETE FROM scim_users WHERE user_id = ?1", [id])?;
            Ok(DeletedUser { api_keys, trust_rules: Vec::new() })
        })?
    } else {
        user::delete(connection, id, client.now)?.unwrap_or_default()
    };
    Ok(ScimOutcome::Done((user, ended)))
}
