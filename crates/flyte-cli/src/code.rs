//! Bundles the user's code and uploads it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Args, ValueEnum};
use flyte_auth::{Session, Transport};
use flyte_client::bundle::{self, Bundle, BundleError, Contents, IGNORE_FILE};
use flyte_client::upload::{Content, UploadError, Uploaded};
use flyte_client::{Client, ProjectDomain};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bridge::{Bridge, Helper, Nothing, Printed, Unanswered, Upload};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::python::Python;

/// Options of `run` and `deploy` about the code.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Python to run the file with, or its virtual environment. By default that of the active virtual environment, of .venv
    /// in the file's directory or above it, or python3
    #[arg(long, value_name = "PATH", env = "FLYTE_PYTHON", hide_env_values = true)]
    python: Option<PathBuf>,

    /// Directory of the code. By default the working directory, or the file's own directory if the file is elsewhere
    #[arg(long, value_name = "DIR")]
    root_dir: Option<PathBuf>,

    /// Which files the code bundle contains
    #[arg(long, value_enum, default_value_t)]
    copy_style: CopyStyle,

    /// Version of the code. By default a hash of the files
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,

    /// Image for the containers of all environments, if the server runs containers
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
}

/// Which files the code bundle contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum CopyStyle {
    /// All files below the directory, except those that .gitignore and .flyteignore name
    #[default]
    #[value(alias = "loaded_modules")]
    All,
    /// None: the code is already on the machine that runs it; needs --version
    None,
}

/// An imported file and its directory.
pub(crate) struct Program {
    pub(crate) bridge: Bridge,
    pub(crate) file: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) described: crate::bridge::Described,
}

/// Code with a version, and the address of its upload.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) version: String,
    pub(crate) bundle: Option<String>,
}

impl Options {
    /// Refuses options that contradict each other, before anything is done.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.copy_style == CopyStyle::None && self.version.is_none() {
            return Err(Failure::new("the code has no version")
                .why("with --copy-style none there are no files to compute it from")
                .next("Give a version: --version VERSION")
                .exit(Exit::Usage));
        }
        Ok(())
    }

    /// Imports the file in Python.
    pub(crate) fn import(&self, file: &Path, context: &Context) -> Result<Program, Failure> {
        let missing = |error: std::io::Error| {
            Failure::new(format!("cannot run {}", file.display()))
                .why(error)
                .next("Give a Python file (flyte run app.py main) or a deployed task (flyte run deployed-task NAME)")
                .exit(Exit::Usage)
        };
        let path = file.canonicalize().map_err(missing)?;
        if path.is_dir() {
            return Err(Failure::new(format!("{} is a directory", file.display()))
                .next("Give a file in it, for example: flyte run app.py main")
                .exit(Exit::Usage));
        }
        let root = self.root(&path)?;
        let python = Python::find(self.python.as_deref(), &root, &context.environment)?;
        tracing::info!(python = %python.path.display(), root = %root.display(), "importing the file");
        let mut bridge = Bridge::start(python)?;
        context.progress.show("Importing the file");
        let described = bridge.describe(&path, &root);
        context.progress.clear();
        Ok(Program { bridge, file: file.to_owned(), root, described: described? })
    }

    fn root(&self, file: &Path) -> Result<PathBuf, Failure> {
        let own = file.parent().unwrap_or(file).to_owned();
        let Some(chosen) = &self.root_dir else {
            let here = std::env::current_dir().and_then(|here| here.canonicalize()).ok();
            // A home directory is not a project, even if the file is in it.
            let home = std::env::home_dir().and_then(|home| home.canonicalize().ok());
            return Ok(here
                .filter(|here| file.starts_with(here) && home.as_ref() != Some(here))
                .unwrap_or(own));
        };
        let failure = |why: String| {
            Failure::new(format!("cannot use --root-dir {}", chosen.display())).why(why).exit(Exit::Usage)
        };
        let root = chosen.canonicalize().map_err(|error| failure(error.to_string()))?;
        if !file.starts_with(&root) {
            return Err(failure(format!("{} is not in this directory", file.display()))
                .next("Give a directory that contains the file."));
        }
        Ok(root)
    }

    /// Creates the bundle and its version. `chosen` has the keys of the bridge's request `include`: a task, or environments.
    pub(crate) fn pack(
        &self,
        program: &mut Program,
        mut chosen: Value,
        context: &Context,
    ) -> Result<(String, Option<Bundle>), Failure> {
        if self.copy_style == CopyStyle::None {
            return Ok((self.version.clone().unwrap_or_default(), None));
        }
        chosen["do"] = json!("include");
        let included: Included =
            program.bridge.ask(&chosen, &mut Nothing).map_err(|unanswered| match unanswered {
                Unanswered::Failed(failure) => failure,
                Unanswered::Refused(error) => error.failure("cannot bundle the code"),
            })?;
        context.progress.show("Bundling the code");
        let packed = Bundle::pack(
            &program.root,
            &Contents { all: true, named: included.files },
            bundle::DEFAULT_LIMIT_BYTES,
        );
        context.progress.clear();
        let bundle = packed.map_err(|error| {
            let failure = Failure::new("cannot bundle the code").why(&error);
            match next_step(&error) {
                Some(hint) => failure.next(hint),
                None => failure,
            }
        })?;
        if !bundle.kept_back.is_empty() {
            output::tell(&format!(
                "Left out of the bundle, as possible secrets or links out of the directory: {}.",
                output::printable(&bundle.kept_back.join(", "))
            ));
        }
        let path = program.file.canonicalize().unwrap_or_else(|_| program.file.clone());
        let own = path.strip_prefix(&program.root).map(|path| path.to_string_lossy().replace('\\', "/"));
        if let Ok(own) = own
            && !bundle.files.iter().any(|file| file.path == own)
        {
            return Err(Failure::new(format!("{} is not in the bundle", program.file.display()))
                .why("a .gitignore or .flyteignore excludes it")
                .next("Include it in .flyteignore (!NAME), or give its own directory: --root-dir DIR"));
        }
        let (count, size) = (bundle.files.len(), bundle.archive.len());
        tracing::info!(files = count, bytes = bundle.size, compressed = size, "bundled the code");
        Ok((self.version.clone().unwrap_or_else(|| bundle.version()), Some(bundle)))
    }

    pub(crate) fn image(&self) -> Option<&str> {
        self.image.as_deref()
    }
}

