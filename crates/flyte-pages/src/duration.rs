//! Durations in words.

/// Formats a number of seconds in words; 100 seconds and more are given in minutes.
#[must_use]
pub fn duration(seconds: i64) -> String {
    let (count, unit) = if seconds < 100 { (seconds, "second") } else { ((seconds + 59) / 60, "minute") };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
