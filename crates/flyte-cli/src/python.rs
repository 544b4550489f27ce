//! Finds the Python that runs the user's files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flyte_config::Environment;

use crate::bridge::Refused;
use crate::failure::{Exit, Failure};
use crate::output;

/// How to install the package that files import.
const INSTALL: &str = "-m pip install flyte";

/// A Python interpreter and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Python {
    pub(crate) path: PathBuf,
    why: &'static str,
}

impl Python {
    /// Finds the requested Python, or that of the active virtual environment, of `.venv` in the code's directory or above it, or
    /// the one on the search path, in this order.
    pub(crate) fn find(
        chosen: Option<&Path>,
        root: &Path,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        if let Some(path) = chosen {
            // A virtual environment's directory means its Python.
            let path = if path.is_dir() { interpreter(path) } else { path.to_owned() };
            return Ok(Self { path, why: "--python or FLYTE_PYTHON" });
        }
        if let Some(active) = environment.variable("VIRTUAL_ENV").filter(|path| !path.is_empty()) {
            return Ok(Self { path: interpreter(Path::new(&active)), why: "the active virtual environment" });
        }
        for directory in root.ancestors() {
            let path = interpreter(&directory.join(".venv"));
            if path.is_file() {
                return Ok(Self { path, why: "the project's .venv" });
            }
        }
        let path = environment.variable("PATH").unwrap_or_default();
        for name in if cfg!(windows) { ["python.exe", "python3.exe"] } else { ["python3", "python"] } {
            let found = std::env::split_paths(&path)
                .map(|directory| directory.join(name))
                .find(|path| path.is_file());
            if let Some(path) = found {
                return Ok(Self { path, why: "the search path" });
            }
        }
        Err(Failure::new("no Python was found")
            .why("no virtual environment is active, there is no .venv in the code's directory, and no python3 is on the search path")
            .next(format!("Create one: python3 -m venv .venv && .venv/bin/python {INSTALL}; or name one: --python PATH")))
    }

    /// Explains why this Python does not answer.
    pub(crate) fn diagnose(&self) -> Failure {
        let started = Command::new(&self.path)
            .args(["-c", ""])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let failure = self.failure();
        match started {
            Err(error) => failure.why(format!("it cannot be started: {error}")).next(format!(
                "Create a virtual environment: python3 -m venv .venv && .venv/bin/python {INSTALL}; {}",
                self.another()
            )),
            Ok(status) if status.success() => failure
                .why("it ended while it imported the package flyte")
                .next(format!("Try it: {} -c 'import flyte'; {}", self.path.display(), self.another())),
            Ok(status) => failure
                .why(format!("it is no working Python: {status}"))
                .next(format!("Name another Python: --python PATH (this one is {})", self.why)),
        }
    }

    /// Explains why the SDK of this Python cannot be used.
    pub(crate) fn refused(&self, refused: &Refused) -> Failure {
        let path = self.path.display();
        let next = match refused.code.as_str() {
            "sdk_missing" => format!("Install it: {path} {INSTALL}; {}", self.another()),
            "sdk_unknown" | "sdk_old" => {
                format!("Install a newer one: {path} {INSTALL} -U; {}", self.another())
            }
            _ => format!("Try it: {path} -c 'import flyte'; {}", self.another()),
        };
        self.failure().why(output::printable(&refused.message)).next(next)
    }

    fn failure(&self) -> Failure {
        Failure::new(format!("{} cannot run this file", self.path.display())).exit(Exit::Failure)
    }

    fn another(&self) -> String {
        format!("or name another Python: --python PATH (this one is {})", self.why)
    }
}

fn interpreter(environment: &Path) -> PathBuf {
    if cfg!(windows) { environment.join("Scripts/python.exe") } else { environment.join("bin/python") }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn environment(variables: &[(&str, &Path)], home: &Path) -> Environment {
        let variables = variables.iter().map(|(name, path)| ((*name).to_owned(), path.display().to_string()));
        Environment { variables: variables.collect(), directory: home.to_owned(), home: None }
    }

    #[test]
    fn nearest_python_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("project/src");
        let bin = directory.path().join("bin");
        for path in [&root, &bin] {
            fs::create_dir_all(path).unwrap();
        }
        let found = |chosen: Option<&Path>, variables: &[(&str, &Path)]| {
            Python::find(chosen, &root, &environment(variables, directory.path())).map(|python| python.path)
        };
        assert!(found(None, &[("PATH", &bin)]).unwrap_err().summary().starts_with("no Python was found"));
        let on_path = bin.join(if cfg!(windows) { "python.exe" } else { "python3" });
        fs::write(&on_path, "").unwrap();
        assert_eq!(found(None, &[("PATH", &bin)]).unwrap(), on_path);
        let own = interpreter(&directory.path().join("project/.venv"));
        fs::create_dir_all(own.parent().unwrap()).unwrap();
        fs::write(&own, "").unwrap();
        assert_eq!(found(None, &[("PATH", &bin)]).unwrap(), own);
        let active = directory.path().join("active");
        assert_eq!(found(None, &[("VIRTUAL_ENV", &active)]).unwrap(), interpreter(&active));
        let chosen = Path::new("/opt/python");
        assert_eq!(found(Some(chosen), &[("VIRTUAL_ENV", &active)]).unwrap(), chosen);
        assert_eq!(found(Some(&directory.path().join("project/.venv")), &[]).unwrap(), own);
    }
}
