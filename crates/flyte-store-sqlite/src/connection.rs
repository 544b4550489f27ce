//! Opening a database file: permissions, settings, and bringing its schema up to date.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::relative_urls;

/// The schema's history: entry `n` takes a database from `user_version` `n` to `n + 1`. Entries never change once
/// released; a change to the schema is a new entry.
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
];
/// The entry after which stored paths of objects are rewritten.
const RELATIVE_URLS: &str = include_str!("migrations/0014_relative_urls.sql");

/// Marks the file as ours in its header ("FlAu"), so that no other program's database is migrated by accident.
pub(super) const APPLICATION_ID: i32 = 0x466c_4175;

/// How long to wait for another process that writes, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const CACHED_STATEMENTS: usize = 64;

/// Why a file cannot be used as the database.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be created or opened.
    #[error("cannot open the database {}: {source}", path.display())]
    File {
        /// The database file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// SQLite does not take the file: damaged, locked, or not a database.
    #[error("cannot open the database {}: {source}", path.display())]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
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
    /// Another program's database.
    #[error("{} is a SQLite database, but not one of flyte-server's: choose another path", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
}

/// Opens the file for writing, creates it (mode 0600) where it is missing, and migrates it.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    // SQLite would create the file readable by others, as the umask has it; its WAL takes over the file's mode.
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
    // FULL: each commit reaches the disk before it is answered, so that a rotation that a client was told about
    // survives the loss of power too, not only of the process.
    connection.pragma_update(None, "synchronous", "FULL").map_err(sqlite)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20).map_err(sqlite)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens a file that [`open_writer`] has brought up to date, for reading alone.
pub(super) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            configure(&connection)?;
            Ok(connection)
        })
        .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })
}

/// Opens a database that lives as long as its one connection.
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
    // No code from the file: a damaged or planted schema cannot call functions with side effects.
    connection.pragma_update(None, "trusted_schema", false)?;
    // Deleted records are overwritten where that costs no extra writes. Nothing in the file grants access (secrets are
    // hashed, keys sealed), so that a stronger setting would buy little for twice the writes.
    connection.pragma_update(None, "secure_delete", "FAST")
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::Sqlite { path: path.to_owned(), source };
    // Immediate: of two processes that start at once, one migrates and the other finds it done.
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
