//! The person's approval of a `config.yaml` that came with a checkout, because the file decides which servers receive tokens and
//! which programs run.
//!
//! A command in a cloned repository must not send tokens through a foreign proxy or run a foreign program only because the repository
//! has a file that says so. The person approves such settings once for each file, and again when they change. A file that the person
//! names explicitly (also by `FLYTECTL_CONFIG`) or that is in the home directory needs no approval.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use flyte_config::{Config, Nearby};

use crate::{AuthError, token::fingerprint};

/// Settings that need the person's approval.
#[derive(Clone, Debug)]
pub struct Approval {
    nearby: Nearby,
    /// The file that records the approval; `None` without a home directory.
    record: Option<PathBuf>,
    digest: String,
}

impl Approval {
    /// The settings that need approval before this configuration is used; `None` if there are none, or if they are approved already.
    /// `state_dir` is the directory of recorded approvals.
    #[must_use]
    pub fn needed(config: &Config, state_dir: Option<&Path>) -> Option<Self> {
        let nearby = config.nearby.clone()?;
        let path = nearby.path.canonicalize().unwrap_or_else(|_| nearby.path.clone());
        let name = fingerprint(&path.to_string_lossy());
        let settings: Vec<_> = nearby.settings.iter().map(|(key, value)| (key.to_string(), value)).collect();
        let digest = fingerprint(&format!("{settings:?}"));
        let record = state_dir.map(|directory| directory.join("approved").join(name));
        let known = record.as_ref().and_then(|record| fs::read_to_string(record).ok());
        let approved = known.is_some_and(|known| known == digest);
        (!approved).then_some(Self { nearby, record, digest })
    }

    /// The configuration file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.nearby.path
    }

    /// The settings for the person to read, one on each line. A proxy's password is left out.
    #[must_use]
    pub fn settings(&self) -> String {
        let shown = |value: &str| match url::Url::parse(value) {
            Ok(mut url) if url.password().is_some() => {
                let _ = url.set_password(Some("..."));
                url.to_string()
            }
            _ => value.chars().map(|c| if misleads(c) { '?' } else { c }).collect(),
        };
        let lines = self.nearby.settings.iter().map(|(key, value)| format!("  {key}: {}", shown(value)));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Records the approval. Without a home directory, it is not recorded and applies to this process only.
    ///
    /// # Errors
    /// [`AuthError::State`] if it cannot be written. The approval still applies to this process.
    pub fn record(&self) -> Result<(), AuthError> {
        let Some(record) = &self.record else { return Ok(()) };
        let directory = record.parent().unwrap_or(Path::new("."));
        crate::session::create_private_directory(directory)?;
        let written = tempfile::NamedTempFile::new_in(directory).and_then(|mut file| {
            file.write_all(self.digest.as_bytes())?;
            flyte_config::busy::persist(file, record)
        });
        written.map(drop).map_err(|source| AuthError::State {
            action: "write",
            path: record.clone(),
            source: Arc::new(source),
        })
    }
}

/// Whether a character moves the cursor or makes a text look different from what it is: control characters, and Unicode's direction
/// marks and zero-width characters.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use flyte_config::Environment;

    use super::*;

    #[test]
    fn an_approval_is_valid_until_the_settings_change() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state");
        let environment = Environment {
            directory: home.path().join("repository"),
            home: Some(home.path().join("ada")),
            ..Environment::default()
        };
        fs::create_dir(&environment.directory).unwrap();
        let write = |admin: &str| {
            let text = format!("admin:\n  endpoint: h\n{admin}");
            fs::write(environment.directory.join("config.yaml"), text).unwrap();
        };
        let needed = || Approval::needed(&Config::load(None, &environment).unwrap(), Some(&state));
        write("");
        assert!(needed().is_none());
        write("  httpProxyURL: http://u:hunter2@proxy:3128\n  proxyCommand: [\"a\\e[2J\\u202e\"]\n");
        let approval = needed().unwrap();
        assert_eq!(
            approval.settings(),
            "  admin.endpoint: https://h\n  admin.authType: Pkce\n  admin.proxyCommand: a?[2J?\n  admin.httpProxyURL: http://u:...@proxy:3128/"
        );
        assert!(!format!("{approval:?}").contains("hunter2"));
        approval.record().unwrap();
        assert!(needed().is_none());
        write("  httpProxyURL: http://u:hunter2@proxy:3128\n  proxyCommand: [\"a\\e[2J\\u202e\", b]\n");
        assert!(needed().is_some(), "another command");
        write(
            "  proxyCommand: [\"a\\e[2J\\u202e\"]\n  httpProxyURL: http://u:hunter2@proxy:3128\ntask:\n  project: p\n",
        );
        assert!(needed().is_none(), "the same settings");
        let text = fs::read_to_string(environment.directory.join("config.yaml")).unwrap();
        fs::write(environment.directory.join("config.yaml"), text.replace("endpoint: h", "endpoint: i"))
            .unwrap();
        assert!(needed().is_some(), "for another control plane");
    }
}
