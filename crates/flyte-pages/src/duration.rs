//! Times in words.

/// A number of seconds, or minutes where there are many, in words.
#[must_use]
pub fn duration(seconds: i64) -> String {
    let (count, unit) = if seconds < 100 { (seconds, "second") } else { ((seconds + 59) / 60, "minute") };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
