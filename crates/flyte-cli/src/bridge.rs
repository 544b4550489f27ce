//! The person's Python, asked about their file: `docs/reference/bridge.md`.

use std::io::{self, BufRead as _, BufReader, PipeReader, Write as _};
use std::path::Path;
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

/// The longest traceback that is shown, in lines from its end.
const TRACEBACK: usize = 40;
/// What follows the last answer: Python has ended.
const ENDED: &str = "\0\n";
/// How long a task that has run here may take to end what it has left behind.
const GRACE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// A file's environments, as Python tells them.
#[derive(Debug, Deserialize)]
pub(crate) struct Described {
    pub(crate) environments: Vec<Environment>,
}

/// A group of tasks, or an app.
#[derive(Debug, Deserialize)]
pub(crate) struct Environment {
    pub(crate) name: String,
    /// Whether the file itself made it, or one of its tasks.
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
    #[serde(default)]
    pub(crate) docs: String,
    #[serde(default)]
    pub(crate) inputs: Vec<Input>,
}

/// Something that a task takes.
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

/// What was wrong, as Python tells it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Refused {
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) field: String,
    #[serde(default)]
    pub(crate) traceback: String,
}

/// A file of this machine that a value names.
#[derive(Debug, Deserialize)]
pub(crate) struct Upload {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) directory: bool,
}

/// A line that a task prints when it runs here.
#[derive(Debug, Deserialize)]
pub(crate) struct Printed {
    #[serde(default)]
    pub(crate) stream: String,
    pub(crate) text: String,
}

/// Why there is no answer.
pub(crate) enum Unanswered {
    /// It was told why.
    Refused(Refused),
    /// Python itself failed.
    Failed(Failure),
}

/// What Python wants before it answers.
pub(crate) trait Helper {
    /// Uploads a file or directory and returns its address.
    fn upload(&mut self, upload: &Upload) -> Result<String, String>;

    /// Shows what a task prints.
    fn print(&mut self, printed: &Printed);
}

/// For requests that want nothing.
pub(crate) struct Nothing;

impl Helper for Nothing {
    fn upload(&mut self, _: &Upload) -> Result<String, String> {
        Err("nothing is uploaded for a run on this machine".to_owned())
    }

    fn print(&mut self, printed: &Printed) {
        output::say(&printed.text);
    }
}

/// A running Python.
pub(crate) struct Bridge {
    python: Python,
    child: Arc<SharedChild>,
    requests: Option<ChildStdin>,
    answers: BufReader<PipeReader>,
    /// Passes on what Python writes to standard error.
    errors: ChildOutput,
    /// Whether a mark in it ends a line.
    unfinished: Arc<AtomicBool>,
    answered: bool,
}

impl Bridge {
    /// Starts it in the current directory.
    pub(crate) fn start(python: Python) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::new("cannot start Python").why(error);
        let unfinished = Arc::new(AtomicBool::new(true));
        let mut lines = Lines { rest: Vec::new(), unfinished: Arc::clone(&unfinished) };
        let errors = ChildOutput::read(move |piece| lines.take(piece)).map_err(failed)?;
        let (answers, mut end) = io::pipe().map_err(failed)?;
        let mut command = Command::new(&python.path);
        command.args(["-m", "flyte._bridge"]).env("PYTHONUNBUFFERED", "1");
        command.stdin(Stdio::piped()).stdout(end.try_clone().map_err(failed)?);
        command.stderr(errors.stdio().map_err(failed)?);
        let Ok(child) = SharedChild::spawn(&mut command) else { return Err(python.diagnose()) };
        let child = Arc::new(child);
        let requests = child.take_stdin();
        let ended = Arc::clone(&child);
        // A process that the person's code has started may hold the pipe open: its end does not show Python's.
        thread::spawn(move || {
            let _ = ended.wait();
            let _ = write!(end, "\n{ENDED}");
        });
        Ok(Self {
            python,
            child,
            requests,
            answers: BufReader::new(answers),
            errors,
            unfinished,
            answered: false,
        })
    }

    /// Imports a file and tells what is in it.
    pub(crate) fn describe(&mut self, file: &Path, root: &Path) -> Result<Described, Failure> {
        let request = json!({"do": "describe", "file": file, "root": root});
        self.ask(&request, &mut Nothing).map_err(|unanswered| match unanswered {
            Unanswered::Failed(failure) => failure,
            Unanswered::Refused(refused) => refused
                .failure(format!("cannot import {}", file.display()))
                .next("Correct the file, then run the command again."),
        })
    }

    /// Asks, and does what is wanted until there is an answer.
    pub(crate) fn ask<A: DeserializeOwned>(
        &mut self,
        request: &Value,
        helper: &mut dyn Helper,
    ) -> Result<A, Unanswered> {
        self.send(request)?;
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
        // What it wrote to standard error before is shown before anything that comes of this message. While a task prints, the
        // beginning of a line waits for its end.
        self.show_errors(message.get("log").is_none());
        Ok(message)
    }

    /// Waits until what Python has written to standard error is shown, an unfinished line with it if `unfinished`.
    fn show_errors(&mut self, unfinished: bool) {
        self.unfinished.store(unfinished, Ordering::Relaxed);
        self.errors.sync();
    }

    /// Python has ended.
    fn silent(&mut self) -> Unanswered {
        self.requests = None;
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        self.show_errors(true);
        if !self.answered {
            return Unanswered::Failed(self.python.diagnose());
        }
        Unanswered::Failed(
            Failure::new("Python has ended before it had answered")
                .why(format!("{}: {status}", self.python.path.display()))
                .next("Look above for what it says, or run the file itself: python FILE.py"),
        )
    }

    /// Lets a task that has run here end as it would by itself: its `atexit` functions write what is not written yet.
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
            "note: Python was ended: the task is done, but its threads still run after {} seconds.",
            GRACE.as_secs()
        ));
    }

    fn garbled(&self, why: &str) -> Unanswered {
        Unanswered::Failed(
            Failure::new(format!(
                "{} answers in another way than this command reads",
                self.python.path.display()
            ))
            .why(why)
            .next("Use the package flyte of the same version as the command: flyte --version"),
        )
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // The end of its input ends it, unless the person's code keeps it.
        self.requests = None;
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
        }
        self.unfinished.store(true, Ordering::Relaxed);
        // What it wrote is passed on when `errors` is dropped.
        let _ = self.child.wait();
    }
}

/// Shows what Python writes to standard error, line by line.
struct Lines {
    /// The beginning of a line.
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
        let text = String::from_utf8_lossy(&line);
        // What is missing is told in other words.
        if !text.contains("No module named flyte") && !text.contains("No module named 'flyte") {
            output::say(&text);
        }
    }
}

impl Refused {
    /// A failure that shows the traceback of the person's code.
    pub(crate) fn failure(&self, what: impl Into<String>) -> Failure {
        if !self.traceback.is_empty() {
            let lines: Vec<_> = self.traceback.lines().collect();
            let first = lines.len().saturating_sub(TRACEBACK);
            output::tell(output::block(&lines[first..].join("\n")).trim_end());
        }
        Failure::new(what).why(output::printable(&self.message)).exit(Exit::Failure)
    }
}

/// Bytes of an answer.
pub(crate) fn decoded(text: &str) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(text).map_err(|error| Failure::new("cannot read Python's answer").why(error))
}
