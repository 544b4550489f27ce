//! Times and durations as pages show them.

use buffa_types::google::protobuf::Timestamp;
use flyte_pages::{Cell, Moment};

/// A time in UTC. The script of the pages shows it in the reader's zone.
pub(crate) fn cell(time: Option<&Timestamp>) -> Cell {
    let at = time.and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok());
    at.map_or(Cell::Empty, |at| {
        Cell::Time(Moment {
            datetime: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            text: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        })
    })
}

/// A duration, for example `2.4 s` or `1 h 5 min`.
pub(crate) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{}.{} s", seconds, milliseconds % 1000 / 100),
        (0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// The time between two moments; nothing if one is missing.
pub(crate) fn between(start: Option<&Timestamp>, end: Option<&Timestamp>) -> Cell {
    let millis = |time: &Timestamp| time.seconds.saturating_mul(1000) + i64::from(time.nanos) / 1_000_000;
    let span = start.zip(end).and_then(|(start, end)| u64::try_from(millis(end) - millis(start)).ok());
    span.map_or(Cell::Empty, |span| Cell::Text(duration(span)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_readable() {
        let at = |seconds, nanos| Timestamp { seconds, nanos, ..Timestamp::default() };
        let Cell::Time(shown) = cell(Some(&at(1_795_813_208, 5))) else { panic!() };
        assert_eq!(shown.datetime, "2026-11-27T21:00:08Z");
        assert_eq!(shown.text, "2026-11-27 21:00:08 UTC");
        assert_eq!(cell(Some(&at(i64::MAX, 0))), Cell::Empty);
        assert_eq!([0, 2_449, 65_000, 3_900_000].map(duration), ["0.0 s", "2.4 s", "1 min 5 s", "1 h 5 min"]);
        assert_eq!(between(Some(&at(1, 0)), Some(&at(2, 500_000_000))), Cell::Text("1.5 s".to_owned()));
        assert_eq!(between(Some(&at(2, 0)), Some(&at(1, 0))), Cell::Empty, "clocks differ");
    }
}
