//! Next steps if the configuration cannot be used.

use flyte_config::{ConfigError, NamedBy, Origin};

use crate::Hint;

impl Hint for ConfigError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing { named_by, .. } => {
                let named_by = match named_by {
                    NamedBy::Caller => "--config",
                    NamedBy::Variable(name) => name,
                };
                format!(
                    "Correct or remove {named_by}, or create the file: flyte create config --endpoint HOST -o FILE"
                )
            }
            Self::Io { action, .. } => {
                format!("Check that you may {action} it and that the disk is not full.")
            }
            Self::Malformed { origin, .. } | Self::Value { origin, .. } => match origin {
                Origin::File { path, .. } => format!("Correct that line of {}.", path.display()),
                Origin::Variable(name) => format!("Correct it or run: unset {name}"),
            },
            Self::ChangedMeanwhile { .. } => "Look at the file, then run the command again.".to_owned(),
            Self::NotEditable { origin, .. } => {
                format!("Change it by hand at {origin}; the file is unchanged.")
            }
            _ => return None,
        })
    }
}
