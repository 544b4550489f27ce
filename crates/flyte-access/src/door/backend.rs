//! What the door knows of a Flyte 2 backend.

use flyte_settings::ProjectsConfig;

use super::{
    buckets::{Buckets, NotPrefix},
    rules::Rules,
    storage::{Location, Storage},
};

/// A Flyte 2 backend behind the door: where it keeps the objects of projects, and the rules for the code that it runs.
#[derive(Clone, Debug)]
pub struct Backend {
    buckets: Buckets,
    rules: Rules,
}

impl Backend {
    /// The backend of the settings.
    ///
    /// # Errors
    /// [`NotPrefix`], for settings that were not checked.
    pub fn new(config: &ProjectsConfig) -> Result<Self, NotPrefix> {
        Ok(Self {
            buckets: Buckets::new(config.storage.iter().map(String::as_str))?,
            rules: Rules::new(config),
        })
    }
}

impl Storage for Backend {
    fn locate<'u>(&self, uri: &'u [u8]) -> Location<'u> {
        self.buckets.locate(uri)
    }

    fn has_others(&self) -> bool {
        true
    }

    fn rules(&self) -> Option<&Rules> {
        Some(&self.rules)
    }
}