/// The files that environments include, by their paths below the root.
#[derive(Deserialize)]
struct Included {
    files: Vec<PathBuf>,
}

/// The advice for a bundle that cannot be created.
fn next_step(error: &BundleError) -> Option<String> {
    Some(match error {
        BundleError::Read { .. } => format!("Make it readable, or exclude it in {IGNORE_FILE}."),
        BundleError::Empty { .. } => {
            format!("Check .gitignore and {IGNORE_FILE}, or give the directory of the code: --root-dir DIR.")
        }
        BundleError::TooLarge { .. } => format!(
            "Exclude files that the run does not need in {IGNORE_FILE} (syntax of .gitignore), or give a smaller directory: --root-dir DIR."
        ),
        _ => return None,
    })
}

/// Uploads code and files to the server.
pub(crate) struct Sender<'a> {
    context: &'a Context,
    session: Arc<Session>,
    pub(crate) client: Client<Transport>,
    pub(crate) project_domain: ProjectDomain,
}

impl<'a> Sender<'a> {
    /// Signs in first, so that no work is done in vain.
    pub(crate) fn new(context: &'a Context) -> Result<Self, Failure> {
        let project_domain = context.project_domain()?;
        let session =
            if context.endpoint()?.is_insecure() { context.session(false)? } else { context.signed_in()? };
        let client = context.client_of(session.clone())?.with_org(context.config.task.org.clone());
        Ok(Self { context, session, client, project_domain })
    }

    /// Uploads the bundle, unless the server has it.
    pub(crate) fn send(&self, version: String, bundle: Option<Bundle>) -> Result<Code, Failure> {
        let Some(bundle) = bundle else { return Ok(Code { version, bundle: None }) };
        let name = format!("{}.tar.gz", bundle.version());
        let uploaded = self
            .upload("Uploading the code", &name, Content::Bytes(bundle.archive))
            .map_err(|error| failed("cannot upload the code", &error))?;
        let what = if uploaded.was_there { "the server already has this code" } else { "uploaded the code" };
        tracing::info!(uri = %uploaded.native_url, "{what}");
        Ok(Code { version, bundle: Some(uploaded.native_url) })
    }

    fn upload(&self, doing: &str, name: &str, content: Content) -> Result<Uploaded, UploadError> {
        let http = match self.session.http() {
            Ok(http) => http,
            Err(error) => {
                return Err(UploadError::Read { path: PathBuf::from(name), reason: error.to_string() });
            }
        };
        let (sent, progress, doing) = (AtomicU64::new(0), self.context.progress.clone(), doing.to_owned());
        let length = match &content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(path) => path.metadata().map_or(0, |metadata| metadata.len()),
        };
        let shown = doing.clone();
        let report: flyte_client::upload::Progress = Arc::new(move |more| {
            let sent = sent.fetch_add(more, Ordering::Relaxed) + more;
            if let Some(percent) = sent.saturating_mul(100).checked_div(length) {
                progress.show(format!("{shown} ({}%)", percent.min(100)));
            }
        });
        let uploads = self.client.uploads();
        let mut outcome = None;
        let ran = self.context.run(&doing, async {
            outcome = Some(uploads.upload(&self.project_domain, name, &content, http, report).await);
            Ok(())
        });
        match (outcome, ran) {
            (Some(outcome), _) => outcome,
            (None, ran) => Err(UploadError::Read {
                path: PathBuf::from(name),
                reason: ran.err().map(|failure| failure.summary()).unwrap_or_default(),
            }),
        }
    }

    fn directory(&self, path: &Path) -> Result<String, String> {
        Err(format!(
            "{} is a directory: upload it where tasks can read it, and give its URL instead",
            path.display()
        ))
    }
}

impl Helper for &Sender<'_> {
    fn upload(&mut self, upload: &Upload) -> Result<String, String> {
        let path = Path::new(&upload.path);
        if upload.directory {
            return self.directory(path);
        }
        let own = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = if upload.name.is_empty() { &own } else { &upload.name };
        let sent = Sender::upload(self, &format!("Uploading {own}"), name, Content::File(path.to_owned()));
        sent.map(|uploaded| uploaded.native_url).map_err(|error| error.to_string())
    }

    fn print(&mut self, printed: &Printed) {
        output::say(&printed.text);
    }
}

fn failed(what: &str, error: &UploadError) -> Failure {
    match error {
        UploadError::Client(error) => Failure::resource(what, error, "project"),
        error => Failure::new(what).why(error).hint(error),
    }
}
