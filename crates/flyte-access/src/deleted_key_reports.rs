//! A limit on reports of tokens whose API key was deleted.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use flyte_model::{ClientId, clock::UnixTime};

/// Seconds between two reports about the same key: the holder of a token can send it as often as they like.
const REPORT_INTERVAL_SECONDS: i64 = 60;

/// The time of each key's last report. Only genuine tokens cause reports, and old entries are removed, so the map
/// stays small.
#[derive(Debug, Default)]
pub(super) struct DeletedKeyReports(Mutex<HashMap<ClientId, UnixTime>>);

impl DeletedKeyReports {
    /// Whether the use of a token of this key may be reported now. If so, notes the time.
    pub(super) fn allows(&self, client_id: &ClientId, now: UnixTime) -> bool {
        let mut reported_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reported_at.retain(|_, at| now.saturating_sub(*at) < REPORT_INTERVAL_SECONDS);
        let due = !reported_at.contains_key(client_id);
        if due {
            reported_at.insert(client_id.clone(), now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_reported_once_a_minute_and_then_forgotten() {
        let reports = DeletedKeyReports::default();
        for (key, now, expected) in [
            ("a", 0, true),
            ("a", 59, false),
            ("b", 59, true),
            ("a", 60, true),
            ("a", 61, false),
            ("b", 200, true),
        ] {
            assert_eq!(reports.allows(&ClientId::from_static(key), now), expected, "{key} {now}");
        }
        assert_eq!(reports.0.lock().unwrap().len(), 1);
    }
}
