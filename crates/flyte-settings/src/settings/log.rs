//! `log`: the content and the format of the log.

use super::check::any;
use crate::{
    LogFormat,
    setting::{Default::Value, Setting},
};

/// [`LogConfig::filter`](crate::LogConfig::filter).
pub static LOG_FILTER: Setting<String> = Setting {
    key: "log.filter",
    flag: Some("log"),
    placeholder: "FILTER",
    default: Value("info"),
    help: "The level of the log (`error`, `warn`, `info`, `debug` or `trace`), or directives, for example \
           `info,flyte_oauth=debug`. The audit log (target `audit`) is always written.",
    check: |filter| crate::check_filter(filter),
};

/// [`LogConfig::format`](crate::LogConfig::format).
pub static LOG_FORMAT: Setting<LogFormat> = Setting {
    key: "log.format",
    flag: Some("log-format"),
    placeholder: "text|json",
    default: Value("text"),
    help: "Format of the log on standard error: `text` for people; `json` for programs, with one object on each line.",
    check: any,
};
