//! Revoked families, whose tokens are refused.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use super::forgotten_after;
use flyte_model::clock::UnixTime;

/// The revoked families that this replica knows.
#[derive(Debug, Default)]
pub(super) struct RevokedFamilies(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    /// The time at which the store returned each family; [`UnixTime::MAX`] before it has done so.
    families: HashMap<String, UnixTime>,
    /// The time at which the store was last read.
    read_up_to: Option<UnixTime>,
}

impl RevokedFamilies {
    pub(super) fn contains(&self, family_id: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).families.contains_key(family_id)
    }

    pub(super) fn insert(&self, family_id: &str) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        state.families.entry(family_id.to_owned()).or_insert(UnixTime::MAX);
    }

    /// Adds a family whose revocation is not in the store. It is forgotten when its tokens have all expired.
    pub(super) fn insert_until_forgotten(&self, family_id: &str, now: UnixTime) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        state.families.entry(family_id.to_owned()).or_insert(now);
    }

    /// The time at which the store was last read; `None` before the first read.
    pub(super) fn read_up_to(&self) -> Option<UnixTime> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).read_up_to
    }

    /// Adds the families that the store returned at `now`, and forgets families whose tokens have all expired.
    pub(super) fn learn(&self, families: Vec<String>, now: UnixTime) {
        // Usually the store returns no families; then only the time changes.
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for family in families {
            state.families.insert(family, now);
        }
        let oldest = forgotten_after(now);
        state.families.retain(|_, learned| *learned > oldest);
        state.read_up_to = Some(now);
    }
}
