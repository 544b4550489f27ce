//! Asks the person whether to go on.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::failure::Failure;

/// Whether somebody can be asked: questions go to standard error, answers come from standard input.
pub(crate) fn possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks; anything but yes is no.
pub(crate) fn ask(question: &str) -> Result<bool, Failure> {
    let mut answer = String::new();
    let asked = write!(anstream::stderr(), "{question} [y/N] ")
        .and_then(|()| anstream::stderr().flush())
        .and_then(|()| io::stdin().lock().read_line(&mut answer));
    asked.map_err(|error| Failure::new("cannot ask").why(error))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
