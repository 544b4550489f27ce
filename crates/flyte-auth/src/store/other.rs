//! The places where a login may be of before another store was chosen.

use std::sync::Arc;

use flyte_config::StoreKind;

use super::{StoreError, StoreOptions, TokenStore, file::EncryptedFile, keyring::Keyring};

/// A place that the chosen store leaves aside.
#[derive(Debug)]
pub(crate) enum Other<'a> {
    Keyring(&'a StoreOptions),
    File(&'a StoreOptions),
}

/// The places that the store of these options leaves aside. Where nothing was chosen, or the keyring, there is none: that store
/// looks at the file itself.
pub(crate) fn others(options: &StoreOptions) -> Vec<Other<'_>> {
    match options.kind {
        None | Some(StoreKind::Keyring) => Vec::new(),
        Some(StoreKind::File) => vec![Other::Keyring(options)],
        Some(StoreKind::Memory) => vec![Other::Keyring(options), Other::File(options)],
    }
}

impl Other<'_> {
    /// The store; `None` where there is no login in it, as far as can be told without asking anybody.
    pub(crate) async fn open(&self) -> Result<Option<Arc<dyn TokenStore>>, StoreError> {
        match self {
            // The tests of this crate leave a developer's real keyring alone.
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
