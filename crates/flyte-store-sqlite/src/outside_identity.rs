//! Users of outside providers.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::{SqliteStore, already_exists, change, one, outside_session, user};
use flyte_model::clock::UnixTime;
use flyte_store::{
    EmailProof, EndedSessions, LastWay, OutsideIdentity, OutsideIdentityStore, RoleIn, StoreError, User,
};

const COLUMNS: &str = "issuer, subject, provider, user_id, email, linked_at, last_sign_in_at";

fn identity(row: &Row<'_>) -> rusqlite::Result<OutsideIdentity> {
    Ok(OutsideIdentity {
        issuer: row.get(0)?,
        subject: row.get(1)?,
        provider: row.get(2)?,
        user_id: row.get(3)?,
        email: row.get(4)?,
        linked_at: row.get(5)?,
        last_sign_in_at: row.get(6)?,
    })
}

/// Inserts an identity if its account exists, is enabled and meets the condition.
pub(super) fn insert(
    connection: &Connection,
    identity: &OutsideIdentity,
    condition: &str,
) -> Result<bool, SqliteError> {
    let inserted = change(
        connection,
        &format!(
            "INSERT INTO outside_identities ({COLUMNS})
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 FROM users WHERE id = ?4 AND disabled_at IS NULL AND {condition}"
        ),
        params![
            identity.issuer,
            identity.subject,
            identity.provider,
            identity.user_id,
            identity.email,
            identity.linked_at,
            identity.last_sign_in_at
        ],
    )
    .map_err(|error| already_exists(error, "outside identity", &identity.subject))?;
    Ok(inserted > 0)
}

/// Records a proof that the user controls the address. Returns `false` if it is not the account's.
pub(super) fn prove(
    connection: &Connection,
    user_id: &str,
    email: &str,
    proof: &EmailProof,
) -> Result<bool, SqliteError> {
    let sql = "SELECT 1 FROM users WHERE id = ?1 AND email_key = ?2";
    let email_key = user::email_key(email);
    if one(connection, sql, [user_id, &email_key], |_| Ok(()))?.is_none() {
        return Ok(false);
    }
    change(
        connection,
        "INSERT INTO email_proofs (user_id, email_key, issuer, proved_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (user_id) DO UPDATE
         SET email_key = excluded.email_key, issuer = excluded.issuer, proved_at = excluded.proved_at
         WHERE excluded.issuer IS NULL OR email_proofs.issuer IS NOT NULL
               OR email_proofs.email_key != excluded.email_key",
        params![user_id, email_key, proof.issuer, proof.proved_at],
    )?;
    Ok(true)
}

#[async_trait]
impl OutsideIdentityStore for SqliteStore {
    async fn outside_identity(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<OutsideIdentity>, StoreError> {
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM outside_identities WHERE issuer = ?1 AND subject = ?2");
            one(connection, &sql, [issuer, subject], identity)
        })
        .await
    }

    async fn outside_identities_of(&self, user_id: &str) -> Result<Vec<OutsideIdentity>, StoreError> {
        let user_id = user_id.to_owned();
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM outside_identities WHERE user_id = ?1 ORDER BY linked_at, issuer, subject"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let identities = statement.query_map([user_id], identity)?;
            Ok(identities.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn link_outside_identity(&self, identity: &OutsideIdentity) -> Result<bool, StoreError> {
        let identity = identity.clone();
        self.write(move |connection| insert(connection, &identity, "TRUE")).await
    }

    async fn link_first_outside_identity(&self, identity: &OutsideIdentity) -> Result<bool, StoreError> {
        let identity = identity.clone();
        let has_none = "NOT EXISTS (SELECT 1 FROM outside_identities WHERE user_id = ?4)
                        AND NOT EXISTS (SELECT 1 FROM removed_connections WHERE user_id = ?4 AND issuer = ?1)";
        self.write(move |connection| insert(connection, &identity, has_none)).await
    }

    async fn create_user_of_identity(
        &self,
        user: &User,
        roles: &[RoleIn],
        identity: &OutsideIdentity,
        vouches: bool,
    ) -> Result<(), StoreError> {
        let (user, roles, identity) = (user.clone(), roles.to_vec(), identity.clone());
        self.write(move |connection| {
            user::insert(connection, &user, &roles)?;
            insert(connection, &identity, "TRUE")?;
            if vouches {
                let proof = EmailProof { issuer: Some(identity.issuer.clone()), proved_at: user.created_at };
                prove(connection, &user.id, &user.email, &proof)?;
            }
            Ok(())
        })
        .await
    }

    async fn unlink_outside_identity(
        &self,
        user_id: &str,
        issuer: &str,
        subject: &str,
        last: LastWay,
        now: UnixTime,
    ) -> Result<Option<EndedSessions>, StoreError> {
        let key = [user_id.to_owned(), issuer.to_owned(), subject.to_owned()];
        self.write(move |connection| {
            let sql = "SELECT 1 FROM outside_identities WHERE user_id = ?1 AND issuer = ?2 AND subject = ?3";
            let [user_id, issuer, subject] = &key;
            if one(connection, sql, [user_id, issuer, subject], |_| Ok(()))?.is_none() {
                return Ok(None);
            }
            if let LastWay::MustStay { passwords } = last {
                let sql = "SELECT 1 FROM users WHERE id = ?1 AND (?2 AND password_hash IS NOT NULL OR EXISTS
                               (SELECT 1 FROM outside_identities WHERE user_id = ?1 AND (issuer, subject) != (?3, ?4)))";
                if one(connection, sql, params![user_id, passwords, issuer, subject], |_| Ok(()))?.is_none() {
                    return Err(StoreError::InUse { kind: "outside identity", id: subject.clone() }.into());
                }
            }
            let ended = outside_session::end_all_of_identity(connection, issuer, subject, now)?;
            let sql = "DELETE FROM outside_identities WHERE issuer = ?1 AND subject = ?2";
            change(connection, sql, [issuer, subject])?;
            let sql = "INSERT OR IGNORE INTO removed_connections (user_id, issuer) VALUES (?1, ?2)";
            change(connection, sql, [user_id, issuer])?;
            Ok(Some(ended))
        })
        .await
    }

    async fn note_outside_sign_in(
        &self,
        identity: &OutsideIdentity,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let OutsideIdentity { issuer, subject, provider, email, .. } = identity.clone();
        self.write(move |connection| {
            let sql = "UPDATE outside_identities SET provider = ?3, email = ?4, last_sign_in_at = ?5
                       WHERE issuer = ?1 AND subject = ?2";
            change(connection, sql, params![issuer, subject, provider, email, now])?;
            Ok(())
        })
        .await
    }

    async fn prove_email(&self, user_id: &str, email: &str, proof: &EmailProof) -> Result<bool, StoreError> {
        let (user_id, email, proof) = (user_id.to_owned(), email.to_owned(), proof.clone());
        self.write(move |connection| prove(connection, &user_id, &email, &proof)).await
    }

    async fn email_proof(&self, user_id: &str) -> Result<Option<EmailProof>, StoreError> {
        let user_id = user_id.to_owned();
        self.read(move |connection| {
            let sql = "SELECT issuer, proved_at FROM email_proofs
                       JOIN users ON id = user_id AND users.email_key = email_proofs.email_key WHERE user_id = ?1";
            let proof = |row: &Row<'_>| Ok(EmailProof { issuer: row.get(0)?, proved_at: row.get(1)? });
            one(connection, sql, [user_id], proof)
        })
        .await
    }
}
