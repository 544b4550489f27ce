//! Parses and formats durations and times for users.

use std::str::FromStr;
use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// A duration as typed: whole numbers with units, for example `90d`, `12h` or `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period(u64);

impl Period {
    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// The time this long before `now`, in Unix seconds.
    pub(crate) fn before(self, now: i64) -> i64 {
        now.saturating_sub_unsigned(self.0)
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXAMPLE: &str = "write it as 90d, 12h, 30m or 1h30m (units: s, m, h, d, w, y)";
        let text = text.trim();
        if text.is_empty() {
            return Err(format!("the duration is empty; {EXAMPLE}"));
        }
        if text == "0" {
            return Ok(Self(0));
        }
        let mut total = 0_u64;
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, after) = rest.split_at(end);
            if digits.is_empty() {
                return Err(format!("{rest:?} does not begin with a number; {EXAMPLE}"));
            }
            let Some(unit) = after.chars().next() else {
                return Err(format!("the unit is missing after {digits}; {EXAMPLE}"));
            };
            let seconds = match unit {
                's' => 1,
                'm' => MINUTE,
                'h' => HOUR,
                'd' => DAY,
                'w' => 7 * DAY,
                'y' => YEAR,
                other => return Err(format!("{other:?} is not a unit of time; {EXAMPLE}")),
            };
            let part = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(seconds));
            // A century is more than any server accepts, and arithmetic on times cannot overflow.
            let sum = part.and_then(|part| total.checked_add(part)).filter(|sum| *sum <= 100 * YEAR);
            total = sum.ok_or_else(|| format!("{text} is longer than a hundred years"))?;
            rest = &after[unit.len_utf8()..];
        }
        Ok(Self(total))
    }
}

/// Parses a duration that must be longer than zero.
pub(crate) fn lasting(text: &str) -> Result<Period, String> {
    match text.parse()? {
        Period(0) => Err("it must be longer than zero".to_owned()),
        period => Ok(period),
    }
}

/// A time as typed: a duration before now (`2h`, `7d`), a time with its zone (RFC 3339), or a day, which begins at midnight UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Ago(Period),
    At(i64),
}

impl Moment {
    /// In Unix seconds; earlier times become 0.
    pub(crate) fn at(self, now: i64) -> i64 {
        match self {
            Self::Ago(period) => period.before(now).max(0),
            Self::At(at) => at,
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Ok(period) = text.parse() {
            return Ok(Self::Ago(period));
        }
        let day = || format!("{text}T00:00:00Z").parse().ok();
        let at = text.parse::<jiff::Timestamp>().ok().or_else(day);
        match at.map(jiff::Timestamp::as_second) {
            Some(at @ 0..) => Ok(Self::At(at)),
            Some(_) => Err("it is before 1970".to_owned()),
            None => Err("write a duration before now (2h, 7d), a time such as 2026-11-24T22:00:00Z (or with a zone such as \
                         +01:00), or a day such as 2026-11-24"
                .to_owned()),
        }
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
    fn durations_are_numbers_with_units() {
        for (text, seconds) in [
            ("90d", 90 * DAY),
            ("12h", 12 * HOUR),
            ("1y", YEAR),
            ("2w", 14 * DAY),
            ("15m", 900),
            ("45s", 45),
            ("1h30m", 5400),
            (" 7d ", 7 * DAY),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(text.parse(), Ok(Period(seconds)), "{text}");
        }
    }

    #[test]
    fn wrong_durations_have_exact_errors() {
        for (text, expected) in [
            ("", "the duration is empty"),
            ("90", "the unit is missing after 90"),
            ("1h30", "the unit is missing after 30"),
            ("soon", "\"soon\" does not begin with a number"),
            ("-1d", "\"-1d\" does not begin with a number"),
            ("1 d", "' ' is not a unit of time"),
            ("1month", "\"onth\" does not begin with a number"),
            ("3D", "'D' is not a unit of time"),
            ("1.5h", "'.' is not a unit of time"),
            ("101y", "101y is longer than a hundred years"),
            ("99999999999999999999d", "is longer than a hundred years"),
            ("5天", "'天' is not a unit of time"),
        ] {
            let error = text.parse::<Period>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert_eq!(lasting("0d"), Err("it must be longer than zero".to_owned()));
        assert_eq!(lasting("1s"), Ok(Period(1)));
    }

    #[test]
    fn time_is_a_duration_a_timestamp_or_a_day() {
        let now = 1_795_557_600;
        for (text, at) in [
            ("2h", now - 7200),
            (" 7d ", now - 7 * 86_400),
            ("0", now),
            ("2026-11-24T22:00:00Z", now),
            ("2026-11-24T23:00:00+01:00", now),
            ("2026-11-24 22:00:00Z", now),
            ("2026-11-24", now - 22 * 3600),
        ] {
            assert_eq!(text.parse::<Moment>().map(|moment| moment.at(now)), Ok(at), "{text}");
        }
        for text in ["", "yesterday", "2026-11-24T22:00:00", "2026-13-01", "22:00", "-2h", "1969-12-31"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }

    #[test]
    fn expiry_is_a_duration_or_never() {
        assert_eq!("90d".parse(), Ok(Expiry::After(Period(90 * DAY))));
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
