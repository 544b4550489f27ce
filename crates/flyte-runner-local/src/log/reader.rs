//! Reads a log, even while it is written.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Entry, Line, Stream, current_file, previous_file};

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
