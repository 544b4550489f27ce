//! Which of the log's lines are written.

use tracing_subscriber::EnvFilter;

/// Checks what [`LogConfig::filter`](crate::LogConfig::filter) is given.
pub fn check_filter(filter: &str) -> Result<(), String> {
    EnvFilter::try_new(filter).map(drop).map_err(|error| format!("it is no filter of the log: {error}"))
}
