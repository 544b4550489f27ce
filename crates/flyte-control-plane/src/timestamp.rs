//! Moments on the wire.

use buffa::{Inline, MessageField};
use buffa_types::google::protobuf::Timestamp;

use flyte_model::clock::UnixTime;

/// A moment, in a field that may stay empty.
pub(super) type TimestampField = MessageField<Timestamp, Inline<Timestamp>>;

/// The moment.
pub(super) fn at(seconds: UnixTime) -> TimestampField {
    MessageField::some(Timestamp { seconds, ..Timestamp::default() })
}
