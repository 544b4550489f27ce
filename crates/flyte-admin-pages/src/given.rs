//! What a page shows of the request before it: what was done, or why nothing was, and what was typed.

use std::fmt;

use axum::http::StatusCode;
use serde::Deserialize;
use url::form_urlencoded;

use flyte_pages::csrf;

/// The fields of a form. They have no `Debug` output of values, which may be private.
#[derive(Clone, Default)]
pub(crate) struct Typed(Vec<(String, String)>);

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Typed {
    /// Reads an encoded form.
    pub(crate) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The first value of a field, without spaces around it; empty if it is missing.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim())
    }

    /// The same, as an owned text.
    pub(crate) fn owned(&self, name: &str) -> String {
        self.text(name).to_owned()
    }

    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    /// Whether the form has the field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// The token against cross-site request forgery.
    pub(crate) fn csrf(&self) -> &str {
        self.text(csrf::FIELD)
    }
}

/// What a page shows of the request before it.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// What was typed into the form that failed.
    pub(crate) typed: Typed,
    /// Why nothing was changed.
    pub(crate) alert: Option<String>,
    /// What was changed.
    pub(crate) notice: Option<&'static str>,
    /// The status of the page.
    pub(crate) status: StatusCode,
}

impl Default for Given {
    fn default() -> Self {
        Self { typed: Typed::default(), alert: None, notice: None, status: StatusCode::OK }
    }
}

impl Given {
    /// What was typed into a field of the form `act`; what is there now, if another form or none was sent.
    pub(crate) fn value(&self, act: &str, name: &str, now: &str) -> String {
        match self.alert.is_some() && self.typed.text("act") == act && self.typed.has(name) {
            true => self.typed.owned(name),
            false => now.to_owned(),
        }
    }
}

/// The query of a page to which a change leads: its notice, by its code.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Done {
    #[serde(default)]
    done: String,
}

impl Done {
    pub(crate) fn given(&self) -> Given {
        Given { notice: Notice::of(&self.done), ..Given::default() }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notice(&'static str);

macro_rules! notices {
    ($($name:ident = $code:literal: $text:literal,)*) => {
        impl Notice {
            $(pub(crate) const $name: Self = Self($code);)*

            /// The sentence of a code. Codes come from the address, so anything else says nothing.
            fn of(code: &str) -> Option<&'static str> {
                match code {
                    $($code => Some($text),)*
                    _ => None,
                }
            }

            /// The code.
            pub(crate) const fn code(self) -> &'static str {
                self.0
            }
        }
    };
}

notices! {
    SAVED = "saved": "Saved.",
    CREATED = "created": "Created.",
    DELETED = "deleted": "Deleted.",
    ADDED = "added": "Added.",
    REMOVED = "removed": "Removed.",
    DISABLED = "disabled": "The account is disabled. Its browser sessions, command-line logins and API keys have ended.",
    ENABLED = "enabled": "The account is enabled. What had ended does not come back: the user signs in again.",
    ROTATED = "rotated": "The keys are rotated. New tokens are signed with the new keys; earlier tokens stay valid until they expire.",
    REVOKED = "revoked": "All keys are replaced, and all tokens have ended. Commands and programs get new tokens by themselves. \
                          Tell those who run other servers that verify these tokens: they may need up to 5 minutes.",
    SESSIONS_ENDED = "sessions-ended": "All browser sessions and command-line logins of the account have ended.",
}
