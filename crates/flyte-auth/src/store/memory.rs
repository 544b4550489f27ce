//! Tokens that live as long as the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Backend, Login, StoreError, TokenStore};

/// A login in memory.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Option<Login>>);

impl Memory {
    fn login(&self) -> MutexGuard<'_, Option<Login>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        Backend::Memory
    }
}
