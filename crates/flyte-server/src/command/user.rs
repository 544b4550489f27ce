//! `flyte-server user`: accounts, also while the server runs.

mod connections;
mod links;
mod roles;

pub(super) use self::links::password_link;

use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::ended_keys;
use crate::{
    bootstrap::{BootstrapError, hash_password, make_up_password, owner_of, read_password},
    cli::{NewUser, UserAction},
};
use flyte_audit::{Event, Kind};
use flyte_model::{Role, clock::Clock};
use flyte_settings::{Config, settings};
use flyte_store::{RoleIn, StoreError, TrustStore as _, User, UserStore as _};
use flyte_store_sqlite::SqliteStore;

/// The reason why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(super) enum UserError {
    /// There is no such account.
    #[error("account {0:?} does not exist; list all with: flyte-server user list")]
    NoAccount(String),
    /// The account already exists.
    #[error("account {0:?} already exists; set a new password with: flyte-server reset-password {0}")]
    Taken(String),
    /// Not an e-mail address.
    #[error("{0:?} cannot be used for an account: {1}")]
    Email(String, String),
    /// The account is not connected to this user.
    #[error(
        "{0} is not connected to this user; list the connections with: flyte-server user connections {0}"
    )]
    NoConnection(String),
    /// There is no such role.
    #[error("role {0:?} does not exist: use viewer, contributor or admin, or create it first")]
    NoRole(String),
    /// There is no such project.
    #[error("project {0:?} does not exist; list all with: flyte get project")]
    NoProject(String),
    /// There is no such domain.
    #[error("domain {0:?} does not exist: use development, staging or production")]
    NoDomain(String),
    /// The account does not have the role there.
    #[error("{0} does not have the role {1} {2}; list the roles with: flyte-server user roles {0}")]
    NoSuchRole(String, String, String),
    /// No account would administer the server.
    #[error(
        "{0} is the last administrator; make another account one first: flyte-server user grant EMAIL admin"
    )]
    LastAdministrator(String),
    /// The account is in use.
    #[error(
        "account {0:?} is in use; for a link that sets a new password: flyte-server reset-password --link {0}"
    )]
    Used(String),
    /// The account is disabled.
    #[error("account {0:?} is disabled; enable it first: flyte-server user enable {0}")]
    Disabled(String),
    /// The server has no sign-in with a password.
    #[error("this server has no sign-in with a password: the setting session.passwords is false")]
    NoPasswords,
    /// The system returned no random numbers.
    #[error(transparent)]
    Random(#[from] flyte_identity::account_link::NoRandomNumbers),
    /// A project or domain without a role.
    #[error("--project and --domain need a role: give --role")]
    PlaceWithoutRole,
    /// The data directory, the database or the password cannot be used.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs the action; returns the message to print.
pub(super) async fn run(config: &Config, action: UserAction) -> Result<String, UserError> {
    let store = super::open_store(config)?;
    match action {
        UserAction::Add(new) => add(config, &store, &new).await,
        UserAction::Invite(new) => links::invite(config, &store, &new).await,
        UserAction::List => list(&store).await,
        UserAction::Links => links::list(&store).await,
        UserAction::Grant(wanted) => roles::grant(config, &store, &wanted).await,
        UserAction::Revoke(wanted) => roles::revoke(&store, &wanted).await,
        UserAction::Connections { email } => connections::list(&store, &email).await,
        UserAction::Disconnect { email, issuer, subject } => {
            connections::remove(&store, &email, &issuer, &subject).await
        }
        UserAction::Roles { email } => roles::list(&store, &email).await,
        UserAction::Disable { email } => {
            let user = find(&store, &email).await?;
            let ended = store.disable_user(&user.id, Clock::default().now()).await?.unwrap_or_default();
            super::record(&store, Event::new(Kind::UserDisabled).object(&user.email)).await?;
            ended_keys::record(&store, &ended, "the account was disabled").await?;
            let mut message = format!("Disabled {}. It is signed out everywhere.\n", user.email);
            message.push_str(&ended_keys::summary(&ended));
            message.push_str(&trust_rules_of(&store, &user).await?);
            Ok(message)
        }
        UserAction::Enable { email } => {
            let user = find(&store, &email).await?;
            store.enable_user(&user.id).await?;
            super::record(&store, Event::new(Kind::UserEnabled).object(&user.email)).await?;
            Ok(format!("Enabled {}. They can sign in again.\n", user.email))
        }
    }
}

/// The message about trust rules that the user created. They belong to the server, so they end only when they are
/// deleted.
async fn trust_rules_of(store: &SqliteStore, user: &User) -> Result<String, UserError> {
    let rules = store.list_trust_rules().await?.into_iter().filter(|rule| rule.created_by == user.id);
    let names: Vec<_> = rules.map(|rule| rule.name).collect();
    if names.is_empty() {
        return Ok(String::new());
    }
    Ok(format!(
        "Their trust rules still admit CI jobs: {}. To delete one: flyte delete trust NAME\n",
        names.join(", ")
    ))
}

async fn find(store: &SqliteStore, email: &str) -> Result<User, UserError> {
    store.user_by_email(email).await?.ok_or_else(|| UserError::NoAccount(email.to_owned()))
}

fn check_email(email: &str) -> Result<(), UserError> {
    settings::account_email(email).map_err(|why| UserError::Email(email.to_owned(), why))
}

/// A new account.
fn account(new: &NewUser, password_hash: Option<String>) -> User {
    let local_part = new.email.split('@').next().unwrap_or_default();
    User {
        id: Uuid::new_v4().to_string(),
        email: new.email.clone(),
        name: new.name.clone().unwrap_or_else(|| local_part.to_owned()),
        password_hash,
        admin: new.admin,
        created_at: Clock::default().now(),
        disabled_at: None,
    }
}

async fn add(config: &Config, store: &SqliteStore, new: &NewUser) -> Result<String, UserError> {
    let issuer = config.issuer();
    check_email(&new.email)?;
    let roles = roles::of_new(config, store, new).await?;
    let password = match &new.password_file {
        Some(path) => read_password(path)?,
        None => make_up_password()?,
    };
    let mut user = account(new, None);
    user.password_hash = Some(hash_password(config, password.clone(), owner_of(&user)).await?);
    match store.create_user_with(&user, &roles).await {
        Err(StoreError::AlreadyExists { .. }) => return Err(UserError::Taken(user.email)),
        other => other?,
    }
    super::record(store, Event::new(Kind::UserCreated).object(&user.email)).await?;
    let is_admin = |role: &RoleIn| role.role == Role::Admin.as_str() && role.limit.is_none();
    let what = if roles.iter().any(is_admin) { "administrator " } else { "" };
    Ok(match new.password_file {
        Some(_) => format!("Created {what}{}. They can sign in at {issuer}\n", user.email),
        None => format!(
            "Created {what}{}. They can sign in at {issuer}\nThe password, shown only now:\n{}\n",
            user.email,
            password.expose_secret()
        ),
    })
}

async fn list(store: &SqliteStore) -> Result<String, UserError> {
    let mut accounts = Vec::new();
    for user in store.users().await? {
        let roles = roles::summary(store, &user.id).await?;
        accounts.push((user, roles));
    }
    Ok(table(accounts, flyte_table::terminal_width()))
}

/// A table of accounts and what they have, with their subjects in tokens and the audit log.
fn table(accounts: Vec<(User, String)>, width: Option<u16>) -> String {
    let rows = accounts.into_iter().map(|(user, roles)| {
        let state = if user.disabled_at.is_some() { "disabled" } else { "enabled" };
        [user.email, user.name, roles, state.to_owned(), user.id]
    });
    let heading = ["E-MAIL", "NAME", "ROLES", "STATE", "SUBJECT"];
    flyte_table::table(heading, &["E-MAIL", "NAME", "ROLES"], rows, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(email: &str, name: &str, admin: bool, disabled_at: Option<i64>) -> User {
        User {
            id: "7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11".to_owned(),
            email: email.to_owned(),
            name: name.to_owned(),
            password_hash: None,
            admin,
            created_at: 0,
            disabled_at,
        }
    }

    #[test]
    fn accounts_are_a_table() {
        let accounts = || {
            vec![
                (user("admin@localhost", "admin", true, None), "admin".to_owned()),
                (user("ada@example.com", "Ada Lovelace", false, None), "viewer@alpha, group ml".to_owned()),
                (user("bob@example.com", "Bob", false, Some(1)), "none".to_owned()),
            ]
        };
        let text = table(accounts(), None);
        assert_eq!(
            text,
            "E-MAIL           NAME          ROLES                   STATE     SUBJECT\n\
             admin@localhost  admin         admin                   enabled   7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11\n\
             ada@example.com  Ada Lovelace  viewer@alpha, group ml  enabled   7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11\n\
             bob@example.com  Bob           none                    disabled  7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11\n"
        );
        // A narrow terminal wraps names but not subjects.
        let narrow = table(accounts(), Some(80));
        assert!(narrow.lines().all(|line| line.len() <= 80), "{narrow}");
        assert_eq!(narrow.matches("7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11").count(), 3, "{narrow}");
    }
}
