//! `flyte get code`

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use flyte_client::action::{ROOT, RunId};
use flyte_client::bundle::unpack::{self, UnpackError};
use flyte_client::code::CodeLocation;
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

pub(crate) const HELP: &str = "\
Without --dest, the files are only listed. Files that have other content in the directory already are not replaced, unless you \
give --force. Links in the archive are left out.

For example:
  flyte get code r1
  flyte get code r1 --dest r1-code
  flyte get code r1 a3 --dest r1-code --no-extract";

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the run
    run: String,

    /// Name of the action. By default the root action of the run
    #[arg(default_value = ROOT, hide_default_value = true)]
    action: String,

    /// Directory to unpack the code into; created if it does not exist
    #[arg(long, value_name = "DIR")]
    dest: Option<PathBuf>,

    /// Keep the archive instead of unpacking it
    #[arg(long, requires = "dest")]
    no_extract: bool,

    /// Replace files that are there already
    #[arg(long, requires = "dest")]
    force: bool,

    /// Number of the attempt. By default the last one
    #[arg(short, long, value_name = "NUMBER")]
    attempt: Option<u32>,
}

/// The code of an action.
#[derive(Debug, Serialize)]
struct Found {
    #[serde(flatten)]
    location: CodeLocation,
    /// The files in the archive; empty for a pickled task.
    files: Vec<String>,
    /// Where the code was written; `None` if it was only listed.
    written_to: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { run, action, dest, no_extract, force, attempt } = arguments;
    let what = format!("cannot get the code of action {action} of run {run}");
    let id = RunId::new(context.project_domain()?, run).action(action);
    let session = context.session(false)?;
    let client = context.client_of(session.clone())?.with_org(context.config.task.org.clone());
    let http = session.http().map_err(|error| Failure::auth(what.clone(), &error))?;
    let unwritable = |error: &std::io::Error| {
        let place = dest.as_deref().unwrap_or(Path::new("the directory for temporary files"));
        Failure::new(what.clone()).why(format!("cannot write to {}: {error}", place.display()))
    };
    let failed = |error| Failure::code(what.clone(), &error, run);
    let link = context
        .run("Looking for the code", async { client.code().link(&id, *attempt).await.map_err(failed) })?;
    // Next to its final place, so that it can be moved there.
    let temporary = match dest {
        Some(directory) => {
            fs::create_dir_all(directory).map_err(|error| unwritable(&error))?;
            tempfile::Builder::new().prefix(".flyte-code-").tempfile_in(directory)
        }
        None => tempfile::NamedTempFile::new(),
    };
    let temporary = temporary.map_err(|error| unwritable(&error))?;
    context
        .run("Downloading the code", async { link.download(http, temporary.path()).await.map_err(failed) })?;
    let location = link.location;
    let unreadable = |error: UnpackError| Failure::new(what.clone()).why(&error).hint(&error);
    let files =
        if location.pickled { Vec::new() } else { unpack::list(temporary.path()).map_err(unreadable)? };
    let written_to = match dest {
        None => None,
        Some(directory) if *no_extract || location.pickled => {
            let to = directory.join(&location.name);
            let kept = if *force { temporary.persist(&to) } else { temporary.persist_noclobber(&to) };
            kept.map_err(|error| match error.error.kind() {
                std::io::ErrorKind::AlreadyExists => Failure::new(what.clone())
                    .why(format!("{} is there already", to.display()))
                    .next("Replace it with --force, or give another directory."),
                _ => unwritable(&error.error),
            })?;
            Some(to)
        }
        Some(directory) => {
            unpack::unpack(temporary.path(), directory, *force).map_err(unreadable)?;
            Some(directory.clone())
        }
    };
    let found = Found { location, files, written_to };
    output::print(context.global.format, &found, table)?;
    if context.global.format == Format::Table {
        output::tell(&match &found.written_to {
            Some(place) => format!("Downloaded the code to {}.", place.display()),
            None if found.location.pickled => {
                format!(
                    "{} is a pickled task, which has no source files. Download it with --dest DIR.",
                    found.location.name
                )
            }
            None => "Download the code with --dest DIR.".to_owned(),
        });
    }
    Ok(Exit::Success)
}

fn table(found: &Found) -> String {
    found.files.iter().map(|file| format!("{}\n", output::printable(file))).collect()
}
