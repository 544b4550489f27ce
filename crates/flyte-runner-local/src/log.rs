//! The output of a process: JSON Lines in two files. The second file replaces the first one in turn, so the size of the log is
//! limited and its last lines are always available.
//!
//! ```text
//! {"segment":2}
//! {"time":"2026-11-25T08:00:00.123456Z","stream":"stdout","text":"hello"}
//! ```
//!
//! The writer appends to `log.jsonl`. At half of the limit, this file becomes `log.1.jsonl` and replaces the previous one. Each
//! file is a segment and begins with its number.

mod reader;
mod splitter;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::{
    reader::{Reader, tail},
    splitter::{LineSplitter, MAX_LINE_BYTES},
    writer::{MIN_LOG_BYTES, Writer},
};
pub use flyte_runs::log_source::{Line, Stream};

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Entry<'a> {
    Segment {
        segment: u64,
    },
    Line {
        time: String,
        stream: Stream,
        #[serde(borrow)]
        text: std::borrow::Cow<'a, str>,
    },
}

fn current_file(directory: &Path) -> PathBuf {
    directory.join("log.jsonl")
}

fn previous_file(directory: &Path) -> PathBuf {
    directory.join("log.1.jsonl")
}
