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

use crate::bridge::{Bridge, Capability, Helper, Nothing, Printed, Unanswered, Upload};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::global::ImageBuilder;
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

    /// Image for the containers of all environments, if the server runs containers; or NAME=IMAGE for those with
    /// Image.from_ref_name(NAME). Can be repeated
    #[arg(long, value_name = "[NAME=]IMAGE")]
    image: Vec<String>,

    /// Look for modules only in the directory of the code, not also where Python finds them on this machine
    #[arg(long)]
    no_sync_local_sys_paths: bool,
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
        let path = existing(file)?;
        if path.is_dir() {
            return Err(Failure::new(format!("{} is a directory", file.display()))
                .next("Give a file in it, for example: flyte run app.py main")
                .exit(Exit::Usage));
        }
        let root = self.root(&path)?;
        self.start(file, root, &[path], false, context)
    }

    /// Imports the files of a directory in Python: with `recursive`, also those in the directories below. With `ignore_failures`,
    /// files that cannot be imported are left out.
    pub(crate) fn import_directory(
        &self,
        directory: &Path,
        recursive: bool,
        ignore_failures: bool,
        context: &Context,
    ) -> Result<Program, Failure> {
        let path = existing(directory)?;
        let root = self.root(&path)?;
        let failed = |error: BundleError| {
            Failure::new(format!("cannot list the files of {}", directory.display())).why(error)
        };
        // The files of the bundle, so that nothing is imported that .gitignore or .flyteignore names.
        let selected = bundle::select(&root).map_err(failed)?.files;
        let files: Vec<_> = selected
            .iter()
            .map(|file| root.join(&file.path))
            .filter(|file| file.extension().is_some_and(|extension| extension == "py"))
            .filter(|file| file.file_name().is_some_and(|name| name != "__init__.py"))
            .filter(|file| if recursive { file.starts_with(&path) } else { file.parent() == Some(&path) })
            .collect();
        if files.is_empty() {
            let next = if recursive { "Give another directory." } else { "Also those below it: --recursive" };
            return Err(Failure::new(format!("{} has no Python files", directory.display()))
                .next(next)
                .exit(Exit::Usage));
        }
        self.start(directory, root, &files, ignore_failures, context)
    }

    fn start(
        &self,
        shown: &Path,
        root: PathBuf,
        files: &[PathBuf],
        ignore_failures: bool,
        context: &Context,
    ) -> Result<Program, Failure> {
        let python = Python::find(self.python.as_deref(), &root, &context.environment)?;
        tracing::info!(python = %python.path.display(), root = %root.display(), "importing the code");
        let mut bridge = Bridge::start(python, context.global.logging.variables(&[]))?;
        tracing::info!(sdk = %bridge.sdk.sdk, version = %bridge.sdk.version, "found the SDK");
        if self.named_images().next().is_some() {
            bridge.needs(Capability::Images)?;
        }
        if context.global.image_builder.is_some() {
            bridge.needs(Capability::Builds)?;
        }
        context.progress.show(if files.len() == 1 { "Importing the file" } else { "Importing the files" });
        let mut request = self.surroundings(&root, context);
        request["ignore_failures"] = json!(ignore_failures);
        let described = bridge.describe(files, request);
        context.progress.clear();
        let described = described?;
        for failed in &described.failed {
            output::tell(&format!(
                "warning: left out {}: {}",
                output::printable(&failed.file),
                output::printable(&failed.message)
            ));
        }
        Ok(Program { bridge, file: shown.to_owned(), root, described })
    }

    /// What a file may ask for while it is imported.
    fn surroundings(&self, root: &Path, context: &Context) -> Value {
        let (task, image) = (&context.config.task, &context.config.image);
        let mut names = image.image_refs.clone();
        names.extend(self.named_images().map(|(name, image)| (name.to_owned(), image.to_owned())));
        let chosen = context.global.image_builder.map(ImageBuilder::as_str);
        json!({
            "root": root,
            "project": task.project,
            "domain": task.domain,
            "org": task.org,
            "images": {"builder": chosen.or(image.builder.as_deref()), "registry": image.registry, "names": names},
        })
    }

    fn root(&self, file: &Path) -> Result<PathBuf, Failure> {
        let own = if file.is_dir() { file } else { file.parent().unwrap_or(file) }.to_owned();
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
            && path.is_file()
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

    /// The image that replaces those of all environments.
    fn image(&self) -> Option<&str> {
        self.image.iter().rfind(|image| !image.contains('=')).map(String::as_str)
    }

    /// The request for the specification of tasks or apps with this code.
    pub(crate) fn specification(&self, code: &Code, sender: &Sender<'_>, context: &Context) -> Value {
        json!({
            "version": code.version,
            "bundle": code.bundle,
            "project": sender.project_domain.project,
            "domain": sender.project_domain.domain,
            "org": context.config.task.org.clone().unwrap_or_default(),
            "image": self.image(),
            "sync_paths": !self.no_sync_local_sys_paths,
        })
    }

    /// Names of images, and what they stand for.
    fn named_images(&self) -> impl Iterator<Item = (&str, &str)> {
        self.image.iter().filter_map(|image| image.split_once('='))
    }
}

