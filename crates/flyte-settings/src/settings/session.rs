//! `session`: browsers that are signed in.

use super::check::{any, between};
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

/// [`Config::passwords`](crate::Config::passwords).
pub static SESSION_PASSWORDS: Setting<bool> = Setting {
    key: "session.passwords",
    flag: None,
    placeholder: "true|false",
    default: Value("true"),
    help: "Whether people can sign in with a password of this server. With `false`, the sign-in page offers only the providers \
           of `[providers.NAME]`, and if there is one, it leads there at once. Set it to `true` for a while if the provider \
           fails and an administrator must sign in.",
    check: any,
};
