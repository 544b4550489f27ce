//! Asks the person whether to go on.

use std::io::{self, IsTerminal as _, Write as _};

use crate::failure::Failure;
use crate::keyboard;

/// Whether somebody can be asked: questions go to standard error, answers come from standard input.
pub(crate) fn possible() -> bool {
    keyboard::somebody_types() && io::stderr().is_terminal()
}

/// Asks; anything but yes is no. Not within the runtime: it waits for the person.
pub(crate) fn ask(what: &str) -> Result<bool, Failure> {
    let answer = question(&format!("{what} [y/N]"))?.unwrap_or_default();
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Asks for a line; `None` if the person has ended the input. Not within the runtime: it waits for the person.
pub(crate) fn question(text: &str) -> Result<Option<String>, Failure> {
    // Before the question is shown: a quick answer to it counts.
    keyboard::forget();
    write!(anstream::stderr(), "{text} ")
        .and_then(|()| anstream::stderr().flush())
        .map_err(|error| Failure::new("cannot ask").why(error))?;
    Ok(keyboard::answer())
}
