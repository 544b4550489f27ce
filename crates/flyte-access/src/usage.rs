//! The times at which machine identities last got a token. They are collected in memory and written periodically, so
//! that no request waits for the write.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use flyte_model::PrincipalKind;
use flyte_model::clock::UnixTime;
use flyte_store::{Store, StoreError};

/// Times that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Usage(Mutex<HashMap<(PrincipalKind, String), UnixTime>>);

impl Usage {
    pub(super) fn note(&self, principal: PrincipalKind, subject: &str, now: UnixTime) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = uses.entry((principal, subject.to_owned())).or_insert(now);
        *latest = now.max(*latest);
    }

    /// Writes the collected times. Keeps them for the next call if the store fails.
    pub(super) async fn write(&self, store: &dyn Store) -> Result<(), StoreError> {
        let noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let of = |kind| -> Vec<(String, UnixTime)> {
            let uses = noted.iter().filter(|((principal, _), _)| *principal == kind);
            uses.map(|((_, subject), at)| (subject.clone(), *at)).collect()
        };
        let (keys, rules) = (of(PrincipalKind::ApiKey), of(PrincipalKind::Federated));
        let outcome = async {
            if !keys.is_empty() {
                store.note_api_keys_used(&keys).await?;
            }
            if !rules.is_empty() {
                store.note_trust_rules_used(&rules).await?;
            }
            Ok(())
        };
        let outcome = outcome.await;
        if outcome.is_err() {
            for ((principal, subject), at) in noted {
                self.note(principal, &subject, at);
            }
        }
        outcome
    }
}
