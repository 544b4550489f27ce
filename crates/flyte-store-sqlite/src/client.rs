//! OAuth clients and consents.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::{SqliteStore, already_exists, change, client_id, family, from_json, grant, one, to_json};
use flyte_model::{ClientId, clock::UnixTime};
use flyte_store::{Client, ClientKind, ClientStore, Consent, StoreError};

fn client(row: &Row<'_>) -> rusqlite::Result<Client> {
    Ok(Client {
        id: client_id(row, 0)?,
        name: row.get(1)?,
        kind: if row.get(2)? { ClientKind::Confidential } else { ClientKind::Public },
        secret_hash: row.get(3)?,
        redirect_uris: from_json(row, 4)?,
        post_logout_redirect_uris: from_json(row, 5)?,
        grant_types: from_json(row, 6)?,
        scopes: from_json(row, 7)?,
        first_party: row.get(8)?,
        created_at: row.get(9)?,
        jwks: row.get(10)?,
        may_keep_api_keys: row.get(11)?,
        id_token_signed_response_alg: row.get(12)?,
    })
}

fn consent(row: &Row<'_>) -> rusqlite::Result<Consent> {
    Ok(Consent {
        user_id: row.get(0)?,
        client_id: client_id(row, 1)?,
        scopes: from_json(row, 2)?,
        granted_at: row.get(3)?,
    })
}

const CONSENT: &str =
    "SELECT user_id, client_id, scopes, granted_at FROM consents WHERE user_id = ?1 AND client_id = ?2";

const COLUMNS: &str =
    "id, name, confidential, secret_hash, redirect_uris, post_logout_redirect_uris, grant_types,
     scopes, first_party, created_at, jwks, may_keep_api_keys, id_token_signed_response_alg";

const REPLACE: &str =
    " ON CONFLICT (id) DO UPDATE SET name = excluded.name, confidential = excluded.confidential,
         secret_hash = excluded.secret_hash, redirect_uris = excluded.redirect_uris,
         post_logout_redirect_uris = excluded.post_logout_redirect_uris, grant_types = excluded.grant_types,
         scopes = excluded.scopes, first_party = excluded.first_party, created_at = excluded.created_at,
         jwks = excluded.jwks, may_keep_api_keys = excluded.may_keep_api_keys,
         id_token_signed_response_alg = excluded.id_token_signed_response_alg";

/// Adds a client; `conflict` is the SQL for an existing client with its identifier.
fn insert(connection: &Connection, client: &Client, conflict: &str) -> Result<(), SqliteError> {
    // Otherwise the secret of one of them would give the rights of the other.
    let key =
        one(connection, "SELECT 1 FROM api_keys WHERE client_id = ?1", [client.id.as_str()], |_| Ok(()))?;
    if key.is_some() {
        return Err(StoreError::AlreadyExists { kind: "API key", id: client.id.to_string() }.into());
    }
    change(
        connection,
        &format!(
            "INSERT INTO clients ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13){conflict}"
        ),
        params![
            client.id.as_str(),
            client.name,
            client.kind == ClientKind::Confidential,
            client.secret_hash,
            to_json(&client.redirect_uris)?,
            to_json(&client.post_logout_redirect_uris)?,
            to_json(&client.grant_types)?,
            to_json(&client.scopes)?,
            client.first_party,
            client.created_at,
            client.jwks,
            client.may_keep_api_keys,
            client.id_token_signed_response_alg
        ],
    )
    .map_err(|error| already_exists(error, "client", client.id.as_str()))?;
    Ok(())
}

#[async_trait]
impl ClientStore for SqliteStore {
    async fn put_client(&self, client: &Client) -> Result<(), StoreError> {
        let client = client.clone();
        self.write(move |connection| insert(connection, &client, REPLACE)).await
    }

    async fn create_client(&self, client: &Client) -> Result<(), StoreError> {
        let client = client.clone();
        self.write(move |connection| insert(connection, &client, "")).await
    }

    async fn delete_client(&self, id: &ClientId, now: UnixTime) -> Result<bool, StoreError> {
        let id = id.clone();
        self.write(move |connection| {
            grant::revoke_all_of_client(connection, &id, now)?;
            // Deleting the client also deletes the consents to it.
            Ok(change(connection, "DELETE FROM clients WHERE id = ?1", [id.as_str()])? > 0)
        })
        .await
    }

    async fn clients(&self) -> Result<Vec<Client>, StoreError> {
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM clients ORDER BY id");
            let mut statement = connection.prepare_cached(&sql)?;
            let clients = statement.query_map([], client)?;
            Ok(clients.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn client_by_id(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            one(connection, &format!("SELECT {COLUMNS} FROM clients WHERE id = ?1"), [id.as_str()], client)
        })
        .await
    }

    async fn add_consent(&self, new: &Consent) -> Result<(), StoreError> {
        let mut new = new.clone();
        self.write(move |connection| {
            if let Some(old) =
                one(connection, CONSENT, [new.user_id.as_str(), new.client_id.as_str()], consent)?
            {
                new.scopes.extend(old.scopes);
            }
            new.scopes.sort();
            change(
                connection,
                "INSERT INTO consents (user_id, client_id, scopes, granted_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (user_id, client_id)
                 DO UPDATE SET scopes = excluded.scopes, granted_at = excluded.granted_at",
                params![new.user_id, new.client_id.as_str(), to_json(&new.scopes)?, new.granted_at],
            )?;
            Ok(())
        })
        .await
    }

    async fn consents(&self, user_id: &str) -> Result<Vec<Consent>, StoreError> {
        let user_id = user_id.to_owned();
        self.read(move |connection| {
            let sql = "SELECT user_id, client_id, scopes, granted_at FROM consents WHERE user_id = ?1 ORDER BY client_id";
            let mut statement = connection.prepare_cached(sql)?;
            let consents = statement.query_map([user_id], consent)?;
            Ok(consents.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn withdraw_consent(
        &self,
        user_id: &str,
        client_id: &ClientId,
        now: UnixTime,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let (user_id, client_id) = (user_id.to_owned(), client_id.to_string());
        self.write(move |connection| {
            let of_both = [&*user_id, &*client_id];
            let sql = "DELETE FROM consents WHERE user_id = ?1 AND client_id = ?2";
            if change(connection, sql, of_both)? == 0 {
                return Ok(None);
            }
            change(connection, "DELETE FROM codes WHERE user_id = ?1 AND client_id = ?2", of_both)?;
            change(connection, "DELETE FROM devices WHERE user_id = ?1 AND client_id = ?2", of_both)?;
            family::revoke_each(connection, "user_id = ?1 AND client_id = ?2", &of_both, now).map(Some)
        })
        .await
    }

    async fn consent(&self, user_id: &str, client_id: &ClientId) -> Result<Option<Consent>, StoreError> {
        let key = [user_id.to_owned(), client_id.to_string()];
        self.read(move |connection| one(connection, CONSENT, key, consent)).await
    }
}
