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

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use flyte_runs::log_source::{Line, Stream};

/// The maximum length of a line, in bytes. A longer line is split.
pub const MAX_LINE_BYTES: usize = 16 << 10;
/// The smallest limit of a log, in bytes. The longest line fits into half of it, even if JSON escapes each character.
pub const MIN_LOG_BYTES: u64 = 1 << 20;

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

/// Splits the output of a command into lines.
#[derive(Debug, Default)]
pub struct LineSplitter {
    rest: Vec<u8>,
}

impl LineSplitter {
    /// Adds bytes and returns the lines that are complete now. U+FFFD replaces bytes that are not UTF-8.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            let whole = self.rest.strip_suffix(b"\n");
            let whole = whole.map(|line| line.strip_suffix(b"\r").unwrap_or(line).len());
            match whole {
                Some(length) => {
                    self.rest.truncate(length);
                    lines.extend(self.take());
                }
                None if self.rest.len() >= MAX_LINE_BYTES => {
                    let rest = self.rest.split_off(find_split(&self.rest));
                    lines.extend(self.take());
                    self.rest = rest;
                }
                None => {}
            }
        }
        lines
    }

    /// Returns the last line if it does not end with a newline.
    pub fn finish(&mut self) -> Vec<String> {
        if self.rest.is_empty() { Vec::new() } else { self.take() }
    }

    fn take(&mut self) -> Vec<String> {
        let mut bytes = std::mem::take(&mut self.rest);
        let mut lines = Vec::new();
        while bytes.len() > MAX_LINE_BYTES {
            let rest = bytes.split_off(find_split(&bytes));
            lines.push(String::from_utf8_lossy(&bytes).into_owned());
            bytes = rest;
        }
        lines.push(String::from_utf8_lossy(&bytes).into_owned());
        lines
    }
}

/// Returns the position at which to split `bytes`, without splitting a character. `bytes` has at least [`MAX_LINE_BYTES`].
fn find_split(bytes: &[u8]) -> usize {
    let begins = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (MAX_LINE_BYTES - 3..=MAX_LINE_BYTES).rev().find(begins).unwrap_or(MAX_LINE_BYTES)
}

/// Writes a log.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    file: File,
    segment: u64,
    size: u64,
    limit: u64,
}

impl Writer {
    /// Creates the log of the process in `directory`. The log keeps at most `limit` bytes, and at least [`MIN_LOG_BYTES`].
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(directory: &Path, limit: u64) -> io::Result<Self> {
        let limit = limit.max(MIN_LOG_BYTES);
        let (file, size) = create_segment(directory, 1)?;
        Ok(Self { directory: directory.to_owned(), file, segment: 1, size, limit })
    }

    /// Writes lines that were read at the same time.
    ///
    /// # Errors
    /// For example if the disk is full. The log then misses these lines, and no line is incomplete.
    pub fn write(&mut self, time: Timestamp, stream: Stream, lines: &[String]) -> io::Result<()> {
        let time = time.to_string();
        let mut buffer = Vec::new();
        for text in lines {
            let before = buffer.len();
            let entry = Entry::Line { time: time.clone(), stream, text: text.as_str().into() };
            serde_json::to_writer(&mut buffer, &entry)?;
            buffer.push(b'\n');
            if self.size + buffer.len() as u64 > self.limit / 2 {
                let line = buffer.split_off(before);
                self.append(&buffer)?;
                self.rotate()?;
                buffer = line;
            }
        }
        self.append(&buffer)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all(bytes) {
            Ok(()) => self.size += bytes.len() as u64,
            Err(error) => {
                // The next line would be appended to an incomplete line.
                let _ =
                    self.file.set_len(self.size).and_then(|()| self.file.seek(SeekFrom::Start(self.size)));
                return Err(error);
            }
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(current_file(&self.directory), previous_file(&self.directory))?;
        (self.file, self.size) = create_segment(&self.directory, self.segment + 1)?;
        self.segment += 1;
        Ok(())
    }
}

fn create_segment(directory: &Path, segment: u64) -> io::Result<(File, u64)> {
    let path = current_file(directory);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut line = serde_json::to_vec(&Entry::Segment { segment })?;
    line.push(b'\n');
    file.write_all(&line)?;
    Ok((file, line.len() as u64))
}

fn current_file(directory: &Path) -> PathBuf {
    directory.join("log.jsonl")
}

fn previous_file(directory: &Path) -> PathBuf {
    directory.join("log.1.jsonl")
}

/// Reads a log from its beginning, even while it is written. It has no open file between two reads.
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    /// The number of the segment in progress. 0 before the first one.
    segment: u64,
    /// The position in the segment after the last complete line, in bytes.
    position: u64,
    /// Whether lines before the next line were removed.
    missing: bool,
}

