//! The name and e-mail address of the creator of an API key or trust rule. Their records store only the subject.

use std::collections::HashMap;

use connectrpc::ConnectError;

use super::find_api_key;
use crate::Administration;
use flyte_rpc::store_error;

/// The name and address of a creator; empty if the account or key no longer exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CreatedBy {
    /// The e-mail address of a user; empty for an API key.
    pub(super) email: String,
    /// The name of the user or API key.
    pub(super) name: String,
}

/// Looks up creators. Each subject is read once for a response.
pub(super) struct Creators<'a> {
    state: &'a Administration,
    known: HashMap<String, CreatedBy>,
}

impl<'a> Creators<'a> {
    pub(super) fn new(state: &'a Administration) -> Self {
        Self { state, known: HashMap::new() }
    }

    pub(super) async fn look_up(&mut self, subject: &str) -> Result<CreatedBy, ConnectError> {
        if let Some(known) = self.known.get(subject) {
            return Ok(known.clone());
        }
        // API keys come first. An old key may have the ID of an account, and must not be shown as that user.
        let key = find_api_key(self.state, subject).await?;
        let creator = match key {
            Some(key) => CreatedBy { email: String::new(), name: key.name },
            None => match self.state.store.user_by_id(subject).await.map_err(store_error)? {
                Some(user) => CreatedBy { email: user.email, name: user.name },
                None => CreatedBy::default(),
            },
        };
        self.known.insert(subject.to_owned(), creator.clone());
        Ok(creator)
    }
}
