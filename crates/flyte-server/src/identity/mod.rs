//! People: passwords, sign-ins, and slowing down those who guess.

/// Hashes people's passwords.
#[derive(Debug, Default)]
pub struct Passwords {}

/// Slows down guessing.
#[derive(Debug, Default)]
pub struct Throttle {}
