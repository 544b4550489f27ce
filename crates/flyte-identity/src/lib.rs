//! Users: passwords, browser sessions, and limits on guessing.
#![forbid(unsafe_code)]

pub mod account_link;
pub mod cookie;
mod counter;
mod failures;
pub mod first_password;
mod hashing_memory;
pub mod known_browser;
mod password_rules;
mod passwords;
pub mod session;
mod throttle;

pub use failures::Failures;
pub use password_rules::{BreachedFileError, PasswordOwner, PasswordRules, Weakness};
pub use passwords::{PasswordError, Passwords};
pub use throttle::{Attempt, CodeAttempt, Throttle, Throttled};
