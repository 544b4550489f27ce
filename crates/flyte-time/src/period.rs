//! Durations.

use std::{str::FromStr, time::Duration};

use super::InvalidTime;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// A duration as typed: whole numbers with units, for example `90d`, `12h` or `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(u64);

impl Period {
    /// The duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// Whether it has no length.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The time this long before `now`, in Unix seconds.
    #[must_use]
    pub fn before(self, now: i64) -> i64 {
        now.saturating_sub_unsigned(self.0)
    }
}

impl FromStr for Period {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXAMPLE: &str = "write it as 90d, 12h, 30m or 1h30m (units: s, m, h, d, w, y)";
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidTime(format!("the duration is empty; {EXAMPLE}")));
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
                return Err(InvalidTime(format!("{rest:?} does not begin with a number; {EXAMPLE}")));
            }
            let Some(unit) = after.chars().next() else {
                return Err(InvalidTime(format!("the unit is missing after {digits}; {EXAMPLE}")));
            };
            let seconds = match unit {
                's' => 1,
                'm' => MINUTE,
                'h' => HOUR,
                'd' => DAY,
                'w' => 7 * DAY,
                'y' => YEAR,
                other => return Err(InvalidTime(format!("{other:?} is not a unit of time; {EXAMPLE}"))),
            };
            let part = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(seconds));
            // A century is more than any server accepts, and arithmetic on times cannot overflow.
            let sum = part.and_then(|part| total.checked_add(part)).filter(|sum| *sum <= 100 * YEAR);
            total = sum.ok_or_else(|| InvalidTime(format!("{text} is longer than a hundred years")))?;
            rest = &after[unit.len_utf8()..];
        }
        Ok(Self(total))
    }
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
            let error = text.parse::<Period>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
