//! Counts repeated events. The bearer of a token can cause some events as often as it likes.
//!
//! The first event is recorded at once. Equal events within a window (same caller, same object, same reason) are
//! counted. The count becomes one record at the end of the window, when the log is read, or when the server stops. A
//! caller that varies the object or the reason gets [`MAX_DISTINCT`] separate records in a window; the rest is counted
//! together. So each caller adds only a few records to the log in each window.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Detail, Kind};
use flyte_model::{AddressBlock, clock::UnixTime};
use flyte_store::AuditRecord;

/// The length of a window, in seconds.
const WINDOW: i64 = 300;
/// The most different events of one kind by one caller that have separate records in a window.
const MAX_DISTINCT: usize = 16;
/// The most callers whose repeats are counted at the same time. Beyond that, counting starts again.
const MAX_CALLERS: usize = 4096;

/// A caller, its address and its kind of event.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Caller {
    event: String,
    subject: Option<String>,
    client_id: Option<String>,
    address: Option<AddressBlock>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Occurrence {
    object: Option<String>,
    details: BTreeMap<String, String>,
}

/// A repeated event and its number.
#[derive(Debug)]
struct Repeats {
    /// The latest of the repeats.
    last: AuditRecord,
    first_at: UnixTime,
    count: u64,
}

#[derive(Debug)]
struct Window {
    kind: Kind,
    since: UnixTime,
    /// The value is `None` if the event happened once.
    seen: HashMap<Occurrence, Option<Repeats>>,
    others: Option<Repeats>,
}

/// Counts repeated events.
#[derive(Debug, Default)]
pub(super) struct Fold(Mutex<HashMap<Caller, Window>>);

impl Fold {
    /// Returns the records to store after the event `record`: usually the record itself, or nothing.
    pub(super) fn admit(&self, kind: Kind, record: AuditRecord) -> Vec<(Kind, AuditRecord)> {
        let mut windows = self.windows();
        let caller = Caller::of(&record);
        let now = record.at;
        let mut due = Vec::new();
        if windows.len() >= MAX_CALLERS && !windows.contains_key(&caller) {
            windows.drain().for_each(|(_, window)| window.end(&mut due));
        }
        if windows.get(&caller).is_some_and(|window| window.is_over(now))
            && let Some(over) = windows.remove(&caller)
        {
            over.end(&mut due);
        }
        let window = windows.entry(caller).or_insert_with(|| Window {
            kind,
            since: now,
            seen: HashMap::new(),
            others: None,
        });
        let what = Occurrence { object: record.object.clone(), details: record.details.clone() };
        let many = window.seen.len() >= MAX_DISTINCT;
        match window.seen.get_mut(&what) {
            Some(repeats) => Repeats::add(repeats, record),
            None if many => Repeats::add(&mut window.others, record),
            None => {
                window.seen.insert(what, None);
                due.push((kind, record));
            }
        }
        due
    }

    /// Returns the counts of the windows that are over or, with `all`, of every window.
    pub(super) fn take(&self, now: UnixTime, all: bool) -> Vec<(Kind, AuditRecord)> {
        let mut due = Vec::new();
        self.windows().retain(|_, window| {
            let over = window.is_over(now);
            if over || all {
                window.take(&mut due);
            }
            !over
        });
        due
    }

    fn windows(&self) -> MutexGuard<'_, HashMap<Caller, Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caller {
    fn of(record: &AuditRecord) -> Self {
        let address = record.address.as_deref().and_then(|address| address.parse::<IpAddr>().ok());
        Self {
            event: record.event.clone(),
            subject: record.subject.clone(),
            client_id: record.client_id.clone(),
            address: address.map(AddressBlock::of),
        }
    }
}

impl Window {
    /// This also holds if the clock was set back.
    fn is_over(&self, now: UnixTime) -> bool {
        !(0..WINDOW).contains(&now.saturating_sub(self.since))
    }

    fn end(mut self, due: &mut Vec<(Kind, AuditRecord)>) {
        self.take(due);
    }

    fn take(&mut self, due: &mut Vec<(Kind, AuditRecord)>) {
        for repeats in self.seen.values_mut().filter_map(mem::take) {
            due.push((self.kind, repeats.record()));
        }
        if let Some(repeats) = mem::take(&mut self.others) {
            let mut record = repeats.record();
            record.object = None;
            record.details.retain(|name, _| {
                [Detail::Repeated, Detail::Since].iter().any(|detail| detail.as_str() == name)
            });
            record.details.insert(Detail::Reason.as_str().to_owned(), "various others".to_owned());
            due.push((self.kind, record));
        }
    }
}

