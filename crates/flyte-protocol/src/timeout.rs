//! Deadlines in headers.

use std::time::Duration;

/// What is wrong with a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeoutError {
    /// Not a number of digits.
    #[error("is not a number")]
    NotNumber,
    /// More digits than the protocol allows.
    #[error("has more than {0} digits")]
    TooLong(usize),
    /// No unit, or one that is not known.
    #[error("has no unit: one of H, M, S, m, u and n is at its end")]
    Unit,
}

/// The digits that gRPC allows.
const GRPC_DIGITS: usize = 8;
/// The digits that Connect allows.
const CONNECT_DIGITS: usize = 10;

const UNITS: [(char, u64); 6] = [
    ('n', 1),
    ('u', 1_000),
    ('m', 1_000_000),
    ('S', 1_000_000_000),
    ('M', 60_000_000_000),
    ('H', 3_600_000_000_000),
];

fn digits(text: &str, most: usize) -> Result<u64, TimeoutError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TimeoutError::NotNumber);
    }
    if text.len() > most {
        return Err(TimeoutError::TooLong(most));
    }
    text.parse().map_err(|_| TimeoutError::NotNumber)
}

/// Reads `grpc-timeout`: at most eight digits and a unit.
///
/// # Errors
/// [`TimeoutError`].
pub fn parse_grpc_timeout(text: &str) -> Result<Duration, TimeoutError> {
    let Some((number, unit)) = text.char_indices().next_back().map(|(index, unit)| (&text[..index], unit))
    else {
        return Err(TimeoutError::NotNumber);
    };
    let Some((_, nanoseconds)) = UNITS.iter().find(|(known, _)| *known == unit) else {
        return Err(TimeoutError::Unit);
    };
    let number = u128::from(digits(number, GRPC_DIGITS)?) * u128::from(*nanoseconds);
    let seconds = u64::try_from(number / 1_000_000_000).unwrap_or(u64::MAX);
    Ok(Duration::new(seconds, u32::try_from(number % 1_000_000_000).unwrap_or_default()))
}

/// Reads `connect-timeout-ms`: at most ten digits.
///
/// # Errors
/// [`TimeoutError`].
pub fn parse_connect_timeout(text: &str) -> Result<Duration, TimeoutError> {
    digits(text, CONNECT_DIGITS).map(Duration::from_millis)
}

/// Writes `grpc-timeout` in the smallest unit that eight digits suffice for. Parts of the unit are dropped, so that the deadline is
/// never later.
#[must_use]
pub fn format_grpc_timeout(timeout: Duration) -> String {
    let nanoseconds = timeout.as_nanos();
    let most = 10_u128.pow(8) - 1;
    let (unit, number) = UNITS
        .iter()
        .map(|(unit, size)| (*unit, nanoseconds / u128::from(*size)))
        .find(|(_, number)| *number <= most)
        .unwrap_or(('H', most));
    format!("{number}{unit}")
}

/// Writes `connect-timeout-ms`.
#[must_use]
pub fn format_connect_timeout(timeout: Duration) -> String {
    timeout.as_millis().min(10_u128.pow(10) - 1).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn deadlines_are_read() {
        for (text, expected) in [
            ("0n", Ok(Duration::ZERO)),
            ("1n", Ok(Duration::from_nanos(1))),
            ("5u", Ok(Duration::from_micros(5))),
            ("100m", Ok(Duration::from_millis(100))),
            ("30S", Ok(Duration::from_secs(30))),
            ("2M", Ok(Duration::from_secs(120))),
            ("99999999H", Ok(Duration::from_secs(99_999_999 * 3600))),
            ("100000000H", Err(TimeoutError::TooLong(8))),
            ("", Err(TimeoutError::NotNumber)),
            ("S", Err(TimeoutError::NotNumber)),
            ("5", Err(TimeoutError::Unit)),
            ("5s", Err(TimeoutError::Unit)),
            ("5 S", Err(TimeoutError::NotNumber)),
            ("-5S", Err(TimeoutError::NotNumber)),
            ("+5S", Err(TimeoutError::NotNumber)),
            ("1.5S", Err(TimeoutError::NotNumber)),
            ("5é", Err(TimeoutError::Unit)),
        ] {
            assert_eq!(parse_grpc_timeout(text), expected, "{text:?}");
        }
        for (text, expected) in [
            ("0", Ok(Duration::ZERO)),
            ("9999999999", Ok(Duration::from_millis(9_999_999_999))),
            ("10000000000", Err(TimeoutError::TooLong(10))),
            ("", Err(TimeoutError::NotNumber)),
            ("5S", Err(TimeoutError::NotNumber)),
            ("-1", Err(TimeoutError::NotNumber)),
        ] {
            assert_eq!(parse_connect_timeout(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_written_deadline_is_never_later_and_hardly_earlier(seconds in 0..u64::from(u32::MAX), nanoseconds in 0..1_000_000_000_u32) {
            let timeout = Duration::new(seconds, nanoseconds);
            let read = parse_grpc_timeout(&format_grpc_timeout(timeout)).unwrap();
            prop_assert!(read <= timeout);
            prop_assert!(timeout.saturating_sub(read) <= timeout / 90_000);
            let read = parse_connect_timeout(&format_connect_timeout(timeout)).unwrap();
            prop_assert!(read <= timeout);
        }
    }

    #[test]
    fn the_longest_deadlines_are_written() {
        assert_eq!(format_grpc_timeout(Duration::MAX), "99999999H");
        assert_eq!(format_connect_timeout(Duration::MAX), "9999999999");
    }
}
