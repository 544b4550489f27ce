//! The stores that are not chosen, but may hold a login from before the choice.

use std::sync::Arc;

use flyte_config::StoreKind;

use super::{StoreError, StoreOptions, TokenStore, file::EncryptedFile, keyring::Keyring};

/// A store that is not the chosen one.
#[derive(Debug)]
pub(crate) enum OtherStore<'a> {
    Keyring(&'a StoreOptions),
    File(&'a StoreOptions),
}

/// The stores that these options do not choose. There is none if the keyring or nothing was chosen, because that store reads the
/// file itself.
pub(crate) fn other_stores(options: &StoreOptions) -> Vec<OtherStore<'_>> {
    match options.kind {
        None | Some(StoreKind::Keyring) => Vec::new(),
        Some(StoreKind::File) => vec![OtherStore::Keyring(options)],
        Some(StoreKind::Memory) => vec![OtherStore::Keyring(options), OtherStore::File(options)],
    }
}

impl OtherStore<'_> {
    /// Opens the store; `None` if it holds no login. The check does not prompt the person.
    pub(crate) async fn open(&self) -> Result<Option<Arc<dyn TokenStore>>, StoreError> {
        match self {
            // The tests of this crate must not touch a developer's real keyring.
            Self::Keyring(_) if cfg!(test) => Ok(None),
            Self::Keyring(options) => {
                let (timeout, unlock) = (options.keyring_timeout, options.unlock_timeout);
                let Some(keyring) = Keyring::open(&options.service, timeout, unlock).await? else {
                    return Ok(None);
                };
                Ok(if keyring.has_login().await? { Some(Arc::new(keyring)) } else { None })
            }
            Self::File(options) => Ok(EncryptedFile::new(options)
                .filter(EncryptedFile::exists)
                .map(|file| Arc::new(file) as Arc<dyn TokenStore>)),
        }
    }
}
