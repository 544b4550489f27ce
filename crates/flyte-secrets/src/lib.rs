//! Secrets that the server issues, the hashes that it stores of them, and files that only their owner can read.
#![forbid(unsafe_code)]

pub mod api_key_secret;
pub mod opaque_token;
mod private_file;

pub use private_file::{UNFINISHED, write_atomically};

/// SHA-256 of a high-entropy secret. The server stores it in place of codes, tokens and session identifiers.
pub type SecretHash = [u8; 32];
