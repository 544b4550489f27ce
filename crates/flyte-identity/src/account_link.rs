//! One-time links for accounts: their addresses, their tokens, and how long they are valid.

use secrecy::{ExposeSecret as _, SecretString};

use flyte_model::clock::UnixTime;
use flyte_secrets::{SecretHash, opaque_token};
use flyte_settings::Config;
use flyte_store::{AccountLink, LinkPurpose, User};

/// How long a link is valid that a user asked for, in seconds.
pub const OWN_LINK_LIFETIME: i64 = 3600;
/// How long a link is valid that an administrator created for another user, in seconds.
pub const PASSWORD_LINK_LIFETIME: i64 = 86_400;
/// How long an invitation is valid, in seconds.
pub const INVITATION_LIFETIME: i64 = 7 * 86_400;

/// The page on which a user sets a new password.
pub const RESET_PATH: &str = "/reset";
/// The page on which a user accepts an invitation.
pub const INVITATION_PATH: &str = "/invitation";
/// The page on which a user confirms a new e-mail address.
pub const EMAIL_PATH: &str = "/account/email/confirm";

/// The system returned no random numbers.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system returned no random numbers")]
pub struct NoRandomNumbers;

/// The token of a link. Only its hash is stored.
#[derive(Debug)]
pub struct LinkToken {
    /// The hash to store.
    pub hash: SecretHash,
    token: SecretString,
}

impl LinkToken {
    /// Generates a token.
    ///
    /// # Errors
    /// [`NoRandomNumbers`].
    pub fn generate() -> Result<Self, NoRandomNumbers> {
        let token = opaque_token::generate(opaque_token::Kind::AccountLink).map_err(|_| NoRandomNumbers)?;
        Ok(Self { hash: opaque_token::hash(token.expose_secret()), token })
    }

    /// Returns the address of the page for a link with this token. It begins with the configured public URL, whatever a request
    /// says.
    #[must_use]
    pub fn url(&self, config: &Config, purpose: LinkPurpose) -> SecretString {
        let path = match purpose {
            LinkPurpose::Password => RESET_PATH,
            LinkPurpose::Invitation => INVITATION_PATH,
            LinkPurpose::Email => EMAIL_PATH,
        };
        // The token has only characters that need no encoding.
        SecretString::from(format!("{}?token={}", config.url(path), self.token.expose_secret()))
    }
}

/// Returns a link to the account of `user` that is valid for `lifetime` seconds.
#[must_use]
pub fn link(user: &User, purpose: LinkPurpose, now: UnixTime, lifetime: i64) -> AccountLink {
    AccountLink {
        id: uuid::Uuid::new_v4().to_string(),
        purpose,
        user_id: user.id.clone(),
        email: user.email.clone(),
        new_email: None,
        mailed: false,
        created_by: None,
        created_at: now,
        expires_at: now.saturating_add(lifetime),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_begins_with_the_public_url() {
        let mut config = Config::for_test("/nonexistent".as_ref());
        config.public_url = "https://flyte.example/".parse().unwrap();
        let token = LinkToken::generate().unwrap();
        let url = token.url(&config, LinkPurpose::Invitation);
        let text = url.expose_secret().strip_prefix("https://flyte.example/invitation?token=").unwrap();
        assert!(text.starts_with("fll_") && text.len() == 47, "{text}");
        assert_eq!(opaque_token::hash(text), token.hash);
        assert!(!format!("{token:?}").contains(text), "a token is not in the log");
    }
}
