//! Who made something of which the subject alone was kept.

use std::collections::HashMap;

use connectrpc::ConnectError;

use super::store_error;
use crate::ControlPlane;

/// What is known of a subject; empty for one that is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Maker {
    /// Of a person.
    pub(super) email: String,
    /// Of a person or an API key.
    pub(super) name: String,
}

/// Looks subjects up, each once for an answer.
pub(super) struct Makers<'a> {
    plane: &'a ControlPlane,
    known: HashMap<String, Maker>,
}

impl<'a> Makers<'a> {
    pub(super) fn new(plane: &'a ControlPlane) -> Self {
        Self { plane, known: HashMap::new() }
    }

    pub(super) async fn of(&mut self, subject: &str) -> Result<Maker, ConnectError> {
        if let Some(known) = self.known.get(subject) {
            return Ok(known.clone());
        }
        // Keys first: none is named like an account, and one that was before that was refused is not shown as the person.
        let key = self.plane.store.api_key_by_id(subject).await.map_err(store_error)?;
        let maker = match key {
            Some(key) => Maker { email: String::new(), name: key.name },
            None => match self.plane.store.user_by_id(subject).await.map_err(store_error)? {
                Some(user) => Maker { email: user.email, name: user.name },
                None => Maker::default(),
            },
        };
        self.known.insert(subject.to_owned(), maker.clone());
        Ok(maker)
    }
}
