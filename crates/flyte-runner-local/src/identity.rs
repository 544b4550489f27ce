//! The identity of a task. A file in the attempt's directory contains a token of the run, and a configuration file makes every
//! Flyte client read the token from there. The environment contains no secret, and the token expires with the run.

use std::{io, path::Path, time::Duration};

use secrecy::ExposeSecret as _;

use super::{State, authorities, environment};
use flyte_keys::KeyError;
use flyte_secrets::write_atomically;
use flyte_settings::{Config, TlsSource};
use flyte_store::Run;

/// Why the identity of a task could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    /// The token cannot be signed.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The token cannot be written to its file.
    #[error("cannot write the token of the run: {0}")]
    Io(#[from] io::Error),
}

/// Writes the configuration and the first token. Returns the time until the next [`renew`].
pub(super) fn write(state: &State, directory: &Path, run: &Run) -> Result<Duration, IdentityError> {
    write_atomically(&directory.join("flyte.yaml"), configuration(&state.config, directory, run).as_bytes())?;
    renew(state, directory, run)
}

/// Writes a new token. Returns the time until the next one is due.
pub(super) fn renew(state: &State, directory: &Path, run: &Run) -> Result<Duration, IdentityError> {
    let issued = state.identities.issue(run)?;
    write_atomically(&directory.join("token"), issued.token.expose_secret().as_bytes())?;
    // A client that has just read the previous token can still use it for half of its lifetime.
    Ok(Duration::from_secs(issued.expires_in.max(1).unsigned_abs()).div_f64(2.0))
}

/// Removes the identity and the working directories of a process that has ended.
pub(super) fn clear(directory: &Path) {
    for name in ["token", "flyte.yaml"] {
        let _ = std::fs::remove_file(directory.join(name));
    }
    for name in ["work", "tmp"] {
        if let Err(error) = std::fs::remove_dir_all(directory.join(name))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, directory = %directory.display(), "cannot remove the files of a task");
        }
    }
}

fn configuration(config: &Config, directory: &Path, run: &Run) -> String {
    // Every JSON string is also a YAML string.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut yaml = format!(
        "admin:\n  endpoint: {}\n  insecure: {}\n  authType: ExternalCommand\n  command: [cat, {}]\n  disableKeyring: true\n",
        quoted(&environment::endpoint(config)),
        config.public_url.scheme() == "http",
        quoted(&directory.join("token").display().to_string()),
    );
    let authority = match config.tls.source {
        TlsSource::LocalAuthority => Some(config.data_dir.join("ca.pem")),
        TlsSource::Files { .. } => authorities::installed(&config.data_dir),
        TlsSource::Off => None,
    };
    if let Some(file) = authority {
        yaml.push_str(&format!("  caCertFilePath: {}\n", quoted(&file.display().to_string())));
    }
    yaml.push_str("task:\n");
    if !config.org.is_empty() {
        yaml.push_str(&format!("  org: {}\n", quoted(&config.org)));
    }
    yaml.push_str(&format!("  project: {}\n  domain: {}\n", quoted(&run.id.project), quoted(&run.id.domain)));
    yaml
}
