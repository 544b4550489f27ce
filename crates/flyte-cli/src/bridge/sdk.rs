//! The bridge's Python sources, and the SDK that they found.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Bridge;
use crate::failure::{Exit, Failure};

/// The text for `python -c`. It takes [`sources`] from the first line of standard input: an argument of a process has a maximum
/// length, and a file could be read or replaced by others.
pub(super) const START: &str = include_str!("start.py");

/// The modules of the bridge by their names, and their texts.
const MODULES: [(&str, &str); 8] = [
    ("flyte_bridge", ""),
    ("flyte_bridge.adapter", include_str!("adapter.py")),
    ("flyte_bridge.loading", include_str!("loading.py")),
    ("flyte_bridge.ours", include_str!("ours.py")),
    ("flyte_bridge.protocol", include_str!("protocol.py")),
    ("flyte_bridge.published", include_str!("published.py")),
    ("flyte_bridge.serving", include_str!("serving.py")),
    ("flyte_bridge.published_texts", include_str!("published_texts.py")),
];

/// The first line for [`START`].
pub(super) fn sources() -> Value {
    MODULES
        .into_iter()
        .map(|(name, text)| (name.to_owned(), json!(text)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The installed package `flyte`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Sdk {
    /// Which one it is: `flyte-auth` for that of this project, `published` for that of PyPI.
    pub(crate) sdk: String,
    pub(crate) version: String,
    capabilities: Vec<String>,
}

/// What an SDK may be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capability {
    /// Apps.
    Apps,
    /// Runs in the bridge's own process.
    Local,
    /// Named images.
    Images,
    /// Images that are built, by a builder that can be chosen.
    Builds,
}

impl Capability {
    /// The word in the protocol, and what the user knows it by.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Apps => ("apps", "apps"),
            Self::Local => ("local", "run --local"),
            Self::Images => ("images", "--image NAME=URI"),
            Self::Builds => ("builds", "--image-builder"),
        }
    }
}

impl Bridge {
    /// Refuses if the SDK cannot do this.
    pub(crate) fn needs(&self, capability: Capability) -> Result<(), Failure> {
        let (word, known_as) = capability.words();
        if self.sdk.capabilities.iter().any(|one| one == word) {
            return Ok(());
        }
        let Sdk { sdk, version, .. } = &self.sdk;
        Err(Failure::new(format!("the package flyte {version} ({sdk}) does not support {known_as}"))
            .next("Use another SDK: --python PATH")
            .exit(Exit::Usage))
    }
}
