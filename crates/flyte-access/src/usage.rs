//! The times at which machine identities last got a token, and the last uses of what people are signed in with. They are collected in memory and written periodically, so
//! that no request waits for the write.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use flyte_model::{ClientId, clock::UnixTime};
use flyte_store::{SignInUse, Store, StoreError, UnwrittenUses};

/// Times that are not written yet.
#[derive(Debug, Default)]
struct Times {
    api_keys: HashMap<ClientId, UnixTime>,
    /// By the family of the rule's tokens.
    trust_rules: HashMap<String, UnixTime>,
}

/// Collects the times.
#[derive(Debug, Default)]
pub(super) struct Usage {
    times: Mutex<Times>,
    sign_ins: UnwrittenUses,
}

impl Usage {
    pub(super) fn note_api_key(&self, client_id: ClientId, now: UnixTime) {
        self.change(|times| note(&mut times.api_keys, client_id, now));
    }

    pub(super) fn note_trust_rule(&self, family_id: String, now: UnixTime) {
        self.change(|times| note(&mut times.trust_rules, family_id, now));
    }

    pub(super) fn note_sign_in(&self, family_id: &str, used: SignInUse) {
        self.sign_ins.note(family_id, used);
    }

    fn change<T>(&self, work: impl FnOnce(&mut Times) -> T) -> T {
        work(&mut self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes the collected times. Keeps them for the next call if the store fails.
    pub(super) async fn write(&self, store: &dyn Store) -> Result<(), StoreError> {
        self.sign_ins.write(store).await?;
        let Times { api_keys, trust_rules } = self.change(std::mem::take);
        let api_keys: Vec<_> = api_keys.into_iter().collect();
        let trust_rules: Vec<_> = trust_rules.into_iter().collect();
        let outcome = async {
            if !api_keys.is_empty() {
                store.note_api_keys_used(&api_keys).await?;
            }
            if !trust_rules.is_empty() {
                store.note_trust_rules_used(&trust_rules).await?;
            }
            Ok(())
        };
        let outcome = outcome.await;
        if outcome.is_err() {
            self.change(|times| {
                for (key, at) in api_keys {
                    note(&mut times.api_keys, key, at);
                }
                for (rule, at) in trust_rules {
                    note(&mut times.trust_rules, rule, at);
                }
            });
        }
        outcome
    }
}

/// Keeps the latest time.
fn note<K: Eq + Hash>(times: &mut HashMap<K, UnixTime>, key: K, now: UnixTime) {
    let latest = times.entry(key).or_insert(now);
    *latest = now.max(*latest);
}
