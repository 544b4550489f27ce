//! The `flyte` command: reads the command line (`cli`), runs the verb (`command`) and reports a failure in
//! three parts (what, why, what next).
//!
//! Results go to standard output, everything else to standard error. Nothing is set up before it is needed:
//! `flyte --version` and completions touch neither files nor network.
#![forbid(unsafe_code)]
#![allow(
    clippy::doc_markdown,
    reason = "the doc comments of arguments are their help, which shows no backquotes"
)]

mod bridge;
pub mod cli;
mod code;
mod command;
mod confirm;
mod context;
mod definition;
mod delivery;
mod editor;
mod failure;
mod global;
mod guess;
mod key;
mod keyboard;
mod logging;
mod output;
mod person;
mod progress;
mod public_key;
mod python;
pub mod reference;
mod subject;
mod time;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    outlive_file_limits();
    let arguments = spelled_out(std::env::args_os());
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) if error.kind() == clap::error::ErrorKind::InvalidSubcommand => {
            let words: Vec<String> =
                arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            match guess::failure(&error, &words) {
                Some(failure) => return failure.report(),
                None => error.exit(),
            }
        }
        // Prints help and the version to standard output, and mistakes to standard error with exit code 2.
        Err(error) => error.exit(),
    };
    match cli.run() {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    }
}

/// The name under which this command was called: `flyte-auth` as the Python wheel installs it, otherwise `flyte`.
fn installed_name() -> &'static str {
    static NAME: std::sync::OnceLock<&str> = std::sync::OnceLock::new();
    NAME.get_or_init(|| {
        let program = std::env::args_os().next().unwrap_or_default();
        match std::path::Path::new(&program).file_stem() {
            Some(stem) if stem == "flyte-auth" => "flyte-auth",
            _ => "flyte",
        }
    })
}

/// Makes a write beyond the file size limit (`ulimit -f`) fail like one on a full disk. By default, its signal ends the process,
/// even if the file is only a cache. Child processes get the default back.
fn outlive_file_limits() {
    #[cfg(unix)]
    if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default()) {
        tracing::debug!(%error, "a write beyond the file size limit will end this process");
    }
}

/// The arguments with `-of FORMAT`, the published client's spelling, as `--output-format FORMAT`.
fn spelled_out(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    for index in 0..arguments.len().saturating_sub(1) {
        let format = arguments[index + 1].to_str().is_some_and(|word| output::Format::NAMES.contains(&word));
        if arguments[index] == "-of" && format {
            arguments[index] = "--output-format".into();
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_spelling_of_the_output_format_works() {
        let spelled = |line: &str| {
            let words = spelled_out(line.split(' ').map(OsString::from));
            words.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(spelled("flyte -of json get project"), "flyte --output-format json get project");
        assert_eq!(spelled("flyte -of table-simple whoami"), "flyte --output-format table-simple whoami");
        // As for any other short option, this is a value attached to `-o`.
        assert_eq!(spelled("flyte create config -of x"), "flyte create config -of x");
    }
}