/// A segment that is being read.
struct Open {
    file: BufReader<File>,
    inode: u64,
    segment: u64,
    /// The length of the first line, which contains the number of the segment, in bytes.
    header_length: u64,
}

impl Open {
    /// Opens the segment at `path`. `None` if the file does not exist or its first line is incomplete.
    fn at(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let inode = file.metadata()?.ino();
        let (mut file, mut header) = (BufReader::new(file), Vec::new());
        file.read_until(b'\n', &mut header)?;
        Ok(match serde_json::from_slice(&header) {
            Ok(Entry::Segment { segment }) if header.ends_with(b"\n") => {
                Some(Self { file, inode, segment, header_length: header.len() as u64 })
            }
            _ => None,
        })
    }
}

impl Reader {
    /// Creates a reader of the log of the process in `directory`. The log may not exist yet.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), segment: 0, position: 0, missing: false }
    }

    /// Reads the next lines, about `bytes` bytes at most. Empty if no new lines are available.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(&mut self, bytes: usize) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        let mut taken = 0;
        // An incomplete line is read again by the next call.
        let mut half = Vec::new();
        let mut open = self.reopen()?;
        while taken < bytes {
            if open.is_none() {
                open = self.open_next()?;
            }
            let Some(now) = &mut open else { break };
            // This check comes before the end of the file is read. So a line written between the two is not missed.
            let last = fs::metadata(current_file(&self.directory)).is_ok_and(|file| file.ino() == now.inode);
            let read = now.file.read_until(b'\n', &mut half)?;
            if half.ends_with(b"\n") {
                taken += half.len();
                self.position += half.len() as u64;
                self.take(&half, &mut lines);
                half.clear();
            } else if read == 0 {
                if last {
                    break;
                }
                half.clear();
                open = None;
            }
        }
        Ok(lines)
    }

    /// Opens the segment in progress at the last position. `None` if the segment was removed.
    fn reopen(&mut self) -> io::Result<Option<Open>> {
        if self.segment == 0 {
            return Ok(None);
        }
        // This is the order in which a segment moves. So it is found even if it moves at this moment.
        for path in [current_file(&self.directory), previous_file(&self.directory)] {
            if let Some(mut open) = Open::at(&path)?.filter(|open| open.segment == self.segment) {
                open.file.seek(SeekFrom::Start(self.position))?;
                return Ok(Some(open));
            }
        }
        // The removed segment may have had more lines.
        self.missing = true;
        Ok(None)
    }

    /// Opens the oldest segment that has not been read.
    fn open_next(&mut self) -> io::Result<Option<Open>> {
        for path in [previous_file(&self.directory), current_file(&self.directory)] {
            // A segment with an incomplete first line is opened by a later call.
            if let Some(open) = Open::at(&path)?.filter(|open| open.segment > self.segment) {
                self.missing |= open.segment > self.segment + 1;
                (self.segment, self.position) = (open.segment, open.header_length);
                return Ok(Some(open));
            }
        }
        Ok(None)
    }

    fn take(&mut self, entry: &[u8], lines: &mut Vec<Line>) {
        match serde_json::from_slice(entry) {
            Ok(Entry::Line { time, stream, text }) => {
                let time = time.parse().unwrap_or_default();
                if std::mem::take(&mut self.missing) {
                    let text = "earlier lines were removed because the log reached its size limit".to_owned();
                    lines.push(Line { time, stream: Stream::System, text });
                }
                lines.push(Line { time, stream, text: text.into_owned() });
            }
            // The machine stopped while this line was written.
            Ok(Entry::Segment { .. }) | Err(_) => {}
        }
    }
}

