//! Parses and formats durations and times for users.

mod bound;

use std::str::FromStr;

pub(crate) use bound::Bound;
pub(crate) use flyte_time::{Moment, Period};

/// Parses a duration that must be longer than zero.
pub(crate) fn lasting(text: &str) -> Result<Period, String> {
    match text.parse::<Period>() {
        Ok(period) if period.is_zero() => Err("it must be longer than zero".to_owned()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

/// An expiry as typed: a duration, or `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    After(Period),
    Never,
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().eq_ignore_ascii_case("never") {
            return Ok(Self::Never);
        }
        lasting(text).map(Self::After).map_err(|error| format!("{error}; or write never for no expiry"))
    }
}

/// Formats seconds in the largest unit that fits.
pub(crate) fn spoken(seconds: i64) -> String {
    let (count, unit) = match seconds {
        ..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// Formats milliseconds, precise enough to compare: `0.4s`, `12.3s`, `4m 05s`, `2h 10m`.
pub(crate) fn took(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..60 => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Formats a time relative to `now`: `in 3 days`, `5 minutes ago`.
pub(crate) fn relative(moment: i64, now: i64) -> String {
    match moment.saturating_sub(now) {
        0 => "now".to_owned(),
        left @ 1.. => format!("in {}", spoken(left)),
        left => format!("{} ago", spoken(left.saturating_neg())),
    }
}

/// Formats a time as a date, in UTC.
pub(crate) fn date(moment: i64) -> String {
    jiff::Timestamp::from_second(moment)
        .map_or_else(|_| moment.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// Formats a time as a date and relative to `now`.
pub(crate) fn moment(moment: i64, now: i64) -> String {
    format!("{} ({})", date(moment), relative(moment, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_can_be_required_to_be_longer_than_zero() {
        assert_eq!(lasting("0d"), Err("it must be longer than zero".to_owned()));
        assert_eq!(lasting("1s"), Ok("1s".parse().unwrap()));
    }

    #[test]
    fn expiry_is_a_duration_or_never() {
        assert_eq!("90d".parse(), Ok(Expiry::After("90d".parse().unwrap())));
        assert_eq!(" Never ".parse(), Ok(Expiry::Never));
        for (text, expected) in
            [("0", "longer than zero"), ("90", "the unit is missing after 90"), ("none", "write never")]
        {
            let error = text.parse::<Expiry>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn durations_use_the_largest_unit() {
        for (seconds, text) in [
            (1, "1 second"),
            (90, "90 seconds"),
            (3600, "60 minutes"),
            (7200, "2 hours"),
            (200_000, "2 days"),
        ] {
            assert_eq!(spoken(seconds), text);
        }
    }

    #[test]
    fn long_times_use_larger_units() {
        for (milliseconds, text) in [
            (0, "0.0s"),
            (449, "0.4s"),
            (59_999, "59.9s"),
            (245_000, "4m 05s"),
            (3_600_000, "1h 00m"),
            (7_800_000, "2h 10m"),
        ] {
            assert_eq!(took(milliseconds), text);
        }
    }

    #[test]
    fn times_are_absolute_and_relative() {
        assert_eq!(moment(1_795_557_600, 1_795_557_600 + 300), "2026-11-24 22:00:00 UTC (5 minutes ago)");
        assert_eq!(relative(1_000, 1_000), "now");
        assert_eq!(relative(1_000 + 3 * 86_400, 1_000), "in 3 days");
        // An implausible time from a server is shown and does not fail.
        assert_eq!(date(i64::MAX), i64::MAX.to_string());
        assert!(relative(i64::MIN, i64::MAX).ends_with("days ago"));
    }
}
