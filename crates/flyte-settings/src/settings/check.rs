//! Checks that several settings share.

use crate::value::{Seconds, Value as _};

/// Accepts every value of the type.
pub(super) fn any<T>(_: &T) -> Result<(), String> {
    Ok(())
}

/// Accepts at least 1.
pub(super) fn positive(number: &usize) -> Result<(), String> {
    if *number == 0 { Err("at least 1 is expected".to_owned()) } else { Ok(()) }
}

/// Accepts a duration from `least` to `most`, in seconds.
pub(super) fn between(value: &Seconds, least: i64, most: i64) -> Result<(), String> {
    if (least..=most).contains(&value.0) {
        return Ok(());
    }
    Err(format!("between {} and {} is expected", Seconds(least).show(), Seconds(most).show()))
}
