//! Asks the user for a confirmation or an answer.

use std::io::{self, IsTerminal as _, Write as _};

use crate::failure::Failure;
use crate::keyboard;

/// Whether a user can answer: questions go to standard error, answers come from standard input.
pub(crate) fn possible() -> bool {
    keyboard::user_can_answer() && io::stderr().is_terminal()
}

/// Asks a question; any answer except yes means no. It blocks, so do not call it inside the runtime.
pub(crate) fn ask(what: &str) -> Result<bool, Failure> {
    let answer = question(&format!("{what} [y/N]"))?.unwrap_or_default();
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Asks for a line; `None` if the user ended the input. It blocks, so do not call it inside the runtime.
pub(crate) fn question(text: &str) -> Result<Option<String>, Failure> {
    // Before the question is shown, so that a fast answer to it counts.
    keyboard::forget();
    write!(anstream::stderr(), "{text} ")
        .and_then(|()| anstream::stderr().flush())
        .map_err(|error| Failure::new("cannot ask").why(error))?;
    Ok(keyboard::answer())
}
