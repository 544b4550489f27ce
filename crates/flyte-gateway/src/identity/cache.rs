//! The headers of recent callers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{IdentityHeaders, REUSE, claims::Profile};
use flyte_access::Caller;
use flyte_model::{PrincipalKind, clock::UnixTime};
use flyte_store::Creator;

/// The most callers whose headers are kept, about 1.5 KiB each.
const CAPACITY: usize = 8192;

/// The headers of one caller.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) headers: Arc<IdentityHeaders>,
    pub(super) profile: Arc<Profile>,
    /// [`SigningKeys::generation`](flyte_keys::SigningKeys::generation) when the claims were signed.
    pub(super) generation: u64,
    /// The time at which the claims were signed.
    pub(super) signed_at: UnixTime,
    /// The time at which the account was last read.
    pub(super) checked_at: UnixTime,
}

/// What the claims depend on. It is compared as a whole, so a caller never gets the headers of another one, even if
/// two issuers of tokens should use the same identifier.
#[derive(Debug)]
struct Owner {
    principal: PrincipalKind,
    subject: String,
    client_id: String,
    family_id: String,
    expires_at: UnixTime,
    on_behalf_of: Option<Creator>,
}

impl Owner {
    fn is(&self, caller: &Caller) -> bool {
        self.principal == caller.principal
            && self.subject == caller.subject
            && self.client_id == caller.client_id.as_str()
            && self.family_id == caller.family_id
            && self.expires_at == caller.expires_at
            && self.on_behalf_of == caller.on_behalf_of
    }
}

/// A bounded map from `jti` of access tokens.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<HashMap<String, (Owner, Entry)>>);

impl Cache {
    pub(super) fn get(&self, caller: &Caller) -> Option<Entry> {
        let entries = self.entries();
        let (owner, entry) = entries.get(&caller.token_id)?;
        owner.is(caller).then(|| entry.clone())
    }

    /// Stores an entry. If the map is full, the entries that are no longer sent are dropped, and then any others.
    pub(super) fn put(&self, caller: &Caller, entry: Entry, now: UnixTime) {
        let mut entries = self.entries();
        if entries.len() >= CAPACITY && !entries.contains_key(&caller.token_id) {
            entries.retain(|_, (_, entry)| now.saturating_sub(entry.signed_at) < REUSE);
            if entries.len() >= CAPACITY {
                let mut keep = false;
                entries.retain(|_, _| {
                    keep = !keep;
                    keep
                });
            }
        }
        let owner = Owner {
            principal: caller.principal,
            subject: caller.subject.clone(),
            client_id: caller.client_id.to_string(),
            family_id: caller.family_id.clone(),
            expires_at: caller.expires_at,
            on_behalf_of: caller.on_behalf_of.clone(),
        };
        entries.insert(caller.token_id.clone(), (owner, entry));
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, (Owner, Entry)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries().len()
    }
}
