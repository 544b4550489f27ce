//! Trust rules.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Params, Row, params};

use super::{
    SqliteStore, already_exists, change, from_json, last_use, one, revocation, to_json, unexpected_value,
};
use flyte_model::{Limit, Rights, Role, clock::UnixTime};
use flyte_store::{StoreError, TrustRule, TrustStore};

const COLUMNS: &str =
    "name, issuer, audience, claims, jwks_uri, role, scopes, project, domain, token_lifetime,
     created_by, created_at, last_used_at, family_id";

fn rule(row: &Row<'_>) -> rusqlite::Result<TrustRule> {
    let role = row.get(5)?;
    Ok(TrustRule {
        name: row.get(0)?,
        issuer: row.get(1)?,
        audience: row.get(2)?,
        claims: from_json(row, 3)?,
        jwks_uri: row.get(4)?,
        rights: Rights {
            role: Role::from_number(role).ok_or_else(|| unexpected_value(5, role))?,
            scopes: from_json(row, 6)?,
            limit: Limit { project: row.get(7)?, domain: row.get(8)? },
        },
        token_lifetime: row.get(9)?,
        created_by: row.get(10)?,
        created_at: row.get(11)?,
        last_used_at: row.get(12)?,
        family_id: row.get(13)?,
    })
}

fn insert(connection: &Connection, rule: &TrustRule) -> Result<(), SqliteError> {
    change(
        connection,
        &format!(
            "INSERT INTO trust_rules ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        ),
        params![
            rule.name,
            rule.issuer,
            rule.audience,
            to_json(&rule.claims)?,
            rule.jwks_uri,
            rule.rights.role as i64,
            to_json(&rule.rights.scopes)?,
            rule.rights.limit.project,
            rule.rights.limit.domain,
            rule.token_lifetime,
            rule.created_by,
            rule.created_at,
            rule.last_used_at,
            rule.family_id
        ],
    )
    .map_err(|error| already_exists(error, "trust rule", &rule.name))?;
    Ok(())
}

fn find(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Option<TrustRule>, SqliteError> {
    one(connection, &format!("SELECT {COLUMNS} FROM trust_rules WHERE {condition}"), params, rule)
}

fn all(connection: &Connection, condition: &str, params: impl Params) -> Result<Vec<TrustRule>, SqliteError> {
    let sql = format!("SELECT {COLUMNS} FROM trust_rules WHERE {condition} ORDER BY name");
    let rules = connection.prepare_cached(&sql)?.query_map(params, rule)?.collect::<Result<_, _>>()?;
    Ok(rules)
}

/// Deletes the rules that a user created, and revokes their tokens. Returns them.
pub(super) fn delete_made_by(
    connection: &Connection,
    user_id: &str,
    now: UnixTime,
) -> Result<Vec<TrustRule>, SqliteError> {
    let rules = all(connection, "created_by = ?1", [user_id])?;
    for rule in &rules {
        revocation::revoke(connection, &rule.family_id, now)?;
    }
    change(connection, "DELETE FROM trust_rules WHERE created_by = ?1", [user_id])?;
    Ok(rules)
}

#[async_trait]
impl TrustStore for SqliteStore {
    async fn create_trust_rule(&self, rule: &TrustRule) -> Result<(), StoreError> {
        let rule = rule.clone();
        self.write(move |connection| insert(connection, &rule)).await
    }

    async fn trust_rule_by_name(&self, name: &str) -> Result<Option<TrustRule>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| find(connection, "name = ?1", [name])).await
    }

    async fn trust_rule_by_family(&self, family_id: &str) -> Result<Option<TrustRule>, StoreError> {
        let family_id = family_id.to_owned();
        self.read(move |connection| find(connection, "family_id = ?1", [family_id])).await
    }

    async fn trust_rules_of_issuer(&self, issuer: &str) -> Result<Vec<TrustRule>, StoreError> {
        let issuer = issuer.to_owned();
        self.read(move |connection| all(connection, "issuer = ?1", [issuer])).await
    }

    async fn list_trust_rules(&self) -> Result<Vec<TrustRule>, StoreError> {
        self.read(move |connection| all(connection, "TRUE", [])).await
    }

    async fn delete_trust_rule(&self, name: &str, now: UnixTime) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        self.write(move |connection| {
            let sql = "DELETE FROM trust_rules WHERE name = ?1 RETURNING family_id";
            let family: Option<String> = one(connection, sql, [name], |row| row.get(0))?;
            if let Some(family) = &family {
                revocation::revoke(connection, family, now)?;
            }
            Ok(family)
        })
        .await
    }

    async fn note_trust_rules_used(&self, used: &[(String, UnixTime)]) -> Result<(), StoreError> {
        let used = used.to_vec();
        self.write(move |connection| last_use::note(connection, "trust_rules", "family_id", &used)).await
    }
}
