//! `flyte-server scim`: keys of SCIM clients, also while the server runs.

use secrecy::ExposeSecret as _;

use crate::{
    bootstrap::BootstrapError,
    cli::{NewScimKey, ScimAction},
};
use flyte_audit::{Detail, Event, Kind};
use flyte_model::clock::{Clock, UnixTime, rfc3339};
use flyte_scim::keys::{self, NewKey, NewKeyError};
use flyte_settings::Config;
use flyte_store::{ScimKey, ScimKeyStore as _, ScimRules, StoreError};
use flyte_store_sqlite::SqliteStore;

/// The reason why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScimKeyError {
    /// There is no such key.
    #[error("SCIM key {0:?} does not exist; list all with: flyte-server scim list")]
    NoKey(String),
    /// The key already exists.
    #[error("SCIM key {0:?} already exists; delete it first with: flyte-server scim delete {0}")]
    Taken(String),
    /// The key cannot be created.
    #[error(transparent)]
    New(#[from] NewKeyError),
    /// The data directory or the database cannot be used.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs the action; returns the message to print.
pub(super) async fn run(config: &Config, action: ScimAction) -> Result<String, ScimKeyError> {
    let store = super::open_store(config)?;
    match action {
        ScimAction::CreateKey(new) => create(config, &store, new).await,
        ScimAction::List => Ok(table(store.scim_keys().await?, flyte_table::terminal_width())),
        ScimAction::Delete { name } => {
            let key = store.delete_scim_key(&name).await?.ok_or(ScimKeyError::NoKey(name))?;
            record(&store, Kind::ScimKeyDeleted, &key).await?;
            Ok(format!("Deleted SCIM key {}. Users and groups of {} stay.\n", key.name, key.client))
        }
    }
}

async fn record(store: &SqliteStore, kind: Kind, key: &ScimKey) -> Result<(), StoreError> {
    let event = Event::new(kind).object(&key.name).detail(Detail::ScimClient, &key.client);
    super::record(store, key.expires_at.iter().fold(event, |event, end| event.detail(Detail::ExpiresAt, end)))
        .await
}

async fn create(config: &Config, store: &SqliteStore, new: NewScimKey) -> Result<String, ScimKeyError> {
    let new = NewKey {
        name: new.name,
        client: new.client.unwrap_or_default(),
        rules: ScimRules { adopts: new.adopts, role: new.role, issuer: new.issuer },
        created_by: String::new(),
        lifetime: new.lifetime,
    };
    let name = new.name.clone();
    let (key, secret) = match keys::create(store, new, Clock::default().now()).await {
        Err(NewKeyError::Store(StoreError::AlreadyExists { .. })) => return Err(ScimKeyError::Taken(name)),
        other => other?,
    };
    record(store, Kind::ScimKeyCreated, &key).await?;
    Ok(format!(
        "Created SCIM key {} of the client {}. Enter this address in the directory:\n{}{}\nThe secret, shown only now:\n{}\n",
        key.name,
        key.client,
        config.issuer(),
        flyte_scim::PATH,
        secret.expose_secret()
    ))
}

/// A table of keys.
fn table(keys: Vec<ScimKey>, width: Option<u16>) -> String {
    let time = |at: Option<UnixTime>| at.map_or_else(|| "never".to_owned(), rfc3339);
    let rows =
        keys.into_iter().map(|key| [key.name, key.client, time(key.expires_at), time(key.last_used_at)]);
    flyte_table::table(["NAME", "CLIENT", "EXPIRES", "LAST USED"], &["NAME", "CLIENT"], rows, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_a_table() {
        let key = ScimKey {
            name: "okta-2026".to_owned(),
            client: "okta".to_owned(),
            secret_hash: flyte_secrets::opaque_token::hash("secret"),
            rules: ScimRules::default(),
            created_by: String::new(),
            created_at: 0,
            expires_at: Some(1_800_000_000),
            last_used_at: None,
        };
        assert_eq!(
            table(vec![key], None),
            "NAME       CLIENT  EXPIRES               LAST USED\n\
             okta-2026  okta    2027-01-15T08:00:00Z  never\n"
        );
    }
}
