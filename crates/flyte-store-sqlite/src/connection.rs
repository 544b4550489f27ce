//! Opens a database file: permissions, settings, and migration of its schema.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::relative_urls;

/// The schema's history: entry `n` takes a database from `user_version` `n` to `n + 1`. Released entries never change;
/// a change of the schema is a new entry.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_revocations.sql"),
    include_str!("migrations/0003_device.sql"),
    include_str!("migrations/0004_api_keys.sql"),
    include_str!("migrations/0005_audit.sql"),
    include_str!("migrations/0006_trust.sql"),
    include_str!("migrations/0007_retired_secrets.sql"),
    include_str!("migrations/0008_runs.sql"),
    include_str!("migrations/0009_catalog.sql"),
    include_str!("migrations/0010_time_limits.sql"),
    include_str!("migrations/0011_cache.sql"),
    include_str!("migrations/0012_turns.sql"),
    include_str!("migrations/0013_api_key_keepers.sql"),
    RELATIVE_URLS,
    include_str!("migrations/0015_audit_people.sql"),
    include_str!("migrations/0016_run_starters.sql"),
    include_str!("migrations/0017_policies.sql"),
    include_str!("migrations/0018_outside_identities.sql"),
    include_str!("migrations/0019_outside_issuers.sql"),
    include_str!("migrations/0020_sign_in_uses.sql"),
    include_str!("migrations/0021_account_links.sql"),
    include_str!("migrations/0022_outside_sessions.sql"),
    include_str!("migrations/0023_scim.sql"),
    include_str!("migrations/0024_removed_connections.sql"),
    include_str!("migrations/0025_device_match.sql"),
];
/// The migration after which stored paths of objects are rewritten.
const RELATIVE_URLS: &str = include_str!("migrations/0014_relative_urls.sql");

/// Identifies the file in its header ("`FlAu`"), so that the database of another program is never migrated by accident.
pub(super) const APPLICATION_ID: i32 = 0x466c_4175;

/// How long to wait for another process that writes, for example a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const CACHED_STATEMENTS: usize = 64;

/// The reason why a file cannot be used as the database.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be created or opened.
    #[error("cannot open the database {}: {source}", path.display())]
    File {
        /// The database file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// SQLite rejects the file: it is damaged, locked, or not a database.
    #[error("cannot open the database {}: {source}", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// A later release of the server wrote the file.
    #[error(
        "the database {} has schema version {found}, and this flyte-server knows versions up to {known}: \
         run the newer flyte-server that wrote it, or restore a backup from before the upgrade",
        path.display()
    )]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// The file's schema version.
        found: i32,
        /// The latest version that this build knows.
        known: i32,
    },
    /// The file is the database of another program.
    #[error("{} is an SQLite database, but not one of flyte-server: choose another path", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
}

/// Opens the file for writing and migrates it. If the file does not exist, creates it with mode 0600.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    // SQLite would create the file with the permissions of the umask, readable by other users. The WAL gets the mode of
    // the file.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| OpenError::File { path: path.to_owned(), source })?;
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    configure(&connection).map_err(sqlite)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(sqlite)?;
    // FULL: each commit reaches the disk before the caller gets its result. So a rotation that a client has seen
    // survives not only the end of the process, but also a loss of power.
    connection.pragma_update(None, "synchronous", "FULL").map_err(sqlite)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20).map_err(sqlite)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens a file that [`open_writer`] has migrated, for reading only.
pub(super) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            configure(&connection)?;
            Ok(connection)
        })
        .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })
}

/// Opens a database that lives as long as its only connection.
pub(super) fn open_in_memory() -> Result<Connection, OpenError> {
    let path = Path::new(":memory:");
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let mut connection = Connection::open_in_memory().map_err(sqlite)?;
    configure(&connection).map_err(sqlite)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.pragma_update(None, "foreign_keys", true)?;
    // No code from the file: a damaged or manipulated schema cannot call functions with side effects.
    connection.pragma_update(None, "trusted_schema", false)?;
    // Overwrites deleted records if that costs no extra writes. The file contains nothing that grants access (secrets
    // are hashed, keys are encrypted), so a stronger setting would gain little for twice the writes.
    connection.pragma_update(None, "secure_delete", "FAST")
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    // Immediate: if two processes start at the same time, one migrates, and the other finds the migration done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    let pragma =
        |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(sqlite);
    let found = pragma("user_version")?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sqlite)?;
    if tables > 0 && pragma("application_id")? != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    let missing = usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found..));
    let Some(missing) = missing else {
        return Err(OpenError::NewerSchema { path: path.to_owned(), found, known });
    };
    for migration in missing {
        transaction.execute_batch(migration).map_err(sqlite)?;
        if *migration == RELATIVE_URLS {
            relative_urls::rewrite(&transaction, path).map_err(sqlite)?;
        }
    }
    if !missing.is_empty() {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(sqlite)?;
        transaction.pragma_update(None, "user_version", known).map_err(sqlite)?;
    }
    transaction.commit().map_err(sqlite)
}
