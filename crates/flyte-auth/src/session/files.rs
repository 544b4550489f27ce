//! The files of a session. Processes with the same state directory share them.

use std::path::PathBuf;

use super::Session;
use crate::token::fingerprint;

impl Session {
    /// The lock for refreshing and writing this login. It is never held while waiting for a person.
    pub(super) fn lock_path(&self) -> Option<PathBuf> {
        Some(self.options.state_dir.as_ref()?.join("locks").join(format!("{}.lock", self.file_name())))
    }

    /// The lock for asking the person. There are several: `index` counts the locks whose holders are suspended.
    pub(super) fn sign_in_lock_path(&self, index: usize) -> Option<PathBuf> {
        let name = match index {
            0 => format!("{}.sign-in.lock", self.file_name()),
            index => format!("{}.sign-in-{}.lock", self.file_name(), index + 1),
        };
        Some(self.options.state_dir.as_ref()?.join("locks").join(name))
    }

    /// The file name for the endpoint. It is a hash, so that every endpoint gives a valid name that does not reveal the address.
    pub(super) fn file_name(&self) -> String {
        fingerprint(self.options.endpoint.url().as_str())
    }
}
