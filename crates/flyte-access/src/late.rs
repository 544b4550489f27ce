//! Whose tokens come late: of API keys that are no more.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use flyte_model::clock::UnixTime;

/// Seconds in which a key's late tokens are told once: whoever has one can present it as often as they like.
const INTERVAL: i64 = 60;

/// When a late token of each key was last told. It holds no more than came in an interval, and of genuine tokens alone.
#[derive(Debug, Default)]
pub(super) struct Late(Mutex<HashMap<String, UnixTime>>);

impl Late {
    /// Whether a late token of this key is to be told now.
    pub(super) fn is_due(&self, client_id: &str, now: UnixTime) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| now.saturating_sub(*at) < INTERVAL);
        let due = !told.contains_key(client_id);
        if due {
            told.insert(client_id.to_owned(), now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_told_once_a_minute_and_then_forgotten() {
        let late = Late::default();
        for (key, now, expected) in [
            ("a", 0, true),
            ("a", 59, false),
            ("b", 59, true),
            ("a", 60, true),
            ("a", 61, false),
            ("b", 200, true),
        ] {
            assert_eq!(late.is_due(key, now), expected, "{key} {now}");
        }
        assert_eq!(late.0.lock().unwrap().len(), 1);
    }
}
