//! The settings for authentication, as `flyte create config` writes them.

use std::path::Path;

use flyte_config::key::{self, Key};
use flyte_config::{AuthType, ConfigError, Document, Environment, Setting};

use super::config::Arguments;
use crate::failure::{Exit, Failure};

/// The mode and its settings.
#[derive(Debug, Default)]
pub(super) struct SignIn {
    pub(super) auth_type: Option<AuthType>,
    client_id: Option<String>,
    client_secret_file: Option<String>,
    client_secret_env_var: Option<String>,
    client_private_key_file: Option<String>,
    command: Vec<String>,
}

/// Keys that imply the mode `ClientSecret`.
const OF_A_CLIENT: [&Key; 4] = [
    key::CLIENT_ID,
    key::CLIENT_PRIVATE_KEY_LOCATION,
    key::CLIENT_SECRET_ENV_VAR,
    key::CLIENT_SECRET_LOCATION,
];

impl SignIn {
    /// Reads and checks the command line.
    pub(super) fn of(arguments: &Arguments, environment: &Environment) -> Result<Self, Failure> {
        let file = |option: &str, path: &Option<std::path::PathBuf>| match path {
            Some(path) => absolute(option, &environment.directory.join(path)).map(Some),
            None => Ok(None),
        };
        let client_secret_file = file("--client-secret-file", &arguments.client_secret_file)?;
        let client_private_key_file = file("--client-private-key-file", &arguments.client_private_key_file)?;
        let command = match &arguments.command {
            Some(line) => words(line)?,
            None => Vec::new(),
        };
        let of_a_client = client_secret_file.is_some()
            || client_private_key_file.is_some()
            || arguments.client_secret_env_var.is_some();
        let implied = match (of_a_client, command.is_empty()) {
            (true, false) => {
                return Err(usage(
                    "a client secret and --command cannot be used together",
                    "Use only one of them.",
                ));
            }
            (true, true) => Some(AuthType::ClientSecret),
            (false, false) => Some(AuthType::ExternalCommand),
            (false, true) => None,
        };
        if let (Some(given), Some(implied)) = (arguments.auth_type, implied)
            && given != implied
        {
            return Err(usage(
                format!("--auth-type {given} contradicts the other options"),
                format!("They imply {implied}. Remove --auth-type or the other options."),
            ));
        }
        Ok(Self {
            auth_type: arguments.auth_type.or(implied),
            client_id: arguments.client_id.clone(),
            client_secret_file,
            client_secret_env_var: arguments.client_secret_env_var.clone(),
            client_private_key_file,
            command,
        })
    }

    /// Sets the given values, and removes settings that would imply the previous mode.
    pub(super) fn fill_in(&self, document: &mut Document, mode_is_new: bool) -> Result<(), ConfigError> {
        let values = [
            (key::CLIENT_ID, &self.client_id),
            (key::CLIENT_PRIVATE_KEY_LOCATION, &self.client_private_key_file),
            (key::CLIENT_SECRET_ENV_VAR, &self.client_secret_env_var),
            (key::CLIENT_SECRET_LOCATION, &self.client_secret_file),
        ];
        let proof_given = values[1..].iter().any(|(_, value)| value.is_some());
        let is_a_client = self.auth_type == Some(AuthType::ClientSecret);
        for (key, value) in values {
            match value {
                Some(value) => document.set(key, Setting::Text(value))?,
                // One way of authentication replaces another.
                None if proof_given && key != key::CLIENT_ID => clear(document, key)?,
                None => {}
            }
        }
        if (self.auth_type.is_some() || mode_is_new) && !is_a_client {
            for key in &OF_A_CLIENT[1..] {
                clear(document, key)?;
            }
        }
        if !self.command.is_empty() {
            document.set(key::COMMAND, Setting::Words(&self.command))?;
        }
        Ok(())
    }
}

/// Removes a key, or empties it if it cannot be removed without other changes.
fn clear(document: &mut Document, key: &Key) -> Result<(), ConfigError> {
    document.remove(key).or_else(|_| document.set(key, Setting::Text("")))
}

fn usage(what: impl Into<String>, next: impl Into<String>) -> Failure {
    Failure::new(what).next(next.into()).exit(Exit::Usage)
}

/// Returns the absolute path of a readable file as text.
fn absolute(option: &str, path: &Path) -> Result<String, Failure> {
    let unusable = |why: &dyn std::fmt::Display| {
        Failure::new(format!("cannot use {}", path.display()))
            .why(why)
            .next(format!("Give an existing file: {option} FILE"))
    };
    std::fs::File::open(path).map_err(|error| unusable(&error))?;
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| unusable(&"its name is not Unicode, so it cannot be written to the file"))
}

/// Splits a command line into words. No shell is involved.
fn words(line: &str) -> Result<Vec<String>, Failure> {
    match shlex::split(line) {
        Some(words) if !words.is_empty() => Ok(words),
        _ => Err(usage(
            "--command has no valid command line",
            "Quote it as one argument: --command 'gcloud auth print-access-token'",
        )),
    }
}
