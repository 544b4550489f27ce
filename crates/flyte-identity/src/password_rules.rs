//! The rules for new passwords (NIST SP 800-63B section 3.1.1): length, guessability, and lists of passwords that leaked.
//!
//! They apply wherever a password is set, and never to a sign-in: an existing password stays valid. No rule asks for kinds of
//! characters. Nothing is sent anywhere. Common passwords, words and keyboard patterns are in the crate `zxcvbn`, whose lists
//! have 30,000 of the most common leaked passwords; the setting `passwords.breached-file` names a larger list.

mod breached;

use std::{io, path::PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use unicode_normalization::UnicodeNormalization as _;
use zxcvbn::Score;

use self::breached::BreachedList;
use flyte_settings::PasswordsConfig;

/// The maximum length of a password in bytes, so that hashing it takes a bounded time.
pub(crate) const MAX_BYTES: usize = 1024;

/// The shortest part of a name or an address that a password must not contain, in characters. Shorter ones are in many words.
const PERSONAL_CHARS: usize = 4;

/// The reason why a password cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// It is too short.
    #[error(
        "it must have at least {0} characters; a few words that do not belong together are easy to remember"
    )]
    TooShort(usize),
    /// It is longer than 1024 bytes.
    #[error("it must have at most {MAX_BYTES} bytes")]
    TooLong,
    /// It has a control character, for example a tab, which cannot be typed into all forms.
    #[error("it must not have tabs, line breaks or other control characters")]
    ControlCharacter,
    /// It contains a part of the user's name or e-mail address.
    #[error("it contains a part of the user's name or e-mail address; use something else")]
    Personal,
    /// It can be guessed with few attempts.
    #[error("it is easy to guess; use a few words that do not belong together")]
    Guessable,
    /// It is in the list of passwords that leaked.
    #[error("it is in a list of passwords that have leaked; use another one")]
    Breached,
}

/// The user of a password.
#[derive(Clone, Debug, Default)]
pub struct PasswordOwner {
    /// Their e-mail address.
    pub email: String,
    /// Their name.
    pub name: String,
}

/// The list of passwords that leaked cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("\"passwords.breached-file\": {}: {source}", path.display())]
pub struct BreachedFileError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub source: io::Error,
}

/// The rules for new passwords.
#[derive(Debug)]
pub struct PasswordRules {
    min_length: usize,
    breached: Option<BreachedList>,
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self { min_length: 15, breached: None }
    }
}

impl PasswordRules {
    /// Opens the rules of these settings.
    ///
    /// # Errors
    /// [`BreachedFileError`] if the list cannot be read, or has another format.
    pub fn open(config: &PasswordsConfig) -> Result<Self, BreachedFileError> {
        let open = |path: &PathBuf| {
            BreachedList::open(path).map_err(|source| BreachedFileError { path: path.clone(), source })
        };
        Ok(Self {
            min_length: config.min_length,
            breached: config.breached_file.as_ref().map(open).transpose()?,
        })
    }

    /// The minimum length of a new password in characters.
    #[must_use]
    pub fn min_length(&self) -> usize {
        self.min_length
    }

    /// Checks a new password. This takes some milliseconds of a processor, and a few reads of a file.
    ///
    /// # Errors
    /// The list of passwords that leaked cannot be read.
    pub fn check(&self, password: &SecretString, owner: &PasswordOwner) -> io::Result<Result<(), Weakness>> {
        if let Err(weakness) = self.check_text(password.expose_secret(), owner) {
            return Ok(Err(weakness));
        }
        let leaked = match &self.breached {
            Some(list) => list.contains(password)?,
            None => false,
        };
        Ok(if leaked { Err(Weakness::Breached) } else { Ok(()) })
    }

    fn check_text(&self, password: &str, owner: &PasswordOwner) -> Result<(), Weakness> {
        if password.len() > MAX_BYTES {
            return Err(Weakness::TooLong);
        }
        // Each code point is one character (NIST SP 800-63B section 3.1.1.2).
        if password.nfc().count() < self.min_length {
            return Err(Weakness::TooShort(self.min_length));
        }
        if password.contains(char::is_control) {
            return Err(Weakness::ControlCharacter);
        }
        let personal = personal_words(owner);
        let lower = password.to_lowercase();
        if personal.iter().any(|word| lower.contains(word.as_str())) {
            return Err(Weakness::Personal);
        }
        let known: Vec<_> = personal.iter().map(String::as_str).chain(["flyte"]).collect();
        if zxcvbn::zxcvbn(password, &known).score() < Score::Three {
            return Err(Weakness::Guessable);
        }
        Ok(())
    }
}

