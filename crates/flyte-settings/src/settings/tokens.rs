//! `tokens`: lifetimes and signing keys.

use super::check::{any, between};
use crate::{
    setting::{Default::Value, Setting},
    value::{Seconds, SigningAlgorithm},
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
