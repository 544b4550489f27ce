//! The filter of the log.

use tracing_subscriber::EnvFilter;

/// Checks a value for [`LogConfig::filter`](crate::LogConfig::filter).
///
/// # Errors
///
/// What is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), String> {
    EnvFilter::try_new(filter).map(drop).map_err(|error| format!("it is not a log filter: {error}"))
}
