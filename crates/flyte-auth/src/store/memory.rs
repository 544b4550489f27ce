//! Tokens that end with the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Backend, Login, MemoryReason, StoreError, TokenStore};

/// A login in memory.
#[derive(Debug)]
pub(super) struct Memory {
    login: Mutex<Option<Login>>,
    reason: MemoryReason,
}

impl Memory {
    /// Creates an empty store, which is in memory for this reason.
    pub(super) fn new(reason: MemoryReason) -> Self {
        Self { login: Mutex::default(), reason }
    }

    fn login(&self) -> MutexGuard<'_, Option<Login>> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenStore for Memory {
    async fn load(&self) -> Result<Option<Login>, StoreError> {
        Ok(self.login().clone())
    }

    async fn save(&self, login: &Login) -> Result<(), StoreError> {
        *self.login() = Some(login.clone());
        Ok(())
    }

    async fn clear(&self) -> Result<(), StoreError> {
        *self.login() = None;
        Ok(())
    }

    fn backend(&self) -> Backend {
        Backend::Memory(self.reason.clone())
    }
}
