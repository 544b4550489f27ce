//! The migration from paths of objects to native URLs without the data directory, and the directories that objects were
//! stored in.
//!
//! The location of the database and its runs show which directories those were: the prefix of a run's outputs consists
//! of the directory, project, domain and run. So the migration also works on a database that was moved before.

use std::{
    collections::BTreeSet,
    path::{self, Path},
};

use buffa::Message;
use flyte_idl::flyteidl2::{
    app::Spec as AppSpec,
    task::{RunSpec, TaskSpec},
    trigger::TriggerSpec,
};
use rusqlite::{Connection, params};

use super::SqliteStore;
use flyte_objects::relocate::Relocation;
use flyte_store::{StoreError, task_digest};

/// Columns that hold one native URL.
const URL_COLUMNS: [(&str, &str); 4] = [
    ("runs", "output_base"),
    ("actions", "input_uri"),
    ("actions", "output_base"),
    ("actions", "output_uri"),
];

/// Rewrites all paths in the database at `database`.
pub(super) fn rewrite(connection: &Connection, database: &Path) -> rusqlite::Result<()> {
    let mut directories = of_runs(connection)?;
    if let Some(parent) = path::absolute(database).ok().as_deref().and_then(Path::parent) {
        directories.insert(parent.join("objects").display().to_string());
    }
    for directory in &directories {
        connection.execute("INSERT INTO object_directories (path, rewritten) VALUES (?1, 0)", [directory])?;
    }
    let mut relocation = Relocation::new(directories.into_iter().collect());
    for (table, column) in URL_COLUMNS {
        urls(connection, table, column, &relocation)?;
    }
    specs(connection, "runs", "pk", &mut relocation, |relocation, spec: &mut RunSpec| {
        relocation.run_spec(spec);
    })?;
    specs(connection, "triggers", "id", &mut relocation, |relocation, spec: &mut TriggerSpec| {
        relocation.trigger_spec(spec);
    })?;
    specs(connection, "apps", "id", &mut relocation, |relocation, spec: &mut AppSpec| {
        relocation.app_spec(spec);
    })?;
    revisions(connection, &mut relocation)?;
    action_specs(connection, &mut relocation)?;
    task_versions(connection, &mut relocation)
}

