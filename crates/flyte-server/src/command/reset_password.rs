//! `flyte-server reset-password`: sets a new password, also while the server runs.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
};

use secrecy::ExposeSecret as _;

use super::ended_keys;
use crate::{
    bootstrap::{BootstrapError, hash_password, make_up_password, owner_of, read_password},
    data_dir,
};
use flyte_audit::{Event, Kind};
use flyte_identity::first_password;
use flyte_model::clock::Clock;
use flyte_settings::Config;
use flyte_store::{ApiKeyStore as _, AuditStore as _, StoreError, User, UserStore as _};
use flyte_store_sqlite::SqliteStore;

/// Sets a new password for the account with this e-mail address.
pub(super) fn run(config: &Config, email: &str, password_file: Option<&Path>, end_keys: bool) -> ExitCode {
    super::block_on(async {
        match reset(config, email, password_file, end_keys).await {
            Ok(message) => super::print(&message),
            Err(error) => {
                super::complain(&error);
                ExitCode::from(super::FAILURE)
            }
        }
    })
}

/// The reason why no password was set.
#[derive(Debug, thiserror::Error)]
enum ResetError {
    /// There is no such account.
    #[error("account {0:?} does not exist; check the e-mail address")]
    NoAccount(String),
    /// The data directory, the database or the password cannot be used.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The question could not be asked.
    #[error("the question could not be asked, so nothing was changed: {0}")]
    Question(#[from] io::Error),
}

/// Resets the password; returns the message to print.
async fn reset(
    config: &Config,
    email: &str,
    password_file: Option<&Path>,
    end_keys: bool,
) -> Result<String, ResetError> {
    data_dir::check_shared(&config.data_dir).map_err(BootstrapError::from)?;
    let store = SqliteStore::open(&config.data_dir.join("flyte.db"))?;
    let user = store.user_by_email(email).await?.ok_or_else(|| ResetError::NoAccount(email.to_owned()))?;
    let password = match password_file {
        Some(path) => read_password(path)?,
        None => make_up_password()?,
    };
    // A password that the rules do not allow changes nothing.
    let hash = hash_password(config, password.clone(), owner_of(&user)).await?;
    // The question comes before all changes. The keys are deleted first: if the command is interrupted, running it
    // again does the rest.
    let about_keys = end_api_keys(&store, &user, end_keys).await?;
    let now = Clock::default().now();
    store.set_password_hash(&user.id, &hash, now).await?;
    let event = Event::new(Kind::PasswordReset).object(&user.email).into_record(now);
    store.append_audit_records(&[event]).await?;
    first_password::forget(&config.data_dir, &user.email).map_err(BootstrapError::from)?;
    Ok(match password_file {
        Some(_) => {
            format!("{about_keys}Set a new password for {}. It is signed out everywhere.\n", user.email)
        }
        None => format!(
            "{about_keys}{} is signed out everywhere. The new password, shown only now:\n{}\n",
            user.email,
            password.expose_secret()
        ),
    })
}

/// Lists the API keys that the user created, and deletes them if requested. Returns the message about them.
async fn end_api_keys(store: &SqliteStore, user: &User, end: bool) -> Result<String, ResetError> {
    let keys = store.api_keys_of(&user.id).await?;
    if keys.is_empty() {
        return Ok(String::new());
    }
    let list = format!("API keys that {} created:\n{}", user.email, ended_keys::list(&keys));
    if end || confirm(&list)? {
        let ended = store.delete_api_keys_of(&user.id, Clock::default().now()).await?;
        ended_keys::record(store, &ended, "the password was reset").await?;
        return Ok(ended_keys::summary(&ended));
    }
    let hint = "They still work. To delete them too: flyte-server reset-password --end-keys, or flyte delete api-key NAME\n";
    // At a terminal the list is already on the screen.
    Ok(if is_interactive() { hint.to_owned() } else { format!("{list}{hint}") })
}

/// Asks whether to delete the keys of the list. `false` without a terminal.
fn confirm(list: &str) -> Result<bool, io::Error> {
    if !is_interactive() {
        return Ok(false);
    }
    let mut terminal = io::stderr();
    write!(terminal, "{list}Someone with the old password may have created one. Delete these keys? [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}
