//! `flyte-server user`: accounts, also while the server runs.

use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::ended_keys;
use crate::{
    bootstrap::{BootstrapError, make_up_password, read_password},
    cli::{NewUser, UserAction},
};
use flyte_audit::{Event, Kind};
use flyte_identity::Passwords;
use flyte_model::clock::Clock;
use flyte_settings::{Config, settings};
use flyte_store::{StoreError, TrustStore as _, User, UserStore as _};
use flyte_store_sqlite::SqliteStore;

/// The longest e-mail address (RFC 5321 section 4.5.3.1.3), in bytes.
const MAX_EMAIL_BYTES: usize = 254;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(super) enum UserError {
    /// There is no such account.
    #[error("there is no account {0:?}; flyte-server user list shows all")]
    NoAccount(String),
    /// There is such an account already.
    #[error("there is an account {0:?} already; flyte-server reset-password gives it a new password")]
    Taken(String),
    /// Not an e-mail address.
    #[error("{0:?} cannot be an account's: {1}")]
    Email(String, String),
    /// The data directory, the database or the password cannot be used.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Does it; returns the message to show.
pub(super) async fn run(config: &Config, action: UserAction) -> Result<String, UserError> {
    let store = super::open_store(config)?;
    match action {
        UserAction::Add(new) => add(&store, &new).await,
        UserAction::List => list(&store).await,
        UserAction::Disable { email } => {
            let user = find(&store, &email).await?;
            let ended = store.disable_user(&user.id, Clock::default().now()).await?.unwrap_or_default();
            super::record(&store, Event::new(Kind::UserDisabled).object(&user.email)).await?;
            ended_keys::record(&store, &ended, "the account was disabled").await?;
            let mut message = format!("{} is disabled and signed out everywhere.\n", user.email);
            message.push_str(&ended_keys::told(&ended));
            message.push_str(&trust_rules_of(&store, &user).await?);
            Ok(message)
        }
        UserAction::Enable { email } => {
            let user = find(&store, &email).await?;
            store.enable_user(&user.id).await?;
            super::record(&store, Event::new(Kind::UserEnabled).object(&user.email)).await?;
            Ok(format!("{} can sign in again.\n", user.email))
        }
    }
}

/// What is said of the trust rules that a person made: they are the server's, and end only when they are deleted.
async fn trust_rules_of(store: &SqliteStore, user: &User) -> Result<String, UserError> {
    let rules = store.list_trust_rules().await?.into_iter().filter(|rule| rule.created_by == user.id);
    let names: Vec<_> = rules.map(|rule| rule.name).collect();
    if names.is_empty() {
        return Ok(String::new());
    }
    Ok(format!(
        "Trust rules that they made still let CI jobs in: {}. To end one: flyte delete trust NAME\n",
        names.join(", ")
    ))
}

async fn find(store: &SqliteStore, email: &str) -> Result<User, UserError> {
    store.user_by_email(email).await?.ok_or_else(|| UserError::NoAccount(email.to_owned()))
}

async fn add(store: &SqliteStore, new: &NewUser) -> Result<String, UserError> {
    let refused = |why: String| UserError::Email(new.email.clone(), why);
    settings::email(&new.email).map_err(refused)?;
    if new.email.len() > MAX_EMAIL_BYTES || new.email.contains(char::is_control) {
        return Err(refused(format!(
            "it has at most {MAX_EMAIL_BYTES} bytes, none of them control characters"
        )));
    }
    let password = match &new.password_file {
        Some(path) => read_password(path)?,
        None => make_up_password()?,
    };
    let hash = Passwords::new(1).hash(password.clone()).await.map_err(BootstrapError::from)?;
    let local_part = new.email.split('@').next().unwrap_or_default();
    let user = User {
        id: Uuid::new_v4().to_string(),
        email: new.email.clone(),
        name: new.name.clone().unwrap_or_else(|| local_part.to_owned()),
        password_hash: Some(hash),
        admin: new.admin,
        created_at: Clock::default().now(),
        disabled_at: None,
    };
    match store.create_user(&user).await {
        Err(StoreError::AlreadyExists { .. }) => return Err(UserError::Taken(user.email)),
        other => other?,
    }
    super::record(store, Event::new(Kind::UserCreated).object(&user.email)).await?;
    let what = if user.admin { "administrator" } else { "account" };
    Ok(match new.password_file {
        Some(_) => format!("There is a new {what} {}.\n", user.email),
        None => format!(
            "There is a new {what} {}. Its password, shown only now:\n{}\n",
            user.email,
            password.expose_secret()
        ),
    })
}

async fn list(store: &SqliteStore) -> Result<String, UserError> {
    Ok(table(store.users().await?, flyte_table::terminal_width()))
}

/// Accounts, with the subject that tokens and the audit log have.
fn table(users: Vec<User>, width: Option<u16>) -> String {
    let rows = users.into_iter().map(|user| {
        let role = match (user.disabled_at, user.admin) {
            (None, true) => "admin",
            (None, false) => "user",
            (Some(_), true) => "disabled admin",
            (Some(_), false) => "disabled",
        };
        [user.email, user.name, role.to_owned(), user.id]
    });
    flyte_table::table(["E-MAIL", "NAME", "ROLE", "SUBJECT"], &["E-MAIL", "NAME"], rows, width)
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
    fn accounts_are_a_table_that_fits() {
        let users = || {
            vec![
                user("admin@localhost", "admin", true, None),
                user("ada@example.com", "Ada Lovelace", false, None),
                user("bob@example.com", "Bob", false, Some(1)),
            ]
        };
        let text = table(users(), None);
        assert_eq!(
            text,
            "E-MAIL           NAME          ROLE      SUBJECT\n\
             admin@localhost  admin         admin     7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11\n\
             ada@example.com  Ada Lovelace  user      7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11\n\
             bob@example.com  Bob           disabled  7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11\n"
        );
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        // A narrow terminal breaks names, and no subject.
        let narrow = table(users(), Some(70));
        assert!(narrow.lines().all(|line| line.len() <= 70), "{narrow}");
        assert_eq!(narrow.matches("7c1f0f4e-5d0f-4b57-8f5c-3a1d9f0a7b11").count(), 3, "{narrow}");
    }
}
