//! What a process has written: one JSON object a line, in two files that take turns, so that the log is bounded and its
//! end is always there.
//!
//! ```text
//! {"segment":2}
//! {"time":"2026-11-25T08:00:00.123456Z","stream":"stdout","text":"hello"}
//! ```
//!
//! `log.jsonl` is written; once it is half of the limit it becomes `log.1.jsonl`, in place of the one before.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use flyte_runs::log_source::{Line, Stream};

/// Bytes of text in a line; a longer one becomes several.
pub const MAX_LINE: usize = 16 << 10;
/// The least that a log can be limited to: a longest line of the worst characters fits into half of it.
pub const MIN_LIMIT: u64 = 1 << 20;

/// A line as it stands in the file.
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

/// Cuts what a command writes into lines.
#[derive(Debug, Default)]
pub struct Cutter {
    rest: Vec<u8>,
}

impl Cutter {
    /// Takes the next bytes; the lines that are whole now. What is not UTF-8 is replaced by U+FFFD.
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
                None if self.rest.len() >= MAX_LINE => {
                    let rest = self.rest.split_off(boundary(&self.rest));
                    lines.extend(self.take());
                    self.rest = rest;
                }
                None => {}
            }
        }
        lines
    }

    /// The last line, where the command has not ended it.
    pub fn finish(&mut self) -> Vec<String> {
        if self.rest.is_empty() { Vec::new() } else { self.take() }
    }

    fn take(&mut self) -> Vec<String> {
        let mut bytes = std::mem::take(&mut self.rest);
        let mut lines = Vec::new();
        while bytes.len() > MAX_LINE {
            let rest = bytes.split_off(boundary(&bytes));
            lines.push(String::from_utf8_lossy(&bytes).into_owned());
            bytes = rest;
        }
        lines.push(String::from_utf8_lossy(&bytes).into_owned());
        lines
    }
}

/// Where the bytes, at least [`MAX_LINE`], are cut so that no character is.
fn boundary(bytes: &[u8]) -> usize {
    let begins = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (MAX_LINE - 3..=MAX_LINE).rev().find(begins).unwrap_or(MAX_LINE)
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
    /// Begins the log of the process in `directory`, which keeps at most `limit` bytes, at least [`MIN_LIMIT`].
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(directory: &Path, limit: u64) -> io::Result<Self> {
        let limit = limit.max(MIN_LIMIT);
        let (file, size) = begin(directory, 1)?;
        Ok(Self { directory: directory.to_owned(), file, segment: 1, size, limit })
    }

    /// Writes lines that were read at one moment.
    ///
    /// # Errors
    /// When the disk is full; these lines are then missing, whole ones.
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
                self.turn()?;
                buffer = line;
            }
        }
        self.append(&buffer)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all(bytes) {
            Ok(()) => self.size += bytes.len() as u64,
            Err(error) => {
                // Half a line would spoil the next one.
                let _ =
                    self.file.set_len(self.size).and_then(|()| self.file.seek(SeekFrom::Start(self.size)));
                return Err(error);
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        fs::rename(current(&self.directory), previous(&self.directory))?;
        (self.file, self.size) = begin(&self.directory, self.segment + 1)?;
        self.segment += 1;
        Ok(())
    }
}

fn begin(directory: &Path, segment: u64) -> io::Result<(File, u64)> {
    let path = current(directory);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut line = serde_json::to_vec(&Entry::Segment { segment })?;
    line.push(b'\n');
    file.write_all(&line)?;
    Ok((file, line.len() as u64))
}

fn current(directory: &Path) -> PathBuf {
    directory.join("log.jsonl")
}

fn previous(directory: &Path) -> PathBuf {
    directory.join("log.1.jsonl")
}

/// Reads a log from its beginning, also while it is being written. Between two reads it has no file open.
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    /// The last segment that was begun; 0 before the first.
    segment: u64,
    /// Bytes of it that have been read, up to the end of a line.
    at: u64,
    /// Whether lines before the next one are gone.
    missing: bool,
}

/// A segment that is being read.
struct Open {
    file: BufReader<File>,
    inode: u64,
    segment: u64,
    /// Bytes of its first line, which tells its number.
    head: u64,
}

impl Open {
    /// The segment at `path`; `None` where there is none, or its first line is not there yet.
    fn at(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let inode = file.metadata()?.ino();
        let (mut file, mut head) = (BufReader::new(file), Vec::new());
        file.read_until(b'\n', &mut head)?;
        Ok(match serde_json::from_slice(&head) {
            Ok(Entry::Segment { segment }) if head.ends_with(b"\n") => {
                Some(Self { file, inode, segment, head: head.len() as u64 })
            }
            _ => None,
        })
    }
}

