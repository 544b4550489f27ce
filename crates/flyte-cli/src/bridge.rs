//! Asks the user's Python about their file; the protocol is in `docs/reference/bridge.md`.

mod sdk;
mod serving;

use std::io::{self, BufRead as _, BufReader, PipeReader, Write as _};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flyte_auth::child_output::{ChildOutput, Piece};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared_child::SharedChild;

use crate::failure::{Exit, Failure};
use crate::output;
use crate::python::Python;

pub(crate) use sdk::{Capability, Sdk};

/// The number of lines of a traceback that are shown, from its end.
const TRACEBACK: usize = 40;
/// The variable with the encoding of Python's standard streams.
const ENCODING_VARIABLE: &str = "PYTHONIOENCODING";
/// The error after the last answer, when Python has ended.
const ENDED: &str = "\0\n";
/// How long Python can run after a local task, for its `atexit` functions and threads.
const GRACE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// A file's environments, as Python describes them.
#[derive(Debug, Deserialize)]
pub(crate) struct Described {
    pub(crate) environments: Vec<Environment>,
    /// Files that could not be imported, if the request ignores them.
    #[serde(default)]
    pub(crate) failed: Vec<NotImported>,
}

/// A file that could not be imported, and the reason.
#[derive(Debug, Deserialize)]
pub(crate) struct NotImported {
    pub(crate) file: String,
    #[serde(default)]
    pub(crate) message: String,
}

/// A group of tasks, or an app.
#[derive(Debug, Deserialize)]
pub(crate) struct Environment {
    pub(crate) name: String,
    /// The names by which the file knows it.
    #[serde(default)]
    pub(crate) variables: Vec<String>,
    /// Whether the file itself defines it, or one of its tasks.
    #[serde(default = "yes")]
    pub(crate) own: bool,
    #[serde(default)]
    pub(crate) tasks: Vec<Task>,
    #[serde(default)]
    pub(crate) app: Option<App>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
pub(crate) struct App {
    pub(crate) name: String,
}

/// A task with its signature.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Task {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) function: String,
    #[serde(default)]
    pub(crate) short_name: String,
    /// The names by which the file knows it.
    #[serde(default)]
    pub(crate) variables: Vec<String>,
    #[serde(default)]
    pub(crate) docs: String,
    #[serde(default)]
    pub(crate) inputs: Vec<Input>,
}

/// An input of a task.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Input {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) python_type: String,
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default)]
    pub(crate) help: String,
    #[serde(default)]
    pub(crate) is_list: bool,
    #[serde(default)]
    pub(crate) default: Option<String>,
    #[serde(default)]
    pub(crate) choices: Option<Vec<String>>,
}

/// An error, as Python describes it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Refused {
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) field: String,
    #[serde(default)]
    pub(crate) traceback: String,
    #[serde(default)]
    pub(crate) code: String,
}

/// A local file that a value names.
#[derive(Debug, Deserialize)]
pub(crate) struct Upload {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) directory: bool,
    /// The path that the upload is put under; empty if the server chooses one.
    #[serde(default)]
    pub(crate) root: String,
}

/// A line that a local task prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Printed {
    #[serde(default)]
    pub(crate) stream: String,
    pub(crate) text: String,
}

/// Why there is no answer.
pub(crate) enum Unanswered {
    /// Python answered with an error.
    Refused(Refused),
    /// Python itself failed.
    Failed(Failure),
}

/// Handles what Python requests before it answers.
pub(crate) trait Helper {
    /// Uploads a file or directory and returns its address.
    fn upload(&mut self, upload: &Upload) -> Result<String, String>;

    /// Shows the output of a task.
    fn print(&mut self, printed: &Printed);

    /// An app on this machine answers at this URL.
    fn serving(&mut self, _url: &str) {}
}

/// For requests during which Python requests nothing.
pub(crate) struct Nothing;

impl Helper for Nothing {
    fn upload(&mut self, _: &Upload) -> Result<String, String> {
        Err("a local run does not upload files".to_owned())
    }

    fn print(&mut self, printed: &Printed) {
        output::say(&printed.text);
    }
}

