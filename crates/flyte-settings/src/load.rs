//! Merges the file, the environment and the command line into a [`Config`]. Later sources override earlier ones.

mod environment;
pub(crate) mod providers;
#[cfg(test)]
mod tests;
mod values;

use std::{collections::BTreeMap, fmt, path::PathBuf};

pub use self::environment::Environment;
use self::values::{Values, build};
use super::{
    Config, ConfigError, file,
    setting::{AnySetting, Default},
    settings::{self as s, ALL},
};

/// The source of a setting's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The default: the setting is not set.
    Default,
    /// The configuration file.
    File {
        /// The file's path.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag on the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// The settings and the file on the command line.
#[derive(Clone, Debug, std::default::Default)]
pub struct Flags {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// Key and value of each setting that is on the command line.
    pub settings: BTreeMap<&'static str, String>,
}

/// The configuration, and the source of each setting.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The effective settings.
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    given: BTreeMap<&'static str, (String, Origin)>,
    given_providers: providers::Given,
}

/// Reads all sources and merges them.
///
/// # Errors
/// All errors, not only the first.
pub fn load(flags: &Flags, environment: &Environment) -> Result<Loaded, Vec<ConfigError>> {
    let mut given = BTreeMap::new();
    let mut given_providers = providers::Given::new();
    let mut errors = Vec::new();

    let explicit = flags.file.clone().or_else(|| environment.get("FLYTE_SERVER_CONFIG").map(PathBuf::from));
    let required = explicit.is_some();
    let usual = || Some(environment.base_directory("XDG_CONFIG_HOME", ".config")?.join("flyte-server.toml"));
    let mut file = explicit.or_else(usual).map(|path| std::path::absolute(&path).unwrap_or(path));
    match file.as_deref().map(|path| file::read(path, required)) {
        Some(Ok(Some(entries))) => {
            for entry in entries {
                let path = file.clone().unwrap_or_default();
                let value = (entry.text, Origin::File { path, line: entry.line });
                match entry.provider {
                    Some(name) => given_providers.entry(name).or_default().insert(entry.key, value),
                    None => given.insert(entry.key, value),
                };
            }
        }
        Some(Ok(None)) | None => file = None,
        Some(Err(found)) => errors.extend(found),
    }
    for setting in ALL {
        let name = setting.variable();
        let variable = environment.get(&name).map(|text| (text.to_owned(), Origin::Environment(name)));
        let flag = setting.flag().zip(flags.settings.get(setting.key()));
        let flag = flag.map(|(name, text)| (text.clone(), Origin::Flag(name)));
        for (text, origin) in [variable, flag].into_iter().flatten() {
            match setting.canonical(&text) {
                Ok(_) => {
                    given.insert(setting.key(), (text, origin));
                }
                Err(reason) => {
                    let key = setting.key().to_owned();
                    errors.push(ConfigError::Invalid { origin, key, value: text, reason });
                }
            }
        }
    }
    providers::add_environment(&mut given_providers, environment, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let providers = providers::build(&given_providers).map_err(|error| vec![error])?;
    let mut config = build(&Values(&given), environment, providers).map_err(|error| vec![error])?;
    config.file.clone_from(&file);
    Ok(Loaded { config, file, given, given_providers })
}

impl Loaded {
    /// Returns each setting's effective value and its origin. The value is empty if it depends on the environment.
    #[must_use]
    pub fn effective(&self) -> Vec<(&'static dyn AnySetting, String, Origin)> {
        ALL.iter()
            .map(|setting| {
                let setting: &'static dyn AnySetting = *setting;
                let given = self.given.get(setting.key()).cloned();
                let (text, origin) = given.unwrap_or_else(|| (String::new(), Origin::Default));
                let text = match (&origin, setting.default()) {
                    (Origin::Default, Default::Value(value)) => value.to_owned(),
                    (Origin::Default, Default::Depends(_)) => match setting.key() {
                        key if key == s::PUBLIC_URL.key => self.config.public_url.to_string(),
                        key if key == s::DATA_DIR.key => self.config.data_dir.display().to_string(),
                        key if key == s::RUNNER_MAX_TASKS.key => self.config.runner.max_tasks.to_string(),
                        key if key == s::RUNNER_MAX_STARTING.key => {
                            self.config.runner.max_starting.to_string()
                        }
                        key if key == s::RUNNER_PYTHON.key => {
                            let python = self.config.runner.python.as_ref();
                            python.map(|path| path.display().to_string()).unwrap_or_default()
                        }
                        _ => String::new(),
                    },
                    _ => setting.canonical(&text).unwrap_or(text),
                };
                (setting, text, origin)
            })
            .collect()
    }
}

impl Loaded {
    /// Returns the settings of each provider as `check-config` shows them: the provider's name, and for each setting its key
    /// in the provider's section, its value, and its origin.
    #[must_use]
    pub fn providers(&self) -> Vec<(&str, Vec<ProviderValue>)> {
        let shown = |values: &BTreeMap<&'static str, (String, Origin)>| {
            let shown = s::PROVIDER.iter().map(|setting| {
                let setting: &'static dyn AnySetting = *setting;
                let key = providers::key_in_section(setting);
                match values.get(setting.key()) {
                    Some((text, origin)) => {
                        let text = setting.canonical(text).unwrap_or_else(|_| text.clone());
                        (key, setting.in_file(&text), origin.clone())
                    }
                    None => {
                        let value = match setting.default() {
                            Default::Value(value) => setting.in_file(value),
                            Default::Depends(_) => None,
                        };
                        (key, value, Origin::Default)
                    }
                }
            });
            shown.collect()
        };
        self.given_providers.iter().map(|(name, values)| (name.as_str(), shown(values))).collect()
    }
}

/// A setting of a provider: its key in the provider's section, its value as in the file, and its origin.
pub type ProviderValue = (&'static str, Option<String>, Origin);

#[cfg(any(test, feature = "testing"))]
impl Config {
    /// Returns the default settings of a server that keeps its data in `data_dir`.
    ///
    /// # Panics
    /// Never: the defaults are valid.
    #[expect(clippy::unwrap_used, reason = "for tests")]
    #[must_use]
    pub fn for_test(data_dir: &std::path::Path) -> Self {
        let settings = BTreeMap::from([(s::DATA_DIR.key, data_dir.display().to_string())]);
        let mut config = load(&Flags { file: None, settings }, &Environment::default()).unwrap().config;
        // Tests may run as root.
        config.runner.allow_root = true;
        config
    }
}
