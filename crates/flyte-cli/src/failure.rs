//! How a command ends.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use flyte_auth::AuthError;
use flyte_client::ClientError;
use flyte_client::code::CodeError;
use flyte_client::run::RerunError;
use flyte_config::ConfigError;
use flyte_hints::Hint;

/// Exit codes; part of the command's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    Failure = 1,
    /// A wrong command line; clap uses the same code.
    Usage = 2,
    /// The run that the command followed has failed; the command itself has not.
    Run = 3,
    Authentication = 4,
    /// The user interrupted the command (128 + SIGINT).
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failure as the user sees it: what failed, why, and what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    why: Option<String>,
    next: Option<String>,
    exit: Exit,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), why: None, next: None, exit: Exit::Failure }
    }

    pub(crate) fn why(mut self, why: impl Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Takes the next step from the hint for an error.
    pub(crate) fn hint(mut self, error: &impl Hint) -> Self {
        self.next = error.hint();
        self
    }

    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    pub(crate) fn auth(what: impl Into<String>, error: &AuthError) -> Self {
        let exit = if error.is_authentication() { Exit::Authentication } else { Exit::Failure };
        Self::new(what).why(error).hint(error).exit(exit)
    }

    pub(crate) fn client(what: impl Into<String>, error: &ClientError) -> Self {
        if let Some(error) = error.cause::<AuthError>() {
            return Self::auth(what, error);
        }
        let exit = match error {
            ClientError::Unauthenticated { .. } => Exit::Authentication,
            _ => Exit::Failure,
        };
        Self::new(what).why(error).hint(error).exit(exit)
    }

    /// A failed call about a resource; `kind` is its word in commands, for example `api-key`.
    pub(crate) fn resource(what: impl Into<String>, error: &ClientError, kind: &str) -> Self {
        let failure = Self::client(what, error);
        match error {
            ClientError::NotFound { .. } => failure.next(format!("List existing ones: flyte get {kind}")),
            ClientError::AlreadyExists { .. } => {
                failure.next(format!("Choose another name, or list existing ones: flyte get {kind}"))
            }
            _ => failure,
        }
    }

    /// The code of an action of `run` that cannot be downloaded.
    pub(crate) fn code(what: impl Into<String>, error: &CodeError, run: &str) -> Self {
        match error {
            CodeError::Client(error) => Self::resource(what, error, &format!("action {run}")),
            error => Self::new(what).why(error).hint(error),
        }
    }

    /// A rerun that was not started.
    pub(crate) fn rerun(what: impl Into<String>, error: &RerunError) -> Self {
        match error {
            RerunError::Client(error) => Self::resource(what, error, "run"),
            error => Self::new(what).why(error).hint(error),
        }
    }

    pub(crate) fn config(what: impl Into<String>, error: &ConfigError) -> Self {
        Self::new(what).why(error).hint(error)
    }

    /// A failed write to standard output. A closed reader, as in `flyte ... | head`, is not a failure.
    pub(crate) fn output(error: &io::Error) -> Self {
        let exit = if error.kind() == io::ErrorKind::BrokenPipe { Exit::Success } else { Exit::Failure };
        Self::new("cannot write the result").why(error).next("Check that the disk is not full.").exit(exit)
    }

    /// What to do next.
    pub(crate) fn next_step(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Whether the cause is missing or rejected credentials.
    pub(crate) fn is_of_authentication(&self) -> bool {
        self.exit == Exit::Authentication
    }

    /// Only the cause.
    pub(crate) fn cause(self) -> String {
        self.why.unwrap_or(self.what)
    }

    /// What failed and why, in one line.
    pub(crate) fn summary(&self) -> String {
        match &self.why {
            Some(why) => format!("{}: {why}", self.what),
            None => self.what.clone(),
        }
    }

    /// What failed and what to do next.
    #[cfg(test)]
    pub(crate) fn advice(&self) -> String {
        format!("{}\n{}", self.what, self.next.as_deref().unwrap_or_default())
    }

    /// Reports the failure on standard error.
    pub(crate) fn report(self) -> ExitCode {
        if self.exit != Exit::Success {
            // If standard error fails too, there is nowhere to report it.
            let _ = anstream::stderr().write_all(self.text().as_bytes());
        }
        self.exit.into()
    }

    fn text(&self) -> String {
        let (red, dim) = (Style::new().bold().fg_color(Some(AnsiColor::Red.into())), Style::new().bold());
        let mut text = format!("{red}error:{red:#} {}\n", self.what);
        for (label, part) in [("cause", &self.why), ("next", &self.next)] {
            if let Some(part) = part {
                text.push_str(&format!("  {dim}{label}:{dim:#} {part}\n"));
            }
        }
        flyte_hints::with_command(&text, crate::installed_name()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_has_three_parts() {
        let error = AuthError::LoginRequired {
            endpoint: "flyte.example.com".into(),
            absence: flyte_auth::Absence::NoTerminal,
        };
        let failure = Failure::auth("cannot list projects", &error);
        assert_eq!(failure.exit, Exit::Authentication);
        let text = anstream::adapter::strip_str(&failure.text()).to_string();
        assert_eq!(
            text,
            "error: cannot list projects\n\
             \x20 cause: not signed in to flyte.example.com, and this is not an interactive session\n\
             \x20 next: Run `flyte auth login` in a terminal first.\n"
        );
    }

    #[test]
    fn only_credentials_are_an_authentication_failure() {
        let denied = ClientError::PermissionDenied { message: "no".into(), rule: None };
        assert_eq!(Failure::client("x", &denied).exit, Exit::Failure);
        let unauthenticated = ClientError::Unauthenticated { endpoint: "h".into(), message: "no".into() };
        assert_eq!(Failure::client("x", &unauthenticated).exit, Exit::Authentication);
    }

    #[test]
    fn closed_reader_is_not_a_failure() {
        assert_eq!(Failure::output(&io::ErrorKind::BrokenPipe.into()).exit, Exit::Success);
        assert_eq!(Failure::output(&io::ErrorKind::StorageFull.into()).exit, Exit::Failure);
    }
}