/// The real path of a file or directory of code.
fn existing(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| {
        Failure::new(format!("cannot run {}", path.display()))
            .why(error)
            .next("Give a Python file (flyte run app.py main) or a deployed task (flyte run deployed-task NAME)")
            .exit(Exit::Usage)
    })
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
            .upload("Uploading the code", "", &name, What::Content(Content::Bytes(bundle.archive)))
            .map_err(|error| failed("cannot upload the code", &error))?;
        let what = if uploaded.was_there { "the server already has this code" } else { "uploaded the code" };
        tracing::info!(uri = %uploaded.native_url, "{what}");
        Ok(Code { version, bundle: Some(uploaded.native_url) })
    }

    fn upload(&self, doing: &str, root: &str, name: &str, what: What) -> Result<Uploaded, UploadError> {
        let http = match self.session.http() {
            Ok(http) => http,
            Err(error) => {
                return Err(UploadError::Read { path: PathBuf::from(name), reason: error.to_string() });
            }
        };
        let (sent, progress, doing) = (AtomicU64::new(0), self.context.progress.clone(), doing.to_owned());
        let length = match &what {
            What::Content(Content::Bytes(bytes)) => bytes.len() as u64,
            What::Content(Content::File(path)) => path.metadata().map_or(0, |metadata| metadata.len()),
            What::Directory(_) => 0,
        };
        let shown = doing.clone();
        let report: flyte_client::upload::Progress = Arc::new(move |more| {
            let sent = sent.fetch_add(more, Ordering::Relaxed) + more;
            match sent.saturating_mul(100).checked_div(length) {
                Some(percent) => progress.show(format!("{shown} ({}%)", percent.min(100))),
                None => progress.show(format!("{shown} ({} KiB)", sent >> 10)),
            }
        });
        let uploads = self.client.uploads();
        let place = &self.project_domain;
        let mut outcome = None;
        let ran = self.context.run(&doing, async {
            outcome = Some(match &what {
                What::Content(content) => uploads.upload(place, root, name, content, http, report).await,
                What::Directory(path) => {
                    uploads.upload_directory(place, root, name, path, http, report).await
                }
            });
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
}

/// What is uploaded.
enum What {
    Content(Content),
    Directory(PathBuf),
}

impl Helper for &Sender<'_> {
    fn upload(&mut self, upload: &Upload) -> Result<String, String> {
        let path = PathBuf::from(&upload.path);
        let own = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = if upload.name.is_empty() { &own } else { &upload.name };
        let doing = format!("Uploading {own}");
        let what = if upload.directory { What::Directory(path) } else { What::Content(Content::File(path)) };
        let sent = Sender::upload(self, &doing, &upload.root, name, what);
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