impl Repeats {
    fn add(repeats: &mut Option<Self>, record: AuditRecord) {
        match repeats {
            Some(repeats) => {
                repeats.count += 1;
                repeats.last = record;
            }
            None => *repeats = Some(Self { first_at: record.at, last: record, count: 1 }),
        }
    }

    /// Returns the latest record with the number of repeats and the time of the first one.
    fn record(self) -> AuditRecord {
        let mut record = self.last;
        record.details.insert(Detail::Repeated.as_str().to_owned(), self.count.to_string());
        record.details.insert(Detail::Since.as_str().to_owned(), self.first_at.to_string());
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(at: UnixTime, subject: &str, address: &str, object: &str) -> AuditRecord {
        AuditRecord {
            at,
            event: Kind::CallDenied.as_str().to_owned(),
            subject: Some(subject.to_owned()),
            client_id: None,
            address: Some(address.to_owned()),
            object: Some(object.to_owned()),
            details: [("reason".to_owned(), "role".to_owned())].into(),
        }
    }

    fn summary(due: &[(Kind, AuditRecord)]) -> Vec<(Option<&str>, Option<&str>)> {
        let mut summary: Vec<_> = due
            .iter()
            .map(|(_, record)| (record.object.as_deref(), record.details.get("repeated").map(String::as_str)))
            .collect();
        summary.sort_unstable();
        summary
    }

    #[test]
    fn repeats_become_one_record_with_their_number() {
        let fold = Fold::default();
        let mut due = fold.admit(Kind::CallDenied, record(0, "eve", "203.0.113.1", "/a"));
        assert_eq!(summary(&due), [(Some("/a"), None)], "recorded at once");
        for at in 1..=100 {
            due = fold.admit(Kind::CallDenied, record(at, "eve", "203.0.113.1", "/a"));
            assert!(due.is_empty());
        }
        // Another caller, address or kind of event is recorded at once.
        for other in [
            record(100, "ada", "203.0.113.1", "/a"),
            record(100, "eve", "203.0.113.2", "/a"),
            record(100, "eve", "203.0.113.1", "/b"),
        ] {
            assert_eq!(fold.admit(Kind::CallDenied, other.clone()), [(Kind::CallDenied, other)]);
        }
        assert!(fold.take(WINDOW - 1, false).is_empty(), "the window is not over");
        let due = fold.take(WINDOW, false);
        assert_eq!(summary(&due), [(Some("/a"), Some("100"))]);
        assert_eq!((due[0].1.at, due[0].1.details["since"].as_str()), (100, "1"));
        assert!(fold.take(WINDOW, true).is_empty(), "recorded once");
        assert_eq!(fold.admit(Kind::CallDenied, record(WINDOW, "eve", "203.0.113.1", "/a")).len(), 1);
    }

    #[test]
    fn reading_the_log_records_the_count_so_far() {
        let fold = Fold::default();
        for at in 0..3 {
            fold.admit(Kind::CallDenied, record(at, "eve", "203.0.113.1", "/a"));
        }
        assert_eq!(summary(&fold.take(3, true)), [(Some("/a"), Some("2"))]);
        assert!(fold.admit(Kind::CallDenied, record(4, "eve", "203.0.113.1", "/a")).is_empty());
        let due = fold.admit(Kind::CallDenied, record(WINDOW, "eve", "203.0.113.1", "/a"));
        assert_eq!(summary(&due), [(Some("/a"), None), (Some("/a"), Some("1"))]);
    }

    #[test]
    fn varied_events_are_counted_and_memory_is_limited() {
        let fold = Fold::default();
        let mut recorded_at_once = 0;
        for n in 0..10_000_i64 {
            let address = format!("2001:db8::{:x}", n % 0xffff);
            recorded_at_once +=
                fold.admit(Kind::CallDenied, record(1, "eve", &address, &format!("/{n}"))).len();
        }
        assert_eq!(recorded_at_once, MAX_DISTINCT, "a /64 of addresses counts as one caller");
        let due = fold.take(1, true);
        assert_eq!(summary(&due), [(None, Some((10_000 - MAX_DISTINCT).to_string().as_str()))]);
        assert_eq!(due[0].1.subject.as_deref(), Some("eve"));
        let mut all = 0;
        for n in 0..3 * MAX_CALLERS {
            for _ in 0..2 {
                all += fold.admit(Kind::CallDenied, record(1, &n.to_string(), "203.0.113.1", "/a")).len();
            }
            assert!(fold.windows().len() <= MAX_CALLERS);
        }
        assert_eq!(all + fold.take(1, true).len(), 2 * 3 * MAX_CALLERS, "no event is lost");
    }
}
