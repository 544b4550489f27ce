//! The encrypted file, or memory if there is no room for a first login.

use std::sync::OnceLock;

use async_trait::async_trait;

use super::{Backend, Login, MemoryReason, StoreError, TokenStore, memory::Memory};

/// The file, until writing a first login to it fails; then memory. If the file holds a login, that login stays there, and a failure
/// to write is an error.
#[derive(Debug)]
pub(super) struct FileOrMemory<F> {
    file: F,
    memory: OnceLock<Memory>,
}

impl<F: TokenStore> FileOrMemory<F> {
    pub(super) fn new(file: F) -> Self {
        Self { file, memory: OnceLock::new() }
    }

    /// Switches to memory, unless the file holds a login or the error has another cause than the file's directory.
    async fn fall_back(&self, error: StoreError) -> Result<&Memory, StoreError> {
        let (path, reason) = match &error {
            StoreError::DiskFull { path } => (path, "the disk is full".to_owned()),
            StoreError::File { path, source, .. } => (path, source.to_string()),
            _ => return Err(error),
        };
        if !matches!(self.file.load().await, Ok(None)) {
            return Err(error);
        }
        let path = path.parent().unwrap_or(path).to_owned();
        Ok(self.memory.get_or_init(|| Memory::new(MemoryReason::Unwritable { path, reason })))
    }
}

#[async_trait]
impl<F: TokenStore> TokenStore for FileOrMemory<F> {
    async fn load(&self) -> Result<Option<Login>, StoreError> {
        match self.memory.get() {
            Some(memory) => memory.load().await,
            None => self.file.load().await,
        }
    }

    async fn probe(&self) -> Result<(), StoreError> {
        if self.memory.get().is_none()
            && let Err(error) = self.file.probe().await
        {
            self.fall_back(error).await?;
        }
        Ok(())
    }

    async fn save(&self, login: &Login) -> Result<(), StoreError> {
        if let Some(memory) = self.memory.get() {
            return memory.save(login).await;
        }
        match self.file.save(login).await {
            // The disk has filled up since the probe. The sign-in that the person has just finished must not be lost.
            Err(error) => self.fall_back(error).await?.save(login).await,
            saved => saved,
        }
    }

    async fn clear(&self) -> Result<(), StoreError> {
        match self.memory.get() {
            Some(memory) => memory.clear().await,
            None => self.file.clear().await,
        }
    }

    fn backend(&self) -> Backend {
        self.memory.get().map_or_else(|| self.file.backend(), TokenStore::backend)
    }

    fn max_secret_len(&self) -> Option<usize> {
        self.file.max_secret_len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use secrecy::{ExposeSecret as _, SecretString};

    use super::*;

    /// A file on a full disk.
    #[derive(Debug, Default)]
    struct Full(Mutex<Option<Login>>);

    #[async_trait]
    impl TokenStore for Full {
        async fn load(&self) -> Result<Option<Login>, StoreError> {
            Ok(self.0.lock().unwrap().clone())
        }
        async fn probe(&self) -> Result<(), StoreError> {
            Err(StoreError::DiskFull { path: "/full/tokens".into() })
        }
        async fn save(&self, _: &Login) -> Result<(), StoreError> {
            self.probe().await
        }
        async fn clear(&self) -> Result<(), StoreError> {
            *self.0.lock().unwrap() = None;
            Ok(())
        }
        fn backend(&self) -> Backend {
            Backend::EncryptedFile("/full/tokens".into())
        }
    }

    fn login(token: &str) -> Login {
        Login { access_token: SecretString::from(token), refresh_token: None, details: None }
    }

    #[tokio::test]
    async fn a_first_login_on_a_full_disk_is_in_memory_and_says_why() {
        for probed in [true, false] {
            let store = FileOrMemory::new(Full::default());
            if probed {
                store.probe().await.unwrap();
            }
            store.save(&login("new")).await.unwrap();
            assert_eq!(store.load().await.unwrap().unwrap().access_token.expose_secret(), "new");
            let backend = store.backend().to_string();
            assert!(backend.contains("/full cannot be written to: the disk is full"), "{backend}");
            store.clear().await.unwrap();
            assert!(store.load().await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn a_login_in_the_file_stays_there_and_a_full_disk_is_an_error() {
        let store = FileOrMemory::new(Full(Mutex::new(Some(login("old")))));
        assert!(matches!(store.probe().await, Err(StoreError::DiskFull { .. })));
        assert!(matches!(store.save(&login("new")).await, Err(StoreError::DiskFull { .. })));
        assert_eq!(store.load().await.unwrap().unwrap().access_token.expose_secret(), "old");
    }
}