/// The words of a name and an e-mail address that a password must not contain, in lower case.
fn personal_words(owner: &PasswordOwner) -> Vec<String> {
    let email = owner.email.to_lowercase();
    let local_part = email.split('@').next().unwrap_or_default().to_owned();
    let name = owner.name.to_lowercase();
    let parts = local_part.split(|c: char| !c.is_alphanumeric()).map(str::to_owned);
    let names = name.split_whitespace().map(str::to_owned);
    let words: Vec<_> = parts.chain(names).chain([local_part.clone(), email.clone()]).collect();
    words.into_iter().filter(|word| word.chars().count() >= PERSONAL_CHARS).collect()
}

/// Returns the form of a password that is hashed: that of the `OpaqueString` profile (RFC 8265 section 4.2), in which the same
/// text has the same bytes on all systems. Other spaces become U+0020, and the text is in Unicode Normalization Form C.
#[must_use]
pub(crate) fn normalize(password: &SecretString) -> SecretString {
    let space = |c: char| if c.is_whitespace() && !c.is_control() { ' ' } else { c };
    let text: String = password.expose_secret().chars().map(space).nfc().collect();
    SecretString::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> PasswordOwner {
        PasswordOwner { email: "mara.lind@corp.example".to_owned(), name: "Mára Lindqvist-Ek".to_owned() }
    }

    fn check(rules: &PasswordRules, password: &str) -> Result<(), Weakness> {
        rules.check(&password.into(), &owner()).unwrap()
    }

    #[test]
    fn passwords_are_long_and_hard_to_guess() {
        let rules = PasswordRules::default();
        for good in [
            "correct-horse-battery-staple",
            "vx7 kq2 mol9 tirp",
            "чайник летит над рекой",
            "河の上を飛ぶやかんが歌う夜に",
            "🫖 flies over the quiet river",
        ] {
            let long_enough = good.chars().count() >= 15;
            let expected = if long_enough { Ok(()) } else { Err(Weakness::TooShort(15)) };
            assert_eq!(check(&rules, good), expected, "{good}");
        }
        for (bad, weakness) in [
            ("", Weakness::TooShort(15)),
            ("hunter2 hunter", Weakness::TooShort(15)),
            ("passwordpassword", Weakness::Guessable),
            ("aaaaaaaaaaaaaaaaaaaaaaaa", Weakness::Guessable),
            ("1234567890123456", Weakness::Guessable),
            ("qwertyuiopasdfghjkl", Weakness::Guessable),
            ("abcdefghijklmnopqrstuvwxyz", Weakness::Guessable),
            ("flyteflyteflyteflyte", Weakness::Guessable),
            ("a kettle\tabove the quiet river", Weakness::ControlCharacter),
            ("a kettle of MARA on the river", Weakness::Personal),
            ("lindqvist-ek on the quiet river", Weakness::Personal),
        ] {
            assert_eq!(check(&rules, bad), Err(weakness), "{bad}");
        }
        assert_eq!(check(&rules, &"kettle over the river ".repeat(60)), Err(Weakness::TooLong));
        let generated = crate::Passwords::generate().unwrap();
        assert_eq!(rules.check(&generated, &owner()).unwrap(), Ok(()));
    }

    #[test]
    fn the_length_is_a_setting() {
        let rules = PasswordRules { min_length: 8, breached: None };
        assert_eq!(check(&rules, "vx7kq2mpz"), Ok(()));
        assert_eq!(check(&rules, "password"), Err(Weakness::Guessable));
        assert_eq!(check(&rules, "trustno1"), Err(Weakness::Guessable));
    }

    #[test]
    fn the_same_text_is_the_same_password() {
        let (composed, decomposed) = ("a\u{e9}\u{3000}noir", "ae\u{301} noir");
        let normal = |text: &str| normalize(&text.into()).expose_secret().to_owned();
        assert_eq!(normal(composed), normal(decomposed));
        assert_eq!(normal("a\tb"), "a\tb", "a control character is no space");
    }
}