/// A running Python process.
pub(crate) struct Bridge {
    python: Python,
    /// What its SDK is and can do.
    pub(crate) sdk: Sdk,
    child: Arc<SharedChild>,
    requests: Option<ChildStdin>,
    answers: BufReader<PipeReader>,
    /// Shows what Python writes to standard error.
    errors: ChildOutput,
    /// Whether a marker in the stream ends a line.
    unfinished: Arc<AtomicBool>,
    answered: bool,
}

impl Bridge {
    /// Starts Python in the current directory, with additional environment variables.
    pub(crate) fn start(python: Python, variables: Vec<(String, String)>) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::new("cannot start Python").why(error);
        let unfinished = Arc::new(AtomicBool::new(true));
        let mut lines = Lines { rest: Vec::new(), unfinished: Arc::clone(&unfinished) };
        let errors = ChildOutput::read(move |piece| lines.take(piece)).map_err(failed)?;
        let (answers, mut end) = io::pipe().map_err(failed)?;
        let mut command = Command::new(&python.path);
        command.args(["-c", sdk::START]).env("PYTHONUNBUFFERED", "1").envs(variables);
        if std::env::var_os(ENCODING_VARIABLE).is_none() {
            // On Windows, Python would write the code page of the system to pipes; elsewhere, that of the locale.
            command.env(ENCODING_VARIABLE, "utf-8");
        }
        command.stdin(Stdio::piped()).stdout(end.try_clone().map_err(failed)?);
        command.stderr(errors.stdio().map_err(failed)?);
        let Ok(child) = SharedChild::spawn(&mut command) else { return Err(python.diagnose()) };
        let child = Arc::new(child);
        let requests = child.take_stdin();
        let ended = Arc::clone(&child);
        // A process started by the user's code can hold the pipe open, so the end of the pipe does not mean that Python ended.
        thread::spawn(move || {
            let _ = ended.wait();
            let _ = write!(end, "\n{ENDED}");
        });
        let mut bridge = Self {
            python,
            sdk: Sdk::default(),
            child,
            requests,
            answers: BufReader::new(answers),
            errors,
            unfinished,
            answered: false,
        };
        // The sources of the bridge come first.
        let sdk = bridge.send(&sdk::sources()).and_then(|()| bridge.ask(&json!({"do": "sdk"}), &mut Nothing));
        bridge.sdk = sdk.map_err(|unanswered| match unanswered {
            Unanswered::Failed(failure) => failure,
            Unanswered::Refused(refused) => bridge.python.refused(&refused),
        })?;
        Ok(bridge)
    }

    /// Imports files and describes their content. `request` has the other keys of the request.
    pub(crate) fn describe(&mut self, files: &[PathBuf], mut request: Value) -> Result<Described, Failure> {
        request["do"] = json!("describe");
        request["files"] = json!(files);
        self.ask(&request, &mut Nothing).map_err(|unanswered| match unanswered {
            Unanswered::Failed(failure) => failure,
            Unanswered::Refused(refused) => refused
                .failure(match files {
                    [file] => format!("cannot import {}", file.display()),
                    files => format!("cannot import {} files", files.len()),
                })
                .next("Correct the file, then run the command again."),
        })
    }

    /// Sends a request and handles what Python requests, until the answer comes.
    pub(crate) fn ask<A: DeserializeOwned>(
        &mut self,
        request: &Value,
        helper: &mut dyn Helper,
    ) -> Result<A, Unanswered> {
        self.send(request)?;
        self.answer(helper)
    }

    /// Handles what Python requests, until the answer comes.
    fn answer<A: DeserializeOwned>(&mut self, helper: &mut dyn Helper) -> Result<A, Unanswered> {
        loop {
            let mut message = self.read()?;
            if let Some(upload) = message.get_mut("upload").map(Value::take) {
                let upload: Upload =
                    serde_json::from_value(upload).map_err(|error| self.garbled(&error.to_string()))?;
                let reply = match helper.upload(&upload) {
                    Ok(uri) => json!({"uri": uri}),
                    Err(error) => json!({"error": error}),
                };
                self.send(&reply)?;
            } else if let Some(printed) = message.get_mut("log").map(Value::take) {
                let printed =
                    serde_json::from_value(printed).map_err(|error| self.garbled(&error.to_string()))?;
                helper.print(&printed);
            } else if let Some(url) = message.pointer("/serving/url") {
                helper.serving(url.as_str().unwrap_or_default());
            } else if let Some(error) = message.get_mut("error").map(Value::take) {
                return Err(Unanswered::Refused(serde_json::from_value(error).unwrap_or_default()));
            } else {
                return serde_json::from_value(message).map_err(|error| self.garbled(&error.to_string()));
            }
        }
    }

    fn send(&mut self, message: &Value) -> Result<(), Unanswered> {
        let Some(requests) = &mut self.requests else { return Err(self.silent()) };
        let written = writeln!(requests, "{message}").and_then(|()| requests.flush());
        written.map_err(|_| self.silent())
    }

    fn read(&mut self) -> Result<Value, Unanswered> {
        let mut line = String::new();
        while line.trim().is_empty() {
            line.clear();
            match self.answers.read_line(&mut line) {
                Ok(read) if read > 0 && line != ENDED => {}
                _ => return Err(self.silent()),
            }
        }
        let message: Value = serde_json::from_str(&line).map_err(|error| self.garbled(&error.to_string()))?;
        self.answered = true;
        // Show what Python wrote to standard error before this message, before acting on the message. While a task prints, the
        // start of a line waits for its end.
        self.show_errors(message.get("log").is_none());
        Ok(message)
    }

    /// Waits until everything that Python wrote to standard error is shown, including an unfinished line if `unfinished`.
    fn show_errors(&mut self, unfinished: bool) {
        self.unfinished.store(unfinished, Ordering::Relaxed);
        self.errors.sync();
    }

    /// The error if Python ended without an answer.
    fn silent(&mut self) -> Unanswered {
        self.requests = None;
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        self.show_errors(true);
        if !self.answered {
            return Unanswered::Failed(self.python.diagnose());
        }
        Unanswered::Failed(
            Failure::new("Python ended before it answered")
                .why(format!("{}: {status}", self.python.path.display()))
                .next("See its output above, or run the file itself: python FILE.py"),
        )
    }

    /// Lets Python end by itself after a local task, so that `atexit` functions can write their output.
    pub(crate) fn finish(&mut self) {
        self.requests = None;
        for _ in 0..GRACE.as_millis() / LOOK.as_millis() {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return self.show_errors(true);
            }
            thread::sleep(LOOK);
        }
        self.show_errors(true);
        output::tell(&format!(
            "note: Python was stopped. The task is done, but its threads were still running after {} seconds.",
            GRACE.as_secs()
        ));
    }

    fn garbled(&self, why: &str) -> Unanswered {
        Unanswered::Failed(
            Failure::new(format!(
                "{} sent an answer that this command cannot read",
                self.python.path.display()
            ))
            .why(why)
            .next("Use the package flyte of the same version as the command: flyte --version"),
        )
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // The end of its input ends Python, unless the user's code prevents that.
        self.requests = None;
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
        }
        self.unfinished.store(true, Ordering::Relaxed);
        // Dropping `errors` shows the rest of what Python wrote.
        let _ = self.child.wait();
    }
}

