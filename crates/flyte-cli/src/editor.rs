//! The user's editor, for texts that are easier to change as a whole.

use std::io::Write as _;
use std::process::Command;

use tempfile::NamedTempFile;

use crate::confirm;
use crate::failure::{Exit, Failure};

/// The editor if the environment names none.
const DEFAULT: &str = if cfg!(windows) { "notepad" } else { "vi" };

/// A text after the user has edited it. Its file is deleted with it.
#[derive(Debug)]
pub(crate) struct Edited {
    pub(crate) text: String,
    file: NamedTempFile,
}

impl Edited {
    /// Keeps the text in a file, so that nothing that the user wrote is lost, and says so in the failure. `command` reads the file
    /// with `--file`.
    pub(crate) fn kept(self, failure: Failure, command: &str) -> Failure {
        match self.file.keep() {
            Ok((_, path)) => {
                let path = path.display().to_string();
                let path =
                    shlex::try_quote(&path).map_or_else(|_| path.clone(), std::borrow::Cow::into_owned);
                failure.next(format!("Correct your text, then run: {command} --file {path}"))
            }
            Err(_) => failure,
        }
    }
}

/// Opens the editor of `VISUAL` or `EDITOR` with a YAML text; `None` if the user leaves it as it is. `instead` is the command that
/// needs no editor.
pub(crate) fn edit(text: &str, instead: &str) -> Result<Option<Edited>, Failure> {
    let named = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|it| !it.trim().is_empty()));
    if named.is_none() && !confirm::possible() {
        return Err(Failure::new("cannot open an editor")
            .why("there is no terminal, and EDITOR is not set")
            .next(format!("Without an editor: {instead}"))
            .exit(Exit::Usage));
    }
    let editor = named.unwrap_or_else(|| DEFAULT.to_owned());
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(format!("cannot edit with {editor}"))
            .why(why)
            .next(format!("Set EDITOR to an editor that waits until you close the text, or run: {instead}"))
    };
    let mut words = shlex::split(&editor)
        .filter(|words| !words.is_empty())
        .ok_or_else(|| failed(&"its quotes do not match"))?;
    let mut file = tempfile::Builder::new()
        .prefix("flyte-")
        .suffix(".yaml")
        .tempfile()
        .map_err(|error| Failure::new("cannot write the text to edit").why(error))?;
    file.write_all(text.as_bytes())
        .map_err(|error| Failure::new("cannot write the text to edit").why(error))?;
    let status = Command::new(words.remove(0))
        .args(words)
        .arg(file.path())
        .status()
        .map_err(|error| failed(&error))?;
    if !status.success() {
        return Err(failed(&format!("it failed ({status})")));
    }
    // By the path: some editors replace the file.
    let edited = std::fs::read_to_string(file.path()).map_err(|error| failed(&error))?;
    Ok((edited != text).then_some(Edited { text: edited, file }))
}
