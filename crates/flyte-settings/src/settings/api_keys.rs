//! `api-keys`: API keys.

use super::check::between;
use crate::{
    setting::{Default::Value, Setting},
    value::Seconds,
};

/// [`ApiKeyConfig::default_lifetime`](crate::ApiKeyConfig::default_lifetime).
pub static API_KEYS_DEFAULT_LIFETIME: Setting<Seconds> = Setting {
    key: "api-keys.default-lifetime",
    flag: None,
    placeholder: "DURATION",
    default: Value("90d"),
    help: "Lifetime of an API key whose request has none; the published plugin's `flyte create api-key` never sends \
           one. At most 366 days.",
    check: |lifetime| between(lifetime, 60, 366 * 86_400),
};
