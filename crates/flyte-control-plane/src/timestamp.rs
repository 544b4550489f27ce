//! Converts times to messages.

use buffa::{Inline, MessageField};
use buffa_types::google::protobuf::Timestamp;

use flyte_model::clock::UnixTime;

/// An optional timestamp field.
pub(super) type TimestampField = MessageField<Timestamp, Inline<Timestamp>>;

/// Converts Unix seconds to a timestamp.
pub(super) fn at(seconds: UnixTime) -> TimestampField {
    MessageField::some(Timestamp { seconds, ..Timestamp::default() })
}
