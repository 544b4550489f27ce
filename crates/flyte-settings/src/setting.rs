//! What a setting is: its names, its default, its documentation.

use super::value::{Form, Value};

/// The prefix of the settings' environment variables.
const ENVIRONMENT_PREFIX: &str = "FLYTE_SERVER_";

/// A setting, defined once: the file, the environment, the command line, `--help`, `check-config` and the reference
/// all go by this.
#[derive(Debug)]
pub struct Setting<T: 'static> {
    /// Key in the file, with its section: `tokens.access-token-ttl`.
    pub key: &'static str,
    /// Flag on the command line, for what people change often.
    pub flag: Option<&'static str>,
    /// What stands for the value in `--help`.
    pub placeholder: &'static str,
    /// What holds where nothing is given.
    pub default: Default,
    /// What it means; the first sentence is its summary.
    pub help: &'static str,
    /// What values make no sense; the error says which do.
    pub check: fn(&T) -> Result<(), String>,
}

/// What holds where a setting is not given.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// This value.
    Value(&'static str),
    /// Something that depends on the surroundings, described here.
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
    /// What its values look like in the file.
    fn form(&self) -> Form;
    /// What its values are, for the reference.
    fn description(&self) -> &'static str;
    /// Reads, checks and writes a value again: how `check-config` shows it.
    fn canonical(&self, text: &str) -> Result<String, String>;

    /// How the value stands in the file; `None` where a setting without a default is not given.
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

    /// The environment variable.
    fn variable(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.key().replace(['.', '-'], "_").to_uppercase())
    }

    /// The section of the file, empty for the keys before the first one; and the key in it.
    fn section(&self) -> (&'static str, &'static str) {
        self.key().split_once('.').unwrap_or(("", self.key()))
    }
}

impl<T: Value> Setting<T> {
    /// Reads and checks a value.
    ///
    /// # Errors
    /// What is expected instead.
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
