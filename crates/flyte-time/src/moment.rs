//! Times.

use std::str::FromStr;

use super::{InvalidTime, Period};

/// A time as typed: a duration before now (`2h`, `7d`), a time with its zone (RFC 3339), or a day, which begins at midnight UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// This long before now.
    Ago(Period),
    /// This time, in Unix seconds.
    At(i64),
}

impl Moment {
    /// The time in Unix seconds. Earlier times than 1970 become 0.
    #[must_use]
    pub fn at(self, now: i64) -> i64 {
        match self {
            Self::Ago(period) => period.before(now).max(0),
            Self::At(at) => at,
        }
    }
}

impl FromStr for Moment {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Ok(period) = text.parse() {
            return Ok(Self::Ago(period));
        }
        let day = || format!("{text}T00:00:00Z").parse().ok();
        let at = text.parse::<jiff::Timestamp>().ok().or_else(day);
        match at.map(jiff::Timestamp::as_second) {
            Some(at @ 0..) => Ok(Self::At(at)),
            Some(_) => Err(InvalidTime("it is before 1970".to_owned())),
            None => Err(InvalidTime("write a duration before now (2h, 7d), a time such as 2026-11-24T22:00:00Z (or with a zone such as \
                         +01:00), or a day such as 2026-11-24".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
