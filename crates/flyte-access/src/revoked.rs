//! Families whose tokens are refused.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use super::forgotten_after;
use flyte_model::clock::UnixTime;

/// The families that were revoked, as far as this replica knows.
#[derive(Debug, Default)]
pub(super) struct Revoked(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    /// When each was learned of; [`UnixTime::MAX`] until the store has told it.
    families: HashMap<String, UnixTime>,
    /// When the store was last read.
    read_up_to: Option<UnixTime>,
}

impl Revoked {
    pub(super) fn contains(&self, family_id: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).families.contains_key(family_id)
    }

    pub(super) fn insert(&self, family_id: &str) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        state.families.entry(family_id.to_owned()).or_insert(UnixTime::MAX);
    }

    /// When the store was last read; `None` before the first time.
    pub(super) fn read_up_to(&self) -> Option<UnixTime> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).read_up_to
    }

    /// Adds what the store told at `now`, and forgets what no living token can belong to.
    pub(super) fn learn(&self, families: Vec<String>, now: UnixTime) {
        // Most seconds tell nothing new; then only the time is written.
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for family in families {
            state.families.insert(family, now);
        }
        let oldest = forgotten_after(now);
        state.families.retain(|_, learned| *learned > oldest);
        state.read_up_to = Some(now);
    }
}