/// Shows what Python writes to standard error, line by line.
struct Lines {
    /// The start of an unfinished line.
    rest: Vec<u8>,
    unfinished: Arc<AtomicBool>,
}

impl Lines {
    fn take(&mut self, piece: Piece<'_>) {
        if let Piece::Written(bytes) = piece {
            for part in bytes.split_inclusive(|&byte| byte == b'\n') {
                self.rest.extend_from_slice(part);
                if part.ends_with(b"\n") {
                    self.show();
                }
            }
        } else if self.unfinished.load(Ordering::Relaxed) {
            self.show();
        }
    }

    fn show(&mut self) {
        let line = std::mem::take(&mut self.rest);
        output::say(&String::from_utf8_lossy(&line));
    }
}

impl Refused {
    /// A failure that shows the traceback of the user's code.
    pub(crate) fn failure(&self, what: impl Into<String>) -> Failure {
        if !self.traceback.is_empty() {
            let lines: Vec<_> = self.traceback.lines().collect();
            let first = lines.len().saturating_sub(TRACEBACK);
            output::tell(output::block(&lines[first..].join("\n")).trim_end());
        }
        Failure::new(what).why(output::printable(&self.message)).exit(Exit::Failure)
    }
}

/// Decodes bytes of an answer.
pub(crate) fn decoded(text: &str) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(text).map_err(|error| Failure::new("cannot read Python's answer").why(error))
}
