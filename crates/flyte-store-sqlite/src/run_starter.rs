//! The principals that started runs of a backend.

use async_trait::async_trait;
use rusqlite::{Row, params};

use super::{SqliteStore, change, client_id, one, unexpected_value};
use flyte_model::{Limit, Role, clock::UnixMillis};
use flyte_store::{Creator, CreatorKind, RunId, RunStarter, RunStarterStore, StoreError};

fn starter(row: &Row<'_>) -> rusqlite::Result<RunStarter> {
    let (kind, role) = (row.get(4)?, row.get(7)?);
    Ok(RunStarter {
        run: RunId { project: row.get(0)?, domain: row.get(1)?, name: row.get(2)? },
        creator: Creator {
            subject: row.get(3)?,
            kind: match kind {
                0 => CreatorKind::Person,
                1 => CreatorKind::ApiKey,
                2 => CreatorKind::Federated,
                other => return Err(unexpected_value(4, other)),
            },
            client_id: client_id(row, 5)?,
            family_id: row.get(6)?,
            role: Role::from_number(role).ok_or_else(|| unexpected_value(7, role))?,
            limit: Limit { project: row.get(8)?, domain: row.get(9)? },
        },
        started_at: row.get(10)?,
    })
}

#[async_trait]
impl RunStarterStore for SqliteStore {
    async fn put_run_starter(&self, starter: &RunStarter, free_at: UnixMillis) -> Result<bool, StoreError> {
        let RunStarter { run, creator, started_at } = starter.clone();
        self.write(move |connection| {
            let sql = "INSERT INTO run_starters (project, domain, name, subject, kind, client_id,
                           family_id, role, limit_project, limit_domain, started_at)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                       ON CONFLICT (project, domain, name) DO UPDATE SET subject = excluded.subject, kind = excluded.kind,
                           client_id = excluded.client_id, family_id = excluded.family_id, role = excluded.role,
                           limit_project = excluded.limit_project, limit_domain = excluded.limit_domain,
                           started_at = excluded.started_at
                       WHERE run_starters.started_at < ?12";
            let Limit { project, domain } = creator.limit;
            let changed = change(
                connection,
                sql,
                params![
                    run.project,
                    run.domain,
                    run.name,
                    creator.subject,
                    creator.kind as i64,
                    creator.client_id.as_str(),
                    creator.family_id,
                    creator.role as i64,
                    project,
                    domain,
                    started_at,
                    free_at
                ],
            )?;
            Ok(changed > 0)
        })
        .await
    }

    async fn run_starter(&self, run: &RunId) -> Result<Option<RunStarter>, StoreError> {
        let run = run.clone();
        self.read(move |connection| {
            let sql =
                "SELECT project, domain, name, subject, kind, client_id, family_id, role, limit_project,
                           limit_domain, started_at
                       FROM run_starters WHERE project = ?1 AND domain = ?2 AND name = ?3";
            one(connection, sql, [run.project, run.domain, run.name], starter)
        })
        .await
    }

    async fn delete_run_starter(&self, run: &RunId) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |connection| {
            let sql = "DELETE FROM run_starters WHERE project = ?1 AND domain = ?2 AND name = ?3";
            change(connection, sql, [run.project, run.domain, run.name])?;
            Ok(())
        })
        .await
    }

    async fn delete_run_starters(&self, before: UnixMillis) -> Result<u64, StoreError> {
        self.write(move |connection| {
            Ok(change(connection, "DELETE FROM run_starters WHERE started_at < ?1", [before])? as u64)
        })
        .await
    }
}
