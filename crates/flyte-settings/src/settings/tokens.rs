//! `tokens`: lifetimes and signing keys.

use super::check::{any, between};
use crate::{
    setting::{Default::Value, Setting},
    value::{Form, Seconds, SigningAlgorithm, Value as Parse},
};

/// [`TokenConfig::access_token_ttl`](crate::TokenConfig::access_token_ttl).
pub static ACCESS_TOKEN_TTL: Setting<Seconds> = Setting {
    key: "tokens.access-token-ttl",
    flag: Some("access-token-ttl"),
    placeholder: "DURATION",
    default: Value("1h"),
    help: "Lifetime of access tokens and ID tokens. Clients refresh them automatically.",
    check: |ttl| between(ttl, 1, 86_400),
};

/// [`TokenConfig::refresh_token_ttl`](crate::TokenConfig::refresh_token_ttl).
pub static REFRESH_TOKEN_TTL: Setting<Seconds> = Setting {
    key: "tokens.refresh-token-ttl",
    flag: Some("refresh-token-ttl"),
    placeholder: "DURATION",
    default: Value("30d"),
    help: "Lifetime of refresh tokens, counted from their last use. Users who use the server more often than that \
           never have to sign in again.",
    check: |ttl| between(ttl, 1, 400 * 86_400),
};

/// [`TokenConfig::refresh_token_grace`](crate::TokenConfig::refresh_token_grace).
pub static REFRESH_TOKEN_GRACE: Setting<Seconds> = Setting {
    key: "tokens.refresh-token-grace",
    flag: None,
    placeholder: "DURATION",
    default: Value("60s"),
    help: "How long a used refresh token may be presented once more, in case the response was lost. Later use counts \
           as theft and revokes the sign-in.",
    check: |grace| between(grace, 0, 3600),
};

/// [`TokenConfig::authorization_code_ttl`](crate::TokenConfig::authorization_code_ttl).
pub static AUTHORIZATION_CODE_TTL: Setting<Seconds> = Setting {
    key: "tokens.authorization-code-ttl",
    flag: None,
    placeholder: "DURATION",
    default: Value("60s"),
    help: "Lifetime of authorization codes.",
    check: |ttl| between(ttl, 1, 600),
};

/// [`TokenConfig::device_code_ttl`](crate::TokenConfig::device_code_ttl).
pub static DEVICE_CODE_TTL: Setting<Seconds> = Setting {
    key: "tokens.device-code-ttl",
    flag: None,
    placeholder: "DURATION",
    default: Value("10m"),
    help: "How long the code that a device shows can be entered. A short time makes guessing hopeless; a long time \
           lets people fetch their phone and sign in.",
    check: |ttl| between(ttl, 1, 3600),
};

/// [`TokenConfig::device_poll_interval`](crate::TokenConfig::device_poll_interval).
pub static DEVICE_POLL_INTERVAL: Setting<Seconds> = Setting {
    key: "tokens.device-poll-interval",
    flag: None,
    placeholder: "DURATION",
    default: Value("5s"),
    help: "How long a device waits between two polls for its approval.",
    check: |interval| between(interval, 1, 60),
};

/// Whether the page that asks about a device asks for a number that the device shows (RFC 8628 section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberMatching {
    /// Never.
    Off,
    /// If the device's client asks for it.
    Optional,
    /// Always. Clients that cannot show a number are refused.
    Required,
}

impl Parse for NumberMatching {
    const FORM: Form = Form::Text;
    const DESCRIPTION: &'static str = "one of `off`, `optional`, `required`";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "optional" => Ok(Self::Optional),
            "required" => Ok(Self::Required),
            _ => Err("one of these is expected: off optional required".to_owned()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
        .to_owned()
    }
}

/// [`TokenConfig::device_match`](crate::TokenConfig::device_match).
pub static DEVICE_MATCH: Setting<NumberMatching> = Setting {
    key: "device.match",
    flag: None,
    placeholder: "off|optional|required",
    default: Value("optional"),
    help: "Whether a device shows a two-digit number that the page asks for before it approves the device, so that a link \
           alone is not enough to be approved by mistake. `optional` does so for `flyte auth login --headless --match`. \
           `required` does so for all, and refuses clients that cannot show a number, for example the published one.",
    check: any,
};

/// [`TokenConfig::signing_algorithm`](crate::TokenConfig::signing_algorithm).
pub static SIGNING_ALGORITHM: Setting<SigningAlgorithm> = Setting {
    key: "tokens.signing-algorithm",
    flag: None,
    placeholder: "ES256|EdDSA|RS256",
    default: Value("ES256"),
    help: "Algorithm of new signing keys. Tokens signed before a change stay valid.",
    check: any,
};

/// [`TokenConfig::key_rotation_interval`](crate::TokenConfig::key_rotation_interval).
pub static KEY_ROTATION_INTERVAL: Setting<Seconds> = Setting {
    key: "tokens.key-rotation-interval",
    flag: None,
    placeholder: "DURATION",
    default: Value("30d"),
    help: "How long a signing key is used before the next key replaces it. The next key is published in advance. The \
           previous key stays published until its tokens have expired.",
    check: |interval| between(interval, 1, 10 * 365 * 86_400),
};
