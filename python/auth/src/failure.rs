//! Converts failures to Python: what happened and why, the next command, and a code that distinguishes them.

use flyte_auth::AuthError;
use flyte_auth::api_key::ApiKeyError;
use flyte_auth::store::StoreError;
use flyte_client::ClientError;
use flyte_config::ConfigError;
use flyte_hints::Hint as _;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;

pyo3::create_exception!(
    _native,
    CallError,
    PyException,
    "A failure: `args` are its code, what happened and why, what to do next (empty where there is nothing), and whether it may go \
     away by itself.\n\n\
     `flyte._session` makes the errors of `flyte.errors` out of it."
);

/// The text with this name of the command in place of `flyte`.
#[pyfunction]
pub(crate) fn name_command(text: &str, command: &str) -> String {
    flyte_hints::with_command(text, command).into_owned()
}

/// Why something failed. No part of it holds a secret.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// A Connect code, or `configuration`, `approval`, `login`.
    code: &'static str,
    message: String,
    hint: String,
    /// Whether it may go away by itself, for a server that has answered before.
    temporary: bool,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into(), temporary: false }
    }

    /// What the caller gave cannot be used.
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new("invalid_argument", message, "")
    }

    /// Something that should not happen.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new("internal", message, "Run it again. If it fails again, contact the server's administrator.")
    }

    pub(crate) fn into_value_error(self) -> PyErr {
        PyValueError::new_err(self.message)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        CallError::new_err((failure.code, failure.message, failure.hint, failure.temporary))
    }
}

impl From<&AuthError> for Failure {
    fn from(error: &AuthError) -> Self {
        let code = match error {
            AuthError::LoginRequired { .. }
            | AuthError::SessionEnded { .. }
            | AuthError::StepUpRequired { .. } => "login",
            error if error.is_authentication() => "unauthenticated",
            AuthError::Unreachable { .. } | AuthError::Busy { .. } => "unavailable",
            AuthError::Answered { answer, .. } => match answer.status {
                403 => "permission_denied",
                429 | 502..=504 => "unavailable",
                _ => "internal",
            },
            _ => "configuration",
        };
        let failure = Self::new(code, error.to_string(), auth_hint(error));
        Self { temporary: error.is_temporary(), ..failure }
    }
}

impl Failure {
    /// A call failed. `resource` is the word for what the call is about in the command that lists it, for example `task`.
    pub(crate) fn call(error: &ClientError, resource: &str) -> Self {
        let failure = Self::from(error);
        match error {
            ClientError::NotFound { .. } | ClientError::AlreadyExists { .. } => {
                Self { hint: flyte_hints::resource(error, resource).unwrap_or_default(), ..failure }
            }
            _ => failure,
        }
    }
}

/// The next step, for a program. A program that names its endpoint itself reads no configuration file, so it would not see what
/// the `flyte` command writes into that file. The variable always has an effect.
fn auth_hint(error: &AuthError) -> String {
    match error {
        AuthError::Store(
            StoreError::KeyringLocked { .. }
            | StoreError::KeyringSilent { .. }
            | StoreError::Keyring { .. }
            | StoreError::NoKeyring
            | StoreError::TooLarge { .. },
        ) => "Unlock or restart the keyring, or keep your login in an encrypted file instead: set FLYTE_TOKEN_STORE=file, then run \
              `flyte auth login`."
            .to_owned(),
        _ => error.hint().unwrap_or_default(),
    }
}

/// The next step, for a program, which has no options of a command line.
fn client_hint(error: &ClientError) -> String {
    match error {
        ClientError::InvalidArgument { .. } => "Correct the argument.".to_owned(),
        ClientError::Server { .. } => {
            "Run it again; if it stays, show this message to the server's administrator.".to_owned()
        }
        _ => error.hint().unwrap_or_default(),
    }
}

impl From<&ClientError> for Failure {
    fn from(error: &ClientError) -> Self {
        if let Some(error) = error.cause::<AuthError>() {
            return error.into();
        }
        let code = match error {
            ClientError::NotFound { .. } => "not_found",
            ClientError::AlreadyExists { .. } => "already_exists",
            ClientError::InvalidArgument { .. } => "invalid_argument",
            ClientError::PermissionDenied { .. } => "permission_denied",
            ClientError::Unauthenticated { .. } => "unauthenticated",
            ClientError::Unavailable { .. } | ClientError::Transport(_) => "unavailable",
            ClientError::WrongEndpoint { .. } => "configuration",
            ClientError::Unsupported { .. } => "unimplemented",
            ClientError::Server { code, .. } => code,
            _ => "internal",
        };
        let failure = Self::new(code, error.to_string(), client_hint(error));
        Self { temporary: error.is_temporary(), ..failure }
    }
}

impl From<&ConfigError> for Failure {
    fn from(error: &ConfigError) -> Self {
        Self::new("configuration", error.to_string(), error.hint().unwrap_or_default())
    }
}

impl From<&ApiKeyError> for Failure {
    fn from(error: &ApiKeyError) -> Self {
        Self::new(
            "unauthenticated",
            format!("the API key cannot be used: {error}"),
            error.hint().unwrap_or_default(),
        )
    }
}
