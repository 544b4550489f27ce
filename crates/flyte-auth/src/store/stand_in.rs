//! The encrypted file, and memory where it turns out that there is no room for a first login.

use std::sync::OnceLock;

use async_trait::async_trait;

use super::{Backend, Login, MemoryReason, StoreError, TokenStore, memory::Memory};

/// The file; memory in its place once the file could not take a login and had none. A login that is in the file stays there, and
/// whoever cannot renew it is told so.
#[derive(Debug)]
pub(super) struct StandIn<F> {
    file: F,
    memory: OnceLock<Memory>,
}

impl<F: TokenStore> StandIn<F> {
    pub(super) fn new(file: F) -> Self {
        Self { file, memory: OnceLock::new() }
    }

    /// Keeps the login in memory from now on, unless there is one in the file, or the error says nothing about its place.
    async fn give_way(&self, error: StoreError) -> Result<&Memory, StoreError> {
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
impl<F: TokenStore> TokenStore for StandIn<F> {
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
            self.give_way(error).await?;
        }
        Ok(())
    }

    async fn save(&self, login: &Login) -> Result<(), StoreError> {
        if let Some(memory) = self.memory.get() {
            return memory.save(login).await;
        }
        match self.file.save(login).await {
            // The disk has filled up since it was probed: what the person has just done is not lost.
            Err(error) => self.give_way(error).await?.save(login).await,
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

    /// A file on a disk without room.
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
    async fn a_first_login_without_room_is_in_memory_and_says_why() {
        for probed in [true, false] {
            let store = StandIn::new(Full::default());
            if probed {
                store.probe().await.unwrap();
            }
            store.save(&login("new")).await.unwrap();
            assert_eq!(store.load().await.unwrap().unwrap().access_token.expose_secret(), "new");
            let told = store.backend().to_string();
            assert!(told.contains("/full cannot be written to: the disk is full"), "{told}");
            store.clear().await.unwrap();
            assert!(store.load().await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn a_login_that_is_in_the_file_stays_there_and_the_full_disk_is_told() {
        let store = StandIn::new(Full(Mutex::new(Some(login("old")))));
        assert!(matches!(store.probe().await, Err(StoreError::DiskFull { .. })));
        assert!(matches!(store.save(&login("new")).await, Err(StoreError::DiskFull { .. })));
        assert_eq!(store.load().await.unwrap().unwrap().access_token.expose_secret(), "old");
    }
}
