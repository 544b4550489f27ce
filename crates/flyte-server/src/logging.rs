//! The log on standard error.
//!
//! Two kinds of lines share it: what the server does, filtered as configured, and the audit log, events with the
//! target [`AUDIT`], which tell who did what and are written whatever the filter says. As text, audit lines begin with
//! the word `AUDIT`; as JSON they are those whose `target` is `audit`.

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

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error("the log's filter is wrong: {0}")]
    Filter(#[from] ParseError),
    /// The process has a log already.
    #[error(transparent)]
    Taken(#[from] TryInitError),
}

/// Starts the log of this process.
///
/// # Errors
/// [`LogError`]; a process starts its log once.
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

/// A line of the audit log as text.
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
