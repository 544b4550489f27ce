//! Linux: the Secret Service (GNOME Keyring, KWallet and others), over D-Bus.
//!
//! Items have exactly the attributes and the label of Python's `keyring`, because the service replaces an item only if all
//! attributes are the same. With different attributes, each tool would keep its own item and find the other's stale one.

use std::{collections::HashMap, path::Path};

use secrecy::{ExposeSecret as _, SecretString};
use secret_service::{Collection, EncryptionType, Error, Item, SecretService};
use zbus::{DBusError as _, fdo};
use zeroize::Zeroizing;

use super::StoreError;

/// The name of the keyring, for people.
pub(super) const NAME: &str = "Secret Service";

/// The service documents no limit.
pub(super) const MAX_SECRET_LEN: Option<usize> = None;

/// The attribute `application` of the items that Python's `keyring` writes.
const APPLICATION: &str = "Python keyring library";

/// The items of one endpoint.
pub(super) struct Entries {
    bus: SecretService<'static>,
    service: String,
}

impl Entries {
    /// Connects to the service; `None` if there is no session bus, no provider of the service, or no default collection (for
    /// example on a server without desktop logins).
    pub(super) async fn open(service: &str) -> Result<Option<Self>, StoreError> {
        if !has_session_bus() {
            return Ok(None);
        }
        let connection = match zbus::Connection::session().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(%error, "there is no session bus");
                return Ok(None);
            }
        };
        let bus = match SecretService::connect_with_existing(EncryptionType::Dh, connection).await {
            Ok(bus) => bus,
            Err(error) if is_absent(&error) => {
                tracing::debug!(%error, "there is no Secret Service");
                return Ok(None);
            }
            // A service that fails may hold the login: using the file now would create a second one.
            Err(error) => return Err(failed(&error)),
        };
        match bus.get_default_collection().await {
            Ok(_) => {}
            Err(Error::NoResult) => return Ok(None),
            Err(error) => return Err(failed(&error)),
        }
        Ok(Some(Self { bus, service: service.to_owned() }))
    }

    async fn collection(&self) -> Result<Collection<'_>, StoreError> {
        let collection = self.bus.get_default_collection().await.map_err(|error| failed(&error))?;
        if collection.is_locked().await.map_err(|error| failed(&error))? {
            collection.unlock().await.map_err(|error| failed(&error))?;
            if collection.is_locked().await.map_err(|error| failed(&error))? {
                return Err(StoreError::KeyringLocked { seconds: 0 });
            }
        }
        Ok(collection)
    }

    /// The items of a user name, the latest first.
    async fn items<'a>(
        &self,
        collection: &'a Collection<'_>,
        user: &str,
    ) -> Result<Vec<Item<'a>>, StoreError> {
        let wanted = HashMap::from([("service", self.service.as_str()), ("username", user)]);
        let items = collection.search_items(wanted).await.map_err(|error| failed(&error))?;
        let mut dated = Vec::with_capacity(items.len());
        for item in items {
            dated.push((item.get_modified().await.unwrap_or_default(), item));
        }
        dated.sort_by_key(|(modified, _)| std::cmp::Reverse(*modified));
        Ok(dated.into_iter().map(|(_, item)| item).collect())
    }

    /// Whether the keyring is locked.
    pub(super) async fn is_locked(&self) -> Result<bool, StoreError> {
        let collection = self.bus.get_default_collection().await.map_err(|error| failed(&error))?;
        collection.is_locked().await.map_err(|error| failed(&error))
    }

    /// Whether there is an item of a user name. A locked keyring can be searched too, because attributes are not secret.
    pub(super) async fn has(&self, user: &str) -> Result<bool, StoreError> {
        let collection = self.bus.get_default_collection().await.map_err(|error| failed(&error))?;
        Ok(!self.items(&collection, user).await?.is_empty())
    }

    /// Unlocks the keyring, for which the person may be prompted.
    pub(super) async fn unlock(&self) -> Result<(), StoreError> {
        self.collection().await.map(drop)
    }

    pub(super) async fn get(&self, user: &str) -> Result<Option<SecretString>, StoreError> {
        let collection = self.collection().await?;
        let items = self.items(&collection, user).await?;
        let Some(item) = items.first() else { return Ok(None) };
        if item.is_locked().await.map_err(|error| failed(&error))? {
            item.unlock().await.map_err(|error| failed(&error))?;
        }
        let secret = Zeroizing::new(item.get_secret().await.map_err(|error| failed(&error))?);
        match std::str::from_utf8(&secret) {
            Ok(text) => Ok(Some(SecretString::from(text))),
            Err(_) => Ok(None),
        }
    }

    pub(super) async fn set(&self, user: &str, secret: &SecretString) -> Result<(), StoreError> {
        let collection = self.collection().await?;
        let label = format!("Password for '{user}' on '{}'", self.service);
        let attributes =
            HashMap::from([("application", APPLICATION), ("service", &self.service), ("username", user)]);
        let written = collection
            .create_item(&label, attributes, secret.expose_secret().as_bytes(), true, "text/plain")
            .await
            .map_err(|error| failed(&error))?;
        // Remove items that other tools left with other attributes, because a search might return them instead.
        for item in self.items(&collection, user).await? {
            if item.item_path != written.item_path {
                item.delete().await.map_err(|error| failed(&error))?;
            }
        }
        Ok(())
    }

    pub(super) async fn delete(&self, user: &str) -> Result<(), StoreError> {
        let collection = self.collection().await?;
        for item in self.items(&collection, user).await? {
            item.delete().await.map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}

/// Whether there is a session bus. Connecting without one could start a bus, or block.
fn has_session_bus() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    set("DBUS_SESSION_BUS_ADDRESS").is_some()
        || set("XDG_RUNTIME_DIR").is_some_and(|directory| Path::new(&directory).join("bus").exists())
}

/// Whether no program provides the service: its name has no owner, and the bus cannot start a provider. (In containers, Debian's
/// gnome-keyring is installed but may not be executed.)
fn is_absent(error: &Error) -> bool {
    let error = match error {
        Error::Unavailable => return true,
        Error::Zbus(error) => fdo::Error::from(error.clone()),
        Error::ZbusFdo(error) => error.clone(),
        _ => return false,
    };
    let name = error.name();
    matches!(error, fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_))
        || name.starts_with("org.freedesktop.DBus.Error.Spawn.")
}

fn failed(error: &Error) -> StoreError {
    match error {
        // The person closed the prompt, or the system could not show one.
        Error::Locked | Error::Prompt | Error::PromptDisconnected => StoreError::KeyringLocked { seconds: 0 },
        other => StoreError::Keyring { reason: other.to_string() },
    }
}
