//! The log on standard error.
//!
//! It has two kinds of lines: the server's own messages, which the configured filter applies to, and the audit log,
//! which is always written. Audit events have the target [`AUDIT`] and record who did what. In text format their
//! lines start with `AUDIT`; in JSON format their `target` is `audit`.

use std::{
    env, fmt,
    io::{self, IsTerminal},
};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, ParseError, filter_fn},
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::{SubscriberInitExt, TryInitError},
};

use flyte_settings::{LogConfig, LogFormat};

/// The target of events of the audit log.
pub const AUDIT: &str = "audit";

/// The reason why the log cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is invalid.
    #[error("the log filter is invalid: {0}")]
    Filter(#[from] ParseError),
    /// The process already has a log.
    #[error(transparent)]
    Taken(#[from] TryInitError),
}

/// Starts the log of this process.
///
/// # Errors
/// [`LogError`] if the filter is invalid or the log was started before.
pub fn start(config: &LogConfig) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let is_audit = || filter_fn(|metadata| metadata.target() == AUDIT);
    let registry = tracing_subscriber::registry();
    match config.format {
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(io::stderr);
            registry.with(lines.with_filter(filter.or(is_audit()))).try_init()?;
        }
        LogFormat::Text => {
            // https://no-color.org
            let coloured =
                io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let lines = tracing_subscriber::fmt::layer().with_ansi(coloured).with_writer(io::stderr);
            let audit = tracing_subscriber::fmt::layer()
                .event_format(AuditFormat(Format::default().with_target(false).with_ansi(false)))
                .with_ansi(false)
                .with_writer(io::stderr);
            registry
                .with(lines.with_filter(filter.and(is_audit().not())))
                .with(audit.with_filter(is_audit()))
                .try_init()?;
        }
    }
    Ok(())
}

/// The text format of an audit log line.
struct AuditFormat(Format);

impl<S, N> FormatEvent<S, N> for AuditFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str("AUDIT ")?;
        self.0.format_event(context, writer, event)
    }
}
