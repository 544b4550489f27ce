//! The definition of a setting: its names, its default, its documentation.

use super::value::{Form, Value};

/// The prefix of the settings' environment variables.
const ENVIRONMENT_PREFIX: &str = "FLYTE_SERVER_";

/// A setting. This definition is the only one: the file, the environment, the command line, `--help`, `check-config`
/// and the reference page all use it.
#[derive(Debug)]
pub struct Setting<T: 'static> {
    /// Key in the file, with its section: `tokens.access-token-ttl`.
    pub key: &'static str,
    /// Flag on the command line, for settings that people change often.
    pub flag: Option<&'static str>,
    /// The placeholder for the value in `--help`.
    pub placeholder: &'static str,
    /// The default.
    pub default: Default,
    /// The meaning of the setting. The first sentence is its summary.
    pub help: &'static str,
    /// Checks a value. The error says which values are valid.
    pub check: fn(&T) -> Result<(), String>,
}

/// The default of a setting.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// This value.
    Value(&'static str),
    /// A value that depends on the environment, described here.
    Depends(&'static str),
}

/// A [`Setting`] of any type.
pub trait AnySetting: Sync {
    /// [`Setting::key`].
    fn key(&self) -> &'static str;
    /// [`Setting::flag`].
    fn flag(&self) -> Option<&'static str>;
    /// [`Setting::placeholder`].
    fn placeholder(&self) -> &'static str;
    /// [`Setting::default`].
    fn default(&self) -> Default;
    /// [`Setting::help`].
    fn help(&self) -> &'static str;
    /// The type of its values in the file.
    fn form(&self) -> Form;
    /// The type of its values, for the reference page.
    fn description(&self) -> &'static str;
    /// Reads and checks a value, and writes it in the form that `check-config` shows.
    ///
    /// # Errors
    ///
    /// What the setting expects.
    fn canonical(&self, text: &str) -> Result<String, String>;

    /// Returns the value as the file would have it, or `None` for a setting that has neither a value nor a default.
    fn in_file(&self, text: &str) -> Option<String> {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        match self.form() {
            Form::Number | Form::Boolean => Some(text.to_owned()),
            Form::List => {
                let items = text.split(',').filter(|item| !item.is_empty()).map(quoted);
                Some(format!("[{}]", items.collect::<Vec<_>>().join(", ")))
            }
            Form::Text | Form::Path if text.is_empty() && matches!(self.default(), Default::Depends(_)) => {
                None
            }
            Form::Text | Form::Path => Some(quoted(text)),
        }
    }

    /// Returns the name of the environment variable.
    fn variable(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.key().replace(['.', '-'], "_").to_uppercase())
    }

    /// Returns the section in the file and the key in that section. The keys before the first section have an empty
    /// one.
    fn section(&self) -> (&'static str, &'static str) {
        self.key().split_once('.').unwrap_or(("", self.key()))
    }
}

impl<T: Value> Setting<T> {
    /// Reads and checks a value.
    ///
    /// # Errors
    /// The values that are expected instead.
    pub fn parse(&self, text: &str) -> Result<T, String> {
        let value = T::parse(text)?;
        (self.check)(&value)?;
        Ok(value)
    }
}

impl<T: Value> AnySetting for Setting<T> {
    fn key(&self) -> &'static str {
        self.key
    }

    fn flag(&self) -> Option<&'static str> {
        self.flag
    }

    fn placeholder(&self) -> &'static str {
        self.placeholder
    }

    fn default(&self) -> Default {
        self.default
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn form(&self) -> Form {
        T::FORM
    }

    fn description(&self) -> &'static str {
        T::DESCRIPTION
    }

    fn canonical(&self, text: &str) -> Result<String, String> {
        self.parse(text).map(|value| value.show())
    }
}
