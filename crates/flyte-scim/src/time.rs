//! Times as SCIM writes them (`xsd:dateTime`, RFC 7643 section 2.3.5).

use flyte_model::clock::{UnixTime, rfc3339};

/// Reads a time. A time without a zone is in UTC.
pub(crate) fn parse(text: &str) -> Option<UnixTime> {
    let zoned = text.parse::<jiff::Timestamp>();
    zoned.or_else(|_| format!("{text}Z").parse()).ok().map(jiff::Timestamp::as_second)
}

/// Writes a time.
pub(crate) fn format(time: UnixTime) -> String {
    rfc3339(time)
}