/// Returns the directories of objects that the runs name. Runs of the published package can have another base; this
/// function looks for the usual form.
fn of_runs(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut statement = connection.prepare("SELECT DISTINCT output_base, project, domain, name FROM runs")?;
    let rows = statement.query_map([], |row| {
        let [base, project, domain, name]: [String; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
        let path = base.strip_prefix("file://").unwrap_or(&base);
        let directory = path.strip_suffix(&format!("/{project}/{domain}/runs/{name}"));
        Ok(directory.filter(|directory| directory.starts_with('/')).map(str::to_owned))
    })?;
    rows.filter_map(Result::transpose).collect()
}

fn urls(connection: &Connection, table: &str, column: &str, relocation: &Relocation) -> rusqlite::Result<()> {
    let mut update = connection.prepare(&format!("UPDATE {table} SET {column} = ?2 WHERE pk = ?1"))?;
    let mut select = connection.prepare(&format!("SELECT pk, {column} FROM {table}"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (key, url): (i64, String) = (row.get(0)?, row.get(1)?);
        if let Some(native) = relocation.native_url(&url) {
            update.execute(params![key, native])?;
        }
    }
    Ok(())
}

/// Returns the encoded message with its paths replaced, or `None` if it has no paths or cannot be decoded.
fn rewritten<M: Message + Default>(
    encoded: &[u8],
    relocation: &mut Relocation,
    change: impl FnOnce(&mut Relocation, &mut M),
) -> Option<M> {
    let mut message = M::decode_from_slice(encoded).ok()?;
    let before = relocation.changes();
    change(relocation, &mut message);
    (relocation.changes() > before).then_some(message)
}

/// Rewrites the column `spec` of a table.
fn specs<M: Message + Default>(
    connection: &Connection,
    table: &str,
    key: &str,
    relocation: &mut Relocation,
    change: impl Fn(&mut Relocation, &mut M),
) -> rusqlite::Result<()> {
    let mut update = connection.prepare(&format!("UPDATE {table} SET spec = ?2 WHERE {key} = ?1"))?;
    let mut select = connection.prepare(&format!("SELECT {key}, spec FROM {table}"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (key, spec): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        if let Some(message) = rewritten(&spec, relocation, &change) {
            update.execute(params![key, message.encode_to_vec()])?;
        }
    }
    Ok(())
}

fn revisions(connection: &Connection, relocation: &mut Relocation) -> rusqlite::Result<()> {
    let found: Vec<([String; 4], i64, Vec<u8>)> = connection
        .prepare("SELECT project, domain, task, name, revision, spec FROM trigger_revisions")?
        .query_map([], |row| {
            Ok(([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?], row.get(4)?, row.get(5)?))
        })?
        .collect::<Result<_, _>>()?;
    for ([project, domain, task, name], revision, spec) in found {
        if let Some(message) = rewritten(&spec, relocation, |relocation, spec: &mut TriggerSpec| {
            relocation.trigger_spec(spec);
        }) {
            connection.execute(
                "UPDATE trigger_revisions SET spec = ?6
                 WHERE project = ?1 AND domain = ?2 AND task = ?3 AND name = ?4 AND revision = ?5",
                params![project, domain, task, name, revision, message.encode_to_vec()],
            )?;
        }
    }
    Ok(())
}

/// Specifications of actions are found by their hash, which changes with them.
fn action_specs(connection: &Connection, relocation: &mut Relocation) -> rusqlite::Result<()> {
    let found: Vec<(Vec<u8>, Vec<u8>)> = connection
        .prepare(
            "SELECT hash, spec FROM action_specs
             WHERE hash IN (SELECT spec_hash FROM actions WHERE kind = 1)",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (hash, spec) in found {
        let Some(message) =
            rewritten(&spec, relocation, |relocation, spec: &mut TaskSpec| relocation.task_spec(spec))
        else {
            continue;
        };
        let spec = message.encode_to_vec();
        let new = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &spec);
        connection.execute(
            "INSERT INTO action_specs (hash, spec) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING",
            params![new.as_ref(), spec],
        )?;
        connection
            .execute("UPDATE actions SET spec_hash = ?2 WHERE spec_hash = ?1", params![hash, new.as_ref()])?;
        connection.execute("DELETE FROM action_specs WHERE hash = ?1", [hash])?;
    }
    Ok(())
}

fn task_versions(connection: &Connection, relocation: &mut Relocation) -> rusqlite::Result<()> {
    let mut update = connection.prepare("UPDATE task_versions SET spec = ?2, digest = ?3 WHERE id = ?1")?;
    let mut select = connection.prepare("SELECT id, spec FROM task_versions")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (id, spec): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        if let Some(message) =
            rewritten(&spec, relocation, |relocation, spec: &mut TaskSpec| relocation.task_spec(spec))
        {
            update.execute(params![
                id,
                message.encode_to_vec(),
                task_digest(&flyte_idl::canonical(&message))
            ])?;
        }
    }
    Ok(())
}

/// The directories that objects are and were stored in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectDirectories {
    /// All directories.
    pub all: Vec<String>,
    /// Former directories that inputs and outputs may still name.
    pub pending: Vec<String>,
}

impl SqliteStore {
    /// Records the current directory of objects, and returns all directories that they were stored in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn object_directories(&self, current: Option<&str>) -> Result<ObjectDirectories, StoreError> {
        let current = current.map(str::to_owned);
        self.write(move |connection| {
            if let Some(current) = &current {
                // From now on, tasks may store paths in this directory.
                connection.execute(
                    "INSERT INTO object_directories (path, rewritten) VALUES (?1, 0)
                     ON CONFLICT (path) DO UPDATE SET rewritten = 0",
                    [current],
                )?;
            }
            let mut directories = ObjectDirectories::default();
            let mut select =
                connection.prepare("SELECT path, rewritten FROM object_directories ORDER BY path")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let path: String = row.get(0)?;
                if !row.get::<_, bool>(1)? && Some(&path) != current.as_ref() {
                    directories.pending.push(path.clone());
                }
                directories.all.push(path);
            }
            Ok(directories)
        })
        .await
    }

    /// Records that inputs and outputs no longer name these directories.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn object_directories_rewritten(&self, directories: Vec<String>) -> Result<(), StoreError> {
        self.write(move |connection| {
            for directory in directories {
                connection
                    .execute("UPDATE object_directories SET rewritten = 1 WHERE path = ?1", [directory])?;
            }
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests;
