//! The settings that are in effect, as administrators see them.

use super::load::Loaded;

/// A setting that is in effect. Settings name the files of secrets, so none of them is a secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSetting {
    /// Its section of the file; empty for the settings before the first section.
    pub section: String,
    /// Its key in the section.
    pub key: String,
    /// Its value as in the file; `None` if it is not set.
    pub value: Option<String>,
    /// Where the value is from.
    pub source: String,
    /// What it means.
    pub help: String,
}

impl Loaded {
    /// Returns all settings, section by section, with those of each provider at the end.
    #[must_use]
    pub fn shown(&self) -> Vec<ShownSetting> {
        let mut shown: Vec<_> = self
            .effective()
            .into_iter()
            .map(|(setting, text, origin)| {
                let (section, key) = setting.section();
                ShownSetting {
                    section: section.to_owned(),
                    key: key.to_owned(),
                    value: setting.in_file(&text),
                    source: origin.to_string(),
                    help: setting.help().to_owned(),
                }
            })
            .collect();
        for (name, values) in self.providers() {
            shown.extend(values.into_iter().map(|(key, value, origin)| ShownSetting {
                section: format!("providers.{name}"),
                key: key.to_owned(),
                value,
                source: origin.to_string(),
                help: String::new(),
            }));
        }
        shown
    }
}