impl Reader {
    /// A reader of the log of the process in `directory`, which need not have one yet.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), segment: 0, at: 0, missing: false }
    }

    /// The next lines, about `bytes` of them at most; none where everything that is there so far has been read.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(&mut self, bytes: usize) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        let mut taken = 0;
        // The beginning of a line whose end is not there yet is read again.
        let mut half = Vec::new();
        let mut open = self.open_again()?;
        while taken < bytes {
            if open.is_none() {
                open = self.open_next()?;
            }
            let Some(now) = &mut open else { break };
            // Whether it was still the one being written, asked before its end is met: nothing is missed in between.
            let last = fs::metadata(current(&self.directory)).is_ok_and(|file| file.ino() == now.inode);
            let read = now.file.read_until(b'\n', &mut half)?;
            if half.ends_with(b"\n") {
                taken += half.len();
                self.at += half.len() as u64;
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

    /// Opens the segment that was begun where reading stopped; `None` where it has been removed since.
    fn open_again(&mut self) -> io::Result<Option<Open>> {
        if self.segment == 0 {
            return Ok(None);
        }
        // In the order in which it moves: it is found in one of the two places, however it moves meanwhile.
        for path in [current(&self.directory), previous(&self.directory)] {
            if let Some(mut open) = Open::at(&path)?.filter(|open| open.segment == self.segment) {
                open.file.seek(SeekFrom::Start(self.at))?;
                return Ok(Some(open));
            }
        }
        // Whether there was more of it nobody knows any more.
        self.missing = true;
        Ok(None)
    }

    /// Opens the oldest segment that has not been begun, and begins it.
    fn open_next(&mut self) -> io::Result<Option<Open>> {
        for path in [previous(&self.directory), current(&self.directory)] {
            // A head that is not there yet is there at the next look.
            if let Some(open) = Open::at(&path)?.filter(|open| open.segment > self.segment) {
                self.missing |= open.segment > self.segment + 1;
                (self.segment, self.at) = (open.segment, open.head);
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
                    let text = "earlier lines are not kept: the log has grown beyond its limit".to_owned();
                    lines.push(Line { time, stream: Stream::System, text });
                }
                lines.push(Line { time, stream, text: text.into_owned() });
            }
            // The machine went down while it was being written.
            Ok(Entry::Segment { .. }) | Err(_) => {}
        }
    }
}

/// The last lines of a log, at most `count`.
///
/// # Errors
/// When a file cannot be read.
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
    fn what_is_written_is_read_while_it_is_written() {
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
    fn a_flood_is_bounded_and_its_end_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Writer::create(directory.path(), MIN_LIMIT).unwrap();
        let mut behind = Reader::new(directory.path());
        for number in 0..50_000 {
            log.write(Timestamp::UNIX_EPOCH, Stream::Stdout, &[format!("line {number}")]).unwrap();
            if number == 0 {
                assert_eq!(texts(&behind.read(100).unwrap()), ["line 0"]);
            }
        }
        let sizes =
            [current(directory.path()), previous(directory.path())].map(|p| p.metadata().unwrap().len());
        assert!(sizes.iter().sum::<u64>() <= MIN_LIMIT, "{sizes:?}");
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
        assert!(all[0].text.starts_with("earlier lines are not kept"));
        let numbers: Vec<u32> =
            all[1..].iter().map(|line| line.text.strip_prefix("line ").unwrap().parse().unwrap()).collect();
        assert!(numbers.len() > 5000);
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        assert_eq!(*numbers.last().unwrap(), 49_999);
        assert_eq!(texts(&tail(directory.path(), 2).unwrap()), ["line 49998", "line 49999"]);
        // Who is so far behind is told that lines are missing.
        let mut told = false;
        loop {
            let lines = behind.read(1 << 20).unwrap();
            if lines.is_empty() {
                break;
            }
            told |= lines.iter().any(|line| line.stream == Stream::System);
        }
        assert!(told);
    }

    #[test]
    fn half_a_line_is_waited_for_and_a_spoilt_one_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let line = |text| {
            format!("{{\"time\":\"2026-11-25T08:00:00Z\",\"stream\":\"stdout\",\"text\":\"{text}\"}}\n")
        };
        let whole = format!("{{\"segment\":1}}\n{}nonsense\n{}", line("a"), line("b"));
        let mut reader = Reader::new(directory.path());
        let mut read = Vec::new();
        for end in 0..=whole.len() {
            fs::write(current(directory.path()), &whole[..end]).unwrap();
            read.extend(reader.read(1).unwrap());
        }
        read.extend(reader.read(100).unwrap());
        assert_eq!(texts(&read), ["a", "b"]);
    }

    #[test]
    fn lines_end_as_everywhere() {
        let mut cutter = Cutter::default();
        assert_eq!(cutter.push(b"a\r\nb\n\nc"), ["a", "b", ""]);
        assert_eq!(cutter.push(b"d\xff"), [""; 0]);
        assert_eq!(cutter.finish(), ["cd\u{fffd}"]);
        assert_eq!(cutter.finish(), [""; 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn no_byte_is_lost(pieces in prop::collection::vec("[a-zé\n]{0,100}", 0..8), at in 1_usize..9000) {
            let text = pieces.concat().replacen('\n', "", 20).repeat(100);
            let mut cutter = Cutter::default();
            let mut lines = Vec::new();
            for chunk in text.as_bytes().chunks(at) {
                lines.extend(cutter.push(chunk));
            }
            lines.extend(cutter.finish());
            prop_assert!(lines.iter().all(|line| line.len() <= MAX_LINE));
            prop_assert_eq!(lines.concat(), text.replace('\n', ""));
        }
    }
}
