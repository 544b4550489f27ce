//! Logs of attempts and apps: the end of a log for a page, the whole log for a download.

use std::{collections::VecDeque, fmt::Write as _, future::Future, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use connectrpc::ConnectError;
use flyte_idl::flyteidl2::logs::dataplane::{LogLine as Message, LogLineOriginator};
use flyte_pages::{LogLine, LogPart};
use futures_util::stream;
use tokio::time::{Instant, timeout};

use crate::ansi::Ansi;

/// The most lines of a log on a page.
const MOST_LINES: usize = 1000;
/// The most text of a log on a page, in bytes.
const MOST_BYTES: usize = 256 << 10;
/// The longest line on a page, in bytes.
const MOST_LINE_BYTES: usize = 8 << 10;
/// A log that can still grow counts as complete after this silence.
const SILENCE: Duration = Duration::from_millis(300);
/// A page is shown after this time, even if the log has more lines.
const PATIENCE: Duration = Duration::from_secs(5);

/// The lines of a log as they come; `None` at its end.
pub(crate) trait Lines: Send + 'static {
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<Message>>, ConnectError>> + Send;
}

/// The end of a log.
#[derive(Default)]
pub(crate) struct End {
    /// The lines.
    pub(crate) lines: Vec<LogLine>,
    /// The number of lines before them.
    pub(crate) before: usize,
    /// Whether the log may have had more lines already.
    pub(crate) is_cut: bool,
}

/// Reads the end of a log, without waiting for lines to come.
pub(crate) async fn end(mut lines: impl Lines) -> Result<End, ConnectError> {
    let deadline = Instant::now() + PATIENCE;
    let (mut kept, mut bytes, mut end) = (VecDeque::new(), 0, End::default());
    loop {
        if Instant::now() > deadline {
            end.is_cut = true;
            break;
        }
        let Ok(batch) = timeout(SILENCE, lines.next()).await else { break };
        let Some(batch) = batch? else { break };
        for line in batch {
            bytes += line.message.len().min(MOST_LINE_BYTES);
            kept.push_back(line);
            while kept.len() > MOST_LINES || bytes > MOST_BYTES {
                let Some(first) = kept.pop_front() else { break };
                bytes -= first.message.len().min(MOST_LINE_BYTES);
                end.before += 1;
            }
        }
    }
    let mut ansi = Ansi::default();
    end.lines = kept.iter().map(|line| shown(&mut ansi, line)).collect();
    Ok(end)
}

/// A line as a page shows it.
pub(crate) fn shown(ansi: &mut Ansi, line: &Message) -> LogLine {
    let time = jiff::Timestamp::new(line.timestamp.seconds, line.timestamp.nanos).unwrap_or_default();
    let text = &line.message;
    let end = (0..=text.len().min(MOST_LINE_BYTES)).rev().find(|at| text.is_char_boundary(*at));
    let mut parts = ansi.line(&text[..end.unwrap_or_default()]);
    if text.len() > MOST_LINE_BYTES {
        parts.push(LogPart { class: "dim".to_owned(), text: format!(" … ({} bytes)", text.len()) });
    }
    LogLine {
        time: time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        system: line.originator.as_known() == Some(LogLineOriginator::SYSTEM),
        parts,
    }
}

/// A file with the lines that a log has now, as the task wrote them.
pub(crate) async fn download(mut lines: impl Lines, name: &str) -> Result<Response, ConnectError> {
    // Only before the file begins can an error be the answer.
    let first = match timeout(SILENCE, lines.next()).await {
        Ok(first) => first?,
        Err(_) => None,
    };
    let rest = stream::unfold((first, lines), |(batch, mut lines)| async move {
        let mut text = String::new();
        for line in batch? {
            let _ = writeln!(text, "{}", line.message);
        }
        let next = match timeout(SILENCE, lines.next()).await {
            Ok(Ok(next)) => next,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the download of a log ends early");
                return Some((Err(error), (None, lines)));
            }
            Err(_) => None,
        };
        Some((Ok(Bytes::from(text)), (next, lines)))
    });
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(rest)).into_response())
}
