//! Times in the notation of the published command's filters.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use super::{Moment, Period};

const DAY_SECONDS: i64 = 86_400;

/// The lower or upper bound of a filter: what [`Moment`] accepts, `now`, `today` (midnight UTC), a time without a zone (UTC), or one of
/// these with a duration added or subtracted, for example `now - 1 day`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    base: Base,
    /// In seconds.
    offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Now,
    Today,
    Moment(Moment),
}

impl Bound {
    /// In Unix seconds.
    pub(crate) fn at(self, now: i64) -> i64 {
        let base = match self.base {
            Base::Now => now,
            Base::Today => now - now.rem_euclid(DAY_SECONDS),
            Base::Moment(moment) => moment.at(now),
        };
        base.saturating_add(self.offset).max(0)
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        // A sign is between blanks, so that it is not part of a date.
        for (sign, factor) in [(" - ", -1), (" + ", 1)] {
            if let Some((base, duration)) = text.rsplit_once(sign) {
                return Ok(Self { base: base.parse()?, offset: factor * seconds(duration)? });
            }
        }
        Ok(Self { base: text.parse()?, offset: 0 })
    }
}

impl FromStr for Base {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "now" => return Ok(Self::Now),
            "today" => return Ok(Self::Today),
            _ => {}
        }
        let without_zone = || {
            let at = Offset::UTC.to_timestamp(text.trim().parse::<DateTime>().ok()?).ok()?;
            (at >= Timestamp::UNIX_EPOCH).then(|| Moment::At(at.as_second()))
        };
        match text.parse::<Moment>() {
            Ok(moment) => Ok(Self::Moment(moment)),
            Err(_) => without_zone().map(Self::Moment).ok_or_else(|| {
                "write a day (2026-11-24), a time in UTC (2026-11-24T22:00:00) or with its zone \
                 (2026-11-24T22:00:00+01:00), a duration before now (2h, 7d), now, today, or `now - 1 day`"
                    .to_owned()
            }),
        }
    }
}

/// A duration as [`Period`], in words (`1 day`, `2 hours 30 minutes`) or as in ISO 8601 (`P1D`), in seconds.
fn seconds(text: &str) -> Result<i64, String> {
    let text = text.trim();
    if let Ok(period) = text.parse::<Period>() {
        return Ok(SignedDuration::try_from(period.duration()).map_or(i64::MAX, |length| length.as_secs()));
    }
    let span = text.parse::<Span>().ok();
    let length = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    length.map(|length| length.as_secs()).ok_or_else(|| {
        format!("{text:?} is not a duration; write it as `1 day`, `2 hours 30 minutes`, 12h or 1h30m")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_the_published_command_are_accepted() {
        let now = 1_795_557_600; // 2026-11-24T22:00:00Z
        let (hour, day) = (3600, 86_400);
        for (text, at) in [
            ("now", now),
            ("today", now - 22 * hour),
            ("now - 1 day", now - day),
            ("now - 2 hours 30 minutes", now - 9000),
            ("now - 90m", now - 5400),
            ("now + 1h", now + hour),
            ("today - P1D", now - 46 * hour),
            ("today - 1 week", now - 22 * hour - 7 * day),
            ("2026-11-24", now - 22 * hour),
            ("2026-11-24 - 1 day", now - 46 * hour),
            ("2026-11-24T22:00:00", now),
            ("2026-11-24 22:00:00", now),
            ("2026-11-24T23:00:00+01:00", now),
            ("2026-11-24T22:00:00Z", now),
            ("7d", now - 7 * day),
            (" 2h ", now - 2 * hour),
        ] {
            assert_eq!(text.parse::<Bound>().map(|bound| bound.at(now)), Ok(at), "{text}");
        }
        for text in ["", "yesterday", "now - ", "now - soon", "2026-13-01", "tomorrow - 1 day", "1969-12-31"]
        {
            assert!(text.parse::<Bound>().is_err(), "{text}");
        }
    }
}
