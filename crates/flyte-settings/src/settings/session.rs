//! `session`: browsers that are signed in.

use super::check::between;
use crate::{
    setting::{Default::Value, Setting},
    value::Seconds,
};

/// [`Config::session_ttl`](crate::Config::session_ttl).
pub static SESSION_TTL: Setting<Seconds> = Setting {
    key: "session.ttl",
    flag: Some("session-ttl"),
    placeholder: "DURATION",
    default: Value("12h"),
    help: "How long a browser stays signed in.",
    check: |ttl| between(ttl, 1, 90 * 86_400),
};
