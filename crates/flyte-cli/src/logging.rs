//! The options about logs: of this command, and of the tasks that it starts.

use clap::{Args, ValueEnum};

/// The variable that makes a task start an editor in place of its code.
pub(crate) const DEBUG_VARIABLE: &str = "_F_E_VS";

/// Options about logs.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Logging {
    /// Format of log lines: those of this command, and those of the tasks that it starts
    #[arg(long, global = true, value_name = "FORMAT", value_enum, hide_short_help = true)]
    pub(crate) log_format: Option<LogFormat>,

    /// Least severe messages that tasks log through flyte.logger
    #[arg(long, global = true, value_name = "LEVEL", value_enum, hide_short_help = true)]
    pub(crate) user_log_level: Option<LogLevel>,

    /// Let the SDK replace the log handlers of the tasks' own libraries
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) reset_root_logger: bool,

    /// Show no spinner at a terminal
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) no_progress: bool,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For users
    Console,
    /// For programs: one JSON object for each line
    Json,
}

/// The severity of a log message in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    #[value(alias = "warn")]
    Warning,
    Error,
    Critical,
}

impl LogLevel {
    /// The number of the level in Python.
    fn number(self) -> u8 {
        match self {
            Self::Debug => 10,
            Self::Info => 20,
            Self::Warning => 30,
            Self::Error => 40,
            Self::Critical => 50,
        }
    }
}

impl Logging {
    /// These options and later ones, which take precedence.
    pub(crate) fn and(self, later: Self) -> Self {
        Self {
            log_format: later.log_format.or(self.log_format),
            user_log_level: later.user_log_level.or(self.user_log_level),
            reset_root_logger: self.reset_root_logger || later.reset_root_logger,
            no_progress: self.no_progress || later.no_progress,
        }
    }

    /// The environment variables by which the SDKs know these options, and those in `given`, which take precedence.
    pub(crate) fn variables(&self, given: &[(String, String)]) -> Vec<(String, String)> {
        let format = self.log_format.map(|format| match format {
            LogFormat::Console => "console".to_owned(),
            LogFormat::Json => "json".to_owned(),
        });
        let level = self.user_log_level.map(|level| level.number().to_string());
        let reset = self.reset_root_logger.then(|| "1".to_owned());
        let own = [("LOG_FORMAT", format), ("USER_LOG_LEVEL", level), ("FLYTE_RESET_ROOT_LOGGER", reset)];
        own.into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .filter(|(name, _)| given.iter().all(|(other, _)| other != name))
            .chain(given.iter().cloned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_variables_of_tasks() {
        assert!(Logging::default().variables(&[]).is_empty());
        let logging = Logging {
            log_format: Some(LogFormat::Json),
            user_log_level: Some(LogLevel::Warning),
            reset_root_logger: true,
            no_progress: true,
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            logging.variables(&[pair("LOG_FORMAT", "console"), pair("A", "b")]),
            [
                pair("USER_LOG_LEVEL", "30"),
                pair("FLYTE_RESET_ROOT_LOGGER", "1"),
                pair("LOG_FORMAT", "console"),
                pair("A", "b")
            ]
        );
    }
}