/// Reads the last lines of a log, at most `count`.
///
/// # Errors
/// If a file cannot be read.
pub fn tail(directory: &Path, count: usize) -> io::Result<Vec<Line>> {
    let mut reader = Reader::new(directory);
    let mut last = std::collections::VecDeque::new();
    loop {
        let lines = reader.read(1 << 16)?;
        if lines.is_empty() {
            return Ok(last.into());
        }
        last.extend(lines);
        last.drain(..last.len().saturating_sub(count));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    fn strings(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn lines_are_read_while_the_log_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let mut reader = Reader::new(directory.path());
        assert_eq!(reader.read(100).unwrap(), []);
        let mut log = Writer::create(directory.path(), 0).unwrap();
        let time: Timestamp = "2026-11-25T08:00:00.123456Z".parse().unwrap();
        log.write(time, Stream::Stdout, &strings(&["a", "\u{1b}[1mé\"\\"])).unwrap();
        let lines = reader.read(10_000).unwrap();
        assert_eq!(texts(&lines), ["a", "\u{1b}[1mé\"\\"]);
        assert_eq!((lines[0].time, lines[0].stream), (time, Stream::Stdout));
        assert_eq!(reader.read(100).unwrap(), []);
        log.write(time, Stream::Stderr, &strings(&["b"])).unwrap();
        assert_eq!(texts(&reader.read(100).unwrap()), ["b"]);
    }

    #[test]
    fn a_long_log_is_limited_and_keeps_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Writer::create(directory.path(), MIN_LOG_BYTES).unwrap();
        let mut behind = Reader::new(directory.path());
        for number in 0..50_000 {
            log.write(Timestamp::UNIX_EPOCH, Stream::Stdout, &[format!("line {number}")]).unwrap();
            if number == 0 {
                assert_eq!(texts(&behind.read(100).unwrap()), ["line 0"]);
            }
        }
        let sizes = [current_file(directory.path()), previous_file(directory.path())]
            .map(|p| p.metadata().unwrap().len());
        assert!(sizes.iter().sum::<u64>() <= MIN_LOG_BYTES, "{sizes:?}");
        let mut reader = Reader::new(directory.path());
        let mut all = Vec::new();
        loop {
            let lines = reader.read(1000).unwrap();
            if lines.is_empty() {
                break;
            }
            all.extend(lines);
        }
        assert_eq!(all[0].stream, Stream::System);
        assert!(all[0].text.starts_with("earlier lines were removed"));
        let numbers: Vec<u32> =
            all[1..].iter().map(|line| line.text.strip_prefix("line ").unwrap().parse().unwrap()).collect();
        assert!(numbers.len() > 5000);
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        assert_eq!(*numbers.last().unwrap(), 49_999);
        assert_eq!(texts(&tail(directory.path(), 2).unwrap()), ["line 49998", "line 49999"]);
        // The log of a slow reader says that lines are missing.
        let mut has_notice = false;
        loop {
            let lines = behind.read(1 << 20).unwrap();
            if lines.is_empty() {
                break;
            }
            has_notice |= lines.iter().any(|line| line.stream == Stream::System);
        }
        assert!(has_notice);
    }

    #[test]
    fn an_incomplete_line_is_read_later_and_a_malformed_one_is_skipped() {
        let directory = tempfile::tempdir().unwrap();
        let line = |text| {
            format!("{{\"time\":\"2026-11-25T08:00:00Z\",\"stream\":\"stdout\",\"text\":\"{text}\"}}\n")
        };
        let whole = format!("{{\"segment\":1}}\n{}nonsense\n{}", line("a"), line("b"));
        let mut reader = Reader::new(directory.path());
        let mut read = Vec::new();
        for end in 0..=whole.len() {
            fs::write(current_file(directory.path()), &whole[..end]).unwrap();
            read.extend(reader.read(1).unwrap());
        }
        read.extend(reader.read(100).unwrap());
        assert_eq!(texts(&read), ["a", "b"]);
    }

    #[test]
    fn lines_end_with_lf_or_crlf() {
        let mut splitter = LineSplitter::default();
        assert_eq!(splitter.push(b"a\r\nb\n\nc"), ["a", "b", ""]);
        assert_eq!(splitter.push(b"d\xff"), [""; 0]);
        assert_eq!(splitter.finish(), ["cd\u{fffd}"]);
        assert_eq!(splitter.finish(), [""; 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn no_byte_is_lost(pieces in prop::collection::vec("[a-zé\n]{0,100}", 0..8), at in 1_usize..9000) {
            let text = pieces.concat().replacen('\n', "", 20).repeat(100);
            let mut splitter = LineSplitter::default();
            let mut lines = Vec::new();
            for chunk in text.as_bytes().chunks(at) {
                lines.extend(splitter.push(chunk));
            }
            lines.extend(splitter.finish());
            prop_assert!(lines.iter().all(|line| line.len() <= MAX_LINE_BYTES));
            prop_assert_eq!(lines.concat(), text.replace('\n', ""));
        }
    }
}
