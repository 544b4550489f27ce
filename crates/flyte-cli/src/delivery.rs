//! Delivers a new secret to standard output, a file, or a command's standard input, and nowhere else.
//!
//! [`Delivery::prepare`] tries everything that can fail before the secret is created, so that little can
//! fail later.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use clap::{Args, ValueEnum as _};
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::NamedTempFile;

use crate::failure::Failure;
use crate::output::Format;

/// Options of commands that create a secret.
#[derive(Args, Debug)]
pub(crate) struct Delivery {
    /// File to write the key to, readable only by you, instead of standard output. For the format of results, use
    /// --output-format
    #[arg(short, long, value_name = "FILE", value_parser = file, conflicts_with = "pipe_to")]
    output: Option<PathBuf>,

    /// Overwrite FILE if it exists
    #[arg(long, requires = "output")]
    force: bool,

    /// Command that reads the key from its standard input, instead of standard output; comes last, with its arguments
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    pipe_to: Vec<OsString>,

    /// Replaces the global option of that name, because its short form names the file here.
    #[arg(id = "format", long = "output-format", hide = true, value_enum, default_value_t)]
    _format: Format,
}

/// In every other command, `-o json` asks for JSON. It must not write a secret to a file of that name.
fn file(text: &str) -> Result<PathBuf, String> {
    if Format::from_str(text, true).is_ok() {
        return Err(format!(
            "-o names the file to write the key to. Use --output-format {text} for the format, or ./{text} for a file of \
             that name"
        ));
    }
    Ok(PathBuf::from(text))
}

/// A destination that waits for its secret. If it is dropped without one, it leaves no trace.
#[derive(Debug)]
pub(crate) enum Outlet {
    Stdout,
    File { temporary: NamedTempFile, path: PathBuf, force: bool },
    Command(Receiver),
}

/// A command that waits for its standard input.
#[derive(Debug)]
pub(crate) struct Receiver {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Kill it before its input ends, so that it does not use an empty secret.
        if self.input.is_some() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Delivery {
    /// Fails if the secret could not be delivered, and leaves nothing behind. This check runs before the sign-in, which the
    /// user can cancel.
    pub(crate) fn examine(&self) -> Result<(), Failure> {
        if let Some(path) = &self.output {
            return prepare_file(path, self.force).map(drop);
        }
        match self.pipe_to.first() {
            Some(program) if !is_on_path(program) => Err(not_run(program, &"there is no such program")),
            _ => Ok(()),
        }
    }

    /// Makes sure that the secret can be delivered, before it is created.
    pub(crate) fn prepare(&self) -> Result<Outlet, Failure> {
        if let Some(path) = &self.output {
            return prepare_file(path, self.force);
        }
        match self.pipe_to.split_first() {
            Some((program, arguments)) => prepare_command(program, arguments),
            None => Ok(Outlet::Stdout),
        }
    }
}

fn prepare_file(path: &Path, force: bool) -> Result<Outlet, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(format!("cannot write the key to {}", path.display())).why(why)
    };
    if path.is_dir() {
        return Err(failed(&"it is a directory").next("Give a file's name with --output FILE."));
    }
    if path.symlink_metadata().is_ok() && !force {
        return Err(failed(&"it already exists; no key was created")
            .next("Give another name, or --force to overwrite it."));
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Created 0600.
    let temporary =
        tempfile::Builder::new().prefix(".flyte-key-").tempfile_in(directory).map_err(|error| {
            failed(&format!("{error}; no key was created"))
                .next(format!("Check that {} exists, is writable and is not full.", directory.display()))
        })?;
    Ok(Outlet::File { temporary, path: path.to_owned(), force })
}

fn prepare_command(program: &OsString, arguments: &[OsString]) -> Result<Outlet, Failure> {
    let name = program.to_string_lossy().into_owned();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        // Standard output is for this command's result.
        .stdout(io::stderr())
        .spawn()
        .map_err(|error| not_run(program, &error))?;
    let input = child.stdin.take();
    Ok(Outlet::Command(Receiver { name, child, input }))
}

fn not_run(program: &OsString, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("cannot run {}", program.to_string_lossy()))
        .why(format!("{why}; no key was created"))
        .next("Check the command after --pipe-to.")
}

/// Whether a program is on the search path.
fn is_on_path(program: &OsString) -> bool {
    let program = Path::new(program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A path with a directory is not searched for.
    let looked_for = program.components().count() == 1;
    let exists = |path: PathBuf| path.exists() || (cfg!(windows) && with_exe(&path).exists());
    if looked_for {
        std::env::split_paths(&path).any(|directory| exists(directory.join(program)))
    } else {
        exists(program.to_owned())
    }
}

/// The name that Windows also tries for a program: `kubectl` is `kubectl.exe`.
fn with_exe(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".exe");
    PathBuf::from(name)
}

impl Outlet {
    /// Delivers the key; `result` is the text for standard output, if the key goes there.
    pub(crate) fn hand_over(self, key: &SecretString, result: &SecretString) -> Result<(), Failure> {
        match self {
            Self::Stdout => print(result).map_err(|error| Failure::new("cannot write the key").why(error)),
            Self::File { temporary, path, force } => write(temporary, &path, force, key).map_err(|error| {
                Failure::new(format!("cannot write the key to {}", path.display())).why(error)
            }),
            Self::Command(receiver) => receiver.take(key),
        }
    }

    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout)
    }

    /// Describes where the key went.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Stdout => "standard output".to_owned(),
            Self::File { path, .. } => path.display().to_string(),
            Self::Command(receiver) => format!("the input of {}", receiver.name),
        }
    }
}

fn print(result: &SecretString) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(result.expose_secret().as_bytes())?;
    out.flush()
}

fn write(mut temporary: NamedTempFile, path: &Path, force: bool, key: &SecretString) -> io::Result<()> {
    temporary.write_all(key.expose_secret().as_bytes())?;
    temporary.write_all(b"\n")?;
    temporary.as_file().sync_all()?;
    match force {
        true => temporary.persist(path).map_err(|error| error.error)?,
        // The file may have been created meanwhile.
        false => temporary.persist_noclobber(path).map_err(|error| error.error)?,
    };
    Ok(())
}

impl Receiver {
    fn take(mut self, key: &SecretString) -> Result<(), Failure> {
        let failed = |name: &str, why: &dyn std::fmt::Display| {
            Failure::new(format!("cannot pass the key to {name}")).why(why)
        };
        let Some(mut input) = self.input.take() else { return Err(failed(&self.name, &"it has no input")) };
        // Without a newline, because the command may store its input unchanged.
        let written = input.write_all(key.expose_secret().as_bytes()).and_then(|()| input.flush());
        drop(input);
        let status = self.child.wait().map_err(|error| failed(&self.name, &error))?;
        if !status.success() {
            return Err(failed(&self.name, &format!("it failed ({status})")));
        }
        written.map_err(|error| failed(&self.name, &format!("it did not read the key ({error})")))
    }
}

#[cfg(test)]
mod tests;
