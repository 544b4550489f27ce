//! `flyte-server reset-password`: a new password for an account, also while the server runs.

use std::{path::Path, process::ExitCode};

use secrecy::ExposeSecret as _;

use crate::{
    audit::{Event, Kind},
    bootstrap::{BootstrapError, keep_password, make_up_password, read_password},
    clock::Clock,
    config::Config,
    data_dir,
    identity::Passwords,
    store::{AuditStore as _, UserStore as _, sqlite::SqliteStore},
};

/// Gives the account with this e-mail address a new password.
pub(super) fn run(config: &Config, email: &str, password_file: Option<&Path>) -> ExitCode {
    super::block_on(async {
        match reset(config, email, password_file).await {
            Ok(message) => super::print(&message),
            Err(error) => {
                super::complain(&error);
                ExitCode::from(super::FAILURE)
            }
        }
    })
}

/// Why there is no new password.
#[derive(Debug, thiserror::Error)]
enum ResetError {
    /// There is no such account.
    #[error("there is no account {0:?}; check the spelling of the e-mail address")]
    NoAccount(String),
    /// The data directory, the database or the password cannot be used.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
}

/// The message to show.
async fn reset(config: &Config, email: &str, password_file: Option<&Path>) -> Result<String, ResetError> {
    data_dir::check_shared(&config.data_dir).map_err(BootstrapError::from)?;
    let store = SqliteStore::open(&config.data_dir.join("flyte.db")).map_err(BootstrapError::from)?;
    let user = store.user_by_email(email).await.map_err(BootstrapError::from)?;
    let user = user.ok_or_else(|| ResetError::NoAccount(email.to_owned()))?;
    let password = match password_file {
        Some(path) => read_password(path)?,
        None => make_up_password()?,
    };
    let hash = Passwords::new(1).hash(password.clone()).await.map_err(BootstrapError::from)?;
    let now = Clock::default().now();
    store.set_password_hash(&user.id, &hash, now).await.map_err(BootstrapError::from)?;
    let event = Event::new(Kind::PasswordReset).object(&user.email).into_record(now);
    store.append_audit_records(&[event]).await.map_err(BootstrapError::from)?;
    keep_password(&config.data_dir, &user.email)?;
    Ok(match password_file {
        Some(_) => format!("{} has a new password and is signed out everywhere.\n", user.email),
        None => format!(
            "{} is signed out everywhere. The new password, shown only now:\n{}\n",
            user.email,
            password.expose_secret()
        ),
    })
}
